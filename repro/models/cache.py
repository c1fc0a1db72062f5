"""Keys and values of the tokens that a decoder has read, so that going on with them reads only what is new."""

import torch
from torch import Tensor


class Cache:
    """What attention keeps of a batch of sequences of equal length, for use without gradients.

    Its memory is taken once, when a layer first writes: ``2 n_layers batch most d_model`` numbers in all. Sequences of
    unequal length are for caches of their own.

    Attributes:
        most: tokens of a sequence that there is room for.
        length: tokens that have been read. Set lower, the last ones are forgotten.
    """

    def __init__(self, most: int) -> None:
        self.most, self.length = most, 0
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keep a layer's new keys and values, and return all so far; ``length`` grows after the last layer.

        Args:
            layer: its number.
            keys: ``(batch, heads, new, head_dim)``, rotated.
            values: of the same shape.

        Returns:
            Views of ``(batch, heads, length + new, head_dim)``.

        Raises:
            ValueError: there is no room, or the batch is another one.
        """
        end = self.length + keys.shape[2]
        room = (*keys.shape[:2], self.most, keys.shape[3])
        if layer not in self._kept:
            self._kept[layer] = keys.new_empty(room), values.new_empty(room)
        kept = self._kept[layer]
        if end > self.most or kept[0].shape != room:
            raise ValueError(f"a cache of {tuple(kept[0].shape)} cannot take {tuple(keys.shape)} after {self.length}")
        for all_, new in zip(kept, (keys, values), strict=True):
            all_[:, :, self.length : end] = new
        return kept[0][:, :, :end], kept[1][:, :, :end]

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return sum(keys.nbytes + values.nbytes for keys, values in self._kept.values())


def following(new: int, before: int, like: Tensor) -> Tensor | None:
    """What causal attention of ``new`` tokens adds to its scores, with ``before`` more in the cache.

    Nothing where a cache is empty, for which attention is causal by itself, and nothing for a single token, which sees
    all that is there.

    Returns:
        ``(new, before + new)``, of queries and keys, as ``like`` in dtype and device; 0, and minus infinity where they
        do not look.
    """
    if new == 1 or not before:
        return None
    seen = torch.ones(new, before + new, dtype=torch.bool, device=like.device).tril(before)
    return torch.zeros_like(seen, dtype=like.dtype).masked_fill_(~seen, -torch.inf)
