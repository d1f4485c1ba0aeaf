"""The rows as trees take them: numbers in their own unit, categories as codes, what is missing left so, and features.

`fit_columns(training rows)` → `TreeColumns`, which makes a table of any rows, one row never looking at another.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.arrows import ArrowField
from tamesu.features import FittedFeatures, fit_features, measured_fields
from tamesu.fields import Field, LabelField, NumberField
from tamesu.learners.tree_library import Array
from tamesu.preprocess import IMPUTERS, FittedInputs, fit_inputs
from tamesu.shaping import FittedShape, fit_shape

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.recipe import Recipe

Codes = tuple[NDArray[np.object_], NDArray[np.int64]]  # class names, and which of them each row has
FILE = "columns.json"


@dataclass(frozen=True, eq=False)
class TreeColumns:
    """How rows become a table.

    Attributes:
        numbers: Those that reach the library as they are, NaN where missing, with how they are clipped and shaped.
        filled: The rest: numbers of which the study says what to put where they are missing, what comes around, arrows.
        labels: Label inputs.
        classes: Known of each of those from training.
        with_others: Those of which training had classes that are joined as "other".
        features: Of pictures and series; None where there are none.
    """

    numbers: Mapping[str, FittedShape]
    filled: FittedInputs
    labels: Mapping[str, LabelField]
    classes: Mapping[str, tuple[str, ...]]
    with_others: tuple[str, ...]
    features: FittedFeatures | None

    @property
    def n_columns(self) -> int:
        """Of the table."""
        return (
            len(self._plain) + len(self._kept) + (0 if self.features is None else len(self.features.names)) + len(self.labels)
        )

    @property
    def is_category(self) -> NDArray[np.bool_]:
        """Which columns are codes of categories: the last.  (f,)"""
        return np.arange(self.n_columns) >= self.n_columns - len(self.labels)

    @property
    def _plain(self) -> list[str]:
        ends = ((name, "_missing" if shape.field.indicator else None) for name, shape in self.numbers.items())
        return [one for name, end in ends for one in (name, *([name + end] if end else []))]

    @property
    def _kept(self) -> list[int]:
        """The columns of `filled` that are not numbers taken as they are, which it may need to fill others."""
        return [j for j, name in enumerate(self.filled.feature_fields) if name not in self.numbers]

    def table(self, rows: Dataset) -> Array:
        """Any rows, NaN where missing; a class that training did not have is missing, or among the others.  (n, f)"""
        features = None if self.features is None else self.features.transform(rows)
        return self._table(rows, features, {name: field.read_codes(rows.table[name]) for name, field in self.labels.items()})

    def _table(self, rows: Dataset, features: Array | None, read: Mapping[str, Codes]) -> Array:
        out = np.empty((len(rows), self.n_columns), order="F")  # it is filled by columns
        j = 0
        for name, shape in self.numbers.items():
            out[:, j] = shape.move(rows.values(name, shape.field))
            j += 1
            if shape.field.indicator:
                out[:, j] = np.isnan(out[:, j - 1])
                j += 1
        if self._kept:
            out[:, j : j + len(self._kept)] = self.filled.transform(rows).table[:, self._kept]
            j += len(self._kept)
        if features is not None:
            out[:, j : j + features.shape[1]] = features
            j += features.shape[1]
        for name in self.labels:
            out[:, j] = self._codes(name, *read[name])
            j += 1
        return out

    def _codes(self, name: str, texts: NDArray[np.object_], places: NDArray[np.int64]) -> Array:
        """From 0 in the order of the classes, after them one code for all others; NaN where missing.  (n,)"""
        code_of: dict[str | None, float] = {text: float(i) for i, text in enumerate(self.classes[name])}
        code_of[None] = np.nan
        stranger = float(len(self.classes[name])) if name in self.with_others else np.nan
        return np.array([code_of.get(text, stranger) for text in self.labels[name].merged(texts)], dtype=np.float64)[places]

    def save(self, folder: Path) -> None:
        """Writes columns.json, the fitted inputs and the features; never pickle."""
        folder.mkdir(parents=True, exist_ok=True)
        self.filled.save(folder / "filled")
        if self.features is not None:
            self.features.save(folder / "features")
        kept = {
            "numbers": {
                name: {"field": shape.field.model_dump(mode="json"), "shape": shape.to_json()}
                for name, shape in self.numbers.items()
            },
            "labels": {name: field.model_dump(mode="json") for name, field in self.labels.items()},
            "classes": {name: list(classes) for name, classes in self.classes.items()},
            "with_others": list(self.with_others),
            "has_features": self.features is not None,
        }
        (folder / FILE).write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> TreeColumns:
        """What `save` wrote; it makes the same table.

        Raises:
            OSError, ValueError, StoreError: The folder does not hold it.
        """
        kept: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return cls(
            numbers={
                name: FittedShape.from_json(NumberField.model_validate(one["field"]), one["shape"])
                for name, one in kept["numbers"].items()
            },
            filled=FittedInputs.load(folder / "filled"),
            labels={name: LabelField.model_validate(one) for name, one in kept["labels"].items()},
            classes={name: tuple(classes) for name, classes in kept["classes"].items()},
            with_others=tuple(kept["with_others"]),
            features=FittedFeatures.load(folder / "features") if kept["has_features"] else None,
        )


def fit_columns(rows: Dataset, recipe: Recipe, seed: int, device: str) -> tuple[TreeColumns, Array]:
    """Learn which classes there are, and how to fill what the study says is to be filled.

    Args:
        rows: Training rows, and nothing else.
        recipe: Of it, the inputs and `features`.
        seed: Decides everything random in networks that make features.
        device: Of those.

    Returns:
        How any rows become a table, and the table of the training rows, whose features may be cross-fitted.  (n, f)

    Raises:
        DataError: Cells that are not what the study says.
    """
    inputs = recipe.inputs
    plain = {name: field for name, field in inputs.items() if isinstance(field, NumberField) and _is_plain(field)}
    labels = {name: field for name, field in inputs.items() if isinstance(field, LabelField)}
    read = {name: field.read_codes(rows.table[name]) for name, field in labels.items()}
    known = {name: _known_classes(field, *read[name]) for name, field in labels.items()}
    fitted = TreeColumns(
        numbers={name: fit_shape(_to_fit(rows, name, field), field) for name, field in plain.items()},
        filled=fit_inputs(rows, _to_fill(inputs, plain)),
        labels=labels,
        classes={name: classes for name, (classes, _) in known.items()},
        with_others=tuple(name for name, (_, has_others) in known.items() if has_others),
        features=fit_features(rows, recipe, seed, device) if _has_features(recipe) else None,
    )
    return fitted, fitted._table(rows, None if fitted.features is None else fitted.features.train_values, read)


def _has_features(recipe: Recipe) -> bool:
    return bool(measured_fields(recipe)) or recipe.features.network != "none"


def _is_plain(field: NumberField) -> bool:
    """A missing number stays missing, which the libraries know how to take, where nothing else is said."""
    return field.missing == "median" and field.cycle is None


def _to_fit(rows: Dataset, name: str, field: NumberField) -> Array:
    return rows.values(name, field) if field.skew != "none" else np.zeros(0)


def _to_fill(inputs: Mapping[str, Field], plain: Mapping[str, NumberField]) -> dict[str, Field]:
    """What is neither plain nor a label, unscaled; with the plain numbers where some are filled by the look of all."""
    numbers = {name: field for name, field in inputs.items() if isinstance(field, NumberField) and name not in plain}
    beside = plain if any(field.missing in IMPUTERS for field in numbers.values()) else {}
    arrows = {name: field for name, field in inputs.items() if isinstance(field, ArrowField)}
    return {**{name: one.model_copy(update={"scale": "none"}) for name, one in {**numbers, **beside}.items()}, **arrows}


def _known_classes(field: LabelField, texts: NDArray[np.object_], places: NDArray[np.int64]) -> tuple[tuple[str, ...], bool]:
    """The classes seen often enough, and whether there are others."""
    count: Counter[str] = Counter()
    for text, n in zip(field.merged(texts), np.bincount(places, minlength=len(texts)).tolist(), strict=True):
        if text is not None:
            count[text] += n
    classes = tuple(sorted(text for text, n in count.items() if n >= field.rare))
    return classes, len(classes) < sum(n > 0 for n in count.values())
