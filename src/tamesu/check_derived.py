"""Whether a field can be made from the fields it names, and what maps can be predicted beside a target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tamesu.fields import DepthField, DerivedField, Field, MaskField, SeriesField
from tamesu.mistakes import Mistake, Path, did_you_mean, must_be
from tamesu.texts import say

MADE_FROM = {
    "rate": ("series",),
    "net": ("series",),
    "direction": ("series",),
    "difference": ("number",),
    "map": ("label", "group"),
}


def derived_mistakes(
    path: Path, field: DerivedField, fields: Mapping[str, Field], kinds: Mapping[str, Any]
) -> Iterator[Mistake]:
    """What of a derived field cannot be.

    Args:
        path: Of the field.
        field: What the study says of it.
        fields: All that could be read.
        kinds: Of every field by name, those included whose other settings are wrong.
    """
    quantity = field.quantity
    targets = [name for name in field.origins if name in fields and fields[name].target]
    if field.aux is None and targets:
        text = say(
            "must not be an input: it is made from the target {target!r}. Write aux: 0.3 to predict it beside.",
            target=targets[0],
        )
        yield Mistake(path, text)
    elif field.aux is None and not field.target:
        yield Mistake(
            (*path, "aux"), say("must be given, such as 0.3: what is derived is predicted beside the target, and no input.")
        )
    n = 2 if quantity == "difference" else 1
    if len(field.origins) != n:
        rule = say("two fields for a difference") if n == 2 else say("one field for what: {what}", what=quantity)
        yield must_be((*path, "derive"), rule, field.derive)
        return
    unfit = list(_unfit_origins(path, field, kinds))
    yield from unfit
    if bool(field.map) != (quantity == "map"):
        rule = say("given for what: map") if quantity == "map" else say("left out of what: {what}", what=quantity)
        yield must_be((*path, "map"), rule, field.map or None)
    if field.order != 1 and quantity != "rate":
        yield must_be((*path, "order"), say("left out of what: {what}", what=quantity), field.order)
    if not unfit and field.sources and isinstance(field.sources[0], SeriesField):
        yield from _series_mistakes(path, field, field.sources[0])


def dense_mistakes(path: Path, field: Field, fields: Mapping[str, Field]) -> Iterator[Mistake]:
    """A mask or a depth that is predicted needs a picture that is given, and is not given itself."""
    if not isinstance(field, MaskField | DepthField) or field.aux is None:
        return
    if not any(one.is_picture and one.is_given for one in fields.values()):
        yield Mistake((*path, "aux"), say("must come with a picture that is given; got none."))
    if isinstance(field, MaskField) and field.input:
        yield Mistake((*path, "input"), say("must be false where aux is given: what is predicted is no input."))


def _unfit_origins(path: Path, field: DerivedField, kinds: Mapping[str, Any]) -> Iterator[Mistake]:
    wanted = MADE_FROM[field.quantity]
    for name in field.origins:
        if name not in kinds:
            yield must_be((*path, "derive"), say("the name of a field"), name, did_you_mean(name, list(kinds)))
        elif kinds[name] not in wanted and field.quantity in ("rate", "net", "direction"):
            text = say(
                "must name a series, which has an order in time; {name!r} is of kind {kind}. "
                "Two numbers make a difference: derive: [a, b]; classes are derived by a `map`.",
                name=name,
                kind=kinds[name],
            )
            yield Mistake((*path, "derive"), text)
        elif kinds[name] not in wanted:
            rule = say("the name of a field of kind {kind!r}", kind=" or ".join(wanted))
            yield must_be((*path, "derive"), rule, name, say(" {name!r} is of kind {kind}.", name=name, kind=kinds[name]))


def _series_mistakes(path: Path, field: DerivedField, source: SeriesField) -> Iterator[Mistake]:
    if field.quantity == "rate" and not source.is_given:
        yield must_be((*path, "derive"), say("a series that is an input, whose steps it is predicted at"), field.derive)
    if field.quantity == "direction" and not source.vectors:
        text = say(
            "must name a series that says which channels are x and y; write vectors: [[x, y]] in fields.{name}.",
            name=field.derive,
        )
        yield Mistake((*path, "derive"), text)
