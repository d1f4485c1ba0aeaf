"""From the trainings of a run to what is reported of it."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tamesu
from tamesu.arms import Arm
from tamesu.document import resolved_yaml
from tamesu.judgement import Judgement
from tamesu.ledger import Ledger, Standing
from tamesu.metrics import Metric, field_period
from tamesu.plan import Plan
from tamesu.results import ArmResult, BaselineResult, FoldScore, Gain, MetricInfo, StudyResult
from tamesu.tally import tally_arms
from tamesu.targets import make_target
from tamesu.texts import language
from tamesu.tryout import ArmScores, IdeaState, Tryout
from tamesu.verdict import interval, smallest_detectable_gain

REPORTED_PACKAGES = ("numpy", "torch", "torchvision", "timm", "scikit-learn", "opencv-python-headless")


class Comparisons:
    """The ideas of a run in the ledger: counted before the first look, noted after the last.

    Args:
        ledger: Of these rows and this target.
        plan: The study.
        ideas: Arms about to be tried.
    """

    def __init__(self, ledger: Ledger, plan: Plan, ideas: tuple[Arm, ...]):
        self.ledger, self._keys = ledger, {arm.name: plan.comparison_key(arm) for arm in ideas}
        budget = plan.config.verdict.budget
        for name, key in self._keys.items():
            ledger.open(key, name, budget=budget)
        standing = ledger.standing()
        self.levels = {name: standing.level(key, budget=budget) for name, key in self._keys.items()}

    def note(self, states: Iterable[IdeaState]) -> Standing:
        """Write down what was seen of each, peeks included; where the project stands now."""
        for state in states:
            if (judgement := judged_so_far(state)) is not None:
                name = state.scores.arm.name
                self.ledger.look(self._keys[name], name, judgement, confirmed=state.confirmed)
        return self.ledger.standing()


def conclude(tryout: Tryout, *, task: str, seconds: float, standing: Standing) -> StudyResult:
    """All that is reported of a run; ideas that are not settled are there as far as they got."""
    plan = tryout.plan
    name, target = plan.baseline.recipe.target
    trained = [one.arm for one in (tryout.baseline, *(state.scores for state in tryout.ideas)) if one.folds]
    maps = tally_arms(plan, trained)
    ideas = tuple(_arm_result(tryout, state, maps.get(state.scores.arm.name)) for state in tryout.ideas)
    gains = [idea.judgement for idea in ideas if idea.judgement is not None]
    return StudyResult(
        study=plan.config.name,
        lang=language(),
        task=task,
        metric=metric_info(plan.metric),
        judged_metric=metric_info(plan.judged),
        target=name,
        target_kind=target.kind,
        classes=plan.classes,
        target_period=field_period(target),
        y=plan.y,
        ids=plan.rows.ids,
        n_rows=len(plan.rows),
        n_test_rows=None if plan.data.test is None else len(plan.data.test),
        n_groups=None if plan.groups is None else len(np.unique(plan.groups)),
        baseline=_baseline_result(tryout, maps.get(plan.baseline.name)),
        ideas=ideas,
        n_trainings=tryout.n_known,
        n_saved=sum(idea.n_saved for idea in ideas),
        seconds=seconds,
        n_planned=plan.config.verdict.budget,
        n_compared=standing.n_compared,
        luck_line=standing.luck_line(gains),
        smallest_gain=smallest_detectable_gain(gains),
        data_digest=plan.rows.digest(tuple(plan.baseline.recipe.fields)),
        versions=versions(),
        warnings=(
            *plan.warnings,
            *_seen_inside(tryout),
            *filter(None, [standing.warning(), standing.alarm_sentence(budget=plan.config.verdict.budget) if ideas else None]),
        ),
        ignored=plan.data.ignored,
        resolved_yaml=resolved_yaml(plan.config),
        command=f"tamesu {task} study.yaml" + "".join(f" {idea.name!r}" for idea in ideas if len(ideas) < len(plan.arms) - 1),
        stopped=tryout.stopped,
    )


def _seen_inside(tryout: Tryout) -> list[str]:
    """With `train.report`, what a look into the network of each arm's first training suggests."""
    main, _ = tryout.plan.baseline.recipe.target
    sentences = []
    for scores in (tryout.baseline, *(state.scores for state in tryout.ideas)):
        folds = _in_order(scores)
        if scores.arm.recipe.train.report and folds and folds[0].log:
            from tamesu.learners.torch_heads import head_advice
            from tamesu.nets.health import health_advice

            found = [*health_advice(folds[0].log), *head_advice(folds[0].log, main)]
            sentences += [f"{scores.arm.name}: {text}" for text in found]
    return sentences


def versions() -> dict[str, str]:
    """Versions of what a result depends on, as far as installed; importing none of it."""
    found = {"tamesu": tamesu.__version__, "python": platform.python_version()}
    for package in REPORTED_PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def metric_info(metric: Metric) -> MetricInfo:
    """What a result says of a metric."""
    return MetricInfo(metric.name, metric.unit, metric.higher_is_better)


def _baseline_result(tryout: Tryout, maps: Mapping[str, Any] | None) -> BaselineResult:
    scores = tryout.baseline
    folds = _in_order(scores)
    if not folds:
        nan = float("nan")
        return BaselineResult(nan, nan, nan, nan, (), 0, 0.0)
    score, low, high = _shown_score(tryout)
    return BaselineResult(
        score=score,
        low=low,
        high=high,
        judged=float(np.average([one.judged for one in folds], weights=[one.n_test for one in folds])),
        folds=folds,
        n_trainings=len(folds) + len(tryout.reseeded.folds),
        seconds=scores.seconds + tryout.reseeded.seconds,
        seed_variance=tryout.seed_noise,
        predictions=_mean_over_repeats(tryout),
        fold_of=tryout.fold_of,
        maps=maps,
        ensemble=_ensemble(scores),
    )


def _shown_score(tryout: Tryout) -> tuple[float, float, float]:
    """The baseline in the user's metric with its interval; no interval where a fold has no such score (AUC of one class)."""
    plan, scores = tryout.plan, tryout.baseline
    known = [one for one in scores.folds.values() if np.isfinite(one.score)]
    if len(known) < len(scores.folds):
        mean = float(np.mean([one.score for one in known])) if known else float("nan")
        return mean, float("nan"), float("nan")
    shown = interval(scores.shown, tryout.fold_of, plan.groups, method=plan.judge.method)
    sign = -1.0 if plan.metric.higher_is_better else 1.0
    low, high = sorted((sign * shown.low, sign * shown.high))
    return sign * shown.estimate, low, high


def _ensemble(scores: ArmScores) -> dict[str, Any] | None:
    """What an arm is made of, with the mean weight of each member; None where it is no ensemble."""
    recipe, folds = scores.arm.recipe, _in_order(scores)
    if not recipe.members:
        return None
    weights = np.mean([one.weights for one in folds], axis=0).tolist() if folds else [None] * len(recipe.members)
    members = [{"name": name, "weight": weight} for name, weight in zip(recipe.members, weights, strict=True)]
    said = {name: i for i, name in enumerate(recipe.ensemble.members)}
    return {
        "method": recipe.ensemble.method,
        "seeds": recipe.ensemble.seeds,
        "members": sorted(members, key=lambda one: said[one["name"]]),
    }


def _in_order(scores: ArmScores) -> tuple[FoldScore, ...]:
    return tuple(fold for _, fold in sorted(scores.folds.items()))


def _mean_over_repeats(tryout: Tryout) -> NDArray[np.float64] | None:
    """The baseline's predictions of all repeats as one, as its target joins them; NaN where a row was never scored.  (n, …)"""
    name, field = tryout.plan.baseline.recipe.target
    predictions = tryout.baseline.predictions
    return None if predictions is None else make_target(name, field, tryout.plan.classes).join(predictions)


def _arm_result(tryout: Tryout, state: IdeaState, maps: Mapping[str, Any] | None) -> ArmResult:
    judgement = judged_so_far(state)
    every = [*tryout.baseline.folds.values(), *tryout.reseeded.folds.values(), *state.scores.folds.values()]
    has_scores = all(np.isfinite(one.score) for one in every)
    shown = tryout.judge_shown(state, judgement.look) if judgement is not None and has_scores else None
    return ArmResult(
        name=state.scores.arm.name,
        idea=state.scores.arm.idea,
        patch=state.scores.arm.patch,
        judgement=judgement,
        metric_gain=None if shown is None else Gain(shown.gain, shown.low, shown.high),
        folds=_in_order(state.scores),
        n_trainings=len(state.scores.folds),
        n_saved=tryout.n_saved(state),
        seconds=state.scores.seconds,
        note=state.error,
        confirmed=state.confirmed,
        level=state.level,
        maps=maps,
        ensemble=_ensemble(state.scores),
    )


def judged_so_far(state: IdeaState) -> Judgement | None:
    """The verdict; of an idea that was stopped on the way, what its last look said; None: not one look was reached."""
    judgement = state.judgement
    return None if judgement is None or state.error else judgement.out_of_budget()
