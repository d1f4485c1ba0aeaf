"""Whether what a series says of itself can be: where its readings come from, the steps it is given on, the classes along it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tamesu.errors import suggest
from tamesu.fields import EventsField, Field, SeriesField, StepsField
from tamesu.mistakes import Mistake, Path, must_be
from tamesu.texts import say


def series_mistakes(path: Path, field: SeriesField) -> Iterator[Mistake]:
    """What of a series' readings and steps cannot be."""
    yield from _source(path, field)
    yield from _grid(path, field)


def along_mistakes(path: Path, fields: Mapping[str, Field], field: Any) -> Iterator[Mistake]:
    """A target at every step lies in a series that the learner is given, and knows when its steps are where that counts."""
    series = fields.get(field.of)
    if not isinstance(series, SeriesField):
        return
    if not series.is_given:
        yield must_be(path, say("a series that is an input"), field.of)
        return
    resampled = series.step is not None or series.fit == "stretch"
    table = field.table
    is_timed = getattr(field, "time", None) is not None or (table is not None and table.order is not None)
    has_time = series.time is not None or (series.table is not None and series.table.order is not None)
    if resampled and has_time and not is_timed:
        setting = ("table", "order") if table is not None else ("time",)
        text = say("given, as {of!r} is looked at on other steps than its own", of=field.of)
        yield must_be((*path[:-1], *setting), text, None)


def _source(path: Path, field: SeriesField) -> Iterator[Mistake]:
    """Readings come from one place, and the time from where they do."""
    if field.table is not None:
        for setting, value in (("file", field.file), ("columns", field.columns), ("time", field.time)):
            if value:
                yield must_be((*path, setting), say("left out where the readings come from `table`"), value)
        return
    if field.columns and (field.file or field.names):
        other = "file" if field.file else "names"
        yield must_be((*path, other), say("left out where `columns` hold the readings"), getattr(field, other))
    elif field.time is not None and not field.file and field.time not in field.cell_names:
        hint = suggest(field.time, field.cell_names)
        yield must_be((*path, "time"), say("one of the names of what a cell holds"), field.time, hint)
    elif field.cell_names == (field.time,):
        yield must_be((*path, "names"), say("channels beside the time"), field.cell_names)


def _grid(path: Path, field: SeriesField) -> Iterator[Mistake]:
    """Settings of the grid that have something to say."""
    is_timed = field.time is not None or (field.table is not None and field.table.order is not None)
    for setting in ("step", "gap"):
        if getattr(field, setting) is not None and not is_timed:
            rule = say(
                "left out where nothing says when a reading was taken: name the column in `time`, or in the table's `order`"
            )
            yield must_be((*path, setting), rule, getattr(field, setting))
    if field.fit == "stretch" and field.length == "auto":
        yield must_be((*path, "length"), say("a number of steps with fit: stretch"), field.length)
    if field.fit == "stretch" and field.step is not None:
        yield must_be(
            (*path, "step"), say("left out with fit: stretch, where `length` says how many steps there are"), field.step
        )


def events_mistakes(path: Path, field: EventsField) -> Iterator[Mistake]:
    """The rule is about events that are there, and the table holds their times and names."""
    for setting in ("once", "in_order"):
        for name in getattr(field, setting):
            if name not in field.names:
                hint = suggest(name, field.names)
                yield must_be((*path, setting), say("names of this field's events"), name, hint)
    free = [name for name in field.in_order if name in field.names and name not in field.once]
    if free:
        rule = say("of events that are in `once`")
        yield must_be((*path, "in_order"), rule, free[0])
    if field.period is not None and not field.once:
        yield must_be((*path, "period"), say("left out where nothing is in `once`"), field.period)
    if len(field.table.columns) != 1:
        yield must_be((*path, "table", "columns"), say("one column, the time of each event"), field.table.columns)
    if field.table.name is None:
        yield must_be((*path, "table", "name"), say("given, the column of the events' names"), None)
    if len(set(field.names)) < len(field.names):
        twice = next(one for one in field.names if field.names.count(one) > 1)
        yield Mistake((*path, "names"), say("must name each one differently; got {name!r} twice.", name=twice))


def steps_mistakes(path: Path, field: StepsField) -> Iterator[Mistake]:
    """Classes come from one place, in which they have a column."""
    if field.table is not None:
        if field.file:
            yield must_be((*path, "file"), say("left out where the classes come from `table`"), field.file)
        if field.table.name is None:
            yield must_be((*path, "table", "name"), say("given: the column of the classes"), None)
        if field.table.columns:
            yield must_be((*path, "table", "columns"), say("[], as only the classes are read"), field.table.columns)
    elif field.file and field.name is None:
        yield must_be((*path, "name"), say("given: the column of the classes"), None)
    for setting in ("name", "time"):
        if getattr(field, setting) is not None and not field.file:
            yield must_be((*path, setting), say("left out without `file`"), getattr(field, setting))
