"""What a network's learner fits on the training rows before the network is made, and the shapes that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tamesu.arrows import ArrowField
from tamesu.feed import Feed
from tamesu.fields import Field, LabelField, NumberField, SeriesField
from tamesu.nets.shapes import Head, InputShape
from tamesu.preprocess import FittedInputs
from tamesu.series_inputs import FittedSeries, fit_series
from tamesu.stacks import has_depth_channels, make_stacks
from tamesu.targets import Target

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.recipe import Recipe


def fit_series_inputs(rows: Dataset, recipe: Recipe) -> FittedSeries | None:
    """How series come to one length and scale, from the training rows; None where no input is a series."""
    fields = {name: one for name, one in recipe.inputs.items() if isinstance(one, SeriesField)}
    return fit_series(rows, fields, recipe.channels) if fields else None


def fit_target(target: Target, rows: Dataset, series: FittedSeries | None) -> Target:
    """A target as the training rows that hold a value of it make it."""
    if target.spread == "pixels":
        return target.fit_pictures(rows.pictures[target.name])
    values = rows.values(target.name, target.field)
    if target.field.aux is not None:
        values = values[target.known(values)]
    fitted = target.fit(values)
    return fitted.on_grid(series) if fitted.spread == "steps" and series is not None else fitted


def input_shape(feed: Feed, inputs: FittedInputs) -> InputShape:
    """What a network is given."""
    given = {name: feed.fields[name] for name in feed.given}
    return InputShape(
        stacks=make_stacks(given, {name: feed.pictures[name].channels for name in given}, feed.channels, feed.fusion),
        size=feed.size,
        n_features=feed.inputs.table.shape[1],
        category_sizes=tuple(feed.inputs.category_sizes),
        series={name: int(one.values.shape[2]) for name, one in feed.series.items()},
        holes=tuple(name for name, one in given.items() if has_depth_channels(one, feed.channels)),
        feature_fields=inputs.feature_fields,
        category_fields=feed.inputs.category_names,
        places=feed.channels.model_dump(include={"coords", "fourier", "border"}) if feed.channels.places else {},
    )


def head_of(target: Target, size: tuple[int, int]) -> Head:
    """What the network predicts for a target."""
    auxiliary = target.field.auxiliary
    return Head(target.n_outputs, target.spread, target.along, "late" if auxiliary is None else auxiliary.branch, size)


def table_inputs(recipe: Recipe) -> dict[str, Field]:
    """The inputs that are columns of the table."""
    return {name: field for name, field in recipe.inputs.items() if isinstance(field, LabelField | NumberField | ArrowField)}
