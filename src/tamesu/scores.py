"""Scores that are no mean over rows, each with its share by row inside one test fold.

A verdict counts rows, so a score such as AUC or F1 is laid out on the rows it was computed from: exactly where theory gives the
terms (AUC, balanced accuracy), else by the jackknife, n · score - (n - 1) · score without the row, in closed form.

y: label (n,) codes, labels (n, k) of 0 and 1, number (n,). prediction: (n, k) probabilities, or (n,).
Where a score is undefined it is NaN, and so are all its rows: AUC and average precision of a fold with one class, QWK where
nothing but one class is there and predicted, R² of a constant target. Where scikit-learn warns and makes a number up for one
class among several (F1 of a class neither there nor predicted, AUC of a class that is not there), that class is left out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.int64]


def picked(prediction: Array) -> Codes:
    """The most probable class of each row.  (n,)"""
    return prediction.argmax(axis=1)


def jackknife(score: Callable[[Array], Array], rows: Array) -> Array:
    """Pseudo-values of a score that is a function of sums over rows.

    Args:
        score: (…, d) sums to (…) scores; NaN where undefined.
        rows: (n, d) what each row adds to the sums.

    Source:
        Tukey (1958); Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 11.
    """
    total = rows.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        whole, without = score(total), score(total - rows)
    return pseudo_values(float(whole), without)


def pseudo_values(whole: float, without: Array) -> Array:
    """n · whole - (n - 1) · without; a row without which the score is undefined gets the score itself.  (n,)"""
    n = len(without)
    return whole + (n - 1) * np.where(np.isfinite(without), whole - without, 0.0) if np.isfinite(whole) else np.full(n, np.nan)


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _mean_root(sums: Array) -> Array:
    return np.sqrt(np.maximum(sums[..., 0], 0) / sums[..., 1])


def root_rows(squared: Array) -> Array:
    """Rows of the root of a mean of squares.  (n,)"""
    return jackknife(_mean_root, np.stack([squared, np.ones_like(squared)], axis=1))


def mean_column_rmse(y: Array, prediction: Array) -> float:
    """Root mean squared error of each column, mean over columns: MCRMSE."""
    return float(np.sqrt(((prediction.astype(np.float64) - y) ** 2).mean(axis=0)).mean())


def mean_column_rmse_rows(y: Array, prediction: Array) -> Array:
    """Rows of that: the mean over columns of each root's.  (n,)"""
    squared = (prediction.astype(np.float64) - y) ** 2
    return np.mean([root_rows(column) for column in squared.T], axis=0)


def _r2_terms(y: Array, prediction: Array) -> Array:
    centred = y - y.mean()  # sums of squares of large numbers would cancel
    return np.stack([(y - prediction) ** 2, centred, centred**2, np.ones_like(centred)], axis=1)


def _r2_of(sums: Array) -> Array:
    error, first, second, n = np.moveaxis(sums, -1, 0)
    spread = second - first**2 / n
    return 1 - error / np.where((spread > 1e-12 * np.abs(second)) & (n > 1), spread, np.nan)


def r2(y: Array, prediction: Array) -> float:
    """Share of the variance explained."""
    return float(_r2_of(_r2_terms(y, prediction).sum(axis=0)))


def r2_rows(y: Array, prediction: Array) -> Array:
    """Its rows.  (n,)"""
    return jackknife(_r2_of, _r2_terms(y, prediction))


# ── classes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def balanced_accuracy_rows(y: Codes, prediction: Array) -> Array:
    """Mean recall of the classes that are there; a class's rows share its part of the mean.  (n,)"""
    hit = (picked(prediction) == y).astype(np.float64)
    count = np.bincount(y)
    recall = np.bincount(y, weights=hit) / np.maximum(count, 1)
    n_classes = (count > 0).sum()
    return recall[count > 0].mean() + len(y) / n_classes * (hit - recall[y]) / count[y]


def _qwk_terms(y: Codes, prediction: Array) -> Array:
    a, b = y.astype(np.float64), picked(prediction).astype(np.float64)
    return np.stack([(a - b) ** 2, a, b, a**2, b**2, np.ones_like(a)], axis=1)


def _qwk_of(sums: Array) -> Array:
    disagreement, a, b, a2, b2, n = np.moveaxis(sums, -1, 0)
    by_chance = a2 + b2 - 2 * a * b / n  # the double sum over the product of both margins, written out
    return 1 - disagreement / np.where(by_chance > 1e-9, by_chance, np.nan)


def qwk(y: Codes, prediction: Array) -> float:
    """Cohen's kappa with quadratic weights; classes ordered as their codes.

    Source:
        Cohen (1968), Weighted kappa, Psychological Bulletin 70.
    """
    with np.errstate(invalid="ignore"):
        return float(_qwk_of(_qwk_terms(y, prediction).sum(axis=0)))


def qwk_rows(y: Codes, prediction: Array) -> Array:
    """Its rows.  (n,)"""
    return jackknife(_qwk_of, _qwk_terms(y, prediction))


def _mcc_of(correct: Array, n: Array, both: Array, guessed2: Array, true2: Array) -> Array:
    root = np.sqrt(np.maximum(n**2 - guessed2, 0) * np.maximum(n**2 - true2, 0))
    return np.where(root > 0, (correct * n - both) / np.where(root > 0, root, 1), 0.0)


def _mcc(y: Codes, prediction: Array) -> tuple[float, Array]:
    guess, k = picked(prediction), prediction.shape[1]
    true, guessed = (np.bincount(codes, minlength=k).astype(np.float64) for codes in (y, guess))
    hit, n = (y == guess).astype(np.float64), np.array(float(len(y)))
    both, guessed2, true2 = true @ guessed, guessed @ guessed, true @ true
    whole = _mcc_of(hit.sum(), n, both, guessed2, true2)
    without = _mcc_of(
        hit.sum() - hit,
        n - 1,
        both - true[guess] - guessed[y] + hit,
        guessed2 - 2 * guessed[guess] + 1,
        true2 - 2 * true[y] + 1,
    )
    return float(whole), without


def mcc(y: Codes, prediction: Array) -> float:
    """Matthews' correlation of classes; 0 where either side is constant.

    Source:
        Gorodkin (2004), Comparing two K-category assignments by a K-category correlation coefficient.
    """
    return _mcc(y, prediction)[0]


def mcc_rows(y: Codes, prediction: Array) -> Array:
    """Its rows.  (n,)"""
    return pseudo_values(*_mcc(y, prediction))


# ── F1, of one class a row or of many ───────────────────────────────────────────────────────────────────────────────────


def _hits_and_misses(y: NDArray, prediction: Array) -> tuple[tuple[Codes, Codes], tuple[Codes, Codes]]:
    """(row, class) of true positives, and of false positives and false negatives."""
    if y.ndim == 2:
        truth, guess = y.astype(bool), prediction >= 0.5
        hit, miss = np.nonzero(truth & guess), np.nonzero(truth ^ guess)
        return (hit[0], hit[1]), (miss[0], miss[1])
    chosen = picked(prediction)
    right, wrong = np.flatnonzero(chosen == y), np.flatnonzero(chosen != y)
    return (right, y[right]), (np.concatenate([wrong, wrong]), np.concatenate([y[wrong], chosen[wrong]]))


def _f1_macro(y: NDArray, prediction: Array) -> tuple[float, Array]:
    (hit_rows, hits), (miss_rows, misses) = _hits_and_misses(y, prediction)
    n, k = prediction.shape
    hit = np.bincount(hits, minlength=k)
    total = 2 * hit + np.bincount(misses, minlength=k)
    if not total.any():
        return np.nan, np.full(n, np.nan)
    f1 = 2 * hit / np.maximum(total, 1)
    # What a class loses with one of its hits or misses; a class that only this row shows keeps its value.
    with_hit = np.where(total > 2, f1 - 2 * (hit - 1) / np.maximum(total - 2, 1), 0.0)
    with_miss = np.where(total > 1, f1 - 2 * hit / np.maximum(total - 1, 1), 0.0)
    lost = np.bincount(hit_rows, with_hit[hits], minlength=n) + np.bincount(miss_rows, with_miss[misses], minlength=n)
    n_classes = (total > 0).sum()
    whole = float(f1.sum() / n_classes)
    return whole, whole - lost / n_classes


def f1_macro(y: NDArray, prediction: Array) -> float:
    """Mean F1 of the classes that are there or predicted; labels count as predicted from 0.5."""
    return _f1_macro(y, prediction)[0]


def f1_macro_rows(y: NDArray, prediction: Array) -> Array:
    """Its rows.  (n,)"""
    return pseudo_values(*_f1_macro(y, prediction))


def _f1_micro_terms(y: NDArray, prediction: Array) -> Array:
    (hit_rows, _), (miss_rows, _) = _hits_and_misses(y, prediction)
    n = len(y)
    return np.stack([np.bincount(hit_rows, minlength=n), np.bincount(miss_rows, minlength=n)], axis=1).astype(np.float64)


def _f1_micro_of(sums: Array) -> Array:
    total = 2 * sums[..., 0] + sums[..., 1]
    return 2 * sums[..., 0] / np.where(total > 0, total, np.nan)


def f1_micro(y: NDArray, prediction: Array) -> float:
    """F1 of all decisions pooled; of one class a row, that is the accuracy."""
    return float(_f1_micro_of(_f1_micro_terms(y, prediction).sum(axis=0)))


def f1_micro_rows(y: NDArray, prediction: Array) -> Array:
    """Its rows.  (n,)"""
    return jackknife(_f1_micro_of, _f1_micro_terms(y, prediction))


# ── rankings: of two classes the second's, of more the mean of one against the rest ─────────────────────────────────────


def _one_against_rest(y: NDArray, prediction: Array, rows: Callable[[NDArray[np.bool_], Array], Array]) -> Array:
    """Mean over classes of `rows`, without classes where it is NaN.  (n,)"""
    if y.ndim == 2:
        pairs = [(y[:, j].astype(bool), prediction[:, j]) for j in range(prediction.shape[1])]
    elif prediction.shape[1] == 2:
        pairs = [(y == 1, prediction[:, 1])]
    else:
        pairs = [(y == k, prediction[:, k]) for k in range(prediction.shape[1])]
    total, n_defined = np.zeros(len(y)), 0
    for truth, score in pairs:
        values = rows(truth, score)
        if not np.isnan(values).any():
            total, n_defined = total + values, n_defined + 1
    return total / n_defined if n_defined else np.full(len(y), np.nan)


def _midranks(values: Array) -> Array:
    """Ranks from 1, equal values sharing the mean of theirs.  (n,)"""
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[inverse]


def _auc_rows(truth: NDArray[np.bool_], score: Array) -> Array:
    n, n_pos = len(truth), int(truth.sum())
    n_neg = n - n_pos
    if n_pos == 0 or n_neg == 0:
        return np.full(n, np.nan)
    rank = _midranks(score)
    placement = np.empty(n)  # share of the other class that the row is on the right side of
    placement[truth] = (rank[truth] - _midranks(score[truth])) / n_neg
    placement[~truth] = 1 - (rank[~truth] - _midranks(score[~truth])) / n_pos
    auc = placement[truth].mean()
    return auc + n / np.where(truth, n_pos, n_neg) * (placement - auc)


def auc_rows(y: NDArray, prediction: Array) -> Array:
    """Area under the ROC curve as DeLong's placements; the mean over rows is the AUC.  (n,)

    Source:
        DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44; Sun & Xu (2014) for the ranks.
    """
    return _one_against_rest(y, prediction, _auc_rows)


def _precision_rows(truth: NDArray[np.bool_], score: Array) -> tuple[float, Array]:
    """Average precision, and the same without each row."""
    n, n_pos = len(truth), int(truth.sum())
    if n_pos == 0:
        return np.nan, np.full(n, np.nan)
    order = np.argsort(-score, kind="stable")
    _, inverse, count = np.unique(-score[order], return_inverse=True, return_counts=True)
    end = np.cumsum(count)  # rows scored at least as high, by distinct score
    above = end[inverse].astype(np.float64)
    hits_above = np.cumsum(truth[order])[end - 1][inverse].astype(np.float64)
    positive = truth[order]
    whole = float((hits_above / above)[positive].sum() / n_pos)

    def from_here_down(values: Array) -> Array:
        """Sum over positives scored no higher than the row; those are the ones it stands before."""
        summed = np.concatenate([[0.0], np.cumsum(np.where(positive, values, 0.0))])
        return summed[-1] - summed[(end - count)[inverse]]

    fewer = np.maximum(above - 1, 1)
    higher = whole * n_pos - from_here_down(hits_above / above)  # positives that the row does not stand before
    without_negative = (higher + from_here_down(hits_above / fewer)) / n_pos
    one_hit_less = (hits_above - 1) / fewer
    without_positive = (higher + from_here_down(one_hit_less) - one_hit_less) / (n_pos - 1) if n_pos > 1 else np.nan
    without = np.empty(n)
    without[order] = np.where(positive, without_positive, without_negative)
    return whole, without


def average_precision(y: NDArray, prediction: Array) -> float:
    """Precision at each positive, averaged; ties count as one step."""
    return float(_one_against_rest(y, prediction, lambda t, s: np.full(len(t), _precision_rows(t, s)[0]))[0])


def average_precision_rows(y: NDArray, prediction: Array) -> Array:
    """Its rows.  (n,)"""
    return _one_against_rest(y, prediction, lambda t, s: pseudo_values(*_precision_rows(t, s)))
