"""What a problem with a planted answer is, for planted_knowledge.py, and words that its problems share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Rng = np.random.Generator
Rows = dict[str, Any]
TRUE, FALSE = ("helps",), ("hurts", "no difference")
LABEL = {"kind": "label", "target": True}
NUMBER = {"kind": "number", "target": True}
LINEAR = {"model": {"hidden": 0, "dropout": 0.0}, "training": {"learning_rate": 0.02}}
FEW_ROWS = {"batch_size": 8}  # so that there are some fifty steps


@dataclass(frozen=True)
class Case:
    """One problem.

    Attributes:
        item: Which kind of knowledge it is about.
        make: The training rows, columns by name.
        fields: What the study says of them.
        idea: The patch that is tried.
        expected: Verdicts that are right.
        settings: The rest of the study.
    """

    item: str
    make: Callable[[Rng], Rows]
    fields: dict[str, Any]
    idea: dict[str, Any]
    expected: tuple[str, ...]
    settings: dict[str, Any]


def settings(epochs: int = 15, margin: float | str = "auto", judge: str = "auto", **more: Any) -> dict[str, Any]:
    """Of a study that plans one idea."""
    training = {"epochs": epochs, **more.pop("training", {})}
    return {"training": training, "verdict": {"budget": 1, "margin": margin, "judge": judge}, **more}


def numbers(*names: str) -> dict[str, Any]:
    """Number inputs."""
    return {name: {"kind": "number"} for name in names}


def columns(x: np.ndarray, name: str = "x") -> Rows:
    """The columns of a matrix, x0, x1, …  (n, f)"""
    return {f"{name}{i}": x[:, i] for i in range(x.shape[1])}


def classes(second: np.ndarray) -> np.ndarray:
    """a, or b where true.  (n,)"""
    return np.where(second, "b", "a")


def cells(series: np.ndarray) -> np.ndarray:
    """One cell a row of a series of one channel.  (n, t) to (n,) object"""
    out = np.empty(len(series), dtype=object)
    out[:] = [one[:, None] for one in series]
    return out


def of_y(**said: Any) -> dict[str, Any]:
    """What an idea says of the target."""
    return {"fields": {"y": said}}
