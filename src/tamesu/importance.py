"""What the models use: how much worse they predict scored rows when the values of one input are exchanged among them.

    fold model + its scored rows ─ exchange one field ─ predict ─ loss then minus loss as it is, by row ─ mean and interval

Two fields that say the same stand in for each other, and each alone looks of less use than both: what the study declares to
be one source is exchanged as one too.

Source:
    Breiman (2001), Random Forests, Machine Learning 45; Fisher, Rudin & Dominici (2019), All Models are Wrong, but Many are
    Useful, JMLR 20, for any model and on rows it was not trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tamesu.conclude import metric_info
from tamesu.errors import ConfigError
from tamesu.exchange import Array, Asked, Unit, draw_donors, exchanged, find_units
from tamesu.results import MetricInfo
from tamesu.step_scores import as_long_as
from tamesu.texts import say
from tamesu.trial import make_seed, plain
from tamesu.variance import Interval, interval

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.folds import Split
    from tamesu.metrics import Metric
    from tamesu.plan import Plan, Progress
    from tamesu.store import Store

SCHEMA = "tamesu/importance/1"
Effect = Literal["worse", "none", "constant"]


@dataclass(frozen=True)
class UnitImportance:
    """How much worse rows are predicted without the true values of a unit; above zero is worse.

    Attributes:
        unit: What was exchanged.
        judged: In the judged loss, per row.
        shown: In the study's metric, as a loss.
        moved_fraction: Of the scored rows, those that got another value than their own.
    """

    unit: Unit
    judged: Interval
    shown: Interval
    moved_fraction: float

    @property
    def effect(self) -> Effect:
        """worse: the interval lies above zero; none: it does not; constant: no fold holds two values to exchange."""
        if self.moved_fraction == 0:
            return "constant"
        return "worse" if self.judged.low > 0 else "none"


@dataclass(frozen=True, repr=False)
class Importance:
    """All units of one arm, what matters most first; shows itself as the table of the command line.

    Attributes:
        models: Keys of the trainings whose models were asked, one a fold.
        score: Of those models on their scored rows as they are, in the study's metric; `judged` in the judged one.
        n_repeats: Exchanges that were averaged.
        ideas: To be tried: the study without a field that shows no effect, by name.
    """

    study: str
    arm: str
    target: str
    metric: MetricInfo
    judged_metric: MetricInfo
    alpha: float
    score: float
    judged: float
    n_rows: int
    n_groups: int | None
    n_repeats: int
    seed: int
    models: tuple[str, ...]
    data_digest: str
    units: tuple[UnitImportance, ...]
    ideas: Mapping[str, Mapping[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Strict JSON: no NaN (null instead), keys always in the same order."""
        return plain(
            {
                "schema": SCHEMA,
                "study": self.study,
                "arm": self.arm,
                "target": self.target,
                "metric": asdict(self.metric),
                "judged_metric": asdict(self.judged_metric),
                "alpha": self.alpha,
                "score": self.score,
                "judged": self.judged,
                "n_rows": self.n_rows,
                "n_groups": self.n_groups,
                "n_repeats": self.n_repeats,
                "seed": self.seed,
                "fields": [_as_dict(one) for one in self.units],
                "ideas": self.ideas,
                "models": self.models,
                "data_digest": self.data_digest,
            }
        )

    def __repr__(self) -> str:
        from tamesu.report.importance_table import importance_table
        from tamesu.report.table import as_text

        return as_text(importance_table(self.as_dict()))


def _as_dict(one: UnitImportance) -> dict[str, Any]:
    return {
        "name": one.unit.name,
        "kind": one.unit.kind,
        "fields": one.unit.fields,
        "effect": one.effect,
        "importance": one.judged.estimate,
        "interval": [one.judged.low, one.judged.high],
        "metric_importance": one.shown.estimate,
        "metric_interval": [one.shown.low, one.shown.high],
        "moved_fraction": one.moved_fraction,
    }


def check_exchange(plan: Plan, n_repeats: int) -> None:
    """Refuse, before anything is trained, what could not be exchanged.

    Raises:
        ConfigError: No exchange is asked for, or a fold scores a single row.
    """
    if n_repeats < 1:
        raise ConfigError(say("importance: n_repeats must be at least 1; got {value}.", value=n_repeats))
    smallest = min(len(split.test) for split in _first_repeat(plan).values())
    if smallest < 2:
        raise ConfigError(
            say(
                "folds: every fold must score two rows or more, since values are exchanged within a fold; got {n}. "
                "Use `scheme: k_fold`, with fewer folds.",
                n=smallest,
            )
        )


def measure_importance(plan: Plan, store: Store, *, n_repeats: int = 5, progress: Progress | None = None) -> Importance:
    """Ask the baseline's fold models of the first repeat for their scored rows, with each unit exchanged.

    Args:
        plan: The study; its baseline's first repeat must be trained, and its models kept.
        store: Where the models are.
        n_repeats: Exchanges of each unit, which are averaged.
        progress: Told how far it is.
    """
    recipe, units = plan.baseline.recipe, find_units(plan.baseline.recipe)
    seen = _exchange_in_folds(plan, store, units, n_repeats, progress)
    judged, shown = (list(_scales(plan)).index(one.name) for one in (plan.judged, plan.metric))
    found = [
        UnitImportance(
            unit=unit,
            judged=_over_rows(seen.changes[judged, i], seen.fold_of, plan),
            shown=_over_rows(seen.changes[shown, i], seen.fold_of, plan),
            moved_fraction=float(seen.n_moved[i] / ((seen.fold_of >= 0).sum() * n_repeats)),
        )
        for i, unit in enumerate(units)
    ]
    found.sort(key=lambda one: -np.nan_to_num(one.judged.estimate))
    return Importance(
        study=plan.config.name,
        arm=plan.baseline.name,
        target=recipe.target[0],
        metric=metric_info(plan.metric),
        judged_metric=metric_info(plan.judged),
        alpha=plan.judge.alpha,
        score=float(seen.scores[shown]),
        judged=float(seen.scores[judged]),
        n_rows=int((seen.fold_of >= 0).sum()),
        n_groups=None if plan.groups is None else len(np.unique(plan.groups)),
        n_repeats=n_repeats,
        seed=recipe.train.seed,
        models=_models(plan),
        data_digest=plan.rows.digest(tuple(recipe.fields)),
        units=tuple(found),
        ideas=ideas_without(plan, [one.unit for one in found if one.effect == "none"]),
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    """What all folds said, on s scales, of u units.

    Attributes:
        scores: As the rows are.  (s,)
        changes: Of each row's loss; NaN where it was not scored.  (s, u, n)
        n_moved: Values that were others than before, all exchanges together.  (u,)
        fold_of: -1 where a row was not scored.  (n,)
    """

    scores: Array
    changes: Array
    n_moved: NDArray[np.int64]
    fold_of: NDArray[np.int64]


def _exchange_in_folds(plan: Plan, store: Store, units: Sequence[Unit], n_repeats: int, progress: Progress | None) -> _Seen:
    splits, scales, n = _first_repeat(plan), _scales(plan), len(plan.rows)
    seen = _Seen(
        scores=np.zeros(len(scales)),
        changes=np.full((len(scales), len(units), n), np.nan),
        n_moved=np.zeros(len(units), dtype=np.int64),
        fold_of=np.full(n, -1),
    )
    n_scored = sum(len(split.test) for split in splits.values())
    for (fold, split), key in zip(splits.items(), _models(plan), strict=True):
        asked = _asked(plan, store, key, split)
        seen.fold_of[split.test] = fold
        scores = [one.score(plan.y[split.test], asked.reference) for one in scales.values()]
        seen.scores[:] += np.array(scores) * (len(split.test) / n_scored)
        donors = draw_donors(len(split.test), n_repeats, make_seed(plan.baseline.recipe.train.seed, 0, fold))
        for i, (change, n_moved) in enumerate(exchanged(asked, units, donors)):
            seen.changes[:, i, split.test] = change
            seen.n_moved[i] += n_moved
            if progress is not None:
                progress(say("exchanging {name}", name=units[i].name), fold * len(units) + i + 1, len(splits) * len(units))
    return seen


def _scales(plan: Plan) -> dict[str, Metric]:
    """What losses are counted in: the judged metric and the study's own, once where they are the same."""
    return {one.name: one for one in (plan.judged, plan.metric)}


def _models(plan: Plan) -> tuple[str, ...]:
    return tuple(plan.trial(plan.baseline, 0, fold).key for fold in _first_repeat(plan))


def _first_repeat(plan: Plan) -> dict[int, Split]:
    return {fold: split for (repeat, fold), split in sorted(plan.splits.items()) if repeat == 0}


def _asked(plan: Plan, store: Store, key: str, split: Split) -> Asked:
    from tamesu.learners.base import load_fitted

    fitted = load_fitted(store.model_path(key))
    recipe, truth = plan.baseline.recipe, plan.y[split.test]
    name, _ = recipe.target

    def predict(rows: Dataset) -> NDArray[Any]:
        return as_long_as(truth, np.asarray(fitted.predict(rows)[name]))

    def losses(prediction: NDArray[Any]) -> Array:
        return np.stack([one.row_losses(truth, prediction) for one in _scales(plan).values()])

    rows = plan.rows.take(split.test).without(recipe.unseen)
    return Asked(predict, rows, predict(rows), losses)


def _over_rows(changes: Array, fold_of: NDArray[np.int64], plan: Plan) -> Interval:
    """Mean change and where it may lie, as the verdict counts rows and models; no interval where a fold has no such score."""
    scored = changes[fold_of >= 0]
    if not np.isfinite(scored).all():
        known = scored[np.isfinite(scored)]
        nan = float("nan")
        return Interval(float(known.mean()) if len(known) else nan, nan, nan, nan)
    judge = plan.judge
    return interval(changes, fold_of, plan.groups, factor=judge.factor, method=judge.method, alpha=judge.alpha)


def ideas_without(plan: Plan, units: Sequence[Unit]) -> dict[str, dict[str, Any]]:
    """The study without each unit, as ideas that it does not have yet; only of the study itself, and only such as can be.

    What models make no use of may still be of use to train with, or cost: only a verdict says so.
    """
    from tamesu.arms import patched

    if plan.baseline.idea:
        return {}
    config, inputs = plan.config, set(plan.baseline.recipe.inputs)
    alone = config.model_copy(update={"ideas": {}})
    known = [plain(one) for one in config.ideas.values()]
    found: dict[str, dict[str, Any]] = {}
    for unit in units:
        name, patch = f"no-{unit.name}", {"fields": {name: {"kind": "ignore"} for name in unit.fields}}
        if name in {**config.ideas, **found} or patch in known or set(unit.fields) == inputs:
            continue
        try:
            patched(alone, patch)
        except ConfigError:  # something else of the study stands on this field
            continue
        found[name] = patch
    return found
