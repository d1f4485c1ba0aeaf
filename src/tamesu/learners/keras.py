"""The Keras learner: the same batches, targets and losses as PyTorch's, computed by TensorFlow, JAX or PyTorch.

`fit` reads as the method. Keras is imported when a training starts, with the recipe's backend, which is then that of the
process: engines give each backend processes of its own (see `names.backend_of`). To change a step, subclass `KerasLearner`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.batches import Batch, make_batches
from tamesu.errors import FitError
from tamesu.learners.base import OnEpoch
from tamesu.learners.keras_backend import backend_mistakes, import_keras, training_state
from tamesu.learners.keras_batches import arrays_of
from tamesu.learners.keras_check import network_mistakes
from tamesu.learners.network import FittedNetwork, load_kept, make_targets, prepare
from tamesu.learners.network_inputs import head_of
from tamesu.learners.schedules import cosine_with_warmup
from tamesu.losses import loss_of
from tamesu.nets.shapes import InputShape
from tamesu.targets import Target
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.feed import Feed
    from tamesu.recipe import Recipe
    from tamesu.series_inputs import FittedSeries

NETWORK_FILE = "network.keras"


class KerasLearner:
    """Trains a network on pictures, table, series or all of them, for a fixed number of epochs."""

    def check(self, recipe: Recipe, dataset: Dataset) -> list[str]:
        """What of the recipe cannot be honoured, one sentence each."""
        mistakes = backend_mistakes(recipe.model.backend)
        if not recipe.inputs:
            mistakes.append(
                say("fields: must have an input (an image, a label, a number or a series that is not predicted); got none.")
            )
        return mistakes or network_mistakes(recipe, dataset)

    def fit(
        self, rows: Dataset, recipe: Recipe, seed: int, device: str = "cpu", on_epoch: OnEpoch | None = None
    ) -> FittedKeras:
        """Trains on all of `rows`.

        Raises:
            DataError: A target's value is missing or unknown.
            FitError: The backend is missing or another one is in use in this process, or there is no such device.
        """
        keras = import_keras(recipe.model.backend)
        from tamesu.learners.keras_devices import placed, used_device

        with training_state(keras, recipe, seed), placed(recipe.model.backend, device):
            ready = prepare(rows, recipe, self.make_targets)
            network = self.make_network(recipe, ready.shape, ready.targets)
            network.set_pixels(ready.pixels)
            n_steps = self.count_steps(ready.feed, recipe)
            trainer = self.make_trainer(network, recipe, ready.targets, device, n_steps)
            log = [self.train_epoch(trainer, ready.feed, recipe, epoch, seed, on_epoch) for epoch in range(recipe.train.epochs)]
            trainer.finish()
        used = used_device(recipe.model.backend, device)
        log = log if used == device else [entry | {"device": used} for entry in log]
        return FittedKeras(
            self,
            recipe,
            network,
            ready.shape,
            ready.inputs,
            ready.targets,
            log,
            ready.series,
            n_compiled=trainer.n_compiled,
        )

    def load(self, folder: Path) -> FittedKeras:
        """What `FittedKeras.save` wrote; on the backend it was trained with, or on that of this process if that is another."""
        kept = load_kept(Path(folder))
        keras = import_keras(kept.recipe.model.backend, exact=False)
        import tamesu.knets.network  # noqa: F401 - registers the network's class

        network = keras.saving.load_model(Path(folder) / NETWORK_FILE, compile=False, safe_mode=True)
        return FittedKeras(self, kept.recipe, network, kept.shape, kept.inputs, dict(kept.targets), kept.log, kept.series)

    # ---- the steps, in the order they are taken

    def make_targets(self, rows: Dataset, recipe: Recipe, series: FittedSeries | None = None) -> dict[str, Target]:
        """What is predicted, and what is predicted beside it, fitted on the training rows."""
        return make_targets(rows, recipe, series)

    def make_network(self, recipe: Recipe, shape: InputShape, targets: Mapping[str, Target]) -> Any:
        """The network: a batch's `inputs` (see `keras_batches.arrays_of`) to raw outputs by target."""
        from tamesu.knets.network import make_network

        return make_network(recipe.model, shape, {name: head_of(target, recipe.size) for name, target in targets.items()})

    def make_trainer(self, network: Any, recipe: Recipe, targets: Mapping[str, Target], device: str, n_steps: int) -> Any:
        """Everything that changes while training."""
        from tamesu.learners.keras_devices import devices_of
        from tamesu.learners.keras_steps import Lowered, make_optimizer
        from tamesu.learners.keras_trainers import TRAINERS

        auxiliaries = {name: one.auxiliary for name, one in recipe.auxiliaries.items() if one.auxiliary is not None}
        losses = {name: loss_of(target, recipe.train) for name, target in targets.items()}
        return TRAINERS[recipe.model.backend](
            network,
            Lowered(targets, losses, auxiliaries),
            make_optimizer(network, recipe.train),
            recipe.train,
            n_steps,
            cosine_with_warmup(n_steps, recipe.train.warmup_fraction),
            devices_of(recipe.model.backend, device),
        )

    def count_steps(self, feed: Feed, recipe: Recipe) -> int:
        """Steps of the whole training."""
        return recipe.train.epochs * -(-len(feed) // recipe.train.batch_size)

    def train_epoch(
        self, trainer: Any, feed: Feed, recipe: Recipe, epoch: int, seed: int, on_epoch: OnEpoch | None
    ) -> dict[str, Any]:
        """Goes through the rows once; returns the epoch's entry in the log."""
        trainer.start_epoch()
        n_places = trainer.places(recipe.train.batch_size)
        for batch in make_batches(feed, recipe.train.batch_size, epoch=epoch, seed=seed, n_threads=trainer.n_threads):
            trainer.train(arrays_of(batch, n_places), batch.n_real)
        entry: dict[str, Any] = trainer.end_epoch(epoch + 1)
        if on_epoch is not None:
            on_epoch(epoch + 1, float("nan") if entry["loss"] is None else entry["loss"])
        return entry


@dataclass(eq=False)
class FittedKeras(FittedNetwork):
    """A trained network, and how its inputs and outputs are read.

    Attributes:
        n_compiled: How often a step was compiled while it was trained.
    """

    n_compiled: int = 0
    _predictor: Any = field(default=None, init=False, repr=False)

    def raw_outputs(self, batch: Batch) -> dict[str, NDArray[np.float64]]:  # noqa: D102
        from keras import ops

        from tamesu.learners.keras_trainers import make_predictor

        if self._predictor is None:
            self._predictor = make_predictor(self.network)
        raw = self._predictor(arrays_of(batch, len(batch.weight), with_targets=False)["inputs"])
        return {name: np.asarray(ops.convert_to_numpy(values), np.float64)[: batch.n_real] for name, values in raw.items()}

    def save_network(self, folder: Path) -> None:
        """Writes network.keras.

        Raises:
            FitError: The user's own network holds what cannot be written as data.
        """
        try:
            self.network.save(folder / NETWORK_FILE)
        except (TypeError, ValueError) as error:
            raise FitError(
                say(
                    "model.backbone: {name} must hold layers that Keras can save; {error}",
                    name=self.recipe.model.backbone,
                    error=error,
                )
            ) from error
