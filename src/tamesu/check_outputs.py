"""Whether what is known of a target can be: ranges, orders, lengths, sums that are learnt, laws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tamesu.config import StudyConfig
from tamesu.errors import suggest
from tamesu.fields import Field, LabelField, NumberField, NumbersField, SharesField, VectorField
from tamesu.linear import Law, NoLaw, read_law, read_linear
from tamesu.mistakes import Mistake, Path, must_be
from tamesu.texts import say


def output_mistakes(config: StudyConfig) -> Iterator[Mistake]:
    """Everything said of what is predicted that cannot be, by itself or with the inputs that laws name."""
    for name, field in config.fields.items():
        path: Path = ("fields", name)
        if isinstance(field, NumberField):
            yield from _range((*path, "range"), field)
        elif isinstance(field, LabelField):
            yield from _order((*path, "order"), field)
        elif isinstance(field, VectorField):
            if field.unit and field.within is not None:
                yield must_be((*path, "within"), say("left out where unit is true"), field.within)
        elif isinstance(field, SharesField | NumbersField):
            yield from _differ((*path, "columns"), field.columns)
        if isinstance(field, NumbersField):
            yield from _numbers(path, field, config.fields)


def _differ(path: Path, names: tuple[str, ...]) -> Iterator[Mistake]:
    twice = [one for one in names if names.count(one) > 1]
    if twice:
        yield Mistake(path, say("must name each one differently; got {name!r} twice.", name=twice[0]))


def _range(path: Path, field: NumberField) -> Iterator[Mistake]:
    if field.range is None:
        return
    low, high = field.range
    if low is None and high is None:
        yield must_be(path, say("[low, high], one of which may be null"), field.range)
    elif low is not None and high is not None and not low < high:
        yield must_be(path, say("[low, high] with low below high"), field.range)
    elif not field.is_predicted:
        yield Mistake(path, say("must be left out of a field that is not predicted; an input has clip."))


def _order(path: Path, field: LabelField) -> Iterator[Mistake]:
    if not field.order:
        return
    yield from _differ(path, field.order)
    if len(field.order) < 2:
        yield must_be(path, say("all classes, from the lowest to the highest"), field.order)
    elif field.merge:
        yield must_be(path, say("left out where classes are merged"), field.order)
    elif not field.is_predicted:
        yield Mistake(path, say("must be left out of a field that is not predicted."))


def _numbers(path: Path, field: NumbersField, fields: Mapping[str, Field]) -> Iterator[Mistake]:
    if field.rising and field.learn:
        yield must_be((*path, "learn"), say("left out where rising is true"), field.learn)
    yield from _learn((*path, "learn"), field)
    given = [name for name, one in fields.items() if isinstance(one, NumberField) and one.is_given]
    for name in field.units:
        if name not in (*field.columns, *given):
            hint = suggest(name, [*field.columns, *given])
            yield must_be((*path, "units"), say("of columns or of number inputs"), name, hint)
    exact = []
    for i, said in enumerate(field.laws):
        where = (*path, "laws", i)
        try:
            law = read_law(said)
        except NoLaw as error:
            yield Mistake(where, str(error))
            continue
        yield from _law(where, law, field, given)
        if law.how == "projection":
            exact.append([law.coefficients.get(name, 0.0) for name in field.columns])
            if field.rising:
                yield Mistake(where, say("must come as penalty where rising is true: what is moved onto a law may fall."))
    if exact and (len(exact) >= len(field.columns) or np.linalg.matrix_rank(np.array(exact)) < len(exact)):
        text = say("must leave something to learn; got as many exact laws as columns, or one that follows from the others.")
        yield Mistake((*path, "laws"), text)


def _law(path: Path, law: Law, field: NumbersField, given: list[str]) -> Iterator[Mistake]:
    known = [*field.columns, *given]
    strangers = [name for name in law.coefficients if name not in known]
    if strangers:
        name = strangers[0]
        hint = suggest(name, known)
        yield Mistake(path, say("must name columns of the target or number inputs; got {name!r}.{hint}", name=name, hint=hint))
    elif not set(law.coefficients) & set(field.columns):
        yield Mistake(path, say("must name a column of the target: a law of inputs alone says nothing of it."))
    units = {name: field.units[name] for name in law.coefficients if name in field.units}
    if len(set(units.values())) > 1:
        shown = ", ".join(f"{name}: {unit}" for name, unit in units.items())
        yield Mistake(path, say("must be over quantities of one unit; got {units}.", units=shown))


def _learn(path: Path, field: NumbersField) -> Iterator[Mistake]:
    for text in field.learn:
        try:
            found = read_linear(text)
        except NoLaw as error:
            yield Mistake(path, str(error))
            return
        strangers = [name for name in found if name not in field.columns]
        if strangers:
            name, hint = strangers[0], suggest(strangers[0], field.columns)
            yield Mistake(path, say("must be sums of the columns; got {name!r}.{hint}", name=name, hint=hint))
            return
