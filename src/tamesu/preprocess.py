"""Inputs of the table as what a network takes: gaps filled, numbers scaled, classes numbered, arrows turned into columns.

`fit_inputs(training rows)` → `FittedInputs`, which transforms any rows by what the training rows alone taught, one row never
looking at another.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.arrows import Arrow, FittedArrows, fit_arrows
from tamesu.errors import StoreError
from tamesu.fields import Field, LabelField, NumberField
from tamesu.imputers import Array, IterativeImputer, NearestImputer
from tamesu.shaping import FittedShape, circle, fit_shape
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.data import Dataset

MISSING, OTHER, FIRST_CLASS = 0, 1, 2  # codes of a category
FLOAT32_LIMIT = float(np.finfo(np.float32).max)
IMPUTERS: dict[str, type[NearestImputer] | type[IterativeImputer]] = {"nearest": NearestImputer, "iterative": IterativeImputer}


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a learner sees of a table.

    Attributes:
        table: Finite numbers.  (n, f) float32
        feature_names: Of its columns; an indicator column follows its field as `<field>_missing`.
        categories: 0 missing, 1 other, then the classes known from training.  (n, g) int64
        category_sizes: How many codes each has.
        category_names: Of its columns.
        arrows: Columns of the table that turn with the picture.
    """

    table: NDArray[np.float32]
    feature_names: tuple[str, ...]
    categories: NDArray[np.int64]
    category_sizes: tuple[int, ...]
    category_names: tuple[str, ...]
    arrows: tuple[Arrow, ...] = ()


@dataclass(frozen=True, eq=False)
class FittedInputs:
    """What was learned from the training rows.

    Attributes:
        numbers: Number inputs by name, without those that come around.
        cycles: Number inputs that come around, by name: each is a cosine and a sine.
        shapes: How each of `numbers` is clipped and made less skew, which comes before everything else.
        labels: Label inputs by name.
        classes: Classes known of each label input; what is not here is "other".
        fill: What stands in for a missing number, or before `imputers` do better.  (f,)
        mean: Of the values seen in training.  (f,)
        deviation: Standard deviation of those, 0 for a constant column.  (f,)
        center: Subtracted on output.  (f,)
        spread: Divided by on output; 0 gives an output of 0.  (f,)
        imputers: Fitted on all standardised numbers, by strategy.
        pointing: Angle, direction and vector inputs.
        warnings: Sentences about columns that teach nothing.
    """

    numbers: Mapping[str, NumberField]
    labels: Mapping[str, LabelField]
    classes: Mapping[str, tuple[str, ...]]
    fill: Array
    mean: Array
    deviation: Array
    center: Array
    spread: Array
    imputers: Mapping[str, NearestImputer | IterativeImputer]
    pointing: FittedArrows
    shapes: Mapping[str, FittedShape]
    cycles: Mapping[str, NumberField]
    warnings: tuple[str, ...] = ()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of `Inputs.table`."""
        return (*(name for name, _ in self._number_columns), *self.pointing.feature_names)

    @property
    def feature_fields(self) -> tuple[str, ...]:
        """The field each column of `Inputs.table` comes from."""
        return (*(field for _, field in self._number_columns), *self.pointing.feature_fields)

    @property
    def _number_columns(self) -> list[tuple[str, str]]:
        """The columns before the arrows, each with its field."""
        ends = [(name, field, [""]) for name, field in self.numbers.items()]
        ends += [(name, field, ["_cos", "_sin"]) for name, field in self.cycles.items()]
        return [(name + end, name) for name, field, own in ends for end in own + ["_missing"] * field.indicator]

    @property
    def category_sizes(self) -> tuple[int, ...]:
        """Codes of each category: missing, other and the known classes."""
        return tuple(FIRST_CLASS + len(self.classes[name]) for name in self.labels)

    def transform(self, rows: Dataset) -> Inputs:
        """Any rows, as a learner takes them; never fails for values that training did not have.

        Raises:
            DataError: Cells that are no numbers.
        """
        numbers = self._table(_read_numbers(rows, self.numbers, self.shapes))
        table = np.concatenate([numbers, *self._circles(rows), self.pointing.transform(rows)], axis=1)
        return Inputs(
            table=np.clip(table, -FLOAT32_LIMIT, FLOAT32_LIMIT).astype(np.float32),
            feature_names=self.feature_names,
            categories=self._categories(rows),
            category_sizes=self.category_sizes,
            category_names=tuple(self.labels),
            arrows=self.pointing.arrows(len(self._number_columns)),
        )

    def _table(self, raw: Array) -> Array:
        gaps = np.isnan(raw)
        full = _filled(raw, self.fill)
        for strategy, imputer in self.imputers.items():
            wanted = gaps & np.array([field.missing == strategy for field in self.numbers.values()])
            joint = imputer.fill(_standardised(_filled(raw, self._plain_fill), self.mean, self.deviation))
            with np.errstate(over="ignore"):  # numbers near 1e308; what overflows is clipped below
                full = np.where(wanted, joint * self.deviation + self.mean, full)
        scaled = _standardised(full, self.center, self.spread)
        columns: list[Array] = []
        for j, field in enumerate(self.numbers.values()):
            columns.append(scaled[:, j])
            if field.indicator:
                columns.append(gaps[:, j].astype(np.float64))
        return np.stack(columns, axis=1) if columns else np.zeros((len(raw), 0))

    def _circles(self, rows: Dataset) -> Iterator[Array]:
        """Cosine and sine of each number that comes around, and where it is missing.  (n, 2 or 3)"""
        for name, field in self.cycles.items():
            values = rows.values(name, field)
            yield circle(values, field.cycle or 1.0)
            if field.indicator:
                yield np.isnan(values)[:, None].astype(np.float64)

    @property
    def _plain_fill(self) -> Array:
        """`fill` of columns that need no other column; NaN, left to an imputer, for those that do."""
        return np.where([field.missing in IMPUTERS for field in self.numbers.values()], np.nan, self.fill)

    def _categories(self, rows: Dataset) -> NDArray[np.int64]:
        codes = np.full((len(rows), len(self.labels)), OTHER, dtype=np.int64)
        for j, (name, field) in enumerate(self.labels.items()):
            code_of: dict[str | None, int] = {text: FIRST_CLASS + k for k, text in enumerate(self.classes[name])}
            code_of[None] = MISSING
            codes[:, j] = [code_of.get(text, OTHER) for text in field.merged(rows.values(name, field))]
        return codes

    def save(self, folder: Path) -> None:
        """Write inputs.json and inputs.npz; nothing in them is code."""
        folder.mkdir(parents=True, exist_ok=True)
        about = {
            "numbers": {name: field.model_dump(mode="json") for name, field in self.numbers.items()},
            "shapes": {name: shape.to_json() for name, shape in self.shapes.items()},
            "cycles": {name: field.model_dump(mode="json") for name, field in self.cycles.items()},
            "labels": {name: field.model_dump(mode="json") for name, field in self.labels.items()},
            "classes": {name: list(classes) for name, classes in self.classes.items()},
            "imputers": list(self.imputers),
            "pointing": self.pointing.to_json(),
            "warnings": list(self.warnings),
        }
        (folder / "inputs.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8")
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        for strategy, imputer in self.imputers.items():
            arrays |= {f"{strategy}.{name}": values for name, values in imputer.arrays().items()}
        np.savez(folder / "inputs.npz", **arrays)

    @classmethod
    def load(cls, folder: Path) -> FittedInputs:
        """What `save` wrote; it transforms to the same bits.

        Raises:
            StoreError: The folder does not hold it.
        """
        try:
            about: dict[str, Any] = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
            with np.load(folder / "inputs.npz", allow_pickle=False) as stored:
                arrays = dict(stored)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise StoreError(
                say("{where}: must hold fitted inputs; got {error}. Train again.", where=folder, error=error)
            ) from error
        parts = {
            strategy: {name.split(".", 1)[1]: values for name, values in arrays.items() if name.startswith(f"{strategy}.")}
            for strategy in about["imputers"]
        }
        numbers = {name: NumberField.model_validate(field) for name, field in about["numbers"].items()}
        return cls(
            numbers=numbers,
            labels={name: LabelField.model_validate(field) for name, field in about["labels"].items()},
            classes={name: tuple(classes) for name, classes in about["classes"].items()},
            imputers={strategy: IMPUTERS[strategy].from_arrays(part) for strategy, part in parts.items()},
            pointing=FittedArrows.from_json(about["pointing"]),
            shapes={name: FittedShape.from_json(numbers[name], shape) for name, shape in about["shapes"].items()},
            cycles={name: NumberField.model_validate(field) for name, field in about["cycles"].items()},
            warnings=tuple(about["warnings"]),
            **{name: arrays[name] for name in _ARRAYS},
        )


_ARRAYS = ("fill", "mean", "deviation", "center", "spread")


def fit_inputs(rows: Dataset, fields: Mapping[str, Field]) -> FittedInputs:
    """Learn how to fill, scale and number the table's inputs.

    Args:
        rows: Training rows, and nothing else.
        fields: All fields; targets and inputs that are no columns of the table are passed over.

    Raises:
        DataError: Cells that are no numbers.
    """
    given = {name: field for name, field in fields.items() if isinstance(field, NumberField) and field.is_given}
    numbers = {name: field for name, field in given.items() if field.cycle is None}
    cycles = {name: field for name, field in given.items() if field.cycle is not None}
    labels = {name: field for name, field in fields.items() if isinstance(field, LabelField) and field.is_given}
    shapes = {name: fit_shape(rows.values(name, field), field) for name, field in numbers.items()}
    raw = _read_numbers(rows, numbers, shapes)
    empty = np.asarray(np.isnan(raw).all(axis=0))
    columns = [_fit_column(column, shape) for column, shape in zip(raw.T, shapes.values(), strict=True)]
    fill, mean, deviation, center, spread = np.array(columns, dtype=np.float64).reshape(-1, 5).T
    plain = np.where(
        [field.missing in IMPUTERS and not no for field, no in zip(numbers.values(), empty, strict=True)], np.nan, fill
    )
    strategies = {str(field.missing) for field in numbers.values()} & set(IMPUTERS)
    known = _standardised(_filled(raw, plain), mean, deviation) if strategies else raw
    return FittedInputs(
        numbers=numbers,
        labels=labels,
        classes={name: _frequent(field.merged(rows.values(name, field)), field.rare) for name, field in labels.items()},
        fill=fill,
        mean=mean,
        deviation=deviation,
        center=center,
        spread=spread,
        imputers={strategy: IMPUTERS[strategy].fit(known) for strategy in sorted(strategies)},
        pointing=fit_arrows(rows, fields),
        shapes=shapes,
        cycles=cycles,
        warnings=(*_warnings(rows, numbers, empty, spread), *_cycle_warnings(rows, cycles)),
    )


def _fit_column(column: Array, shape: FittedShape) -> tuple[float, float, float, float, float]:
    """Fill, mean, deviation, center and spread of one column, its shape given already.

    A column that is constant, or empty, has nothing to teach: its spread is 0, and so is its output, whatever comes later.
    """
    field = shape.field
    constant = None
    if isinstance(field.missing, (int, float)):  # not clipped: a constant outside the ends tells missing from there
        constant = float(shape.unskew(np.array([field.missing], dtype=np.float64))[0])
    # A constant filled in is a value like others to scale by; a median adds nothing that the rest does not have.
    seen = column[~np.isnan(column)] if constant is None else _filled(column, np.float64(constant))
    if np.isnan(column).all():
        return constant or 0.0, 0.0, 0.0, 0.0, 0.0
    low, high = float(seen.min()), float(seen.max())
    unit = float(np.ldexp(1.0, np.frexp(max(abs(low), abs(high)))[1] - 1))  # a power of 2: exact; squares of 1e200 overflow
    mean = float((seen / unit).mean()) * unit if low < high else low
    deviation = float((seen / unit).std()) * unit if low < high else 0.0
    fill = constant if constant is not None else mean if field.missing == "mean" else float(np.median(seen / unit)) * unit
    center, spread = {"standard": (mean, deviation), "minmax": (low, high - low), "none": (0.0, 1.0)}[field.scale]
    return fill, mean, deviation, center, spread


def _read_numbers(rows: Dataset, numbers: Mapping[str, NumberField], shapes: Mapping[str, FittedShape]) -> Array:
    """Numbers in the shape that is filled and scaled.  (n, f)"""
    columns = [shapes[name].move(rows.values(name, field)) for name, field in numbers.items()]
    return np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0))


def _filled(values: Array, fill: Array | np.float64) -> Array:
    return np.where(np.isnan(values), fill, values)


def _standardised(values: Array, center: Array, spread: Array) -> Array:
    """(values - center) / spread, 0 where that says nothing, clipped to what float32 holds; missing stays missing."""
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near 1e308
        out = (values - center) / np.where(spread > 0, spread, 1.0)
    out = np.where(np.isnan(values), np.nan, np.where((spread > 0) & ~np.isnan(out), out, 0.0))
    return np.clip(out, -FLOAT32_LIMIT, FLOAT32_LIMIT)


def _frequent(texts: NDArray[np.object_], rare: int) -> tuple[str, ...]:
    count = Counter(text for text in texts if text is not None)
    return tuple(sorted(text for text, seen in count.items() if seen >= rare))


def _warnings(rows: Dataset, numbers: Mapping[str, NumberField], empty: NDArray[np.bool_], spread: Array) -> tuple[str, ...]:
    sentences = []
    for name, is_empty, width in zip(numbers, empty, spread, strict=True):
        if is_empty:
            sentences.append(
                say("{where} {name}: missing in every training row; the input is 0 throughout.", where=rows.where, name=name)
            )
        elif width == 0:
            sentences.append(
                say("{where} {name}: the same in every training row; the input is 0 throughout.", where=rows.where, name=name)
            )
    return tuple(sentences)


def _cycle_warnings(rows: Dataset, cycles: Mapping[str, NumberField]) -> Iterator[str]:
    for name, field in cycles.items():
        values = rows.values(name, field)
        places = circle(values[~np.isnan(values)], field.cycle or 1.0)
        if len(places) == 0:
            yield say("{where} {name}: missing in every training row; the input is 0 throughout.", where=rows.where, name=name)
        elif (places == places[0]).all():
            yield say(
                "{where} {name}: the same in every training row, up to whole cycles; it teaches nothing.",
                where=rows.where,
                name=name,
            )
