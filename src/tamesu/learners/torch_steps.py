"""Parts of a PyTorch training: what changes while it goes on, the schedule, the averaged weights, the random state."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from tamesu.config import DecidedTrainConfig
from tamesu.feed import Feed
from tamesu.learners.torch_heads import HeadWatch, HeadWeights
from tamesu.nets.heads import Network
from tamesu.targets import Target


@dataclass(eq=False)
class Training:
    """Everything that changes while training.

    Attributes:
        network: What is trained.
        forward: The same, compiled where the study asks for it.
        schedule: Step to share of the learning rate.
        losses: Of each target (see `losses.loss_of`).
        n_steps: Of the whole training.
        average: Averaged weights, where the study asks for them.
        step: Steps taken so far, those left out included.
        head_weights: Of auxiliaries; None without.
        head_watch: Looks at what they do to the target, where the study asks for it.
    """

    network: nn.Module
    forward: Any
    optimizer: torch.optim.Optimizer
    schedule: Callable[[int], float]
    average: Average | None
    settings: DecidedTrainConfig
    targets: dict[str, Target]
    losses: dict[str, Callable[..., Tensor]]
    device: torch.device
    n_steps: int = 0
    step: int = 0
    head_weights: HeadWeights | None = None
    head_watch: HeadWatch | None = None
    learning_rate: float = 0.0
    _loss: float = field(default=0.0, init=False)
    _rows: int = field(default=0, init=False)
    _skipped: int = field(default=0, init=False)

    def start_epoch(self) -> None:
        """Sets what is told about an epoch back."""
        self._loss, self._rows, self._skipped = 0.0, 0, 0

    def apply_gradient(self, loss: Tensor, n_rows: int) -> None:
        """One step with the gradients that are there, clipped; left out and counted if they are not finite."""
        self.learning_rate = self.settings.learning_rate * self.schedule(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.step += 1
        limit = self.settings.clip_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        value = float(loss)
        if not (math.isfinite(float(norm)) and math.isfinite(value)):
            self._skipped += 1
            return
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.network)
        self._loss, self._rows = self._loss + value * n_rows, self._rows + n_rows

    def weight_of(self, name: str, loss: Tensor) -> Tensor:
        """A target's mean loss, times the weight it has at this step."""
        return loss if self.head_weights is None else self.head_weights.weighted(name, loss, self.step, self.n_steps)

    def end_epoch(self, epoch: int) -> dict[str, Any]:
        """The epoch's entry in the log."""
        loss = self._loss / self._rows if self._rows else None
        entry: dict[str, Any] = {"epoch": epoch, "loss": loss, "learning_rate": self.learning_rate}
        heads = {} if self.head_watch is None else self.head_watch.report()
        return entry | ({"skipped_steps": self._skipped} if self._skipped else {}) | ({"heads": heads} if heads else {})

    def result(self) -> nn.Module:
        """What predicts: the averaged network where there is one."""
        return (self.network if self.average is None else self.average.network).eval()


class Average:
    """Exponential moving average of weights and of batch-norm statistics.

    Source:
        The warm-up of the decay, (1 + step) / (10 + step), is that of TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay
        self.n_updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Takes the network's present weights in."""
        self.n_updates += 1
        share = 1 - min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        for kept, present in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(present, share)
            else:
                kept.copy_(present)


def decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters for an optimizer: matrices and kernels decay; biases, scales and embeddings do not."""
    embeddings = {id(module.weight) for module in network.modules() if isinstance(module, nn.Embedding)}
    decaying: list[nn.Parameter] = []
    other: list[nn.Parameter] = []
    for parameter in network.parameters():
        if parameter.requires_grad:
            (decaying if parameter.ndim > 1 and id(parameter) not in embeddings else other).append(parameter)
    return [{"params": decaying, "weight_decay": weight_decay}, {"params": other, "weight_decay": 0.0}]


def autocast(settings: DecidedTrainConfig, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """bfloat16 where the study asks for it, or by itself on a GPU that computes in it."""
    wanted = settings.precision == "bfloat16"
    if settings.precision == "auto" and device.type == "cuda":
        wanted = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16) if wanted else contextlib.nullcontext()


def told_places(feed: Feed, network: nn.Module) -> Feed:
    """The same rows; our own network works out by itself where pixels are, from less than it would be to hand it planes."""
    return replace(feed, tells_places=isinstance(network, Network))


def count_batch_threads(device: torch.device) -> int:
    """Threads that make batches ahead: none where the training has one thread, for two would only take turns (4 % slower)."""
    if device.type != "cpu":
        return 2
    return 0 if torch.get_num_threads() == 1 else 1


@contextlib.contextmanager
def quiet_random_state(seed: int, device: torch.device) -> Iterator[None]:
    """PyTorch's random state set to `seed` inside and as it was before outside; convolutions that repeat bit by bit."""
    gpus = [device.index or 0] if device.type == "cuda" else []
    kept = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        try:
            yield
        finally:
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = kept
