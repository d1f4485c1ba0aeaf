"""What the PyTorch learner leaves: a network with everything that was fitted beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from tamesu.batches import Batch
from tamesu.learners.network import FittedNetwork, load_kept
from tamesu.learners.torch_steps import count_batch_threads, told_places

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.feed import Feed
    from tamesu.learners.torch import TorchLearner


@dataclass(eq=False)
class FittedTorch(FittedNetwork):
    """A trained network, and how its inputs and outputs are read.

    Attributes:
        device: Where it predicts.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def feed_of(self, rows: Dataset) -> Feed:  # noqa: D102
        return told_places(super().feed_of(rows), self.network)

    def count_threads(self) -> int:  # noqa: D102
        return count_batch_threads(self.device)

    def raw_outputs(self, batch: Batch) -> dict[str, NDArray[np.float64]]:  # noqa: D102
        self.network.eval()
        raw = self.learner.predict_step(self.network, batch, self.recipe, self.device)
        return {name: values.numpy() for name, values in raw.items()}

    def save_network(self, folder: Path) -> None:
        """Writes network.safetensors."""
        # clone: a tensor in channels-last order, or one that shares memory, is not what safetensors takes
        state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in self.network.state_dict().items()}
        save_file(state, folder / "network.safetensors")


def load_fitted_torch(learner: TorchLearner, folder: Path) -> FittedTorch:
    """What `FittedTorch.save` wrote, on the CPU."""
    kept = load_kept(folder)
    # the weights come from our own file: nothing is fetched, nor is the file they once came from needed
    fresh = kept.recipe.model_copy(update={"model": kept.recipe.model.model_copy(update={"weights": "none"})})
    with torch.random.fork_rng(devices=[]):
        network = learner.make_network(fresh, kept.shape, kept.targets)
    network.load_state_dict(load_file(folder / "network.safetensors"))
    order = torch.channels_last if kept.recipe.train.channels_last else torch.contiguous_format
    network = network.to(memory_format=order).eval()  # type: ignore[call-overload]
    return FittedTorch(
        learner, kept.recipe, network, kept.shape, kept.inputs, dict(kept.targets), kept.log, kept.series, torch.device("cpu")
    )
