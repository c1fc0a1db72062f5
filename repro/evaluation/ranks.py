"""Which of several connected processes this one is, and how many there are; alone it is the first of one."""

import torch.distributed as dist


def rank() -> int:
    """This process's number."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_initialized() else 1
