"""The steps of a Keras training: what is lowered, and one way down its gradient on each backend.

A `Trainer` holds everything that changes. Batches have one shape from the first to the last, so TensorFlow and JAX compile
a step once; `n_compiled` counts. Padding has weight 0.

Source:
    Keras guides, "Writing a custom training loop" in JAX, in TensorFlow, and in PyTorch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tamesu.config import DecidedTrainConfig
from tamesu.fields.base import Aux
from tamesu.learners.network_loss import Loss, target_losses
from tamesu.learners.schedules import weight_at
from tamesu.targets import Target

Arrays = dict[str, Any]  # a batch as `keras_batches.arrays_of` makes it
SMALL = 1e-6  # added to a gradient's length, as torch.nn.utils.clip_grad_norm_ does


@dataclass(eq=False)
class Lowered:
    """What a training lowers: the target's mean loss, and those of its auxiliaries by their weights.

    Attributes:
        targets: What is predicted.
        losses: Of each (see `losses.loss_of`).
        auxiliaries: By target, those that are predicted beside.
        log_variances: Learned weights, of those whose schedule is that (see `torch_heads.HeadWeights`).
    """

    targets: Mapping[str, Target]
    losses: Mapping[str, Loss]
    auxiliaries: Mapping[str, Aux]
    log_variances: list[Any] = field(init=False)
    _places: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        learned = [name for name, one in self.auxiliaries.items() if one.schedule == "learned"]
        self._places = {name: i for i, name in enumerate(learned)}
        self.log_variances = [keras.Variable(0.0, name=f"log_variance_{i}") for i in range(len(learned))]

    def weights_at(self, step: int, n_steps: int) -> NDArray[np.float32]:
        """Of each target before a step: 1, or its auxiliary's.  (k,)"""
        aux = [self.auxiliaries.get(name) for name in self.targets]
        return np.array([1.0 if one is None else weight_at(one, step, n_steps) for one in aux], dtype=np.float32)

    def __call__(self, raw: Mapping[str, Any], batch: Arrays, weights: Any, log_variances: list[Any]) -> Any:
        """The loss, a scalar; `weights` (k,) are those of `weights_at`."""
        total: Any = 0.0
        for i, (name, loss) in enumerate(target_losses(raw, batch, self.targets, self.losses, ops).items()):
            if name in self._places:
                log_variance = log_variances[self._places[name]]
                loss = ops.exp(-log_variance) * loss + log_variance
            total = total + weights[i] * loss
        return total


class Trainer(ABC):
    """Everything that changes while training.

    Args:
        network: Called with a batch's `inputs`; gives raw outputs by target.
        lowered: What is lowered.
        optimizer: Not yet built.
        settings: Clipping and averaging.
        n_steps: Of the whole training.
        schedule: Step to share of the learning rate.
        devices: That share the rows of a batch; None: one has all.
    """

    n_threads = 1  # that make batches ahead

    def __init__(
        self,
        network: Any,
        lowered: Lowered,
        optimizer: Any,
        settings: DecidedTrainConfig,
        n_steps: int,
        schedule: Callable[[int], float],
        devices: list[Any] | None = None,
    ):
        self.network, self.lowered, self.optimizer = network, lowered, optimizer
        self.settings, self.n_steps, self.schedule = settings, n_steps, schedule
        self.devices = devices
        self.variables = [*network.trainable_variables, *lowered.log_variances]
        self.n_own = len(network.trainable_variables)
        optimizer.build(self.variables)
        self.step = self.n_compiled = 0
        self.learning_rate = 0.0
        self._loss, self._rows, self._skipped = 0.0, 0, 0

    def places(self, batch_size: int) -> int:
        """Places of a batch for so many rows: each device has as many."""
        n_devices = len(self.devices or (None,))
        return -(-batch_size // n_devices) * n_devices

    def start_epoch(self) -> None:
        """Sets what is told about an epoch back."""
        self._loss, self._rows, self._skipped = 0.0, 0, 0

    def train(self, batch: Arrays, n_rows: int) -> None:
        """One step down the gradient; one that is not finite is left out and counted."""
        self.learning_rate = self.settings.learning_rate * self.schedule(self.step)
        weights = self.lowered.weights_at(self.step, self.n_steps)
        rate, share = np.asarray(self.learning_rate, np.float32), np.asarray(self._average_share(), np.float32)
        loss, is_finite = self._step(batch, weights, rate, share)
        self.step += 1
        value = float(loss)
        if not bool(is_finite):
            self._skipped += 1
            return
        self._loss, self._rows = self._loss + value * n_rows, self._rows + n_rows

    def end_epoch(self, epoch: int) -> dict[str, Any]:
        """The epoch's entry in the log."""
        loss = self._loss / self._rows if self._rows else None
        entry: dict[str, Any] = {"epoch": epoch, "loss": loss, "learning_rate": self.learning_rate}
        return entry | ({"skipped_steps": self._skipped} if self._skipped else {})

    @abstractmethod
    def finish(self) -> None:
        """Leaves what predicts in the network: its weights, or their average where the study asks for it."""

    @abstractmethod
    def _step(self, batch: Arrays, weights: Any, rate: Any, share: Any) -> tuple[Any, Any]:
        """The loss, and whether it and its gradient were finite."""

    def _average_share(self) -> float:
        """How much of the present weights enters their average (see `torch_steps.Average`)."""
        return 1 - min(self.settings.ema, (2 + self.step) / (11 + self.step))

    def _clipped(self, gradients: list[Any], loss: Any) -> tuple[list[Any], Any]:
        """Gradients of the network no longer than the limit, and whether everything is finite."""
        length = ops.sqrt(sum(ops.sum(ops.square(one)) for one in gradients[: self.n_own]))
        is_finite = ops.logical_and(ops.isfinite(length), ops.isfinite(loss))
        if not self.settings.clip_norm:
            return gradients, is_finite
        factor = ops.minimum(self.settings.clip_norm / (length + SMALL), 1.0)
        return [one * factor for one in gradients[: self.n_own]] + gradients[self.n_own :], is_finite

    @property
    def averaged(self) -> list[Any]:
        """Variables of the network whose average is kept: weights and running statistics; none where none is asked for."""
        if not self.settings.ema:
            return []
        return [one for one in self.network.weights if keras.backend.is_float_dtype(one.dtype)]


def average(kept: list[Any], present: list[Any], share: Any) -> list[Any]:
    """Averages moved a share of the way to the present values."""
    return [one + share * (other - one) for one, other in zip(kept, present, strict=True)]


def make_optimizer(network: Any, settings: DecidedTrainConfig) -> Any:
    """AdamW; kernels decay, biases and scales do not. Its numbers are PyTorch's."""
    optimizer = keras.optimizers.AdamW(
        learning_rate=settings.learning_rate, weight_decay=settings.weight_decay or None, epsilon=1e-8
    )
    spared = network.not_decaying()
    if settings.weight_decay and spared:
        optimizer.exclude_from_weight_decay(var_list=spared)
    return optimizer
