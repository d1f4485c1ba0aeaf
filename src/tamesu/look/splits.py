"""Classes that fall into two clear groups, as other classes do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamesu.look.features import Features
from tamesu.look.finding import Finding, Suggestion
from tamesu.look.material import Material
from tamesu.texts import say

Progress = Callable[[str, int, int], None]
MIN_ROWS = 40  # of a class
MIN_OTHER = 20  # rows of a class that can say whether it is divided too
MIN_SIDE = 15  # rows of either group
MIN_SIDE_FRACTION = 0.1
MIN_GROUPS = 10  # declared groups in a class, and a quarter of them on either side: a track or a person is no class of its own
EXCESS = 0.06  # share of the rows that would have to move before the class is one heap
GAP = 2.1  # distance of the groups' medians over the sum of their spreads (MAD x 1.48): a uniform spread cut in two has 1.35
SPIKE = 0.05  # share of rows with one and the same value from which on it is not a measurement
MAX_SPIKES = 2  # a 0 or a 999; of more, the column is counts or grades, and what stays of it has holes
N_COMPONENTS = 5
MAX_CLASSES = 100
SHARED = 0.34  # of the other classes that fall apart along the same line: it divides the rows, not the class
EXPLAINED = 0.9  # share of rows a column of categories puts on the right side
SHOWN = 6


@dataclass(frozen=True, eq=False)
class Cut:
    """Where a class falls apart.

    Attributes:
        name: The feature, or "" for several together.
        excess: Excess mass of the second heap.
        limit: What a single heap stays under.
        upper: The rows of one side.  (n,)
        gap: Distance of the sides, in their spreads.
        line: Weights of the standardised numbers.  (p,)
    """

    name: str
    excess: float
    limit: float
    upper: NDArray[np.bool_]
    gap: float
    line: NDArray[np.float64]


def find_splits(
    material: Material,
    features: Features,
    labels: NDArray[np.int64],
    codes: tuple[int, ...],
    groups: NDArray[np.int64] | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """Classes whose rows make two heaps along a number, or along the line through two clusters.

    Args:
        material: All that was read.
        features: Of the rows looked at.
        labels: Their classes.  (n,)
        codes: Classes with enough rows.
        groups: Declared groups of the rows.  (n,)
        progress: Told of each class.
    """
    numeric = np.flatnonzero(~features.is_category)
    x = np.stack([_measured(features.values[:, i].astype(np.float64)) for i in numeric], axis=1) if len(numeric) else None
    testable = [c for c in codes if (labels == c).sum() >= MIN_ROWS][:MAX_CLASSES]
    if x is None or not testable:
        return []
    names = tuple(features.names[i] for i in numeric)
    n_tests = len(testable) * (len(numeric) + N_COMPONENTS + 1)
    out = []
    for i, code in enumerate(testable):
        if progress is not None:
            progress(say("classes that may be two"), i, len(testable))
        at = np.flatnonzero(labels == code)
        cut = _cut(x[at], names, n_tests)
        if cut is None or not _over_groups(cut, None if groups is None else groups[at]):
            continue
        if _explained(features.take(at), cut) or _shared(x, labels, code, cut):
            continue
        out.append(_finding(material, features, at, code, cut, names))
    return out


def excess_mass(x: NDArray[np.float64], n_levels: int = 24) -> float:
    """How much more mass two intervals hold above a level than one does, at the level where that is most; 0–1.

    Half of it is the dip: 0 for one heap however skewed, up to 0.5 and more for two.

    Source:
        Müller & Sawitzki (1991), Excess mass estimates and tests for multimodality, J. Amer. Statist. Assoc. 86.
    """
    x = np.sort(x)
    n = len(x)
    span = float(np.quantile(x, 0.95) - np.quantile(x, 0.05))
    if n < 4 or span <= 0:
        return 0.0
    i, best = np.arange(n), 0.0
    for level in np.geomspace(0.15, 6, n_levels) / span:
        starts, ends = i / n - level * x, (i + 1) / n - level * x
        before = np.maximum.accumulate(ends - np.minimum.accumulate(starts))
        behind = np.maximum.accumulate((np.maximum.accumulate(ends[::-1])[::-1] - starts)[::-1])[::-1]
        best = max(best, float((before[:-1] + behind[1:]).max() - before[-1]))
    return best


def least_excess(n: int, n_tests: int) -> float:
    """Excess mass that a uniform sample, the widest single heap, passes in 1 of 50 data sets with so many tests.

    The 0.999 quantile of excess x sqrt(n) is 1.25 for 40 to 1,000 rows (simulated, 600 draws each), and each further decade
    adds 0.16.
    """
    return float((1.25 + 0.16 * max(0.0, np.log10(n_tests / 20))) / np.sqrt(n))


def _measured(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """A column without the values that come too often to be measured, ties spread over their step; NaN elsewhere."""
    out = np.where(np.isfinite(column), column, np.nan)
    known = ~np.isnan(out)
    values, place, counts = np.unique(out[known], return_inverse=True, return_counts=True)
    if len(values) < 20:
        return np.full(len(out), np.nan)
    kept = out[known]
    if counts.max() > 1:
        step = float(np.median(np.diff(values)))
        order = np.argsort(place, kind="stable")
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        rank = np.empty(len(kept))
        rank[order] = np.arange(len(kept)) - np.repeat(first, counts)
        shuffled = np.random.default_rng(0).permutation(len(kept))  # ties are broken by no order of the rows
        kept = kept + step * ((rank + shuffled / len(kept)) / (counts[place] + 1.0) - 0.5) * (counts[place] > 1)
        too_often = counts > max(3, SPIKE * len(kept))
        if too_often.sum() > MAX_SPIKES:
            return np.full(len(out), np.nan)
        kept = np.where(too_often[place], np.nan, kept)
    out[known] = kept
    return out


def _cut(x: NDArray[np.float64], names: tuple[str, ...], n_tests: int) -> Cut | None:
    """The clearest cut through a class."""
    x = np.where(np.isnan(x).mean(axis=0) > 0.5, np.nan, x)
    usable = np.flatnonzero(~np.isnan(x).all(axis=0))
    if not len(usable):
        return None
    best: Cut | None = None
    for line, places, name in _lines(x, usable, names):
        found = _cut_along(line, places, name, n_tests)
        if found is not None and (best is None or found.excess > best.excess):
            best = found
    return best


def _lines(x: NDArray[np.float64], usable: NDArray[np.int64], names: tuple[str, ...]):  # type: ignore[no-untyped-def]
    """Each number, the main components, and the line through two clusters found in the other half of the rows."""
    p = x.shape[1]
    for i in usable:
        yield np.eye(p)[i], x[:, i], names[i]
    if len(usable) < 2:
        return
    some = x[:, usable]
    z = np.clip(np.nan_to_num((some - np.nanmedian(some, axis=0)) / np.maximum(np.nanstd(some, axis=0), 1e-12)), -6, 6)
    _, _, axes = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)
    axes = axes[:N_COMPONENTS]
    for axis in axes:
        line = np.zeros(p)
        line[usable] = axis
        yield line, z @ axis, ""
    line, places = _between_clusters(z @ axes.T)
    whole = np.zeros(p)
    whole[usable] = axes.T @ line
    yield whole, places, ""


def _between_clusters(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Line through two clusters, and where each row lies on the line of the half it is not in: 0 is midway.

    Two clusters fitted to a cloud always lie apart along their own line; along one fitted to other rows they do not.
    """
    from sklearn.cluster import KMeans

    half = np.random.default_rng(len(z)).permutation(len(z)) % 2 == 0
    places = np.zeros(len(z))
    lines: list[NDArray[np.float64]] = []
    for train in (half, ~half):
        first, second = KMeans(2, n_init=4, random_state=0).fit(z[train]).cluster_centers_
        line = (second - first) / max(float(np.linalg.norm(second - first)), 1e-12)
        sign = -1.0 if lines and float(line @ lines[0]) < 0 else 1.0
        places[~train] = sign * ((z[~train] - (first + second) / 2) @ line)
        lines.append(sign * line)
    return (lines[0] + lines[1]) / 2, places


def _cut_along(line: NDArray[np.float64], places: NDArray[np.float64], name: str, n_tests: int) -> Cut | None:
    known = places[~np.isnan(places)]
    n = len(known)
    if n < MIN_ROWS:
        return None
    excess = excess_mass(known)
    limit = max(EXCESS, least_excess(n, n_tests))
    if excess < limit:
        return None
    ordered = np.sort(known)
    least = max(MIN_SIDE, int(np.ceil(MIN_SIDE_FRACTION * n)))
    if n < 2 * least:
        return None
    at = _valley(ordered, least)
    lower, upper = ordered[:at], ordered[at:]
    spread = 1.4826 * sum(float(np.median(np.abs(side - np.median(side)))) for side in (lower, upper))
    gap = float(np.median(upper) - np.median(lower)) / max(spread, 1e-12)
    if gap < GAP:
        return None
    threshold = (ordered[at - 1] + ordered[at]) / 2
    return Cut(name, excess, limit, np.nan_to_num(places, nan=-np.inf) > threshold, gap, line)


def _valley(ordered: NDArray[np.float64], least: int) -> int:
    """Where to cut sorted numbers into two: the least sum of squares within the sides (Otsu), no side smaller than `least`."""
    n = len(ordered)
    centred = ordered - ordered.mean()
    i = np.arange(1, n)
    left = np.cumsum(centred)[:-1]
    between = left**2 * n / (i * (n - i))
    between[: least - 1] = between[n - least :] = -1
    return int(np.argmax(between)) + 1


def _over_groups(cut: Cut, groups: NDArray[np.int64] | None) -> bool:
    """Whether enough declared groups lie on either side for the cut not to be a matter of a few of them."""
    if groups is None:
        return True
    _, unit = np.unique(groups, return_inverse=True)
    side = np.bincount(unit, weights=cut.upper) / np.bincount(unit) > 0.5
    return len(side) >= MIN_GROUPS and min(side.sum(), (~side).sum()) >= max(3, len(side) // 10)


def _explained(features: Features, cut: Cut) -> bool:
    """Whether one column of categories says by itself which side a row is on: then it is in the table already."""
    for i in np.flatnonzero(features.is_category):
        codes = np.nan_to_num(features.values[:, i], nan=-1).astype(np.int64) + 1
        table = np.bincount(codes * 2 + cut.upper, minlength=2 * (codes.max() + 1)).reshape(-1, 2)
        right, by_chance = int(table.max(axis=1).sum()), int(table.sum(axis=0).max())
        if (table.sum(axis=1) > 0).sum() <= 20 and right >= EXPLAINED * len(codes) and right > 1.05 * by_chance:
            return True
    return False


def _shared(x: NDArray[np.float64], labels: NDArray[np.int64], code: int, cut: Cut) -> bool:
    """Whether other classes fall apart along the same line: then a room, a camera or a sex divides all rows alike."""
    others = [one for one in np.unique(labels) if one != code and (labels == one).sum() >= MIN_OTHER]
    if not others:
        return len(np.unique(labels)) > 1
    own = x[labels == code]
    used = np.flatnonzero(np.nan_to_num(cut.line) != 0)
    x, own = x[:, used], own[:, used]
    middle, spread = np.nanmedian(own, axis=0), np.maximum(np.nanstd(own, axis=0), 1e-12)
    apart = 0
    for one in others:  # a looser limit than for a finding: one class in 50 of a single heap passes it
        z = np.clip(np.nan_to_num((x[labels == one] - middle) / spread), -6, 6)
        places = z @ cut.line[used]
        apart += excess_mass(places) >= max(EXCESS / 2, 1.0 / np.sqrt(len(places)))
    return apart >= max(1, SHARED * len(others))


def _finding(
    material: Material, features: Features, at: NDArray[np.int64], code: int, cut: Cut, names: tuple[str, ...]
) -> Finding:
    rows, n = features.rows[at], (int((~cut.upper).sum()), int(cut.upper.sum()))
    titles = (say("first group"), say("second group"))
    sides = {
        title: list(material.shown(rows[kind][:: max(1, int(kind.sum()) // SHOWN)][:SHOWN]))
        for title, kind in zip(titles, (~cut.upper, cut.upper), strict=True)
    }
    weights = np.abs(np.nan_to_num(cut.line))
    main = [names[i] for i in np.argsort(-weights, kind="stable")[:3] if weights[i] > 0.2]
    by = [cut.name] if cut.name else main
    sentence = say(
        "`{label}` falls into two groups of {n_a} and {n_b} rows along {names}, with a gap between them that no single heap of "
        "rows has (excess mass {excess:.2f}; a uniform spread stays under {limit:.2f}). The other classes are not divided so.",
        label=material.classes[code],
        n_a=n[0],
        n_b=n[1],
        names=", ".join(f"`{one}`" for one in by) or say("several columns together"),
        excess=cut.excess,
        limit=cut.limit,
    )
    note = say(
        "Look at both groups. If they mean different things, write them as two classes in the table; if not, add a column that "
        "says which group a row is in."
    )
    where = {str(features.fields[features.names.index(one)]): None for one in by}
    return Finding(
        "split",
        sentence,
        strength=float(np.clip(0.35 + cut.excess, 0.4, 0.8)),
        fields=tuple(where),
        labels=(material.classes[code],),
        rows=tuple(one for ids in sides.values() for one in ids),
        suggestion=Suggestion(note=note),
        evidence={"sides": sides, "excess": cut.excess, "gap": cut.gap, "n": list(n)},
    )


__all__ = ["excess_mass", "find_splits", "least_excess"]
