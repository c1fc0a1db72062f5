"""Which neurons of an FFN a token could do without, as ReLU² Wins (arXiv 2402.03804) asks, and what that would save.

Neuron ``i`` gives ``h_i(x) W_down[:, i]``, and an FFN is the sum of its neurons. One whose output is shorter than a
threshold is called inactive; a threshold is judged by what all inactive ones would have added, next to what all add.
"""
