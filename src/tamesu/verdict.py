"""The verdict: did the idea help, from per-row out-of-fold losses with and without it.

    losses of baseline and idea ─ select_scored ─ Estimate (mean gain, variance) ─ Judge ─ Judgement

`Judge` looks after 2 and 3 folds, after the first repeat and after every further one, and stops as soon as the end is
predictable, so that most comparisons need 10 to 20 trainings instead of 50. What is estimated is the mean gain over
training sets of size n (K - 1) / K, seeds and test rows, not that of the fitted models at hand. Measured with known truth:
helps or hurts said of a useless idea in 1.6 % of cases, worst cell 5.0 % (`bench/calibration.py`).
Pure: arrays in, values out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamesu.distributions import normal_above, normal_below, normal_from, t_above, t_from
from tamesu.errors import VerdictError
from tamesu.guards import needs_fold_values, needs_interval_only
from tamesu.judgement import Judgement, Outcome
from tamesu.texts import say
from tamesu.variance import (
    CALIBRATED_SPLITS,
    Estimate,
    Interval,
    Look,
    Method,
    check_values,
    complete_look,
    estimate_from_folds,
    estimate_from_rows,
    half_split_factor,
    interval,
    seed_variance,
    select_scored,
)

FOLD_2, FOLD_3, FIRST_REPEAT, LAST = 2.8, 2.6, 2.24, 1.96  # boundaries of the looks in units of z, for alpha = 5 %
CERTAIN, HOPELESS = 0.975, 0.10  # curtailment: the end is as good as known; no verdict is likely any more
FUTILE_GAIN, FUTILE_MARGIN = 0.7, 0.75  # futility at the end of repeat 1, in units of SE and of the interval
POWER = 0.84  # z of 80 % power: 1.96 + 0.84 = 2.8
FEWEST_DIFFER = 10  # rows (groups) that an idea must have changed for a verdict

Margin = float | Literal["auto"]
Floor = tuple[Literal["relative", "absolute"], float]


@dataclass(frozen=True, eq=False)
class Judge:
    """The rule SEQ-2W with its settings.

    Args:
        n_splits: Folds in a repeat.
        max_repeats: Repeats at most.
        alpha: Chance of helps or hurts for an idea that does nothing.
        margin: Smallest gain that matters, in the unit of the losses; auto: half the spread between seeds, at least the floor.
        margin_floor: A share of the baseline's loss, or a number in its unit (0.005 for accuracy).
        factor: Variance factor of the rows, where it is to be larger than K/(K-1): 1.7 is "strict".
        groups: (n,) group of each row; rows of a group count as one.
        interval_only_reason: From `needs_interval_only`; then no verdict is given. Too few rows or groups are found anyway.
        method: folds: Nadeau-Bengio on fold means after the last repeat only, for scores that are no mean over rows.

    Raises:
        VerdictError: Settings that cannot be.

    Source:
        Nadeau & Bengio (2003); Cameron, Gelbach & Miller (2011); Lan, Simon & Halperin (1982), Stochastically curtailed tests.
    """

    n_splits: int
    max_repeats: int
    alpha: float = 0.05
    margin: Margin = "auto"
    margin_floor: Floor = ("relative", 0.01)
    factor: float | None = None
    groups: NDArray | None = None
    interval_only_reason: str | None = None
    method: Method = "rows"

    def __post_init__(self) -> None:
        wrong = [
            ("n_splits", self.n_splits >= 2, say("at least 2"), self.n_splits),
            ("max_repeats", self.max_repeats >= 1, say("at least 1"), self.max_repeats),
            ("alpha", 0 < self.alpha < 1, say("between 0 and 1"), self.alpha),
            (
                "margin",
                self.margin == "auto" or float(self.margin) >= 0,
                say("a number not below zero, or 'auto'"),
                self.margin,
            ),
        ]
        for name, fine, rule, value in wrong:
            if not fine:
                raise VerdictError(say("compare: {name} must be {rule}; got {value}.", name=name, rule=rule, value=repr(value)))

    def looks(self) -> list[Look]:
        """When to judge: folds 2, 3 and K of the first repeat, then the end of every repeat.

        Nadeau-Bengio has a level for the full number of repeats only; leave-one-out has one repeat and no early folds.
        """
        k = self.n_splits
        if self.method == "folds":
            return [Look(self.max_repeats, k)]
        early = [Look(1, fold) for fold in (2, 3) if fold < k <= CALIBRATED_SPLITS]
        return [*early, *(Look(repeat, k) for repeat in range(1, self.max_repeats + 1))]

    def boundary(self, look: Look) -> float:
        """Units of z at `look`, for alpha = 5 %.

        A single repeat ends at 2.24, not 1.96: it has been looked at before, and four degrees of freedom say little on models.
        """
        if self.method == "folds":
            return LAST
        if look.repeat > 1:
            return LAST
        if look.fold == self.n_splits:
            return FIRST_REPEAT
        return FOLD_2 if look.fold <= 2 else FOLD_3

    def judge(
        self,
        values_a: ArrayLike,
        values_b: ArrayLike,
        fold_of: ArrayLike,
        look: Look | tuple[int, int],
        seed_variance: float = 0.0,
        level: float | None = None,
    ) -> Judgement:
        """The verdict from the folds up to `look`, whatever else is filled in.

        Args:
            values_a: (r, n) per-row losses of the baseline, lower is better; anything where not scored.
            values_b: The same with the idea: same folds, same seeds.
            fold_of: (r, n) fold in which the row was scored, from 0; -1 where not.
            look: Repeat and folds of it that are finished, from 1. Between the looks of the schedule no verdict is given,
                and an unfinished later repeat is left out.
            seed_variance: s0^2 from `seed_variance`; without it seed noise may pass for an effect (worst cell 10 %).
            level: A level other than alpha, to confirm: all boundaries grow by z(level / 2) / z(alpha / 2).

        Raises:
            VerdictError: Losses that are missing or not finite in a finished fold, or shapes that do not fit.
        """
        a, b, folds = check_values(values_a, values_b, fold_of)
        level = self.alpha if level is None else level
        if not 0 < level < 1:
            raise VerdictError(
                say("compare: {name} must be {rule}; got {value}.", name="level", rule=say("between 0 and 1"), value=level)
            )
        codes = self._group_codes(folds.shape[1])
        judged_look = complete_look(Look(*look), self.n_splits)
        baseline = select_scored(a, folds, judged_look, self.n_splits)
        idea = select_scored(b, folds, judged_look, self.n_splits)
        scored = baseline._replace(values=baseline.values - idea.values)
        groups = None if codes is None else codes[scored.rows]
        if self.method == "folds":
            estimate = estimate_from_folds(scored, self.n_splits)
        else:
            estimate = estimate_from_rows(scored, self.n_splits, groups=groups, seed_variance=seed_variance, factor=self.factor)
        changed = (scored.values != 0).any(axis=0)  # (m,)
        case = _Case(
            estimate=estimate,
            look=judged_look,
            on_schedule=Look(*look) in self.looks(),
            last=Look(*look) == self.looks()[-1],
            margin=self._margin(baseline.values, seed_variance),
            n_differ=int(changed.sum()) if groups is None else len(np.unique(groups[changed])),
            level=level,
            boundary=self.boundary(judged_look),
            judge=self,
            n_total=folds.shape[1],
            only_interval=self._only_interval(folds.shape[1], codes),
        )
        return case.judgement()

    def _group_codes(self, n: int) -> NDArray[np.int64] | None:
        if self.groups is None:
            return None
        if len(self.groups) != n:
            raise VerdictError(say("compare: groups must have one entry a row, {n}; got {got}.", n=n, got=len(self.groups)))
        return np.unique(np.asarray(self.groups), return_inverse=True)[1]

    def _margin(self, baseline: NDArray[np.float64], seed_noise: float) -> float:
        if self.margin != "auto":
            return float(self.margin)
        kind, size = self.margin_floor
        floor = size * abs(float(baseline.mean())) if kind == "relative" else size
        return max(0.5 * math.sqrt(seed_noise / 2), floor)  # seed_noise holds the noise of two trainings

    def _only_interval(self, n: int, codes: NDArray[np.int64] | None) -> str | None:
        scheme = "k_fold" if self.n_splits <= CALIBRATED_SPLITS else "leave_one_out"
        n_groups = None if codes is None else int(codes.max()) + 1
        return self.interval_only_reason or needs_interval_only(n, n_groups=n_groups, scheme=scheme)


@dataclass(frozen=True)
class _Case:
    """One comparison at one look, on its way to a judgement."""

    estimate: Estimate
    look: Look
    on_schedule: bool
    last: bool
    margin: float
    n_differ: int
    level: float
    boundary: float
    judge: Judge
    n_total: int
    only_interval: str | None

    @property
    def z(self) -> float:
        """Units of z for `level` at the last look; 1.96 for 5 %."""
        return normal_from(self.level / 2)

    @property
    def quantile(self) -> float:
        """Half width of the interval in standard errors."""
        tail = normal_above(self.z * self.boundary / LAST)
        return t_from(tail, self.estimate.n_clusters - 1) if self.estimate.n_clusters > 1 else math.inf

    def judgement(self) -> Judgement:
        e, se = self.estimate, math.sqrt(self.estimate.variance)
        half = 0.0 if se == 0 else self.quantile * se
        outcome, reason = self._decide(e.mean - half, e.mean + half)
        final = self.last or outcome is not None or reason in ("futility", "curtailed")
        if reason == self.only_interval:  # the interval is worth having: go on while repeats narrow it
            final = self.last or (self.look.fold == self.judge.n_splits and e.split_fraction <= 0.5)
        if self.last and reason == "not_yet":
            reason = "more_repeats" if e.split_fraction > 0.5 else "more_data"
        gain = abs(e.mean)
        return Judgement(
            outcome=outcome or Outcome.undecided,
            final=final,
            gain=e.mean,
            low=e.mean - half,
            high=e.mean + half,
            standard_error=se,
            p_value=self._p_value(se),
            margin=self.margin,
            n_rows=e.n_rows,
            n_differ=self.n_differ,
            look=self.look,
            small=outcome in (Outcome.helps, Outcome.hurts) and gain < self.margin,
            reason=reason,
            rows_needed=None if outcome else self._rows_needed(),
            repeats_needed=None if outcome else self._repeats_needed(),
            split_fraction=e.split_fraction,
            n_total=self.n_total,
            smallest_gain=(self.z + POWER) * self._standard_error_at(self.judge.max_repeats),
            level=self.level,
        )

    def _decide(self, low: float, high: float) -> tuple[Outcome | None, str]:
        """The outcome, or None, and why; "not_yet" means go on."""
        repeat, complete = self.look.repeat, self.look.fold == self.judge.n_splits
        if complete and self.n_differ == 0:
            return Outcome.no_difference, "identical"
        if self.only_interval:
            return None, self.only_interval
        if not self.on_schedule:
            return None, "not_yet"
        if self.judge.method == "rows" and self.n_differ < FEWEST_DIFFER:
            return None, "few_differ"  # no verdict on a handful of flips
        if repeat == 1 or self.last:
            found = self._by_interval(low, high)
            if found[0] is not None:
                return found
        if self.last:
            return None, "not_yet"
        if repeat == 1:
            return None, "futility" if complete and self._is_futile() else "not_yet"
        return self._curtail()

    def _by_interval(self, low: float, high: float) -> tuple[Outcome | None, str]:
        if -self.margin < low and high < self.margin:
            return Outcome.no_difference, "margin"
        if low > 0:
            return Outcome.helps, "interval"
        if high < 0:
            return Outcome.hurts, "interval"
        return None, "not_yet"

    def _is_futile(self) -> bool:
        gain, se = abs(self.estimate.mean), math.sqrt(self.estimate.variance)
        return gain < FUTILE_GAIN * se and gain + FUTILE_MARGIN * self.z * se >= self.margin

    def _curtail(self) -> tuple[Outcome | None, str]:
        """With the data fixed only split noise is left: the verdict of the last repeat, where it is as good as known.

        The last boundary is the t quantile, not 1.96: a verdict must never come with an interval that holds zero.
        """
        e, gain = self.estimate, self.estimate.mean
        left = e.repeat_variance * (1 / self.look.repeat - 1 / self.judge.max_repeats)
        s = max(math.sqrt(left), 1e-300)
        last_quantile = t_from(self.level / 2, e.n_clusters - 1)
        half = last_quantile * math.sqrt(max(e.variance - left, e.variance / 4))
        phi = normal_below
        up, down = phi((gain - half) / s), phi((-gain - half) / s)
        same = max(0.0, phi((self.margin - half - gain) / s) - phi((-self.margin + half - gain) / s))
        for chance, outcome in ((same, Outcome.no_difference), (up, Outcome.helps), (down, Outcome.hurts)):
            if chance > CERTAIN:
                return outcome, "curtailed"
        return None, "curtailed" if up + down + same < HOPELESS else "not_yet"

    def _p_value(self, se: float) -> float:
        if not 0 < se < math.inf:
            return 0.0 if se == 0 and self.estimate.mean else 1.0
        t = abs(self.estimate.mean) / se
        z = normal_from(t_above(t, self.estimate.n_clusters - 1))  # the z that this t is worth
        return min(1.0, 2 * normal_above(z * LAST / self.boundary))

    def _rows_needed(self) -> int | None:
        if self.estimate.mean == 0:
            return None
        needed = self.estimate.n_rows * self.estimate.limit * ((self.z + POWER) / self.estimate.mean) ** 2
        return math.ceil(needed) if needed < 1e12 else None

    def _repeats_needed(self) -> int | None:
        e = self.estimate
        room = (e.mean / (self.z + POWER)) ** 2 - e.limit - e.influence
        return max(e.n_repeats + 1, math.ceil(e.models * e.n_repeats / room)) if room > 0 else None

    def _standard_error_at(self, n_repeats: int) -> float:
        """SE to expect when all folds of `n_repeats` are scored."""
        e, n_folds = self.estimate, self.judge.n_splits
        models = e.models * e.n_repeats / n_repeats * (self.look.fold / n_folds)
        rows = e.limit * e.n_rows / self.n_total if self.look.fold < n_folds else e.limit
        return math.sqrt(rows + models + e.influence)


def compare(
    loss_a: ArrayLike,
    loss_b: ArrayLike,
    folds: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    seed_variance: float = 0.0,
    margin: Margin = "auto",
    alpha: float = 0.05,
    margin_floor: Floor = ("relative", 0.01),
    factor: float | None = None,
    method: Method = "rows",
) -> Judgement:
    """Judge an idea from two arrays of out-of-fold losses, with no study around them.

    One look at the end, so no early stopping and no more folds asked for. Give the seed noise (`seed_variance`): without
    it the luck of a few trainings may pass for an effect.

    Args:
        loss_a: (n,) or (r, n) losses of the baseline, one a row (and repeat), each from a model that was not trained on it.
        loss_b: The same with the idea, from the same folds.
        folds: The same shape: which fold a row was scored in; any labels.
        groups: (n,) rows of a group count as one.
        seed_variance: Seed noise of one fold mean, from `tamesu.verdict.seed_variance`.
        margin: As for `Judge`, and so are the others.

    Returns:
        The outcome with gain, interval and reason; a gain above zero means that `loss_b` is lower.

    Raises:
        VerdictError: Shapes that differ, a loss that is not finite, fewer than two folds.

    Example:
        >>> import numpy as np
        >>> from tamesu import compare
        >>> rng = np.random.default_rng(0)
        >>> folds = np.stack([rng.permutation(400) % 5 for _ in range(3)])   # 3 repeats of 5 folds
        >>> before = rng.gamma(2.0, 0.2, size=400) + rng.normal(0, 0.02, size=(3, 400))
        >>> after = before - 0.05 + rng.normal(0, 0.05, size=(3, 400))
        >>> compare(before, after, folds).outcome
        <Outcome.helps: 'helps'>
    """
    labels, codes = np.unique(np.asarray(folds), return_inverse=True)
    codes = codes.reshape(np.shape(folds))
    a, b, fold_of = check_values(loss_a, loss_b, codes)
    judge = Judge(
        n_splits=len(labels),
        max_repeats=len(fold_of),
        alpha=alpha,
        margin=margin,
        margin_floor=margin_floor,
        factor=factor,
        groups=None if groups is None else np.asarray(groups),
        method=method,
    )
    return judge.judge(a, b, fold_of, judge.looks()[-1], seed_variance=seed_variance)


def smallest_detectable_gain(judgements: Judgement | Iterable[Judgement]) -> float | None:
    """The gain that all repeats would find with 80 % power, about 2.8 standard errors; of several ideas the median one's."""
    several = [judgements] if isinstance(judgements, Judgement) else judgements
    gains = [j.smallest_gain for j in several if 0 < j.smallest_gain < math.inf]
    return float(np.median(gains)) if gains else None


__all__ = [
    "Estimate",
    "Interval",
    "Judge",
    "Judgement",
    "Look",
    "Outcome",
    "compare",
    "half_split_factor",
    "interval",
    "needs_fold_values",
    "needs_interval_only",
    "seed_variance",
    "smallest_detectable_gain",
]
