"""A model that lies whole on every device: torch's ``DistributedDataParallel``."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from repro.training.strategy import DistributedCheckpoints

if TYPE_CHECKING:
    import lightning


class Replicated(DistributedCheckpoints, DDPStrategy):
    """Weights and optimizer state whole on all ranks, each of which reads its own share of a batch.

    Gradients are averaged over ranks while the backward pass of a step's last micro-batch goes on. The statistics of
    batch norms are :class:`repro.training.callbacks.images.Statistics`' matter, and averaged weights take no part: they
    have no gradients. ``fill`` gives the model's weights their initial values.
    """

    def __init__(self, fill: Callable[[nn.Module], None]) -> None:
        super().__init__(broadcast_buffers=False, gradient_as_bucket_view=True)
        self.fill = fill

    def setup(self, trainer: "lightning.Trainer") -> None:
        """Allocate and fill the weights, then wrap the model."""
        self.allocate()
        super().setup(trainer)

    def teardown(self) -> None:
        """Unwrap the model and leave it where it is: on its device, or never allocated if the run failed before."""
        assert self.cluster_environment is not None
        assert self.accelerator is not None
        self.model = self.lightning_module
        self.cluster_environment.teardown()
        self.accelerator.teardown()
