"""What is trained on: corpora, tokenizer, token shards, their order, and the loader that reads them.

Text becomes shards once (:mod:`repro.data.preparing`, from :mod:`repro.data.files` or, as tokens that there are, from
:mod:`repro.data.tokens`); a run finds them (:mod:`repro.data.locate`) and reads windows of them
(:mod:`repro.data.text`) in an order that is a function of the sample's number (:mod:`repro.data.order` and
:mod:`repro.data.mixture`).
"""
