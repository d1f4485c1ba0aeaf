"""Targets that are classes: label, labels, direction. A map permutes them, as far as it is said what it makes of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tamesu.errors import DataError, suggest
from tamesu.fields.table import bears
from tamesu.losses import count_classes, log_softmax, sigmoid, wants_counts
from tamesu.symmetry import NEVER, Symmetry
from tamesu.targets.base import Target, mean_known, unless
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.maps import Maps

UNSEEN = 0.5  # rows added to each of several merged classes: one that training did not have is unlikely, not impossible


@dataclass(frozen=True, eq=False)
class ClassTarget(Target):
    """One class out of several.  encoded: (n,) codes; prediction: (n, k) probabilities.

    Attributes:
        counts: Rows of each class in training; empty before `fit`, and where nothing asks for them.
    """

    counts: tuple[int, ...] = ()

    def fit(self, values: NDArray[Any]) -> Self:  # noqa: D102
        if not wants_counts(self.field):
            return self
        counts = np.bincount(self.encode(values), minlength=len(self.classes))
        return replace(self, counts=tuple(int(one) for one in counts))

    def encode(self, values: NDArray[Any]) -> NDArray[np.int64]:  # noqa: D102
        codes = {name: i for i, name in enumerate(self.classes)}
        try:
            return np.array([codes[value] for value in values], dtype=np.int64)
        except KeyError:  # told in a sentence, which the rows that are fine need not wait for
            return np.array([class_code(codes, value, self) for value in values], dtype=np.int64)

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        return xp.exp(log_softmax(raw, xp))

    def as_numbers(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Probabilities; of what is true, 1 for its class.  (n, k)"""
        return np.eye(len(self.classes))[values] if values.ndim == 1 else np.asarray(values, dtype=np.float64)

    def join(self, predictions: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Mean probability of each class, over the views that know the class.

        A view without some classes (those that are never mirrored, in a mirror) says how the rest compare: its
        probabilities are scaled to what the views of all classes give to that rest.
        """
        known = ~np.isnan(predictions)
        whole: NDArray[np.bool_] = np.all(known, axis=2)
        part = known.any(axis=2) & ~whole
        if not part.any():
            return mean_known(predictions, weights)
        of_all = mean_known(np.where(whole[:, :, None], predictions, np.nan), weights)
        given = np.nansum(predictions, axis=2)
        due = np.where(known, of_all, 0).sum(axis=2)
        factor = np.divide(due, given, out=np.ones_like(given), where=part & (given > 0) & ~np.isnan(due))
        mean = mean_known(predictions * factor[:, :, None], weights)
        return mean / mean.sum(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class LabelTarget(ClassTarget):
    """A class for which the study says what a mirror and a quarter turn make of it.

    Classes that `merge` makes one are one to the loss only. The probability of all of them is shared out as they are spread
    over the training rows, so that a prediction has every class, and is scored like one that merges nothing.
    """

    learned: ClassVar[tuple[str, ...]] = ("counts",)

    def fit(self, values: NDArray[Any]) -> Self:  # noqa: D102
        if not self.field.merge:
            return super().fit(values)
        counts = np.bincount(self.encode(values), minlength=len(self.classes))
        return replace(self, counts=tuple(int(one) for one in counts))

    def as_trained(self, encoded: NDArray[Any]) -> NDArray[Any]:  # noqa: D102
        return self._merged[encoded].astype(encoded.dtype, copy=False) if self.field.merge else encoded

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        apart = super().decode(raw, xp)
        return apart @ xp.asarray(self._sharing, dtype=apart.dtype) if self.field.merge else apart

    def to_json(self) -> dict[str, Any]:  # noqa: D102
        kept = super().to_json()
        return kept if self.field.merge else {key: one for key, one in kept.items() if key not in self.learned}

    @cached_property
    def _merged(self) -> NDArray[np.int64]:
        """The code each class is trained as; its own where the class it is merged with is not there.  (k,)"""
        place = {name: i for i, name in enumerate(self.classes)}
        return np.array([place.get(self.field.merge.get(name, name), i) for name, i in place.items()], dtype=np.int64)

    @cached_property
    def _sharing(self) -> NDArray[np.float64]:
        """What each class gets of the probability of each: rows sum to 1.  (k, k)"""
        counts = np.array(self.counts or (0,) * len(self.classes)) + UNSEEN
        shared = np.where(self._merged[:, None] == self._merged, counts, 0.0)
        return shared / shared.sum(axis=1, keepdims=True)

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """For each symmetry of the square and each class the class it is seen as; NEVER where there is none.  (8, k)"""
        return self.symmetry.codes(self.classes)

    @property
    def symmetry(self) -> Symmetry:
        """What mirrors and turns do to the classes."""
        return self.field.symmetry

    def allows(self, encoded: NDArray[Any], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        return (self.codes[maps.elements, encoded] != NEVER) & bears(self.symmetry, maps)

    def move(self, encoded: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        return self.codes[maps.elements, encoded]

    def move_back(self, prediction: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        back = _unswapped(prediction, self.codes[maps.elements])
        return unless(~bears(self.symmetry, maps) | _is_of_other_field(self, maps), back)


@dataclass(frozen=True, eq=False)
class LabelsTarget(Target):
    """Any number of classes at once.  encoded: (n, k) 0 or 1; prediction: (n, k) probabilities.

    Attributes:
        counts: Rows in training with each class, and rows without; empty where nothing asks for them.  (2, k)
    """

    counts: tuple[tuple[int, ...], ...] = ()

    def fit(self, values: NDArray[Any]) -> Self:  # noqa: D102
        if not wants_counts(self.field):
            return self
        counted = count_classes(self.encode(values), len(self.classes))
        return replace(self, counts=tuple(tuple(int(one) for one in side) for side in counted))

    def encode(self, values: NDArray[Any]) -> NDArray[np.float32]:  # noqa: D102
        codes = {name: i for i, name in enumerate(self.classes)}
        encoded = np.zeros((len(values), len(self.classes)), dtype=np.float32)
        for i, names in enumerate(values):
            encoded[i, [class_code(codes, name, self) for name in names]] = 1
        return encoded

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:  # noqa: D102
        return sigmoid(raw, xp)

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """As of a label.  (8, k)"""
        return self.field.symmetry.codes(self.classes)

    def allows(self, encoded: NDArray[Any], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        lost = (self.codes[maps.elements] == NEVER) & (encoded > 0)
        return ~lost.any(axis=1) & bears(self.field.symmetry, maps)

    def move(self, encoded: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        codes = self.codes[maps.elements]
        rows, columns = np.nonzero(codes != NEVER)
        moved = np.zeros_like(encoded)
        moved[rows, codes[rows, columns]] = encoded[rows, columns]
        return moved

    def move_back(self, prediction: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        return unless(~bears(self.field.symmetry, maps), _unswapped(prediction, self.codes[maps.elements]))


@dataclass(frozen=True, eq=False)
class DirectionTarget(ClassTarget):
    """A class that is a direction in the picture; classes without an angle stay."""

    @cached_property
    def _angles_rad(self) -> NDArray[np.float64]:
        """NaN for a class without an angle.  (k,)"""
        return np.deg2rad(np.array([self.field.angles.get(name, np.nan) for name in self.classes], dtype=np.float64))

    def allows(self, encoded: NDArray[Any], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        codes, off_rad = self._images(maps)
        rows = np.arange(len(maps))
        return (codes[rows, encoded] != NEVER) & self._is_near(off_rad[rows, encoded])

    def move(self, encoded: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        return self._images(maps)[0][np.arange(len(maps)), encoded]

    def move_back(self, prediction: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        codes, off_rad = self._images(maps)
        in_order = np.sort(codes, axis=1)
        twice = ((in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] != NEVER)).any(axis=1)
        return unless(twice | ~self._is_near(off_rad).all(axis=1), _unswapped(prediction, codes))

    def _is_near(self, off_rad: NDArray[np.float64]) -> NDArray[np.bool_]:
        return off_rad <= self.field.tolerance_rad + 1e-9

    def _images(self, maps: Maps) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """For each map and class the class next to where its arrow points, and how far off that is.  (b, k), (b, k) rad"""
        k = len(self.classes)
        codes = np.tile(np.arange(k), (len(maps), 1))
        off_rad = np.zeros((len(maps), k))
        arrows = np.flatnonzero(~np.isnan(self._angles_rad))
        if len(arrows):
            own = self._angles_rad[arrows]
            moved = np.where(maps.mirrored[:, None], np.pi - own, own) + maps.angle_rad[:, None]
            best, off = self.field.nearest(moved.ravel())
            place = {name: i for i, name in enumerate(self.classes)}
            code_of = np.array([place.get(name, NEVER) for name in self.field.angles], dtype=np.int64)
            codes[:, arrows], off_rad[:, arrows] = code_of[best].reshape(moved.shape), off.reshape(moved.shape)
        return codes, off_rad


def _unswapped(prediction: NDArray[Any], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each class's probability read from the class it is seen as; NaN where that is none.  (b, k), (b, k)"""
    back = np.take_along_axis(prediction, np.maximum(codes, 0), axis=1)
    return np.where(codes == NEVER, np.nan, back)


def _is_of_other_field(target: Target, maps: Maps) -> NDArray[np.bool_]:
    """The mirrored rows, if fields change places in a mirror: what is seen there is the other field's.  (b,)"""
    return maps.mirrored & (target.field.swap_with is not None)


def class_code(codes: dict[str, int], value: Any, target: Target) -> int:
    """The code of a class.

    Raises:
        DataError: A class that is not known, or a value that is missing.
    """
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
