"""What must fit between the settings of a study: rules that span sections."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tamesu.config import StudyConfig
from tamesu.errors import ConfigError, suggest
from tamesu.fields import LabelField, LabelsField, NumberField
from tamesu.mistakes import Mistake, Path, did_you_mean, dotted, model_mistakes, must_be, one_of, shown
from tamesu.texts import say

ACTIVATIONS = (
    "relu",
    "gelu",
    "silu",
    "tanh",
    "elu",
    "leaky_relu",
    "mish",
    "hardswish",
    "selu",
    "softplus",
    "sigmoid",
    "identity",
)  # as in nets.activations, which needs PyTorch to be read
LATER_LEARNERS = ("keras", "xgboost", "lightgbm", "catboost", "sklearn")
LARGE_ROTATION_DEG = 15.0  # what a hand-held camera tilts by; beyond it, up is no longer up
DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
TIMM_NAME = re.compile(r"timm:[A-Za-z0-9_.\-/:]+")
MAX_REPAIRS = 5


class Examined(NamedTuple):
    """A study without its ideas, as far as it could be read, and everything that is wrong with it.

    Where there are mistakes, `config` is the study with the settings in question left at their defaults.
    """

    config: StudyConfig | None
    mistakes: list[Mistake]


def examine(raw: Mapping[str, Any]) -> Examined:
    """Read the study and collect the mistakes of single settings and those between sections, in one pass."""
    config, mistakes = model_mistakes(raw)
    found = list(mistakes)
    repaired: dict[str, Any] = dict(raw)
    for _ in range(MAX_REPAIRS):
        if not found:
            break
        repaired = _without(repaired, [mistake.path for mistake in found])
        config, found = model_mistakes(repaired)
    if config is None:
        return Examined(None, mistakes)
    broken = {mistake.path for mistake in mistakes}
    between = (mistake for mistake in mistakes_between_sections(config, raw) if mistake.path not in broken)
    return Examined(config, mistakes + list(between))


def check_config(config: StudyConfig, raw: Mapping[str, Any], where: str | Callable[[Path], str]) -> None:
    """Refuse a study whose sections do not fit each other.

    Args:
        config: The study, each setting valid by itself.
        raw: What it was made from.
        where: The start of each sentence, or a function from a setting's path to it.

    Raises:
        ConfigError: All mistakes.
    """
    raise_mistakes(list(mistakes_between_sections(config, raw)), where)


def raise_mistakes(mistakes: list[Mistake], where: str | Callable[[Path], str]) -> None:
    """Raise one ConfigError with all of them, if there are any."""
    if mistakes:
        start = where if callable(where) else lambda path: f"{where} {dotted(path)}".strip()
        raise ConfigError([f"{start(mistake.path)}: {mistake.text}" for mistake in mistakes])


def mistakes_between_sections(config: StudyConfig, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    """Everything in the study that does not fit together; `raw` also has the fields whose own settings are wrong."""
    declared = raw.get("fields")
    unsure = bool(isinstance(declared, Mapping) and set(declared) - set(config.fields))
    yield from _fields(config, unsure)
    yield from _targets(config, unsure)
    yield from _folds(config, raw)
    yield from _ranges(config)
    yield from _mirror(config)
    yield from _upright(config)
    yield from _learner(config)


def _without(raw: Mapping[str, Any], paths: list[Path]) -> dict[str, Any]:
    """A copy of `raw` in which nothing is set at `paths`, nor in the fields and ideas they belong to."""
    out = copy.deepcopy(dict(raw))
    for path in paths:
        cut = path[:2] if path[0] in ("fields", "ideas") and path[-1] == "kind" else path
        here: Any = out
        for part in cut[:-1]:
            here = here.get(part) if isinstance(here, dict) else None
        if isinstance(here, dict) and cut[-1] in here:
            del here[cut[-1]]
        elif len(cut) > 1 and isinstance(
            out.get(str(cut[0])), dict
        ):  # something missing, or inside a list: leave its parent out
            out[str(cut[0])].pop(cut[1], None)
        elif cut == ("fields",):
            out["fields"] = {}
    return out


def _fields(config: StudyConfig, unsure: bool) -> Iterator[Mistake]:
    if not config.fields and not unsure:
        rule = say("at least two fields: what is given and what is to be predicted")
        yield must_be(("fields",), rule, dict(config.fields))
        return
    target_columns = {one.column or name: name for name, one in config.fields.items() if one.target}
    inputs = [name for name, one in config.fields.items() if one.is_input and not one.target]
    for name in inputs:
        column = config.fields[name].column or name
        if column in target_columns:
            text = say(
                "must not read the column {column!r}, which is the target {target!r}: the model would be given the answer.",
                column=column,
                target=target_columns[column],
            )
            yield Mistake(("fields", name), text)
    if not inputs and not unsure:
        rule = say("fields with at least one input (an image, label or number that is not the target)")
        yield must_be(("fields",), rule, list(config.fields))
    groups = [name for name, one in config.fields.items() if one.kind == "group"]
    for name in groups if config.folds.group is None or config.folds.group in groups else ():
        if config.folds.group != name:
            text = say(
                "is a group, but folds.group is {group}: its rows would be split between training and scored rows. "
                "Write folds: {{group: {name}}}, or give it kind: ignore.",
                group=shown(config.folds.group),
                name=name,
            )
            yield Mistake(("fields", name), text)


def _targets(config: StudyConfig, unsure: bool) -> Iterator[Mistake]:
    targets = {name: one for name, one in config.fields.items() if one.target}
    for name, one in targets.items():
        if not one.can_be_target:
            kinds = [kind for kind in ("label", "labels", "number") if kind != one.kind]
            yield must_be(("fields", name, "kind"), say("{kinds} where target is true", kinds=one_of(kinds)), one.kind)
    if not targets and config.fields and not unsure:
        candidates = [name for name, one in config.fields.items() if one.can_be_target]
        hint = say(" Write target: true in one of {names}.", names=", ".join(candidates)) if candidates else ""
        yield Mistake(("fields",), say("must hold one field with target: true; got none.{hint}", hint=hint))
    if len(targets) > 1:
        text = say(
            "must hold one field with target: true; got {n}: {names}. This version predicts one field: take target: true "
            "from the others, and write kind: ignore where they must not be inputs.",
            n=len(targets),
            names=", ".join(targets),
        )
        yield Mistake(("fields", list(targets)[1], "target"), text)
    if config.metric is not None:
        target_kinds: set[str] = {one.kind for one in targets.values() if one.can_be_target}
        yield from _metric(config.metric, target_kinds.pop() if len(targets) == 1 and target_kinds else None)


def _metric(name: str, kind: str | None) -> Iterator[Mistake]:
    """Known, and made for this kind of target; how many classes there are is known only with the data."""
    from tamesu.metrics import METRICS, get_metric

    try:
        metric = get_metric(name)
    except ConfigError as error:
        yield Mistake(("metric",), error.mistakes[0].removeprefix("metric: "))
        return
    if kind is not None and kind not in metric.kinds:
        fitting = sorted(known for known, one in METRICS.items() if kind in one.kinds)
        rule = say("a metric for a target of kind {kind}, one of {names}", kind=kind, names=", ".join(fitting))
        yield must_be(("metric",), rule, name)


def _folds(config: StudyConfig, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    declared = raw.get("fields")
    kinds = (
        {str(name): one.get("kind") for name, one in declared.items() if isinstance(one, Mapping)}
        if isinstance(declared, Mapping)
        else {}
    )
    kinds |= {name: one.kind for name, one in config.fields.items()}
    folds = config.folds
    if folds.group is not None:
        yield from _names_a_field(("folds", "group"), folds.group, "group", kinds)
    if folds.stratify not in ("auto", "none"):
        yield from _names_a_field(("folds", "stratify"), folds.stratify, "label", kinds)
    if folds.scheme == "leave_one_group_out" and folds.group is None:
        yield must_be(("folds", "group"), say("given with scheme: leave_one_group_out"), None)
    if folds.scheme == "leave_one_out" and folds.group is not None:
        rule = say("leave_one_group_out or k_fold where folds.group is given")
        yield must_be(("folds", "scheme"), rule, folds.scheme)
    if folds.scheme != "k_fold" and folds.stratify not in ("auto", "none"):
        yield must_be(("folds", "stratify"), say("left out with scheme: {scheme}", scheme=folds.scheme), folds.stratify)


def _names_a_field(path: Path, name: str, kind: str, kinds: Mapping[str, Any]) -> Iterator[Mistake]:
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


def _ranges(config: StudyConfig) -> Iterator[Mistake]:
    rotate, scale = config.augment.rotate_deg, config.augment.scale
    for name, value in (("rotate_deg", rotate), ("scale", scale)):
        if isinstance(value, tuple) and value[0] > value[1]:
            yield must_be(("augment", name), say("a pair [low, high] with low not above high"), value)
        elif not isinstance(value, tuple) and value < 0:
            yield must_be(("augment", name), say("at least 0: one number x means both ways"), value)
    if _largest(rotate) > 180:
        yield must_be(("augment", "rotate_deg"), say("within -180 and 180"), rotate)
    if (isinstance(scale, tuple) and scale[0] <= 0) or (not isinstance(scale, tuple) and scale >= 1):
        yield must_be(("augment", "scale"), say("factors above 0, such as [0.9, 1.1], or one number below 1"), scale)


def _largest(value: float | tuple[float, float]) -> float:
    return max(map(abs, value)) if isinstance(value, tuple) else abs(value)


def _mirror(config: StudyConfig) -> Iterator[Mistake]:
    """A mirror map must swap; a mirrored picture must not keep a label that nobody said survives it."""
    for name, one in config.fields.items():
        if isinstance(one, LabelField | LabelsField) and isinstance(one.mirror, dict):
            yield from _involution(("fields", name, "mirror"), one.mirror)
        if not isinstance(one, LabelField | LabelsField | NumberField):
            continue
        if one.target and one.mirror is None and config.augment.mirror > 0:
            yield Mistake(("augment", "mirror"), _three_answers(name, config.augment.mirror, isinstance(one, NumberField)))


def _three_answers(name: str, mirror: float, number: bool) -> str:
    if number:
        return say(
            "is {value}, but the target {name!r} does not say what a mirror does to it. In fields.{name}, write "
            "mirror: same (it stays), mirror: negate (it changes sign), or mirror: never (no picture is mirrored).",
            value=mirror,
            name=name,
        )
    return say(
        "is {value}, but the target {name!r} does not say what a mirror does to it. In fields.{name}, write "
        "mirror: same (every class stays), mirror: {{a: b}} (these two change places; {{a: never}}: that class is not "
        "mirrored), or mirror: never (no picture is mirrored).",
        value=mirror,
        name=name,
    )


def _involution(path: Path, mirror: Mapping[str, str]) -> Iterator[Mistake]:
    swaps: dict[str, str] = {}
    for left, right in mirror.items():
        for one, other in ((left, right),) if right == "never" else ((left, right), (right, left)):
            if swaps.setdefault(one, other) != other:
                text = say(
                    "must pair the classes, since a mirror applied twice is the picture again; got {one!r} with both {first!r} "
                    "and {second!r}. Leave out classes that a mirror does not change.",
                    one=one,
                    first=swaps[one],
                    second=other,
                )
                yield Mistake(path, text)
                return


def _upright(config: StudyConfig) -> Iterator[Mistake]:
    if config.despite not in (None, "upright"):
        yield must_be(("despite",), repr("upright"), config.despite, did_you_mean(config.despite, ["upright"]))
    rotate = config.augment.rotate_deg
    if config.upright and config.despite != "upright" and _largest(rotate) > LARGE_ROTATION_DEG:
        text = say(
            "must stay within {limit} degrees where upright is true; got {value}. "
            "Write despite: upright beside augment to try it all the same.",
            limit=int(LARGE_ROTATION_DEG),
            value=shown(rotate),
        )
        yield Mistake(("augment", "rotate_deg"), text)


def _learner(config: StudyConfig) -> Iterator[Mistake]:
    learner, model = config.learner, config.model
    if learner in LATER_LEARNERS:
        hint = say(" {name} is not in this version; a learner of your own is module:Name.", name=learner)
        yield must_be(("learner",), say("torch, or module:Name"), learner, hint)
    elif learner != "torch" and not DOTTED_NAME.fullmatch(learner):
        yield must_be(("learner",), say("torch, or module:Name"), learner, did_you_mean(learner, ["torch"]))
    if learner != "torch":
        return
    if model.activation not in ACTIVATIONS:
        yield must_be(
            ("model", "activation"), one_of(ACTIVATIONS), model.activation, did_you_mean(model.activation, ACTIVATIONS)
        )
    backbone = model.backbone
    if backbone != "tiny" and not TIMM_NAME.fullmatch(backbone) and not DOTTED_NAME.fullmatch(backbone):
        hint = did_you_mean(backbone, ["tiny"])
        if not hint and re.fullmatch(r"[A-Za-z0-9_.\-]+", backbone):
            hint = say(" For a timm model write timm:{name}.", name=backbone)
        yield must_be(("model", "backbone"), say("tiny, timm:<name>, or module:function"), backbone, hint)
    if model.weights != "none" and not backbone.startswith("timm:"):
        yield must_be(
            ("model", "weights"),
            say("none with backbone {backbone}: weights are for timm:<name>", backbone=backbone),
            model.weights,
        )
