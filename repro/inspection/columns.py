"""What the columns of the tables are, in the words of the page."""

_MOMENTS = {
    "rms": "root mean square",
    "mean": "mean",
    "kurtosis": "mean fourth power of the distance from the mean, over the squared variance; 3 of normal numbers",
    "max_over_rms": "largest size over root mean square",
    "beyond_6_sigma": "share of numbers further from the mean than six standard deviations",
}
_WHOSE = {"input": "what goes in", "hidden": "what comes out", "output": "what the whole FFN gives"}
ENDS = "Columns that end in _low and _high are the ends of 95 % intervals over windows of text."


COLUMNS: dict[str, dict[str, str]] = {
    "weights": {
        "part": "which of the layer's matrices",
        "expert": "whose",
        "rows": "outputs of the matrix",
        "columns": "inputs of the matrix",
        "effective_rank": "exp of the entropy of the singular values, each over their sum (Eq. 36): from 1, where one "
        "direction has all, to the smaller of rows and columns",
        "random_effective_rank": "the same of a random matrix of this shape (law of Marchenko and Pastur)",
        "normalised_rank": "the first over the second; this one can be compared between shapes",
        "stable_rank": "sum of squared singular values over the largest square",
        "participation_ratio": "squared sum of squared singular values over the sum of their fourth powers",
        "largest_singular_value": "by how much the matrix can lengthen an input at most",
    },
    "similarity": {
        "name": "which states: the residual stream, the same without its mean over tokens, or what a block adds to it",
        "tokens": "whether the first tokens of a window count",
        "windows": "over which the interval is",
        "tokens_seen": "over which the mean is",
        "adjacent": "mean cosine of neighbouring layers",
        "mean": "mean cosine of all pairs of layers",
    },
    "similarity_by_distance": {
        "name": "which states",
        "tokens": "whether the first tokens of a window count",
        "layers_apart": "difference of the layers' numbers",
        "cosine": "mean over tokens and over all pairs of layers so far apart",
    },
    "similarity_matrix": {
        "name": "which states",
        "tokens": "whether the first tokens of a window count",
        "other_layer": "the second of the pair",
        "cosine": "mean over tokens",
    },
    "cka": {
        "name": "which states, or of which other run the second layer is",
        "tokens": "whether the first tokens of a window count",
        "other_layer": "the second of the pair",
        "cka": "linear centred kernel alignment: 1 is the same up to rotation and scale, 0 unrelated",
    },
    "activations": {
        "gain": "root mean square of what comes out over that of what goes in",
        "constant_term": "what comes out where all that goes in is 0, or the gate is and lets 1 through",
        "neurons": "of the layer; of experts all of them",
        "neurons_seen": "that were computed for at least one token or image",
        "dead_share": "of the neurons seen, those never further from the constant term than a hundredth of the layer's "
        "root mean square",
        "never_moved_share": "of the neurons seen, those that gave the constant term every time",
        "exact_zeros_share": "of all numbers that came out, those that are the constant term, to rounding in their "
        "dtype",
    },
    "coefficients": {
        "expert": "whose",
        "parameter": "of the activation, as the checkpoint calls it",
        "power": "i of a_i, which multiplies the i-th power of the input, or that power's norm; empty of other "
        "parameters",
        "value": "as it is stored",
    },
    "overflow": {
        "what": "the input itself, a term x^i of the polynomial, or the square of a term inside its norm",
        "power": "of the input",
        "format": "of numbers; the kit computes in float32 and says here what others would lose",
        "numbers": "inputs that are not 0; where powers of the positive part are taken, as of ReLU, those above 0",
        "overflow": "how many of them have a power too large for the format",
        "underflow": "how many have one that it has only 0 for",
        "overflow_share": "of these numbers",
        "underflow_share": "of these numbers",
    },
    "sparsity": {
        "tau": "the mean CETT that was asked for at most",
        "threshold": "a neuron is inactive whose output (its value times its column of the down projection) is at most "
        "as long; the largest that keeps to tau",
        "cett": "length of what all inactive neurons would have added over that of what all neurons add (the FFN's "
        "output without the constant term), the mean over tokens, where the threshold was found (arXiv 2402.03804)",
        "cett_elsewhere": "the same on other windows",
        "sparsity": "share of neurons that are inactive, the mean over tokens",
        "exact_zeros": "share of values that are 0 once the constant term is taken off, in the numbers that a network "
        "computes in: bfloat16, as on a GPU, rounds what is close to the constant to it",
    },
    "sparsity_experts": {
        "expert": "whose neurons",
        "tokens": "that were sent to it",
        "tau": "the mean CETT that was asked for at most",
        "sparsity": "share of its neurons that are inactive, the mean over its tokens",
    },
    "sparsity_loss": {
        "by": "what names the neurons that are left out: nothing, the length of their output, thresholds at a CETT, or "
        "a predictor",
        "asked": "the share of neurons, or the CETT",
        "sparsity": "share of neurons that were left out, the mean over layers",
        "loss_nats": "per token",
        "increase_nats": "per token, over the whole network's",
        "perplexity_ratio": "exp of the increase",
        "windows": "over which the intervals are",
    },
    "sparsity_predictor": {
        "rank": "width of the predictor, a network of two matrices that reads what the FFN reads",
        "weights": "of the predictor",
        "recall": "share of active neurons that it names, when it names as many as are active",
        "recall_of_usual": "the same if always those were named that are active most often",
        "auc": "how often an active neuron is ranked above an inactive one; 0.5 is chance",
    },
    "sparsity_reuse": {
        "active": "neurons of a token, the mean, at tau 0.2",
        "reuse": "share of a token's active neurons that were active for the token before",
        "reuse_by_chance": "the same of two tokens that have nothing to do with each other",
        "new_bytes": "of neurons' weights to be read for a token, if those of the token before are at hand",
    },
    "sparsity_machine": {
        "way": "dense: everything; known: active neurons, as if somebody had told; computed: the first matrix in full "
        "tells; predicted: the predictor tells",
        "active": "neurons that are computed, of all experts of a token",
        "recall": "share of active neurons that are among them",
        "bytes": "of weights that a token has to read, of all experts that it is sent to",
        "flops": "two for each of these weights",
        "of_dense_bytes": "over those of the dense way",
        "us": "microseconds of one token, of experts through one of them alone; the median of rounds",
        "us_p20": "the 20th percentile of rounds",
        "us_p80": "the 80th percentile of rounds",
        "of_dense_us": "median over that of the dense way",
    },
    "sparsity_sizes": {
        "activation": "of the runs",
        "parameters": "without embeddings",
        "runs": "over which the mean is: this one and those beside it that have been analysed so far",
        "recipes": "of these runs",
        "tau": "the mean CETT that was asked for at most",
        "sparsity": "share of neurons that are inactive, the mean over layers and runs",
    },
}


def meaning(table: str, column: str) -> str:
    """What a column of a table is; empty if its name says it."""
    own = COLUMNS.get(table, {})
    first, _, rest = column.partition("_")
    if first in _WHOSE and rest in _MOMENTS:
        return f"{_WHOSE[first]}: {_MOMENTS[rest]}"
    return own.get(column, "")
