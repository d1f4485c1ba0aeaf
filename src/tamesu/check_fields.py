"""Whether what each field says of itself can be: pairs, cycles, names, angles, and the fields it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tamesu.check_depth import depth_mistakes
from tamesu.check_derived import dense_mistakes, derived_mistakes
from tamesu.check_series import along_mistakes, events_mistakes, series_mistakes, steps_mistakes
from tamesu.config import StudyConfig
from tamesu.errors import suggest
from tamesu.fields import (
    AngleField,
    BoxesField,
    DepthField,
    DerivedField,
    DirectionField,
    EventsField,
    Field,
    ImageField,
    LabelField,
    LabelsField,
    MaskField,
    NumberField,
    PointsField,
    SeriesField,
    SeriesMirror,
    StepsField,
    VectorField,
)
from tamesu.fields.derived import with_kinds
from tamesu.losses import loss_mistakes
from tamesu.mistakes import Mistake, Path, did_you_mean, must_be
from tamesu.symmetry import symmetry_mistakes
from tamesu.texts import say

N_EDGES = 4  # numbers of a box
LIES_IN_A_SERIES = ("steps", "events")
LIES_IN_A_PICTURE = (PointsField, BoxesField, MaskField)


def field_mistakes(config: StudyConfig, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    """Everything in the fields' declarations that cannot be, by themselves and with one another.

    Args:
        config: The study.
        raw: What it was made from; it also has the fields whose own settings are wrong.
    """
    kinds = declared_kinds(config, raw)
    for name, field in config.fields.items():
        yield from _own(("fields", name), field)
        if isinstance(field, DepthField):
            yield from depth_mistakes(name, field, config.channels.depth)
        if field.is_predicted:
            yield from (Mistake(("fields", name, "loss"), text) for text in loss_mistakes(name, field))
        if isinstance(field, DerivedField):
            yield from derived_mistakes(("fields", name), field, config.fields, kinds)
        yield from dense_mistakes(("fields", name), field, config.fields)
        if field.swap_with is not None:
            yield from _partner(config.fields, kinds, name, field.swap_with)
        if field.kind not in LIES_IN_A_SERIES:
            yield from _picture(config.fields, kinds, name, field)
        else:
            path = ("fields", name, "of")
            wrong = list(names_a_field(path, str(getattr(field, "of", "")), "series", kinds))
            yield from wrong or along_mistakes(path, config.fields, field)


def declared_kinds(config: StudyConfig, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The kind of every field by name, those included whose other settings are wrong."""
    declared = raw.get("fields")
    fields = declared if isinstance(declared, Mapping) else {}
    kinds = {str(name): one.get("kind") for name, one in with_kinds(fields).items() if isinstance(one, Mapping)}
    return kinds | {name: one.kind for name, one in config.fields.items()}


def names_a_field(path: Path, name: str, kind: str, kinds: Mapping[str, Any]) -> Iterator[Mistake]:
    """Refuses `name` unless it is a field of that kind; says which one may be meant."""
    if kinds.get(name) == kind:
        return
    fitting = [one for one, its_kind in kinds.items() if its_kind == kind]
    hint = did_you_mean(name, fitting)
    if name in kinds:
        hint = say(" {name!r} is of kind {kind}.", name=name, kind=kinds[name])
    elif not hint and fitting:
        hint = suggest(name, fitting)
    elif not hint:
        hint = say(" No field is of that kind: add {name}: {{kind: {kind}}} to fields.", name=name, kind=kind)
    yield must_be(path, say("the name of a field of kind {kind!r}", kind=kind), name, hint)


def _own(path: Path, field: Field) -> Iterator[Mistake]:
    if isinstance(field, LabelField | LabelsField):
        yield from _moves(path, field.mirror, field.turn)
        yield from _merges(path, getattr(field, "merge", {}))
    elif isinstance(field, NumberField):
        yield from _number(path, field)
    elif isinstance(field, MaskField):
        yield from _moves(path, field.mirror)
        yield from _unique((*path, "names"), tuple(field.names.values()))
        yield from _known((*path, "mirror"), _named(field.mirror), field.names.values())
    elif isinstance(field, PointsField):
        yield from _points(path, field)
    elif isinstance(field, BoxesField):
        yield from _moves(path, field.mirror)
        if isinstance(field.mirror, dict) and "never" in field.mirror.values():
            text = say("must name what each becomes; got never. A picture that must not be mirrored has mirror: never.")
            yield Mistake((*path, "mirror"), text)
        if field.table is not None and len(field.table.columns) != N_EDGES:
            rule = say("{n} columns, as `format` says", n=N_EDGES)
            yield must_be((*path, "table", "columns"), rule, field.table.columns)
    elif isinstance(field, SeriesField):
        yield from _series(path, field)
    elif isinstance(field, StepsField):
        yield from steps_mistakes(path, field)
    elif isinstance(field, EventsField):
        yield from events_mistakes(path, field)
    elif isinstance(field, DirectionField):
        yield from _angles((*path, "angles"), field.angles)
    elif isinstance(field, AngleField):
        if abs(360 / field.period_deg - round(360 / field.period_deg)) > 1e-9:
            rule = say("360 or a whole part of it, such as 180 for lines")
            yield must_be((*path, "period_deg"), rule, field.period_deg)
    elif isinstance(field, VectorField) and len(field.columns) == 1:
        rule = say("the columns of x and y (and of z), or left out where one cell holds them")
        yield must_be((*path, "columns"), rule, field.columns)


def _number(path: Path, field: NumberField) -> Iterator[Mistake]:
    """How a number is shaped as an input: ends in order, and nothing that says nothing of what comes around."""
    plain = {name: info.default for name, info in NumberField.model_fields.items()}
    shaped = [name for name in ("clip", "skew", "cycle") if getattr(field, name) != plain[name]]
    if field.is_predicted:
        rule = say("left out of what is predicted: it shapes inputs")
        yield from (must_be((*path, name), rule, getattr(field, name)) for name in shaped)
        return
    if field.cycle is not None:
        rule = say("left out beside `cycle`: what comes around is given as a cosine and a sine, 0 where it is missing")
        others = [name for name in ("clip", "skew", "scale", "missing") if getattr(field, name) != plain[name]]
        yield from (must_be((*path, name), rule, getattr(field, name)) for name in others)
    elif field.clip is not None:
        low, high = field.clip
        if (low is None and high is None) or (low is not None and high is not None and low >= high):
            rule = say("[low, high], low below high, one of which may be null")
            yield must_be((*path, "clip"), rule, field.clip)


def _moves(path: Path, mirror: Any, turn: Any = None) -> Iterator[Mistake]:
    for setting, text in symmetry_mistakes(mirror, turn):
        yield Mistake((*path, setting), text)
    if isinstance(turn, Mapping) and "swap_with" in turn:
        text = say("must say what becomes of each class; got swap_with: fields change places in a mirror only.")
        yield Mistake((*path, "turn", "swap_with"), text)


def _merges(path: Path, merge: Mapping[str, str]) -> Iterator[Mistake]:
    for name in merge:
        if name in merge.values():
            text = say(
                "must say at once what each class is trained as; got {name!r} on both sides of a colon. "
                "Write every class that becomes one with the same class.",
                name=name,
            )
            yield Mistake((*path, "merge", name), text)


def _named(moves: Any) -> list[str]:
    """The names in a mirror's pairs; here `never` is one like any other, since there are no classes that could be left out."""
    return [name for pair in moves.items() for name in pair] if isinstance(moves, Mapping) else []


def _known(path: Path, names: Iterable[str], known: Iterable[str]) -> Iterator[Mistake]:
    there = list(known)
    for name in dict.fromkeys(names):
        if name not in there:
            text = say("must hold names that this field has; got {name!r}.{hint}", name=name, hint=suggest(name, there))
            yield Mistake(path, text)


def _unique(path: Path, names: tuple[str, ...]) -> Iterator[Mistake]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        yield Mistake(path, say("must name each one differently; got {name!r} twice.", name=twice[0]))


def _points(path: Path, field: PointsField) -> Iterator[Mistake]:
    if field.points is None and not field.names:
        rule = say("given, name: [column of x, column of y], or `names`, where one cell holds x y x y …")
        yield must_be((*path, "points"), rule, None)
    elif field.points is not None and field.names:
        yield must_be((*path, "names"), say("left out where `points` names them"), field.names)
    yield from _unique((*path, "names"), field.names)
    yield from _moves(path, field.mirror)
    yield from _known((*path, "mirror"), _named(field.mirror), field.point_names)


def _angles(path: Path, angles: Mapping[str, float]) -> Iterator[Mistake]:
    if len(angles) < 2:
        yield must_be(path, say("two directions or more"), dict(angles))
    seen: dict[float, str] = {}
    for name, angle in angles.items():
        other = seen.setdefault(round(angle % 360, 6) % 360, name)
        if other != name:
            text = say("must be another direction than {other!r}, up to whole turns; got {angle}.", other=other, angle=angle)
            yield Mistake((*path, name), text)


def _series(path: Path, field: SeriesField) -> Iterator[Mistake]:
    channels = field.channel_names
    if field.table is None and not field.cell_names:
        yield must_be((*path, "names"), say("given, or `table`, whose columns are the channels"), None)
        return
    if field.table is not None and field.names:
        yield must_be((*path, "names"), say("left out where the columns of `table` name the channels"), field.names)
    own = "columns" if field.columns else "names"
    yield from _unique((*path, own) if field.table is None else (*path, "table", "columns"), channels)
    yield from series_mistakes(path, field)
    along = [name for pair in field.vectors for name in pair]
    yield from _known((*path, "vectors"), along, channels)
    yield from _unique((*path, "vectors"), tuple(along))
    if isinstance(field.mirror, SeriesMirror):
        yield from _series_mirror((*path, "mirror"), field, field.mirror)


def _series_mirror(path: Path, field: SeriesField, mirror: SeriesMirror) -> Iterator[Mistake]:
    unknown = [
        *_known((*path, "negate"), mirror.negate, field.channel_names),
        *_known((*path, "swap"), _named(mirror.swap), field.channel_names),
    ]
    yield from unknown
    if unknown:
        return
    for _, text in symmetry_mistakes(mirror.swap, None):
        yield Mistake((*path, "swap"), text)
        return
    both = {other: one for one, other in mirror.swap.items()} | dict(mirror.swap)
    for one, other in mirror.swap.items():
        if (one in mirror.negate) != (other in mirror.negate):
            text = say(
                "must hold both {one!r} and {other!r} or neither, since they change places: two mirrors are none.",
                one=one,
                other=other,
            )
            yield Mistake((*path, "negate"), text)
    for pair in field.vectors:
        signed = [name for name in pair if name in mirror.negate]
        if signed:
            text = say("must not hold {name!r}, which `vectors` mirrors by itself.", name=signed[0])
            yield Mistake((*path, "negate"), text)
        partner = (both.get(pair[0], pair[0]), both.get(pair[1], pair[1]))
        if partner not in field.vectors:
            text = say(
                "must exchange vectors as a whole; got {x} and {y} in place of {pair}.",
                x=partner[0],
                y=partner[1],
                pair=", ".join(pair),
            )
            yield Mistake((*path, "swap"), text)


def _partner(fields: Mapping[str, Field], kinds: Mapping[str, Any], name: str, other: str) -> Iterator[Mistake]:
    """Fields that change places: two of one kind, and each says so."""
    path = ("fields", name, "mirror", "swap_with")
    kind = fields[name].kind
    if other == name:
        yield must_be(path, say("the name of another field"), other, say(" What stays as it is has mirror: same."))
        return
    if kinds.get(other) != kind:
        yield from names_a_field(path, other, kind, {one: its for one, its in kinds.items() if one != name})
        return
    partner = fields.get(other)
    if partner is None:  # its own mistakes are told
        return
    back = partner.swap_with
    if back is None:
        text = say("must be said by both; write mirror: {{swap_with: {name}}} in fields.{other}.", name=name, other=other)
        yield Mistake(path, text)
    elif back != name:
        text = say("must be mutual; got {other!r}, which changes places with {back!r}.", other=other, back=back)
        yield Mistake(path, text)
    elif _pairs(fields[name]) != _pairs(partner):
        text = say("must come with the same pairs of classes as in fields.{other}: two mirrors are none.", other=other)
        yield Mistake(path[:3], text)


def _pairs(field: Field) -> dict[str, str | None]:
    return field.symmetry.mirror_images if isinstance(field, LabelField | LabelsField) else {}


def _picture(fields: Mapping[str, Field], kinds: Mapping[str, Any], name: str, field: Field) -> Iterator[Mistake]:
    """`of` names a picture; it may be left out where there is only one to lie in."""
    of = getattr(field, "of", None)
    path = ("fields", name, "of")
    there = [one for one, its in kinds.items() if its in ("image", "depth", "mask") and one != name]
    if of is not None:
        if of not in there:
            yield must_be(path, say("the name of a picture field"), of, suggest(of, there))
        return
    if not isinstance(field, LIES_IN_A_PICTURE):
        return
    bases = [one for one in there if isinstance(fields.get(one), ImageField) or _stands_alone(fields.get(one))]
    if len(bases) > 1:
        rule = say("given where there are several pictures, one of {names}", names=", ".join(bases))
        yield must_be(path, rule, None)
    elif not there and not isinstance(field, MaskField):
        yield must_be(path, say("the name of a picture field"), None, say(" Declare the picture that it lies in."))


def _stands_alone(field: Field | None) -> bool:
    return isinstance(field, DepthField) and field.of is None
