"""What is predicted: how values become what is trained, and how raw outputs become a prediction.

A target is made from a field and its classes, fitted on training rows (`fit` returns a new one), and knows what a
mirrored picture does to it. Kinds still to come (direction, points, …) are further classes here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from tamesu.errors import DataError, suggest
from tamesu.fields import Field, LabelField, LabelsField, NumberField
from tamesu.losses import log_softmax, sigmoid
from tamesu.texts import say

NEVER = -1  # in a mirror table: rows of this class are not mirrored


@dataclass(frozen=True, eq=False)
class Target(ABC):
    """What is predicted for one field.

    Attributes:
        name: The field's name.
        field: What the study says about it.
        classes: Sorted names of the classes; empty for a number.
    """

    name: str
    field: Any
    classes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of its field."""
        return str(self.field.kind)

    @property
    def n_outputs(self) -> int:
        """Raw outputs a network has for it."""
        return len(self.classes)

    @abstractmethod
    def encode(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values as their field reads them, as what is trained.

        Raises:
            DataError: A class that is not known, or a value that is missing.
        """

    @abstractmethod
    def decode(self, raw: Any, xp: ModuleType) -> Any:
        """Raw outputs (n, n_outputs) as a prediction."""

    def fit(self, values: NDArray[Any]) -> Target:
        """The target as the training rows' values make it."""
        return self

    def may_mirror(self, encoded: NDArray[Any]) -> NDArray[np.bool_]:
        """Rows whose picture may be mirrored.  (n,)"""
        return np.full(len(encoded), self.field.mirror != "never")

    def mirror(self, encoded: NDArray[Any], mirrored: NDArray[np.bool_]) -> NDArray[Any]:
        """What is trained once the pictures of the rows `mirrored` are."""
        return encoded

    @cached_property
    def mirror_codes(self) -> NDArray[np.int64]:
        """The class that each class is in a mirror; NEVER where it may not be mirrored or the other class is unknown.  (k,)"""
        return mirror_codes(self.field.mirror, self.classes)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` makes the same target of."""
        return {"name": self.name, "field": self.field.model_dump(mode="json"), "classes": list(self.classes)}


@dataclass(frozen=True, eq=False)
class LabelTarget(Target):
    """One class out of several.  encoded: (n,) codes; prediction: (n, k) probabilities."""

    def encode(self, values: NDArray[Any]) -> NDArray[np.int64]:  # noqa: D102
        codes = {name: i for i, name in enumerate(self.classes)}
        return np.array([_code(codes, value, self) for value in values], dtype=np.int64)

    def decode(self, raw: Any, xp: ModuleType) -> Any:  # noqa: D102
        return xp.exp(log_softmax(raw, xp))

    def may_mirror(self, encoded: NDArray[Any]) -> NDArray[np.bool_]:  # noqa: D102
        return self.mirror_codes[encoded] != NEVER

    def mirror(self, encoded: NDArray[Any], mirrored: NDArray[np.bool_]) -> NDArray[Any]:  # noqa: D102
        return np.where(mirrored, self.mirror_codes[encoded], encoded)


@dataclass(frozen=True, eq=False)
class LabelsTarget(Target):
    """Any number of classes at once.  encoded: (n, k) 0 or 1; prediction: (n, k) probabilities."""

    def encode(self, values: NDArray[Any]) -> NDArray[np.float32]:  # noqa: D102
        codes = {name: i for i, name in enumerate(self.classes)}
        encoded = np.zeros((len(values), len(self.classes)), dtype=np.float32)
        for i, names in enumerate(values):
            encoded[i, [_code(codes, name, self) for name in names]] = 1
        return encoded

    def decode(self, raw: Any, xp: ModuleType) -> Any:  # noqa: D102
        return sigmoid(raw, xp)

    def may_mirror(self, encoded: NDArray[Any]) -> NDArray[np.bool_]:  # noqa: D102
        return np.all(encoded[:, self.mirror_codes == NEVER] == 0, axis=1)

    def mirror(self, encoded: NDArray[Any], mirrored: NDArray[np.bool_]) -> NDArray[Any]:  # noqa: D102
        source = np.where(self.mirror_codes == NEVER, np.arange(len(self.classes)), self.mirror_codes)
        return np.where(mirrored[:, None], encoded[:, source], encoded)


@dataclass(frozen=True, eq=False)
class NumberTarget(Target):
    """A quantity.  encoded: (n,) standardised by the training rows; prediction: (n,) in its own unit."""

    mean: float = 0.0
    std: float = 1.0

    @property
    def n_outputs(self) -> int:  # noqa: D102
        return 1

    def fit(self, values: NDArray[Any]) -> NumberTarget:  # noqa: D102
        spread = float(np.std(values))
        return replace(self, mean=float(np.mean(values)), std=spread if spread > 0 else 1.0)

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:  # noqa: D102
        numbers = np.asarray(values, dtype=np.float64)
        if not np.isfinite(numbers).all():
            raise DataError(
                say("target {name}: every row must hold a number; got an empty cell. Drop the row.", name=self.name)
            )
        return (numbers - self.mean) / self.std

    def decode(self, raw: Any, xp: ModuleType) -> Any:  # noqa: D102
        return raw[:, 0] * self.std + self.mean

    def mirror(self, encoded: NDArray[Any], mirrored: NDArray[np.bool_]) -> NDArray[Any]:  # noqa: D102
        if self.field.mirror != "negate":
            return encoded
        return np.where(mirrored, -encoded - 2 * self.mean / self.std, encoded)  # -value, in standard deviations

    def to_json(self) -> dict[str, Any]:  # noqa: D102
        return super().to_json() | {"mean": self.mean, "std": self.std}


_CLASSES: dict[type, type[Target]] = {LabelField: LabelTarget, LabelsField: LabelsTarget, NumberField: NumberTarget}


def make_target(name: str, field: Field, classes: tuple[str, ...] = ()) -> Target:
    """What is predicted for a field; `classes` are those of the whole training table (none for a number)."""
    return _CLASSES[type(field)](name, field, tuple(classes))


def target_from_json(kept: dict[str, Any]) -> Target:
    """The target that `to_json` described."""
    field: Field = TypeAdapter(Field).validate_python(kept["field"])
    target = make_target(kept["name"], field, tuple(kept["classes"]))
    return replace(target, mean=kept["mean"], std=kept["std"]) if isinstance(target, NumberTarget) else target


def mirror_codes(mirror: Any, classes: tuple[str, ...]) -> NDArray[np.int64]:
    """For each class the one it is in a mirror; pairs hold both ways, classes not named stay.  (k,)"""
    codes = np.arange(len(classes), dtype=np.int64)
    if mirror == "never":
        return np.full_like(codes, NEVER)
    if isinstance(mirror, dict):
        place = {name: i for i, name in enumerate(classes)}
        for one, other in mirror.items():
            if one in place:
                codes[place[one]] = place.get(other, NEVER)
            if other in place and other not in mirror:
                codes[place[other]] = place.get(one, NEVER)
    return codes


def _code(codes: dict[str, int], value: Any, target: Target) -> int:
    try:
        return codes[value]
    except KeyError:
        hint = suggest(value, codes) if value is not None else ""
        raise DataError(
            say(
                "target {name}: must be a class of the training table; got {value!r}.{hint}",
                name=target.name,
                value=value,
                hint=hint,
            )
        ) from None
