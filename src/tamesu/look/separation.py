"""Can two kinds of rows be told apart, how well, and how sure is that: a cross-validated classifier and its AUC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tamesu.look.features import Features

N_SPLITS = 5
MAX_ROWS = 20_000  # of both kinds together; more make the answer slower and hardly surer
CV_FACTOR = 1.3  # fits share rows: under no difference the AUC's spread was 1.28 times that of independent scores (150 sets)
SMALL = 400  # rows up to which trees are grown with smaller leaves


@dataclass(frozen=True, eq=False)
class Separation:
    """How well a classifier tells two kinds of rows apart, on rows it was not fitted on.

    Attributes:
        auc: Chance that a row of the second kind gets a higher score than one of the first; 0.5: cannot be told apart.
        low: Lower end of the 95 % interval.
        high: Upper end.
        p_value: Two-sided, of 0.5.
        scores: Out-of-fold score of each row, 0–1, high for the second kind.  (n,)
    """

    auc: float
    low: float
    high: float
    p_value: float
    scores: NDArray[np.float64]


def tell_apart(
    features: Features, y: NDArray[np.bool_], groups: NDArray[np.int64] | None = None, seed: int = 0
) -> Separation | None:
    """Fits boosted trees and a linear model to tell rows apart, and scores them by cross-validation.

    Args:
        features: Of the rows.
        y: False for the first kind, True for the second.  (n,)
        groups: Rows that belong together are never on both sides of a split.  (n,)
        seed: Of the folds.

    Returns:
        None where fewer than `N_SPLITS` rows, or groups, of either kind are there, or no feature is.
    """
    y = np.asarray(y, dtype=bool)
    if features.values.shape[1] == 0 or min(y.sum(), (~y).sum()) < N_SPLITS:
        return None
    folds = _folds(y, groups, seed)
    if folds is None:
        return None
    scores = np.full(len(y), np.nan)
    for fold in range(N_SPLITS):
        test = folds == fold
        if len(np.unique(y[~test])) < 2 or not test.any():
            continue
        scores[test] = _ranked(_fit_score(features, y, ~test, test, seed))
    known = ~np.isnan(scores)
    if len(np.unique(y[known])) < 2:
        return None
    units = None if groups is None else groups[known]
    auc, low, high, p_value = auc_interval(scores[known], y[known], units, factor=CV_FACTOR)
    return Separation(auc, low, high, p_value, np.where(known, scores, 0.5))


def auc_interval(
    scores: NDArray[np.float64], y: NDArray[np.bool_], groups: NDArray[np.int64] | None = None, factor: float = 1.0
) -> tuple[float, float, float, float]:
    """Area under the ROC curve, its 95 % interval, and the two-sided p-value of 0.5.

    Groups are taken as the units that vary: the placement values of a group's rows are summed before their variance is taken.

    Args:
        scores: Of the rows.  (n,)
        y: True for the rows that should score higher.  (n,)
        groups: Rows that vary together.  (n,)
        factor: By which the standard error is enlarged, where scores are not independent.

    Source:
        DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44; for groups Obuchowski (1997), Biometrics 53. The interval is
        made on the logit scale, as Pepe (2003), section 5.2; the p-value without groups is that of Mann and Whitney (1947).
    """
    first, second = scores[~y], scores[y]
    n0, n1 = len(first), len(second)
    of_second = _placements(second, first)  # share of the first kind that lies below each row of the second
    of_first = 1.0 - _placements(first, second)
    auc = float(of_second.mean())
    null_error = factor * float(np.sqrt((n0 + n1 + 1) / (12.0 * n0 * n1)))
    if groups is None:
        variance = of_second.var(ddof=1) / n1 + of_first.var(ddof=1) / n0 if min(n0, n1) > 1 else 0.25
    else:
        deviations = np.zeros(len(y))
        deviations[y] = (of_second - auc) / n1
        deviations[~y] = (of_first - auc) / n0
        _, unit = np.unique(groups, return_inverse=True)
        sums = np.bincount(unit, weights=deviations)
        variance = float((sums**2).sum()) * len(sums) / max(1, len(sums) - 1)
    floor = 1.0 / (12.0 * n0 * n1)  # perfect separation has no variance of its own
    error = factor * float(np.sqrt(max(variance, floor)))
    p_value = float(2 * stats.norm.sf(abs(auc - 0.5) / (null_error if groups is None else max(error, null_error))))
    inside = float(np.clip(auc, 0.5 / (n0 * n1), 1 - 0.5 / (n0 * n1)))
    middle, spread = np.log(inside / (1 - inside)), 1.96 * error / (inside * (1 - inside))
    low, high = (float(1 / (1 + np.exp(-np.clip(middle + s * spread, -700, 700)))) for s in (-1, 1))
    # close to 0 and 1 the logit scale breaks down; no AUC varies more than a share of as many units as the rarer kind has
    few = min(n0, n1) if groups is None else min(len(np.unique(groups[y])), len(np.unique(groups[~y])))
    least, most = wilson(auc * few / factor**2, few / factor**2)
    return auc, max(low, least), min(high, most), p_value


def wilson(k: float, n: float, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share, k of n.

    Source:
        Wilson (1927), Journal of the American Statistical Association 22.
    """
    if n <= 0:
        return 0.0, 1.0
    p = k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values corrected for their number.

    Source:
        Holm (1979), Scandinavian Journal of Statistics 6.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    out = np.empty(len(p))
    out[order] = np.minimum(1.0, steps)
    return out


def sample(rows: NDArray[np.int64], n: int, seed: int = 0) -> NDArray[np.int64]:
    """At most `n` of these rows, in their order; the same ones every time."""
    if len(rows) <= n:
        return rows
    return np.sort(np.random.default_rng([seed, len(rows)]).choice(rows, n, replace=False))


def _folds(y: NDArray[np.bool_], groups: NDArray[np.int64] | None, seed: int) -> NDArray[np.int64] | None:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    out = np.full(len(y), -1)
    empty = np.zeros(len(y))
    if groups is None:
        splits = StratifiedKFold(N_SPLITS, shuffle=True, random_state=seed).split(empty, y)
    else:
        if min(len(np.unique(groups[y])), len(np.unique(groups[~y]))) < 2 or len(np.unique(groups)) < N_SPLITS:
            return None
        splits = StratifiedGroupKFold(N_SPLITS, shuffle=True, random_state=seed).split(empty, y, groups)
    for fold, (_, test) in enumerate(splits):
        out[test] = fold
    return out


def _fit_score(
    features: Features, y: NDArray[np.bool_], train: NDArray[np.bool_], test: NDArray[np.bool_], seed: int
) -> NDArray[np.float64]:
    """The mean rank of what trees and a linear model say of the test rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    known = np.atleast_1d(
        np.isfinite(features.values[train]).any(axis=0)
    )  # a column without any value in these rows says nothing
    if not known.any():
        return np.zeros(int(test.sum()))
    names = [name for name, kept in zip(features.fields, known, strict=True) if kept]
    features = Features(tuple(names), tuple(names), features.values[:, known], features.is_category[known], features.rows)
    values = features.values
    n = int(train.sum())
    trees = HistGradientBoostingClassifier(
        max_iter=60,
        learning_rate=0.1,
        max_leaf_nodes=15,
        min_samples_leaf=max(3, min(20, n // 20)) if n < SMALL else 20,
        l2_regularization=1.0,
        categorical_features=features.is_category if features.is_category.any() else None,
        early_stopping=False,
        random_state=seed,
    )
    told = trees.fit(values[train], y[train]).predict_proba(values[test])[:, 1]
    return _ranked(told) + _ranked(_linear(features, y, train, test))


def _linear(features: Features, y: NDArray[np.bool_], train: NDArray[np.bool_], test: NDArray[np.bool_]) -> NDArray[np.float64]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import QuantileTransformer

    columns: list[NDArray[np.float64]] = []
    for i in range(features.values.shape[1]):
        column = features.values[:, i]
        gone = np.isnan(column)
        if features.is_category[i]:
            columns += [(column == level).astype(float) for level in np.unique(column[train & ~gone])[:60]]
        else:
            known = column[train & ~gone]
            if len(known) < 2 or known.min() == known.max():
                continue
            ranks = QuantileTransformer(
                n_quantiles=min(100, len(known)), output_distribution="normal", subsample=5_000, random_state=0
            )
            filled = np.where(gone, np.median(known), column).astype(np.float64)
            columns.append(np.clip(ranks.fit(filled[train][:, None]).transform(filled[:, None])[:, 0], -3, 3))
        if gone[train].any():
            columns.append(gone.astype(float))
    if not columns:
        return np.zeros(int(test.sum()))
    x = np.stack(columns, axis=1)
    return LogisticRegression(C=0.1, max_iter=200).fit(x[train], y[train]).decision_function(x[test])


def _ranked(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks within a fold, 0–1: folds' scores are comparable only so."""
    return (stats.rankdata(scores) - 0.5) / len(scores)


def _placements(of: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.float64]:
    ordered = np.sort(among)
    return (np.searchsorted(ordered, of, "left") + np.searchsorted(ordered, of, "right")) / (2.0 * len(ordered))


__all__ = ["Separation", "auc_interval", "holm", "sample", "tell_apart", "wilson"]
