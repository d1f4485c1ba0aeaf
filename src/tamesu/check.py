"""What must fit between the settings of a study: rules that span sections."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tamesu.check_ensemble import ensemble_mistakes
from tamesu.check_fields import declared_kinds, field_mistakes, names_a_field
from tamesu.check_maps import map_mistakes
from tamesu.check_outputs import output_mistakes
from tamesu.config import FeaturesConfig, ModelConfig, StudyConfig
from tamesu.errors import ConfigError
from tamesu.fields import Field
from tamesu.learners.names import ESTIMATOR, LEARNERS, NETWORKS, OWN, SKLEARN, kind_of
from tamesu.learners.sklearn_named import estimator_mistakes, plain_mistakes
from tamesu.mistakes import FIELD_MODELS, Mistake, Path, did_you_mean, dotted, model_mistakes, must_be, one_of, shown
from tamesu.texts import say
from tamesu.unused import BESIDE, users_of

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
BACKBONES = {  # by learner, names beside tiny and module:function
    "torch": re.compile(r"timm:[A-Za-z0-9_.\-/:]+"),
    "keras": re.compile(r"applications:[A-Za-z0-9_]+"),
}
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
    yield from field_mistakes(config, raw)
    yield from output_mistakes(config)
    yield from map_mistakes(config)
    yield from _channels(config)
    yield from _features(config)
    yield from _learner(config)
    yield from ensemble_mistakes(config)


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
    target_columns = {column: name for name, one in config.fields.items() if one.target for column in _columns_of(name, one)}
    inputs = [name for name, one in config.fields.items() if one.is_given]
    for name in inputs:
        for column in sorted(_columns_of(name, config.fields[name]) & set(target_columns)):
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


def _columns_of(name: str, field: Field) -> set[str]:
    """The table's columns that its cells are made of; of a second table, nothing: there only the key is shared.

    Of a column of files those of the files, times left out: several fields may read the same files.
    """
    files = getattr(field, "file_columns", None)
    if files is not None:
        return {f"{field.column or name}: {one}" for one in (*files.columns, files.name) if one is not None}
    return set() if field.side_table is not None else set(field.cell_columns) or {field.column or name}


def _targets(config: StudyConfig, unsure: bool) -> Iterator[Mistake]:
    targets = {name: one for name, one in config.fields.items() if one.target}
    for name, one in targets.items():
        if not one.can_be_target:
            kinds = [kind for kind, model in FIELD_MODELS.items() if model.can_be_target]
            yield must_be(("fields", name, "kind"), say("{kinds} where target is true", kinds=one_of(kinds)), one.kind)
    if not targets and config.fields and not unsure:
        candidates = [name for name, one in config.fields.items() if one.can_be_target]
        hint = say(" Write target: true in one of {names}.", names=", ".join(candidates)) if candidates else ""
        yield Mistake(("fields",), say("must hold one field with target: true; got none.{hint}", hint=hint))
    yield from _auxiliaries(config)
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


def _auxiliaries(config: StudyConfig) -> Iterator[Mistake]:
    """What is predicted beside the target: of a kind that can be, and not the target itself; and losses of what is neither."""
    for name, one in config.fields.items():
        path = ("fields", name, "aux")
        if one.aux is not None and one.target:
            yield Mistake(path, say("must be left out of the target, whose weight is 1."))
        elif one.aux is not None and not (one.can_be_target or one.can_be_aux):
            kinds = [kind for kind, model in FIELD_MODELS.items() if model.can_be_target or model.can_be_aux]
            rule = say("{kinds} where aux is given", kinds=one_of(kinds))
            yield must_be(("fields", name, "kind"), rule, one.kind)
        elif one.loss is not None and not one.target and one.aux is None:
            yield Mistake(("fields", name, "loss"), say("must be left out of a field that is not predicted."))


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
    kinds = declared_kinds(config, raw)
    folds = config.folds
    if folds.group is not None:
        yield from names_a_field(("folds", "group"), folds.group, "group", kinds)
    if folds.stratify not in ("auto", "none"):
        yield from names_a_field(("folds", "stratify"), folds.stratify, "label", kinds)
    if folds.scheme == "leave_one_group_out" and folds.group is None:
        yield must_be(("folds", "group"), say("given with scheme: leave_one_group_out"), None)
    if folds.scheme == "leave_one_out" and folds.group is not None:
        rule = say("leave_one_group_out or k_fold where folds.group is given")
        yield must_be(("folds", "scheme"), rule, folds.scheme)
    if folds.scheme != "k_fold" and folds.stratify not in ("auto", "none"):
        yield must_be(("folds", "stratify"), say("left out with scheme: {scheme}", scheme=folds.scheme), folds.stratify)


def _channels(config: StudyConfig) -> Iterator[Mistake]:
    """Channels of what is there, and groups of what is given."""
    given = {name: one for name, one in config.fields.items() if one.is_given}
    channels, model = config.channels, config.model
    kinds: set[str] = {one.kind for one in given.values()}
    if channels.depth and "depth" not in kinds:
        yield must_be(("channels", "depth"), say("left out where no input is of kind {kind}", kind="depth"), channels.depth)
    if channels.series and "series" not in kinds:
        yield must_be(("channels", "series"), say("left out where no input is of kind {kind}", kind="series"), channels.series)
    if channels.places and not any(one.is_picture for one in given.values()):
        asked = [name for name in ("coords", "fourier", "border") if getattr(channels, name) not in ("none", 0, False)]
        yield must_be(("channels", asked[0]), say("left out where no input is a picture"), getattr(channels, asked[0]))
    lying = [name for name, one in given.items() if one.is_picture and getattr(one, "of", None) in given]
    if model.fusion == "early" and not lying:
        rule = say("late where no picture given is `of` another: write of: <picture> in the field of one that lies on it")
        yield must_be(("model", "fusion"), rule, model.fusion)
    named: dict[str, str] = {}
    for name, group in model.groups.items():
        path = ("model", "groups", name, "fields")
        for one in group.fields:
            if one not in given:
                yield must_be(path, say("fields that are inputs"), one, did_you_mean(one, given))
            elif named.setdefault(one, name) != name:
                yield must_be(path, say("in one group only; {name!r} is in {group!r} too", name=one, group=named[one]), one)


def _features(config: StudyConfig) -> Iterator[Mistake]:
    """Features of what is there."""
    given = [one for one in config.fields.values() if one.is_given]
    features, plain = config.features, FeaturesConfig()
    if features.pictures != plain.pictures and not any(one.is_picture for one in given):
        yield must_be(("features", "pictures"), say("left out where no input is a picture"), features.pictures)
    if features.series != plain.series and not any(one.kind == "series" for one in given):
        rule = say("left out where no input is of kind {kind}", kind="series")
        yield must_be(("features", "series"), rule, features.series)


def _learner(config: StudyConfig) -> Iterator[Mistake]:
    learner, model = config.learner, config.model
    if learner not in LEARNERS and not OWN.fullmatch(learner) and not ESTIMATOR.fullmatch(learner):
        rule = say(
            "{names}, an estimator such as sklearn.ensemble.RandomForestClassifier, or module:Name", names=", ".join(LEARNERS)
        )
        yield must_be(("learner",), rule, learner, did_you_mean(learner, LEARNERS))
    strange = list(plain_mistakes(config.sklearn.params, ("sklearn", "params")))
    yield from strange
    if kind_of(learner) == SKLEARN and not strange:
        yield from estimator_mistakes(learner, config.sklearn.params)
    network = learner if learner in NETWORKS else "torch" if users_of(learner, config.features.network) & BESIDE else None
    if network is None:
        return
    if model.activation not in ACTIVATIONS:
        yield must_be(
            ("model", "activation"), one_of(ACTIVATIONS), model.activation, did_you_mean(model.activation, ACTIVATIONS)
        )
    backbone = model.backbone
    early = [name for name, one in config.fields.items() if one.auxiliary is not None and one.auxiliary.branch == "early"]
    if early and backbone != "tiny" and any(one.is_picture and one.is_given for one in config.fields.values()):
        yield must_be(("fields", early[0], "aux", "branch"), say("late or own with backbone {name}", name=backbone), "early")
    yield from _backbone(network, model)


def _backbone(learner: str, model: ModelConfig) -> Iterator[Mistake]:
    backbone, named = model.backbone, {"torch": "timm:<name>", "keras": "applications:<name>"}[learner]
    known = backbone == "tiny" or BACKBONES[learner].fullmatch(backbone) or OWN.fullmatch(backbone)
    other = next((one for one, pattern in BACKBONES.items() if pattern.fullmatch(backbone)), learner)
    if other != learner:
        hint = say(" {name} is for learner: {other}.", name=backbone, other=other)
        yield must_be(("model", "backbone"), say("tiny, {named}, or module:function", named=named), backbone, hint)
    elif not known:
        hint = did_you_mean(backbone, ["tiny"])
        if not hint and re.fullmatch(r"[A-Za-z0-9_.\-]+", backbone):
            kind, start = named.split(":")[0], named.replace("<name>", backbone)
            hint = say(" For a {kind} model write {start}.", kind=kind, start=start)
        yield must_be(("model", "backbone"), say("tiny, {named}, or module:function", named=named), backbone, hint)
    if model.weights != "none" and not backbone.startswith(named.split(":")[0] + ":"):
        rule = say("none with backbone {backbone}: weights are for {named}", backbone=backbone, named=named)
        yield must_be(("model", "weights"), rule, model.weights)
