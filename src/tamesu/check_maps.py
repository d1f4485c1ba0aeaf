"""Whether pictures may be moved as the study asks: magnitudes that can be, and a declared meaning for every target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tamesu.amounts import chance_of, limits
from tamesu.config import Amount, Sometimes, StudyConfig, TtaConfig
from tamesu.fields import Field, LabelField, LabelsField, NumberField, PointsField
from tamesu.mistakes import Mistake, Path, did_you_mean, must_be, shown
from tamesu.texts import say

LARGE_ROTATION_DEG = 15.0  # what a hand-held camera tilts by; beyond it, up is no longer up (symmetry.TILT_RAD)
MAX_SHEAR_DEG = 60.0  # there a square is a sliver
MAX_CROP = 0.95  # of the area; less would be a few pixels
MAX_JPEG = 95.0  # of 100 points of quality
SMALLEST = 1e-9  # a factor that is not 0


class Domain(NamedTuple):
    """What can be drawn for one magnitude."""

    low: float
    high: float
    rule: Callable[[], str]
    around: float = 0.0
    one_sided: bool = False


def _within(low: float, high: float) -> Callable[[], str]:
    return lambda: say("within {low:g} and {high:g}", low=low, high=high)


def _above_zero() -> str:
    return say("factors above 0, such as [0.9, 1.1], or one number below 1")


def _not_negative() -> str:
    return say("factors of at least 0, such as [0.9, 1.1], or one number of at most 1")


def _no_less_than_none() -> str:
    return say("at least 0")


ENDLESS = float("inf")
DOMAINS: dict[str, Domain] = {
    "rotate_deg": Domain(-180, 180, _within(-180, 180)),
    "scale": Domain(SMALLEST, ENDLESS, _above_zero, around=1),
    "aspect": Domain(SMALLEST, ENDLESS, _above_zero, around=1),
    "shear_deg": Domain(-MAX_SHEAR_DEG, MAX_SHEAR_DEG, _within(-MAX_SHEAR_DEG, MAX_SHEAR_DEG)),
    "crop": Domain(0, MAX_CROP, _within(0, MAX_CROP), one_sided=True),
    "brightness": Domain(-1, 1, _within(-1, 1)),
    "contrast": Domain(0, ENDLESS, _not_negative, around=1),
    "gamma": Domain(SMALLEST, ENDLESS, _above_zero, around=1),
    "saturation": Domain(0, ENDLESS, _not_negative, around=1),
    "hue_deg": Domain(-180, 180, _within(-180, 180)),
    "blur": Domain(0, ENDLESS, _no_less_than_none, one_sided=True),
    "noise": Domain(0, ENDLESS, _no_less_than_none, one_sided=True),
    "shot_noise": Domain(0, ENDLESS, _no_less_than_none, one_sided=True),
    "row_noise": Domain(0, ENDLESS, _no_less_than_none, one_sided=True),
    "jpeg": Domain(0, MAX_JPEG, _within(0, MAX_JPEG), one_sided=True),
}


def map_mistakes(config: StudyConfig) -> Iterator[Mistake]:
    """Magnitudes that cannot be, moves whose meaning nobody declared, and what gravity forbids."""
    wrong = list(_amounts(config))
    yield from wrong
    yield from _meanings(config, {mistake.path[:2] for mistake in wrong})
    yield from _upright(config)
    yield from _parts(config)


def furthest(amount: Amount) -> float:
    """The largest size that can be drawn, of an amount that is 0 when off."""
    return max(map(abs, limits(amount))) if chance_of(amount) > 0 else 0.0


def _amounts(config: StudyConfig) -> Iterator[Mistake]:
    for name, domain in DOMAINS.items():
        amount: Amount = getattr(config.augment, name)
        path: Path = ("augment", name)
        given: Any = amount
        if isinstance(amount, Sometimes):
            path, given = (*path, "range"), amount.range
        if isinstance(given, tuple) and given[0] > given[1]:
            yield must_be(path, say("a pair [low, high] with low not above high"), given)
        elif not isinstance(given, tuple) and given < 0:
            rule = _no_less_than_none() if domain.one_sided else say("at least 0: one number x means both ways")
            yield must_be(path, rule, given)
        else:
            low, high = limits(amount, domain.around, one_sided=domain.one_sided)
            if low < domain.low or high > domain.high:
                yield must_be(path, domain.rule(), given)


class _Move(NamedTuple):
    """A setting that moves pictures in a way that may change what they show."""

    path: Path
    value: Any
    mirrors: bool
    turns: bool


def _moves(config: StudyConfig) -> Iterator[_Move]:
    augment, tta = config.augment, config.tta
    if augment.mirror > 0:
        yield _Move(("augment", "mirror"), augment.mirror, mirrors=True, turns=False)
    if augment.flip > 0:  # a mirror and half a turn
        yield _Move(("augment", "flip"), augment.flip, mirrors=True, turns=True)
    if augment.turn > 0:
        yield _Move(("augment", "turn"), augment.turn, mirrors=False, turns=True)
    if furthest(augment.rotate_deg) > LARGE_ROTATION_DEG:
        yield _Move(("augment", "rotate_deg"), _as_written(augment.rotate_deg), mirrors=False, turns=True)
    if tta.mirror:
        yield _Move(("tta", "mirror"), tta.mirror, mirrors=True, turns=False)
    if tta.turns:
        yield _Move(("tta", "turns"), tta.turns, mirrors=False, turns=True)


def _meanings(config: StudyConfig, wrong: set[Path]) -> Iterator[Mistake]:
    """A moved picture must not keep a target that nobody said survives it."""
    moves = [one for one in _moves(config) if one.path not in wrong]
    mirrors, turns = next((one for one in moves if one.mirrors), None), next((one for one in moves if one.turns), None)
    for name, field in config.fields.items():
        if field.is_predicted and mirrors is not None and is_mute_in_mirror(field):
            yield Mistake(mirrors.path, _mirror_answers(name, shown(mirrors.value), field))
        if field.is_predicted and turns is not None and is_mute_in_turn(field):
            yield Mistake(turns.path, _turn_answers(name, shown(turns.value), field))


def is_mute_in_mirror(field: Field) -> bool:
    """Whether it should say what a mirror does to it, and does not."""
    if isinstance(field, PointsField):
        return field.mirror is None and len(field.point_names) > 1
    return isinstance(field, LabelField | LabelsField | NumberField) and field.mirror is None


def is_mute_in_turn(field: Field) -> bool:
    """Whether it should say what a quarter turn does to it, and does not."""
    return isinstance(field, LabelField | LabelsField | NumberField) and field.turn is None


def _mirror_answers(name: str, value: str, field: Field) -> str:
    if isinstance(field, PointsField):
        return say(
            "is {value}, but the target {name!r} does not say which of its points change places in a mirror. In fields.{name}, "
            "write mirror: {{left_eye: right_eye}} (these two do), mirror: same (none does), or mirror: never (no picture is "
            "mirrored).",
            value=value,
            name=name,
        )
    if isinstance(field, NumberField):
        return say(
            "is {value}, but the target {name!r} does not say what a mirror does to it. In fields.{name}, write "
            "mirror: same (it stays), mirror: negate (it changes sign), mirror: {{swap_with: x}} (it takes the value of the "
            "field x), or mirror: never (no picture is mirrored).",
            value=value,
            name=name,
        )
    return say(
        "is {value}, but the target {name!r} does not say what a mirror does to it. In fields.{name}, write "
        "mirror: same (every class stays), mirror: {{a: b}} (these two change places; {{a: never}}: that class is not "
        "mirrored), mirror: {{swap_with: x}} (it takes the value of the field x), or mirror: never (no picture is mirrored).",
        value=value,
        name=name,
    )


def _turn_answers(name: str, value: str, field: Field) -> str:
    limit = int(LARGE_ROTATION_DEG)
    if isinstance(field, NumberField):
        return say(
            "is {value}, but the target {name!r} does not say what a quarter turn does to it. In fields.{name}, write "
            "turn: same (it stays) or turn: never (no picture is turned by more than {limit} degrees); or declare "
            "kind: angle, if it points somewhere in the picture.",
            value=value,
            name=name,
            limit=limit,
        )
    return say(
        "is {value}, but the target {name!r} does not say what a quarter turn does to it. In fields.{name}, write "
        "turn: same (every class stays), turn: {{up: left, left: down, down: right, right: up}} (what each becomes, "
        "anticlockwise), or turn: never (no picture is turned by more than {limit} degrees); or declare kind: direction "
        "with angles, if the classes point somewhere in the picture.",
        value=value,
        name=name,
        limit=limit,
    )


def _upright(config: StudyConfig) -> Iterator[Mistake]:
    if config.despite not in (None, "upright"):
        yield must_be(("despite",), repr("upright"), config.despite, did_you_mean(config.despite, ["upright"]))
    if not config.upright or config.despite == "upright":
        return
    for move in _moves(config):
        if move.path == ("augment", "rotate_deg"):
            text = say(
                "must stay within {limit} degrees where upright is true; got {value}. "
                "Write despite: upright beside augment to try it all the same.",
                limit=int(LARGE_ROTATION_DEG),
                value=shown(move.value),
            )
            yield Mistake(move.path, text)
        elif move.turns:
            text = say(
                "must be off where upright is true; got {value}. Write despite: upright beside augment to try it all the same.",
                value=shown(move.value),
            )
            yield Mistake(move.path, text)


def _parts(config: StudyConfig) -> Iterator[Mistake]:
    """What the parts of augmentation say themselves; they are imported where they are asked for."""
    augment = config.augment
    if config.tta != TtaConfig():
        from tamesu.tta import tta_mistakes

        yield from tta_mistakes(config)
    if augment.mixup or augment.cutmix or augment.paste or augment.balance:
        from tamesu.augment.mixing import mixing_mistakes

        yield from mixing_mistakes(config)
    if augment.functions:
        from tamesu.augment.outside import check_functions

        for k, one in enumerate(augment.functions):
            for sentence in check_functions([one]):
                yield Mistake(("augment", "functions", k), sentence.removeprefix("augment.functions[0]: "))


def _as_written(amount: Amount) -> Any:
    return {"range": amount.range, "chance": amount.chance} if isinstance(amount, Sometimes) else amount
