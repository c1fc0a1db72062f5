"""From documents or tokens to a prepared set, restartable at any moment.

What is asked for (:mod:`asking`) is fetched and tokenised piece by piece in processes of their own (:mod:`parallel`,
:mod:`tokenise`), each piece entered in a :mod:`journal` when it is whole; when all are, the set is measured, described
and completed (:mod:`making`). :mod:`embedded`, :mod:`files` and :mod:`tokens` are the three kinds of corpora.
"""
