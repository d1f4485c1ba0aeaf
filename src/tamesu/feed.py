"""Rows made ready once for any number of epochs: what does not change from batch to batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.balance import balanced_target, class_weights, row_classes
from tamesu.balance import strength as balance_strength
from tamesu.config import AugmentConfig, ChannelsConfig
from tamesu.draws import Bits, row_keys
from tamesu.errors import ConfigError
from tamesu.fields import BoxesField, Field, MaskField, PictureField
from tamesu.maps import Resize, Size
from tamesu.moving import allowed_elements, elements_drawn, moved_rows
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.pictures import Pictures
    from tamesu.preprocess import FittedInputs, Inputs
    from tamesu.recipe import Recipe
    from tamesu.series_inputs import FittedSeries, SeriesArrays
    from tamesu.targets import Target


@dataclass(frozen=True, eq=False)
class Feed:
    """Rows made ready once for any number of epochs.

    Attributes:
        keys: A number for each row that depends on its id alone.  (n,)
        pictures: By picture field: those a learner is given, and those that training needs beside them.
        fields: What the study says about each of those.
        shapes: Heights and widths of the originals, by picture field.  (n, 2)
        given: Names of the pictures a learner is given.
        channels: What is computed from those as they are seen.
        fusion: late, or early: a picture `of` another is channels of that one.
        size: Height and width of every picture in a batch; (0, 0) without pictures.
        resize: How whole pictures come to that size.
        augment: How training pictures are varied.
        inputs: Numbers, categories and arrows of the table.
        moved_inputs: The same as they are when pictures are moved by a symmetry of the square, where that changes them.
        allowed: Which symmetries the inputs allow; None: all.  (n, 8)
        targets: What is predicted; empty when scoring.
        encoded: The targets' values, encoded; of those that are pictures nothing, they are encoded as they are seen.
        known: Which rows hold a value of a target, by target; all do of those that are not here.  (n,)
        laws: By target that needs them, values of inputs in their own units (see `Target.needs`).  (n, g)
        series: By series field, on one grid of steps.
        partners: Values of the field each target changes places with in a mirror, encoded as the target's.
        boxes: Boxes of objects to paste, by field: what the study says, and the values in original pixels.  (n,) object
        weights: How often each row is drawn, as a factor; None: all once.  (n,)
        classes: The class each row is balanced by; None where none is.  (n,)
        strength: How much stronger than written each row is varied; None: as written.  (n,)
        tells_places: Where pixels are is told as numbers (see `channels.position_numbers`), not shown as planes.
        ranges: What is black and what is white, by picture field; from the type where not named.
    """

    keys: Bits
    pictures: Mapping[str, Pictures]
    fields: Mapping[str, PictureField]
    shapes: Mapping[str, NDArray[np.int64]]
    given: tuple[str, ...]
    size: Size
    resize: Resize
    augment: AugmentConfig
    inputs: Inputs
    targets: Mapping[str, Target] = field(default_factory=dict)
    encoded: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    partners: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    known: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    laws: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    series: Mapping[str, SeriesArrays] = field(default_factory=dict)
    channels: ChannelsConfig = field(default_factory=ChannelsConfig)
    fusion: str = "late"
    moved_inputs: Mapping[int, Inputs] = field(default_factory=dict)
    allowed: NDArray[np.bool_] | None = None
    boxes: Mapping[str, tuple[BoxesField, NDArray[np.object_]]] = field(default_factory=dict)
    weights: NDArray[np.float64] | None = None
    classes: NDArray[np.int64] | None = None
    strength: NDArray[np.float64] | None = None
    tells_places: bool = False
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def with_ranges(self, ranges: Mapping[str, tuple[float, float]]) -> Feed:
        """The same rows, with what is black and white in their pictures."""
        return replace(self, ranges=ranges)

    def plain(self, name: str, index: NDArray[np.int64]) -> Feed:
        """Some rows with one of their pictures and nothing else, to be looked at as they are."""
        nothing = replace(self.inputs, table=self.inputs.table[index], categories=self.inputs.categories[index])
        return Feed(
            keys=self.keys[index],
            pictures={name: self.pictures[name].take(index)},
            fields={name: self.fields[name]},
            shapes={name: self.shapes[name][index]},
            given=(name,),
            size=self.size,
            resize=self.resize,
            augment=self.augment,
            inputs=nothing,
        )


def make_feed(
    rows: Dataset,
    recipe: Recipe,
    inputs: FittedInputs,
    targets: Mapping[str, Target],
    series: FittedSeries | None = None,
) -> Feed:
    """Rows ready for batches.

    Args:
        inputs: Fitted on the training rows, whichever rows these are.
        targets: Fitted on the training rows; {} for rows that are scored.
        series: Fitted on the training rows; None where no input is a series.

    Raises:
        ConfigError: Pictures are to be mirrored and a target does not say what a mirror does to it.
        DataError: A target's value is missing or of no known class.
    """
    fields = {name: one for name, one in recipe.inputs.items() if isinstance(one, PictureField)}
    plain = Feed(
        keys=row_keys(rows.ids),
        pictures={name: rows.pictures[name] for name in fields},
        fields=fields,
        shapes={name: rows.pictures[name].shapes for name in fields},
        given=tuple(fields),
        size=recipe.size,
        resize=recipe.resize,
        augment=recipe.augment,
        inputs=inputs.transform(rows),
        series={} if series is None else series.transform(rows),
        channels=recipe.channels,
        fusion=recipe.model.fusion,
    )
    return _with_targets(plain, rows, recipe, inputs, targets, series) if targets else plain


def _with_targets(
    plain: Feed,
    rows: Dataset,
    recipe: Recipe,
    inputs: FittedInputs,
    targets: Mapping[str, Target],
    series: FittedSeries | None,
) -> Feed:
    elements = elements_drawn(recipe.augment) if plain.pictures else ()
    if any(element >= 4 for element in elements):
        check_mirrors(targets)
    moved = {element: moved_rows(rows, _table_fields(recipe.inputs), element) for element in elements}
    pasted = (
        {} if not recipe.augment.paste else {name: one for name, one in recipe.companions.items() if isinstance(one, MaskField)}
    )
    companions = recipe.companions if recipe.augment.paste else {}
    boxes = {name: (one, rows.values(name, one)) for name, one in companions.items() if isinstance(one, BoxesField)}
    dense = {name: target.field for name, target in targets.items() if target.spread == "pixels"}
    encoded, known = _encoded(rows, {name: target for name, target in targets.items() if name not in dense}, series)
    judged = {name: target for name, target in targets.items() if target.field.target}
    weights, strength, classes = _balanced(recipe.augment.balance, judged, encoded)
    beside = {**pasted, **dense}
    return replace(
        plain,
        pictures={**plain.pictures, **{name: rows.pictures[name] for name in beside}},
        fields={**plain.fields, **beside},
        shapes={**plain.shapes, **{name: rows.pictures[name].shapes for name in beside}},
        targets=dict(targets),
        encoded=encoded,
        known=known,
        laws={name: law_inputs(rows, recipe, target) for name, target in targets.items() if target.needs},
        partners={
            name: _single(target.encode(rows.values(target.field.swap_with, target.field)))
            for name, target in targets.items()
            if target.field.swap_with is not None and any(element >= 4 for element in elements)
        },
        moved_inputs={element: inputs.transform(one) for element, one in moved.items() if one is not None},
        allowed=allowed_elements(rows, _table_fields(recipe.inputs)) if elements else None,
        boxes=boxes,
        weights=weights,
        strength=strength,
        classes=classes,
    )


def law_inputs(rows: Dataset, recipe: Recipe, target: Target) -> NDArray[np.float64]:
    """Values of the inputs that a target needs, in their own units; NaN where missing.  (n, g)"""
    return np.stack([rows.values(name, recipe.fields[name]) for name in target.needs], axis=1)


def _encoded(
    rows: Dataset, targets: Mapping[str, Target], series: FittedSeries | None
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.bool_]]]:
    """Values as they are trained, and of auxiliaries with gaps which rows hold one; a gap is encoded as 0."""
    encoded: dict[str, NDArray[Any]] = {}
    gaps: dict[str, NDArray[np.bool_]] = {}
    for name, target in targets.items():
        values = rows.values(name, target.field)
        known = np.ones(len(rows), dtype=bool) if target.field.target else target.known(values)
        some = _single(_encode(target, values if known.all() else values[known], rows, known, series))
        if not known.all():
            whole = np.zeros((len(rows), *some.shape[1:]), dtype=some.dtype)
            whole[known] = some
            some, gaps[name] = whole, known
        encoded[name] = some
    return encoded, gaps


def _encode(
    target: Target, values: NDArray[Any], rows: Dataset, known: NDArray[np.bool_], series: FittedSeries | None
) -> NDArray[Any]:
    if target.spread != "steps" or series is None:
        return target.encode(values)
    times = series.times(rows, target.along)
    return target.encode_at(values, [one for one, there in zip(times, known, strict=True) if there])


def check_mirrors(targets: Mapping[str, Target]) -> None:
    """Refuses targets that do not say what a mirrored picture does to them.

    Raises:
        ConfigError: Names them, and the ways to answer.
    """
    mute = [
        name for name, target in targets.items() if getattr(target.field, "mirror", "by itself") is None and _is_class(target)
    ]
    if mute:
        raise ConfigError(
            [
                say(
                    "augment.mirror: fields.{name}.mirror must say what a mirrored picture does to the target; got nothing. "
                    "Answer `same`, `{{a: b}}` (a number: `negate`) or `never`.",
                    name=name,
                )
                for name in mute
            ]
        )


def _is_class(target: Target) -> bool:
    return target.kind in ("label", "labels", "number")


def _table_fields(inputs: Mapping[str, Field]) -> dict[str, Field]:
    """Inputs that only the symmetries of the square can change; arrows are turned batch by batch."""
    return {name: one for name, one in inputs.items() if one.kind in ("label", "number")}


def _balanced(
    balance: float, targets: Mapping[str, Target], encoded: Mapping[str, NDArray[Any]]
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None, NDArray[np.int64] | None]:
    """Weights, strengths and classes by the first target that has classes."""
    named = balanced_target({name: target.field for name, target in targets.items()})
    if balance == 0 or named is None:
        return None, None, None
    classes = row_classes(encoded[named], targets[named].kind, len(targets[named].classes))
    weights = class_weights(classes, balance)
    return weights, balance_strength(weights), classes


def _single(values: NDArray[Any]) -> NDArray[Any]:
    """Floats as float32, what networks compute in; codes as they are."""
    return values.astype(np.float32) if values.dtype.kind == "f" else values
