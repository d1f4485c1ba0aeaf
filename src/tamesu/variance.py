"""How uncertain a cross-validated mean is: rows and trained models both count.

Every row is scored by several models and every model scores many rows, so neither rows nor folds are independent.
`estimate_from_rows` adds both sources (two-way clusters) and enlarges the rows' part for the training sets' overlap;
`estimate_from_folds` is the cruder Nadeau-Bengio rule, for scores that are no mean over rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamesu.distributions import t_from
from tamesu.errors import VerdictError
from tamesu.texts import say

FEWEST_HALF_SPLITS = 30  # a pooled factor from fewer half-split audits is noise (10-90 %: 0.5-1.9 around 1)
CALIBRATED_SPLITS = 10  # with more folds K / (K - 1) would vanish although the training sets still overlap

Method = Literal["rows", "folds"]  # count rows and models, or fold means only


class Look(NamedTuple):
    """How far a comparison has come: all folds of the repeats before `repeat`, and `fold` folds of that one; both from 1."""

    repeat: int
    fold: int


@dataclass(frozen=True)
class Estimate:
    """A mean over rows, and the parts of its variance."""

    mean: float
    rows: float  # variance from the choice of rows, before any factor
    models: float  # variance from splits and seeds; more repeats shrink it as 1 / n_repeats
    influence: float  # stand-in for what rows do through the other models they train; repeats do not shrink it
    factor: float  # what `rows` is multiplied by
    repeat_variance: float  # of the mean of one repeat, over repeats; NaN with a single one
    n_repeats: int  # complete ones; 1 while the first is not complete
    n_rows: int
    n_clusters: int  # independent units: groups, or rows where there are none; folds for Nadeau-Bengio

    @property
    def limit(self) -> float:
        """Variance that any number of repeats leaves."""
        return self.factor * self.rows

    @property
    def variance(self) -> float:
        """Variance of `mean`; infinite where a single unit was seen."""
        return self.limit + self.models + self.influence if self.n_clusters > 1 else np.inf

    @property
    def split_fraction(self) -> float:
        """Share of the variance that more repeats would remove."""
        split = self.models if np.isnan(self.repeat_variance) else max(self.models, self.repeat_variance / self.n_repeats)
        return float(min(1.0, split / self.variance)) if 0 < self.variance < np.inf else 0.0


class Scored(NamedTuple):
    """The scored rows up to a look."""

    values: NDArray[np.float64]  # (r, m)
    fold_of: NDArray[np.int64]  # (r, m)
    rows: NDArray[np.int64]  # (m,) positions among all n rows
    n_folds: int  # folds finished in each of the r repeats


def complete_look(look: Look, n_splits: int) -> Look:
    """The last look up to `look` that can be judged: part of a later repeat is left out."""
    return Look(look.repeat - 1, n_splits) if look.repeat > 1 and look.fold < n_splits else look


def select_scored(values: NDArray[np.float64], fold_of: NDArray[np.int64], look: Look, n_splits: int) -> Scored:
    """Values of the folds up to `look` and of no later one.

    Args:
        values: (r, n), anything where not scored.
        fold_of: (r, n) fold in which a row was scored, from 0; -1 where it never is.
        look: Complete repeats, or some folds of the first.
        n_splits: Folds in a repeat.

    Raises:
        VerdictError: A value that is not finite, a fold without rows, or rows scored in some repeats only.
    """
    r = look.repeat
    if not 1 <= r <= len(fold_of):
        raise VerdictError(say("compare: folds must have {n} repeats; got {got}.", n=r, got=len(fold_of)))
    done = (fold_of[:r] >= 0) & (fold_of[:r] < look.fold)
    rows = np.flatnonzero(done[0])
    if (done != done[0]).any():
        raise VerdictError(say("compare: folds must score the same rows in every repeat; some rows are missing in one."))
    folds = fold_of[:r, rows]
    sizes = np.stack([np.bincount(one, minlength=look.fold) for one in folds])
    if (sizes == 0).any():
        repeat, fold = np.argwhere(sizes == 0)[0]
        raise VerdictError(
            say("compare: fold {fold} of repeat {repeat} must score a row; it has none.", fold=fold + 1, repeat=repeat + 1)
        )
    chosen = values[:r, rows]
    if not np.isfinite(chosen).all():
        repeat, row = np.argwhere(~np.isfinite(chosen))[0]
        raise VerdictError(
            say(
                "compare: losses must be finite in every finished fold; got {value} for row {row} of repeat {repeat}.",
                value=chosen[repeat, row],
                row=int(rows[row]),
                repeat=repeat + 1,
            )
        )
    return Scored(chosen, folds, rows, look.fold)


def estimate_from_rows(
    scored: Scored,
    n_splits: int,
    *,
    groups: NDArray[np.int64] | None = None,
    seed_variance: float = 0.0,
    factor: float | None = None,
) -> Estimate:
    """Mean of per-row values with the two-way variance V = K/(K-1) (1 + 10/n) V_S + X + Q.

    V_S counts rows as clusters, V_F trained models, V_W both at once (and is subtracted); X = max(0, V_F - V_W, seed noise)
    is what models add, Q stands in for training influence, which no single data set can show (Bengio & Grandvalet 2004).

    Args:
        scored: What was scored so far.
        n_splits: Folds in a repeat, K.
        groups: (m,) group code of each row; rows of a group count as one unit. Then V_W counts (group, repeat) pairs and
            V_F weighs models by their rows, so that groups of one row each give what no groups give for equal folds.
        seed_variance: Measured seed noise of one fold mean, from `verdict.seed_variance`.
        factor: At least this in place of K/(K-1): 1.7 for learners a single row can sway (kNN, Gaussian processes,
            unpruned trees), or the pooled half-split factor.

    Source:
        Cameron, Gelbach & Miller (2011), Robust Inference with Multiway Clustering, JBES 29; Nadeau & Bengio (2003).
    """
    values, (n_repeats, m) = scored.values, scored.values.shape
    mean = float(values.mean())
    n_models = n_repeats * scored.n_folds
    by_row = values.mean(axis=0)  # (m,)
    if groups is None:
        n_clusters = m
        rows = _variance(by_row) / m
        both = _variance(values.ravel()) / values.size
        models = _variance(_fold_means(scored).ravel()) / n_models
    else:
        codes, n_clusters = _codes(groups)
        rows = _cluster_variance(np.bincount(codes, by_row - mean), m)
        both = _cluster_variance(np.concatenate([np.bincount(codes, one - mean) for one in values]), values.size)
        models = _cluster_variance(_fold_sums(scored, values - mean).ravel(), values.size)
    floor = seed_variance / n_models
    repeat_variance = _variance(values.mean(axis=1)) if n_repeats > 1 else np.nan
    influence = max(0.0, repeat_variance - seed_variance / n_splits) / (n_splits - 1) if n_repeats > 1 else 0.0
    return Estimate(
        mean=mean,
        rows=rows,
        models=max(0.0, models - both, floor),
        influence=influence,
        factor=overlap_factor(n_splits, factor) * (1 + 10 / n_clusters),
        repeat_variance=repeat_variance,
        n_repeats=n_repeats,
        n_rows=m,
        n_clusters=n_clusters,
    )


def estimate_from_folds(scored: Scored, n_splits: int) -> Estimate:
    """Mean of fold values with the variance (1/J + n_test/n_train) Var, J values in all.

    Source:
        Nadeau & Bengio (2003), Inference for the Generalization Error, Machine Learning 52.
    """
    means = _fold_means(scored)
    variance, n_values = _variance(means.ravel()), means.size
    n_repeats = len(means)
    return Estimate(
        mean=float(means.mean()),
        rows=variance / (n_splits - 1),
        models=variance / n_values,
        influence=0.0,
        factor=1.0,
        repeat_variance=_variance(means.mean(axis=1)) if n_repeats > 1 else np.nan,
        n_repeats=n_repeats,
        n_rows=scored.values.shape[1],
        n_clusters=n_values,
    )


def overlap_factor(n_splits: int, factor: float | None = None) -> float:
    """What the rows' variance is multiplied by for overlapping training sets, at least K/(K-1).

    More than ten folds were not calibrated; there it does not fall below the 1.25 of five folds.
    """
    usual = n_splits / (n_splits - 1) if n_splits <= CALIBRATED_SPLITS else 1.25
    return max(usual, factor or 0.0)


def seed_variance(values_a: ArrayLike, values_reseeded: ArrayLike, fold_of: ArrayLike) -> float:
    """Seed noise of one fold mean, from training the baseline again with other seeds.

    mean over folds of (e_k^2 - v_k / n_k), where e_k is the mean change of the loss in fold k and v_k its variance there:
    what the fold mean moved beyond what its rows' own changes explain. It holds the noise of both trainings.

    Args:
        values_a: (n,) or (r, n) per-row losses of the baseline; only the first repeat is used.
        values_reseeded: The same with other seeds, NaN in folds that were not trained again.
        fold_of: (n,) or (r, n) fold of each row, -1 where it was not scored.

    Raises:
        VerdictError: No fold was scored by both.
    """
    before, after, folds = (np.atleast_2d(np.asarray(x, dtype=float))[0] for x in (values_a, values_reseeded, fold_of))
    noise = []
    for fold in np.unique(folds[folds >= 0]):
        change = (after - before)[folds == fold]
        if np.isfinite(change).all():
            noise.append(change.mean() ** 2 - (_variance(change) / len(change) if len(change) > 1 else 0.0))
    if not noise:
        raise VerdictError(say("seed_variance: must be given a fold that both trainings scored; there is none."))
    return max(0.0, float(np.mean(noise)))


def half_split_factor(differences: ArrayLike, variances: ArrayLike) -> float | None:
    """Training influence measured by half-splits: the factor c to pass as `factor`; None before 30 of them are in.

    The data are split in halves, the pair of arms is cross-validated in each; the halves share no row, so the spread of
    their difference is the true one.

    Args:
        differences: (j,) mean gain in one half minus that in the other.
        variances: (j,) V_S of the one half plus V_S of the other.
    """
    spread, claimed = np.asarray(differences, dtype=float), np.asarray(variances, dtype=float)
    if len(spread) < FEWEST_HALF_SPLITS or claimed.sum() <= 0:
        return None
    return float((spread**2).sum() / claimed.sum())


class Interval(NamedTuple):
    """An estimate and where it may lie."""

    estimate: float
    low: float
    high: float
    standard_error: float


def interval(
    values: ArrayLike,
    fold_of: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    seed_variance: float = 0.0,
    factor: float | None = None,
    method: Method = "rows",
    alpha: float = 0.05,
) -> Interval:
    """Mean of per-row values (a score of the baseline) and its interval, with the variance of the verdict.

    Args:
        values: (r, n) or (n,), NaN where not scored; complete repeats count, or the finished folds of the first.
        fold_of: The same shape; fold of each row from 0, -1 where it is not scored.
        groups: (n,) group of each row.
        seed_variance: Measured seed noise of one fold mean.
        factor: As for `Judge`.
        method: As for `Judge`.
        alpha: One minus the coverage.
    """
    v, _, folds = check_values(values, values, fold_of)
    n_splits = int(folds.max()) + 1
    look, folds = _what_is_finished(v, folds, n_splits)
    scored = select_scored(v, folds, look, n_splits)
    if method == "folds":
        e = estimate_from_folds(scored, n_splits)
    else:
        codes = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1][scored.rows]
        e = estimate_from_rows(scored, n_splits, groups=codes, seed_variance=seed_variance, factor=factor)
    se = math.sqrt(e.variance)
    half = t_from(alpha / 2, e.n_clusters - 1) * se if e.n_clusters > 1 else math.inf
    return Interval(e.mean, e.mean - half, e.mean + half, se)


def check_values(
    values_a: ArrayLike, values_b: ArrayLike, fold_of: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """The three as (r, n) arrays.

    Raises:
        VerdictError: Shapes that differ.
    """
    a, b = np.atleast_2d(np.asarray(values_a, dtype=float)), np.atleast_2d(np.asarray(values_b, dtype=float))
    folds = np.atleast_2d(np.asarray(fold_of))
    if not a.shape == b.shape == folds.shape or a.ndim != 2 or a.size == 0:
        raise VerdictError(
            say(
                "compare: losses and folds must have one shape, (rows,) or (repeats, rows); got {a}, {b} and {folds}.",
                a=a.shape,
                b=b.shape,
                folds=folds.shape,
            )
        )
    return a, b, folds.astype(np.int64)


def _what_is_finished(values: NDArray[np.float64], fold_of: NDArray[np.int64], n_splits: int) -> tuple[Look, NDArray[np.int64]]:
    """How far `values` (r, n) are filled in: the last complete repeat, or the finished folds of the first, put in front."""
    filled = ~np.isnan(values) | (fold_of < 0)
    n_repeats = int(filled.all(axis=1).cumprod().sum())
    if n_repeats:
        return Look(n_repeats, n_splits), fold_of
    finished = [k for k in range(n_splits) if filled[0][fold_of[0] == k].all()]
    if not finished:
        raise VerdictError(say("interval: must be given at least one finished fold; got none."))
    renumbered = np.full_like(fold_of[:1], -1)
    for new, old in enumerate(finished):
        renumbered[fold_of[:1] == old] = new
    return Look(1, len(finished)), renumbered


def _variance(x: NDArray[np.float64]) -> float:
    return float(np.var(x, ddof=1)) if x.size > 1 else 0.0


def _cluster_variance(sums: NDArray[Any], n_values: int) -> float:
    """Variance of a mean of `n_values` values whose deviations add up to `sums` in each cluster."""
    count = len(sums)
    return float(count / (count - 1) * (sums**2).sum() / n_values**2) if count > 1 else 0.0


def _codes(groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    unique, codes = np.unique(groups, return_inverse=True)
    return codes, len(unique)


def _fold_sums(scored: Scored, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(r, folds) sums of `values` within each fold."""
    return np.stack([np.bincount(f, v, minlength=scored.n_folds) for f, v in zip(scored.fold_of, values, strict=True)])


def _fold_means(scored: Scored) -> NDArray[np.float64]:
    """(r, folds) means within each fold."""
    return _fold_sums(scored, scored.values) / _fold_sums(scored, np.ones_like(scored.values))
