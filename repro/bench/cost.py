"""What a call costs besides its time: memory, launches, and whether it gives the same bits again."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

RUNS = 10  # that have to agree

# Which the profiler lists beside the GPU's work, by these names.
SYNCHRONISATIONS = {"Context Sync", "Stream Sync", "Event Sync", "Stream Wait Event", "Unknown Sync"}


def kept(forward: Callable[[], Tensor], *, apart: Iterable[Tensor] = ()) -> Counter[torch.dtype]:
    """Bytes that autograd keeps for the backward pass, by dtype, each storage once, without those of ``apart``."""
    counted = {tensor.untyped_storage().data_ptr() for tensor in apart}
    sizes: Counter[torch.dtype] = Counter()

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in counted:
            counted.add(storage.data_ptr())
            sizes[tensor.dtype] += storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = forward()  # held until the end, or its storage could be given out twice
    assert y.requires_grad
    return sizes


def peak(work: Callable[[], object]) -> int:
    """Bytes of the GPU's memory that ``work`` needs at most, above what was there before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def launches(work: Callable[[], object]) -> int | None:
    """Kernels, copies and fills that ``work`` has the GPU do; None where the profiler does not see them."""
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as record:
        work()  # for which the end of the profile waits
    torch.cuda.synchronize()
    seen = [event for event in record.events() or () if event.device_type.name == "CUDA"]
    return sum(not event.is_user_annotation and event.name not in SYNCHRONISATIONS for event in seen) or None


def free() -> None:
    """Let go of what a failure's traceback holds: memory, and the hooks of a checkpoint that was left half-way."""
    gc.collect()
    torch.cuda.empty_cache()


def deterministic(gradients: Callable[[], Sequence[Tensor]]) -> bool:
    """Whether ten runs give the same bits."""
    first = gradients()
    return all(all(map(torch.equal, first, gradients())) for _ in range(RUNS - 1))
