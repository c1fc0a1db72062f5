"""The filter that keeps windows of endless repetition out of the loss, as OLMo's instance filter does."""

import torch
import torch.nn.functional as F
from torch import Tensor


def repeats(tokens: Tensor, period: int, times: int) -> Tensor:
    """Which sequences hold a run of tokens whose period is at most ``period`` and that goes through it ``times`` times.

    Where ``r`` tokens in succession equal the one ``p`` before them, ``r + p`` tokens have period ``p`` and go through
    it ``(r + p) // p`` times: what OLMo's ``find_periodic_sequences`` counts, for three times or more. So it is asked
    whether ``(times - 1) p`` successive ones do.

    Args:
        tokens: ``(batch, seq)``, ids of any kind; OLMo looks at a model's inputs, not at the last one's target.
        period: the longest one; ``aaaa`` has period 1.
        times: 2 or more.

    Returns:
        ``(batch,)`` of bool, on the device of ``tokens``, which it does not wait for.
    """
    found = tokens.new_zeros(len(tokens), dtype=torch.bool)
    for p in range(1, period + 1):
        length = (times - 1) * p
        if length + p > tokens.shape[1]:
            break
        before = F.pad((tokens[:, p:] == tokens[:, :-p]).cumsum(-1, dtype=torch.int32), (1, 0))
        found = found | (before[:, length:] - before[:, :-length] == length).any(-1)
    return found
