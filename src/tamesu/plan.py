"""A study made ready to run: rows read, arms expanded, folds drawn, the metric chosen, and every mistake already told.

Nothing is trained here. What `check` finds, it finds while a `Plan` is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu import verdict
from tamesu.arms import Arm, make_arms, plan_arms
from tamesu.check import raise_mistakes
from tamesu.classes import ONE_CLASS
from tamesu.config import StudyConfig
from tamesu.data import Data, read_data
from tamesu.dataset import Dataset
from tamesu.engines.machine import devices_for
from tamesu.errors import ConfigError, TamesuError, suggest
from tamesu.fields import Field
from tamesu.folds import Split, check_folds, make_splits, split_lockbox
from tamesu.learners.base import make_learner
from tamesu.ledger import comparison_key
from tamesu.metrics import (
    Metric,
    check_class_order,
    check_metric,
    default_metric,
    get_metric,
    judged_metric,
    margin_floor,
    metric_for,
)
from tamesu.mistakes import Mistake
from tamesu.strata import read_groups, read_strata
from tamesu.targets import make_target
from tamesu.texts import say
from tamesu.trial import Trial, make_trial

AUTO_SIZE_LIMIT = 96  # pixels; the built-in backbones are made for 8-96
DRAFT_SPLITS, DRAFT_REPEATS = 3, 8  # K = 3 with up to 8 repeats was measured to keep its level
Progress = Callable[[str, int, int], None]  # what is being done, done, total


@dataclass(frozen=True)
class Plan:
    """All that a run needs to know, frozen."""

    config: StudyConfig
    data: Data
    rows: Dataset  # the rows that are trained on and scored: all but the lockbox
    kept: NDArray[Any]  # their positions in `data.train`
    locked: NDArray[Any]  # positions of the lockbox rows
    arms: tuple[Arm, ...]  # the baseline first
    metric: Metric
    judged: Metric
    splits: Mapping[tuple[int, int], Split]  # (repeat, fold), both from 0
    y: NDArray[Any]  # (n, …) what predictions are scored against (`Target.truth`): class codes, 0/1, numbers, places
    groups: NDArray[Any] | None
    judge: verdict.Judge
    warnings: tuple[str, ...] = field(default=())

    @property
    def baseline(self) -> Arm:
        """The study as it stands, without any idea."""
        return self.arms[0]

    @property
    def n_repeats(self) -> int:
        """Repeats that may be run at most."""
        return 1 + max(repeat for repeat, _ in self.splits)

    @property
    def n_splits(self) -> int:
        """Folds in a repeat."""
        return sum(repeat == 0 for repeat, _ in self.splits)

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the target, in the order of its codes; none for a number."""
        name, target = self.baseline.recipe.target
        return self.rows.classes.get((name, target.kind), ())

    def trial(self, arm: Arm, repeat: int, fold: int, seed_shift: int = 0) -> Trial:
        """One training of `arm`; models of the baseline's first repeat are kept, since `predict` uses them."""
        keep_model = arm is self.baseline and repeat == 0 and seed_shift == 0
        return make_trial(self.rows, arm.recipe, self.splits[repeat, fold], seed_shift, keep_model=keep_model)

    def standing_on(self, arm: Arm) -> Plan:
        """The study as it would be with `arm` kept: the same rows, folds and metric, and no further ideas."""
        return replace(self, arms=(arm,))

    def comparison_key(self, arm: Arm) -> str:
        """What the ledger calls the comparison of `arm` with the baseline."""
        return comparison_key(self.baseline.recipe.training_json(), arm.recipe.training_json())

    def ideas(self, names: tuple[str, ...] = ()) -> tuple[Arm, ...]:
        """The arms of the ideas called `names` (an idea's name or one of its arms'); all ideas where none is named.

        Raises:
            ConfigError: A name that is no idea of the study.
        """
        arms = self.arms[1:]
        known = {arm.idea for arm in arms} | {arm.name for arm in arms}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ConfigError(
                [
                    say("ideas: {name} must be an idea of the study.{hint}", name=repr(n), hint=suggest(n, known))
                    for n in unknown
                ]
            )
        return tuple(arm for arm in arms if not names or arm.idea in names or arm.name in names)

    def arm(self, name: str, where: str) -> Arm:
        """The one arm called `name`.

        Args:
            name: An idea, or one of its arms.
            where: The command that asks, for the message.

        Raises:
            ConfigError: No idea of the study, or one that has several arms.
        """
        arms = self.ideas((name,))
        if len(arms) > 1:
            known = ", ".join(repr(arm.name) for arm in arms)
            values = {"where": where, "name": repr(name), "n": len(arms), "known": known}
            raise ConfigError(say("{where}: {name} must name one arm; it has {n}: {known}.", **values))
        return arms[0]


def make_plan(
    config: StudyConfig,
    *,
    base: Path,
    cache: Path,
    train: Any = None,
    test: Any = None,
    locate: Callable[[str], str] = str,
    progress: Progress | None = None,
) -> Plan:
    """Read the data, expand the arms, draw the folds.

    Args:
        config: The study as declared.
        base: Folder that relative paths of the study start from.
        cache: Folder for decoded pictures.
        train: Rows given from Python, in place of `data.train`.
        test: The same for `data.test`.
        locate: Turns a key such as `folds.group` into `study.yaml:14 folds.group`.
        progress: Told how far the reading is.

    Raises:
        ConfigError: Settings that cannot be.
        DataError: Rows or files that are not what the study says.
    """
    config = _draft(config)
    fields = _fields_of(make_arms(config, auto_size=(0, 0)))  # fields and their kinds do not depend on the size
    step = None if progress is None else (lambda done, total: progress(say("reading"), done, total))
    data = read_data(config, fields, base=base, cache=cache, train=train, test=test, progress=step)
    arms, notes, wrong = plan_arms(config, auto_size=usual_size(config, data.train))
    raise_mistakes(wrong, lambda path: locate(".".join(map(str, path))))
    name, target = arms[0].recipe.target
    mistakes: list[str] = []
    classes = data.train.classes.get((name, target.kind), ())
    metric = metric_for(get_metric(config.metric) if config.metric else default_metric(target.kind), target)
    judged = metric_for(judged_metric(metric, target.kind, config.verdict.judge), target)
    kept, locked = _set_lockbox_aside(config, data.train)
    rows = data.train.take(kept)
    y = make_target(name, target, classes).truth(rows.values(name, target))
    problem = check_metric(metric, target.kind, len(classes), y)
    if problem:
        mistakes.append(f"{locate('metric')}: {problem}")
    labels = read_strata(config.folds, rows, config.fields)
    groups = read_groups(config.folds, rows, config.fields)
    n_repeats = config.folds.max_repeats if config.folds.scheme == "k_fold" else 1
    fold_mistakes, warnings = check_folds(config.folds, n=len(rows), labels=labels, groups=groups, n_repeats=n_repeats)
    mistakes += [f"{locate('folds')}: {mistake}" for mistake in fold_mistakes]
    mistakes += [f"{locate('device')}: {text}" for text in _what_is_not_here(config.device)]
    mistakes += _what_learners_cannot(arms, rows, locate)
    if mistakes:
        raise ConfigError(mistakes)
    splits = make_splits(config.folds, n=len(rows), labels=labels, groups=groups, n_repeats=n_repeats)
    raise_mistakes(list(_what_cannot_learn_inside(arms, splits, groups)), lambda path: locate(".".join(map(str, path))))
    return Plan(
        config=config,
        data=data,
        rows=rows,
        kept=kept,
        locked=locked,
        arms=tuple(arms),
        metric=metric,
        judged=judged,
        splits={(split.repeat, split.fold): split for split in splits},
        y=y,
        groups=groups,
        judge=_make_judge(config, splits, y, target, groups, judged),
        warnings=(*data.warnings, *notes, *warnings, *check_class_order(metric, classes)),
    )


def _draft(config: StudyConfig) -> StudyConfig:
    if not config.draft:
        return config
    folds = config.folds.model_copy(update={"n_splits": DRAFT_SPLITS, "max_repeats": DRAFT_REPEATS})
    return config.model_copy(update={"folds": folds})


def _fields_of(arms: list[Arm]) -> dict[str, list[Field]]:
    """Each field as any arm declares it; a column that one idea uses is read for all."""
    union: dict[str, list[Field]] = {}
    for arm in arms:
        for name, declared in (one for recipe in arm.recipe.trained for one in recipe.fields.items()):
            known = union.setdefault(name, [])
            if declared not in known:
                known.append(declared)
    return union


def usual_size(config: StudyConfig, rows: Dataset) -> tuple[int, int]:
    """The usual size of the pictures, shrunk so that no side is over `AUTO_SIZE_LIMIT`; (0, 0) without pictures."""
    if not rows.pictures:
        return 0, 0
    first = min(rows.pictures, key=lambda name: name not in config.fields or config.fields[name].kind != "image")
    pictures = rows.pictures[first]
    usual = np.median(pictures.shapes, axis=0)
    height, width = np.maximum(1, np.round(usual * min(1.0, AUTO_SIZE_LIMIT / usual.max()))).astype(int)
    return int(height), int(width)


def _set_lockbox_aside(config: StudyConfig, rows: Dataset) -> tuple[NDArray[Any], NDArray[Any]]:
    folds, fields = config.folds, config.fields
    return split_lockbox(folds, n=len(rows), labels=read_strata(folds, rows, fields), groups=read_groups(folds, rows, fields))


def _what_is_not_here(device: str) -> list[str]:
    if devices_for(device):
        return []
    text = say("must be a device that is here; got {value!r}, but no GPU is seen. `tamesu doctor` tells why.", value=device)
    return [text]


def _what_learners_cannot(arms: list[Arm], rows: Dataset, locate: Callable[[str], str]) -> list[str]:
    mistakes = []
    told: set[str] = set()
    pairs = [(arm, recipe) for arm in arms for recipe in arm.recipe.trained]
    for arm, recipe in sorted(pairs, key=lambda pair: bool(pair[0].recipe.members)):  # a member that is an arm is told as it
        training = recipe.training_json()
        if arm.recipe.members and training in told:
            continue
        told.add(training)
        try:
            sentences = make_learner(recipe.learner).check(recipe, rows)
        except TamesuError as error:
            sentences = [str(error)]
        where = locate(f"ideas.{arm.idea}") if arm.idea else locate("learner")
        mistakes += [f"{where}: {sentence}" for sentence in sentences if f"{where}: {sentence}" not in mistakes]
    return mistakes


def _what_cannot_learn_inside(arms: list[Arm], splits: list[Split], groups: NDArray[Any] | None) -> Iterator[Mistake]:
    """Ensembles that learn from inner folds of their training rows, where those leave too little to split."""
    learning = [arm for arm in arms if arm.recipe.members and arm.recipe.ensemble.method != "mean"]
    units = np.arange(sum(len(split.test) for split in splits if split.repeat == 0)) if groups is None else groups
    if not learning or len(np.unique(units)) - max(len(np.unique(units[split.test])) for split in splits) >= 2:
        return
    for arm in learning:
        text = say(
            "must be mean where a fold has only one row or group to train on: {method} splits training rows once more.",
            method=arm.recipe.ensemble.method,
        )
        yield Mistake((*(("ideas", arm.idea) if arm.idea else ()), "ensemble", "method"), text)


def _make_judge(
    config: StudyConfig, splits: list[Split], y: NDArray[Any], target: Field, groups: NDArray[Any] | None, judged: Metric
) -> verdict.Judge:
    first = [split for split in splits if split.repeat == 0]
    smallest, method = None, "rows"
    if target.kind in ONE_CLASS:
        counts = np.array([np.bincount(y[split.test], minlength=int(y.max()) + 1) for split in first])
        smallest = float(counts.mean(axis=0).min())
        if judged.name == "auc" and verdict.needs_fold_values(counts):
            method = "folds"
    reason = verdict.needs_interval_only(
        n=len(y),
        n_groups=None if groups is None else len(np.unique(groups)),
        smallest_class=smallest,
        scheme=config.folds.scheme,
    )
    return verdict.Judge(
        n_splits=len(first),
        max_repeats=1 + max(split.repeat for split in splits),
        alpha=config.verdict.alpha,
        margin=config.verdict.margin,
        margin_floor=margin_floor(judged),
        factor=1.7 if config.verdict.strict else None,
        groups=groups,
        interval_only_reason=reason,
        method=method,  # type: ignore[arg-type]
    )
