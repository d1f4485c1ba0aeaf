"""What a library of boosted trees is asked: train, count rounds, raw margins, save, load, and what it cannot do."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tamesu.config import TreesConfig
from tamesu.engines.machine import count_cores
from tamesu.errors import suggest
from tamesu.texts import say

Array = NDArray[np.float64]
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Objective:
    """What the trees lower.

    Attributes:
        name: log_loss of classes; l2, l1, huber or quantile of a number.
        amount: Where huber bends, in standard deviations; which quantile.
    """

    name: Literal["log_loss", "l2", "l1", "huber", "quantile"]
    amount: float = 0.0


@dataclass(frozen=True)
class Task:
    """What is asked of a library.

    Attributes:
        n_classes: 0 for a number.
        device: cpu or cuda.
        seed: Decides everything random; from 0 and below 2**31.
    """

    objective: Objective
    n_classes: int
    device: str
    seed: int


@dataclass(frozen=True, eq=False)
class Trainable:
    """Rows to train on.

    Attributes:
        x: Numbers and codes of categories; NaN where missing.  (n, f)
        y: Codes from 0, each of which occurs, or numbers.  (n,)
        is_category: Which columns are codes; they come last.  (f,)
        weight: What each row counts; None: all alike.  (n,)
    """

    x: Array
    y: NDArray[Any]
    is_category: NDArray[np.bool_]
    weight: Array | None = None

    def take(self, index: NDArray[np.int64]) -> Trainable:
        """Some of the rows."""
        return Trainable(self.x[index], self.y[index], self.is_category, None if self.weight is None else self.weight[index])


class Booster(ABC):
    """Trained trees."""

    @abstractmethod
    def margins(self, x: Array, is_category: NDArray[np.bool_]) -> Array:
        """Raw outputs: logits of the classes, or the number.  (n, k or 1)"""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes them in the library's own format."""


class Library(ABC):
    """One library."""

    package: ClassVar[str]
    fixed: ClassVar[tuple[str, ...]]  # parameters that are not the user's to set, with all names the library has for them

    @abstractmethod
    def train(self, data: Trainable, settings: TreesConfig, task: Task, n_rounds: int) -> Booster:
        """Trains that many rounds."""

    @abstractmethod
    def best_rounds(self, data: Trainable, held: Trainable, settings: TreesConfig, task: Task, most: int, patience: int) -> int:
        """The rounds after which `held` is predicted best."""

    @abstractmethod
    def load(self, folder: Path, n_classes: int) -> Booster:
        """What `Booster.save` wrote."""

    @abstractmethod
    def gpu_problem(self) -> str | None:
        """Why this build of the library, or this machine, cannot train on a GPU, in its own words; None: it can."""

    @abstractmethod
    def unknown(self, settings: TreesConfig, task: Task, data: Trainable) -> tuple[list[str], list[str]]:
        """Names in `settings.params` that the library does not know, and names that it does.

        Raises:
            Exception: What the library has against a value, as it says it.
        """

    def fixed_mistakes(self, params: Params) -> list[str]:
        """Parameters that are not the user's to set, one sentence each."""
        return [
            say(
                "trees.params: {name} is set by tamesu: by the target, trees.rounds, trees.learning_rate, or the seed.",
                name=one,
            )
            for one in params
            if one in self.fixed
        ]

    def param_mistakes(self, settings: TreesConfig, task: Task, data: Trainable) -> list[str]:
        """What the library has against `trees.params`, one sentence each: it is asked, by one round on a few rows."""
        try:
            strangers, known = self.unknown(settings, task, data)
        except Exception as error:  # each library has its own, and what it says is what the user is told
            text = say(
                "trees.params: must be what {learner} takes; it says: {error}.", learner=self.package, error=_plain(error)
            )
            return [text]
        return [
            say(
                "trees.params: {name} must be a parameter of {learner}, which does not know it.{hint}",
                name=one,
                learner=self.package,
                hint=suggest(one, known),
            )
            for one in strangers
        ]


def logits(raw: Array) -> Array:
    """One margin of two classes as two; others as they are.  (n,) or (n, k) to (n, k)"""
    return np.stack([np.zeros_like(raw), raw], axis=1) if raw.ndim == 1 else raw


def count_threads() -> int:
    """Threads a training may use: as many as PyTorch was given by the engine, or the process was started with."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else int(os.environ.get("OMP_NUM_THREADS") or count_cores())


def matching(names: Iterable[str], text: str) -> list[str]:
    """Those of the names that a library's message quotes."""
    return [one for one in names if f'"{one}"' in text or f"{{{one}}}" in text or text.rstrip(".").endswith(f": {one}")]


def _plain(error: Exception) -> str:
    """The first line of what a library says, without the place in its source that some begin with."""
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    place, _, said = line.partition(": ")
    return (said if "/" in place and said else line).rstrip(". ")
