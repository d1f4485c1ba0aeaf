"""Does it say something of the target, or of the other columns, that a cell is missing?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tamesu.look.cells import number, percent
from tamesu.look.features import make_features
from tamesu.look.material import Material
from tamesu.look.separation import Separation, sample, tell_apart, wilson
from tamesu.texts import say

MIN_ROWS = 20  # of either kind
MIN_OF_CLASS = 20  # rarer classes are one
MAX_CLASSES = 20
EFFECT = 0.05  # difference of shares, or 2 |AUC - 0.5| of a number, that matters
ROWS_TOLD = 4_000  # a classifier learns from at most: it is asked of many columns


@dataclass(frozen=True)
class Difference:
    """How the target differs between two kinds of rows.

    Attributes:
        label: The class whose share differs most; "" for a number.
        of_first: That share among the first kind, or the mean.
        of_second: The same of the second kind.
        difference: Second minus first.
        low: Lower end of its 95 % interval.
        high: Upper end.
        effect: 0–1: the difference of the shares, or 2 |AUC - 0.5| for a number.
        p_value: Two-sided; of all classes together.
    """

    label: str
    of_first: float
    of_second: float
    difference: float
    low: float
    high: float
    effect: float
    p_value: float


def target_difference(material: Material, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Difference | None:
    """The target of two kinds of training rows held side by side; None without a target, or with too few rows.

    Args:
        material: All that was read.
        first: Rows of the first kind.  (n,)
        second: Rows of the second.  (n,)
    """
    if material.classes and len(material.labels) == len(material):
        known = material.is_train & (material.labels >= 0)
        return _of_classes(material, np.flatnonzero(first & known), np.flatnonzero(second & known))
    column = material.columns.get(material.target)
    if material.target_kind == "number" and column is not None:
        known = material.is_train & np.isfinite(column.numbers)
        return _of_numbers(column.numbers[first & known], column.numbers[second & known])
    return None


def _of_classes(material: Material, first: NDArray[np.int64], second: NDArray[np.int64]) -> Difference | None:
    if min(len(first), len(second)) < MIN_ROWS:
        return None
    k = len(material.classes)
    counts = np.stack([np.bincount(material.labels[rows], minlength=k) for rows in (first, second)]).astype(float)
    ordered = np.argsort(-counts.sum(axis=0), kind="stable")
    kept = np.sort([one for one in ordered[:MAX_CLASSES] if counts[:, one].sum() >= MIN_OF_CLASS])
    if not len(kept):
        return None
    rest = counts.sum(axis=1) - counts[:, kept].sum(axis=1)
    table = counts[:, kept] if rest.sum() == 0 else np.column_stack([counts[:, kept], rest])
    if table.shape[1] < 2:
        return None
    p_value = float(stats.chi2_contingency(table, correction=table.shape[1] == 2)[1])
    shares = counts / counts.sum(axis=1, keepdims=True)
    code = int(kept[np.argmax(np.abs(shares[1, kept] - shares[0, kept]))])
    if len(kept) == 2 == k:  # of two classes either says it: the rarer one reads better
        code = int(kept[np.argmin(counts.sum(axis=0)[kept])])
    of_first, of_second = (float(one) for one in shares[:, code])
    low, high = _newcombe(counts[:, code], counts.sum(axis=1))
    difference = of_second - of_first
    return Difference(material.classes[code], of_first, of_second, difference, low, high, abs(difference), p_value)


def _of_numbers(first: NDArray[np.float64], second: NDArray[np.float64]) -> Difference | None:
    if min(len(first), len(second)) < MIN_ROWS:
        return None
    statistic, p_value = stats.mannwhitneyu(second, first)
    auc = float(statistic) / (len(first) * len(second))
    difference = float(second.mean() - first.mean())
    half = 1.96 * float(np.sqrt(first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second)))
    effect = 2 * abs(auc - 0.5)
    return Difference(
        "", float(first.mean()), float(second.mean()), difference, difference - half, difference + half, effect, float(p_value)
    )


def _newcombe(hits: NDArray[np.float64], n: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the second share minus the first.

    Source:
        Newcombe (1998), Statistics in Medicine 17, method 10.
    """
    p = hits / n
    (low_1, high_1), (low_2, high_2) = wilson(hits[0], n[0]), wilson(hits[1], n[1])
    middle = p[1] - p[0]
    low = middle - float(np.hypot(p[1] - low_2, high_1 - p[0]))
    return float(low), float(middle + np.hypot(high_2 - p[1], p[0] - low_1))


def others_tell(
    material: Material, first: NDArray[np.bool_], second: NDArray[np.bool_], leave_out: Collection[str]
) -> Separation | None:
    """How well the other columns (the target aside) tell two kinds of rows apart.

    Args:
        material: All that was read.
        first: Rows of the first kind.  (n,)
        second: Rows of the second.  (n,)
        leave_out: Columns that would say it by themselves.
    """
    rows = [sample(np.flatnonzero(kind), ROWS_TOLD // 2) for kind in (first, second)]
    if min(map(len, rows)) < MIN_ROWS:
        return None
    both = np.concatenate(rows)
    y = np.repeat([False, True], [len(one) for one in rows])
    order = np.argsort(both, kind="stable")
    both, y = both[order], y[order]
    features = make_features(material, both, leave_out=leave_out, pictures=False)
    groups = None if material.groups is None else material.groups[both]
    if groups is not None and (groups < 0).any():
        groups = np.where(groups < 0, groups.max() + 1 + np.arange(len(groups)), groups)
    return tell_apart(features, y, groups)


def together(empty: Mapping[str, NDArray[np.bool_]], overlap: float = 0.95, min_rows: int = 5) -> list[tuple[str, ...]]:
    """Columns that are empty in the same rows: the rows where both are, over those where either is, exceed `overlap`.

    Args:
        empty: By column, its empty rows.  (n,)
        overlap: Jaccard index.
        min_rows: Columns empty in fewer rows are left out.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_empty = {name: int(mask.sum()) for name, mask in empty.items()}
    names = [name for name, mask in empty.items() if min_rows <= n_empty[name] < len(mask)]
    links = []
    for i, name in enumerate(names):
        for j in range(i + 1, len(names)):
            n, m = n_empty[name], n_empty[names[j]]
            if min(n, m) > overlap * max(n, m):
                both = int((empty[name] & empty[names[j]]).sum())
                if both > overlap * (n + m - both):
                    links.append((i, j))
    if not links:
        return []
    ends = np.array(links).T
    graph = coo_array((np.ones(len(links)), (ends[0], ends[1])), shape=(len(names), len(names)))
    _, part = connected_components(graph, directed=False)
    groups = [tuple(names[i] for i in np.flatnonzero(part == one)) for one in range(part.max() + 1)]
    return [group for group in groups if len(group) > 1]


def said(material: Material, told: Difference) -> str:
    """What missing cells tell of the target."""
    if told.label:
        return say(
            "`{target}` is `{label}` in {second} of these rows, in {first} of the others (difference {low} to {high} points).",
            target=material.target,
            **_shares(told),
        )
    return say(
        "Among these rows the mean of `{target}` is {second}, among the others {first} (difference {low} to {high}).",
        **_means(material, told),
    )


def side_by_side(material: Material, different: Difference | None) -> str:
    """The target of two kinds of rows, the second first; "" where it cannot be said."""
    if different is None:
        return ""
    if different.label:
        return say("{second} and {first} of them are `{label}` (difference {low} to {high} points).", **_shares(different))
    return say("The mean of `{target}` is {second} and {first} (difference {low} to {high}).", **_means(material, different))


def _shares(told: Difference) -> dict[str, str]:
    """A difference of shares, in points, as a sentence shows it."""
    return {
        "label": told.label,
        "first": percent(told.of_first),
        "second": percent(told.of_second),
        "low": f"{100 * told.low:.1f}",
        "high": f"{100 * told.high:.1f}",
    }


def _means(material: Material, told: Difference) -> dict[str, str]:
    """A difference of means as a sentence shows it."""
    return {
        "target": material.target,
        "first": number(told.of_first),
        "second": number(told.of_second),
        "low": f"{told.low:.3g}",
        "high": f"{told.high:.3g}",
    }


__all__ = ["EFFECT", "Difference", "others_tell", "said", "side_by_side", "target_difference", "together"]
