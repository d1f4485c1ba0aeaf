"""Rows that belong together, such as frames of one track: groups that should be declared, and the score they would inflate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.look.features import make_features
from tamesu.look.finding import Finding, Part, Suggestion
from tamesu.look.material import Material, PictureFacts
from tamesu.look.separation import sample
from tamesu.texts import say

Progress = Callable[[str, int, int], None]
MAX_ROWS = 4_000
LEAST_GROUPS, LEAST_ROWS = 10, 60
MOST_COLUMNS = 60  # columns tried
LEAST_SHARE, LEAST_LIFT = 0.3, 4.0  # nearest neighbours of the same group: as a share, and against chance within a class
NEIGHBOURS = 5
SURE_Z = 6.0
MOST_OF_ROWS = 0.2  # a folder, or a part of file names, that more rows share says nothing of what they show


@dataclass(frozen=True, eq=False)
class Candidate:
    """A way to group the rows: a column, or part of the names of files."""

    name: str
    column: str  # "" where it is made from file names
    codes: NDArray[np.int64]  # (n,); -1: none
    keys: NDArray[np.object_]  # what each code stands for


@dataclass(frozen=True, eq=False)
class Clustering:
    """How much more alike rows of a group are than rows of a class."""

    candidate: Candidate
    share: float  # of rows whose nearest neighbour is of the same group
    chance: float
    n_groups: int
    plain: float | None = None
    grouped: float | None = None
    interval: tuple[float, float] | None = None


def find_groups(material: Material, progress: Progress | None = None) -> Part:
    """Columns, and parts of file names, that hold rows together which should never be on both sides of a split.

    Args:
        material: What was read.
        progress: Not told anything.
    """
    rows = np.flatnonzero(material.is_train)
    if material.classes:
        rows = rows[material.labels[rows] >= 0]
    if len(rows) < LEAST_ROWS:
        return Part()
    declared = material.config.folds.group if material.config is not None else None
    rows = _whole_groups(rows, material)
    found: list[Clustering] = []
    for candidate in _candidates(material, rows):
        space = _space(material, rows, candidate)
        if space is None:
            continue
        one = _clustering(material, candidate, rows, space)
        if one is not None and not any(_is_same(one.candidate, other.candidate, rows) for other in found):
            found.append(one)
    figures = {one.candidate.name: {"share": one.share, "chance": one.chance, "groups": one.n_groups} for one in found}
    if declared is not None:
        return Part((), {"declared": declared, "candidates": figures})
    found.sort(key=lambda one: (-one.share * one.n_groups, one.candidate.column == ""))
    findings = [_finding(material, _scored(material, one, rows), rows) for one in found[:3]]
    return Part(tuple(findings), {"candidates": figures})


def _whole_groups(rows: NDArray[np.int64], material: Material) -> NDArray[np.int64]:
    """Rows one after the other as in the table: neighbours of a group stay together, which a random sample would part."""
    if len(rows) <= MAX_ROWS:
        return rows
    blocks = np.array_split(rows, max(1, len(rows) // 200))
    chosen = sample(np.arange(len(blocks)), max(1, MAX_ROWS // 200))
    return np.concatenate([blocks[i] for i in chosen])


def _candidates(material: Material, rows: NDArray[np.int64]) -> Iterator[Candidate]:
    tried = 0
    for column in material.columns.values():
        skip = column.is_target or column.name == material.id_column or column.declared in ("image", "mask", "depth", "id")
        is_whole = column.kind in ("category", "text") or (
            column.kind == "number" and bool((column.numbers[rows] == np.round(column.numbers[rows])).all())
        )
        if skip or not is_whole or tried >= MOST_COLUMNS:
            continue
        codes = column.codes[rows].astype(np.int64)
        if _may_be_groups(codes):
            tried += 1
            yield Candidate(column.name, column.name, column.codes.astype(np.int64), column.levels)
    for facts in material.pictures.values():
        if not any(facts.paths[rows]):
            continue
        yield from _by_file_names(facts, rows)


def _by_file_names(facts: PictureFacts, rows: NDArray[np.int64]) -> Iterator[Candidate]:
    """Parts of the names that rows share; a name that is a mere number, and a part that very many share, make no group."""
    names, folder = pd.Series(facts.names).astype(str), say("folder")
    ways = {
        say("file name before its last number"): names.str.replace(r"[_\-. ]?\d+(\.\w+)?$", "", regex=True),
        say("file name up to its first separator"): names.str.replace(r"[_\-. ][^/\\]*$", "", regex=True),
        folder: names.str.replace(r"[^/\\]*$", "", regex=True),
    }
    for way, keys in ways.items():
        codes, found = pd.factorize(keys.astype(object))
        counts = np.bincount(codes[rows], minlength=len(found))
        is_bare = np.array([not key or (key[-1] in "/\\" and way != folder) for key in found], dtype=bool)
        none = is_bare | (counts > MOST_OF_ROWS * len(rows))
        codes = np.where(none[codes], -1, codes).astype(np.int64)
        if _may_be_groups(codes[rows]):
            yield Candidate(way, "", codes, np.asarray(found, dtype=object))


def _may_be_groups(codes: NDArray[np.int64]) -> bool:
    known = codes[codes >= 0]
    counts = np.bincount(known) if len(known) else np.zeros(1, dtype=np.int64)
    n_groups = int((counts > 0).sum())
    several = int(counts[counts > 1].sum())
    return n_groups >= LEAST_GROUPS and several >= 0.5 * len(codes) and len(known) >= 0.5 * len(codes)


def _space(material: Material, rows: NDArray[np.int64], candidate: Candidate) -> NDArray[np.float32] | None:
    """What rows look like, the candidate left out, each part on one scale.  (n, f)"""
    parts = []
    for facts in material.pictures.values():
        if facts.embedding.shape[1] and facts.whole[rows].mean() > 0.9:
            parts.append(facts.embedding[rows])
    if not parts:
        features = make_features(material, rows, leave_out={candidate.column}, pictures=False)
        for i in range(features.values.shape[1]):
            column = features.values[:, i]
            if features.is_category[i]:
                levels = np.unique(column[~np.isnan(column)])[:20]
                parts.append((column[:, None] == levels[None, :]).astype(np.float32))
                continue
            known = column[np.isfinite(column)]
            if len(np.unique(known)) < 3:
                continue
            low, middle, high = np.percentile(known, (16, 50, 84))
            scaled = np.clip((column - middle) / max(float(high - low) / 2, 1e-9), -4, 4)
            parts.append(np.nan_to_num(scaled, nan=0.0)[:, None].astype(np.float32))
    return np.concatenate(parts, axis=1) if parts else None


def _clustering(
    material: Material, candidate: Candidate, rows: NDArray[np.int64], space: NDArray[np.float32]
) -> Clustering | None:
    """Whether nearest neighbours share the group far more often than rows of one class do by chance."""
    from sklearn.neighbors import NearestNeighbors

    codes = candidate.codes[rows]
    _, nearest = NearestNeighbors(n_neighbors=2).fit(space).kneighbors(space)
    other = np.where(nearest[:, 0] == np.arange(len(rows)), nearest[:, 1], nearest[:, 0])
    known = codes >= 0
    same = (codes == codes[other]) & known
    share = float(same[known].mean())
    labels = material.labels[rows] if material.classes else np.zeros(len(rows), dtype=np.int64)
    chance = _chance(codes[known], labels[known])
    n = int(known.sum())
    z = (share - chance) / max(np.sqrt(max(chance, 1 / n) * (1 - chance) / n), 1e-9)
    n_groups = len(np.unique(codes[known]))
    if share < LEAST_SHARE or share < LEAST_LIFT * chance or z < SURE_Z:
        return None
    return Clustering(candidate, share, chance, n_groups)


def _chance(codes: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """That a random other row of the same class is of the same group."""
    frame = pd.DataFrame({"group": codes, "label": labels})
    in_both = frame.groupby(["label", "group"]).size().to_numpy()
    in_class = frame.groupby("label").size().to_numpy()
    pairs = float((in_class * (in_class - 1.0)).sum())
    return float((in_both * (in_both - 1.0)).sum()) / pairs if pairs > 0 else 1.0


def _is_same(one: Candidate, other: Candidate, rows: NDArray[np.int64]) -> bool:
    """Two ways that group (nearly) alike what rows both of them group."""
    from sklearn.metrics import adjusted_rand_score

    rows = rows[(one.codes[rows] >= 0) & (other.codes[rows] >= 0)]
    return bool(adjusted_rand_score(one.codes[rows], other.codes[rows]) > 0.9)


def _scored(material: Material, one: Clustering, rows: NDArray[np.int64]) -> Clustering:
    """With what a nearest-neighbour model scores by plain folds and by folds that keep groups whole."""
    from sklearn.model_selection import GroupKFold, KFold
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    space = _space(material, rows, one.candidate)
    if space is None or not material.target:
        return one
    if material.classes:
        y: NDArray[np.float64] = material.labels[rows].astype(np.float64)
    else:
        y = material.columns[material.target].numbers[rows]
    known = np.isfinite(y) & (one.candidate.codes[rows] >= 0)
    space, y, groups = space[known], y[known], one.candidate.codes[rows][known]
    if len(y) < LEAST_ROWS:
        return one
    told = {}
    for way, splits in (
        ("plain", KFold(5, shuffle=True, random_state=0).split(space)),
        ("grouped", GroupKFold(5).split(space, y, groups)),
    ):
        out = np.zeros(len(y))
        for train, test in splits:
            model = KNeighborsClassifier(1) if material.classes else KNeighborsRegressor(min(NEIGHBOURS, len(train)))
            out[test] = model.fit(space[train], y[train]).predict(space[test])
        told[way] = out
    if material.classes:
        gains = {way: (out == y).astype(float) for way, out in told.items()}
    else:
        spread = max(float(y.var()), 1e-12)
        gains = {way: 1 - (out - y) ** 2 / spread for way, out in told.items()}
    low, high = _interval_by_groups(gains["plain"] - gains["grouped"], groups)
    return Clustering(
        one.candidate,
        one.share,
        one.chance,
        one.n_groups,
        float(gains["plain"].mean()),
        float(gains["grouped"].mean()),
        (low, high),
    )


def _interval_by_groups(values: NDArray[np.float64], groups: NDArray[np.int64]) -> tuple[float, float]:
    """95 % interval of the mean, groups being what varies."""
    _, unit = np.unique(groups, return_inverse=True)
    deviations = np.bincount(unit, weights=values - values.mean())
    k = len(deviations)
    error = float(np.sqrt((deviations**2).sum() * k / max(1, k - 1))) / len(values)
    return float(values.mean() - 1.96 * error), float(values.mean() + 1.96 * error)


def _finding(material: Material, one: Clustering, rows: NDArray[np.int64]) -> Finding:
    candidate = one.candidate
    text = say(
        "`{name}` holds rows together: {n} groups, and the row most alike is of the same group in {share} of the rows "
        "({chance} by chance within a class).",
        name=candidate.name,
        n=one.n_groups,
        share=f"{one.share:.0%}",
        chance=f"{one.chance:.1%}",
    )
    strength = 0.6 + 0.3 * one.share
    if one.plain is not None and one.grouped is not None and one.interval is not None:
        text += " " + say(
            "A nearest-neighbour model scores {plain} by plain folds and {grouped} by folds that keep groups whole: {gain} "
            "({low} to {high}) would be imagined.",
            plain=f"{one.plain:.2f}",
            grouped=f"{one.grouped:.2f}",
            gain=f"{one.plain - one.grouped:+.2f}",
            low=f"{one.interval[0]:+.2f}",
            high=f"{one.interval[1]:+.2f}",
        )
    if candidate.column:
        name = material.columns[candidate.column].field or candidate.column
        patch = {"fields": {name: {"kind": "group"}}, "folds": {"group": name}}
        suggestion = Suggestion(patch)
    else:
        suggestion = Suggestion(note=say("Add a column with this part of the name, and declare it: kind: group, folds: group."))
    codes = candidate.codes[rows]
    top = np.argsort(-np.bincount(codes[codes >= 0]))[:4]
    sides = {str(candidate.keys[i]): list(material.shown(rows[codes == i][:8])) for i in top}
    fields = (candidate.column,) if candidate.column else tuple(material.pictures)[:1]
    return Finding(
        "group",
        text,
        min(0.95, strength),
        fields=fields,
        interval=one.interval,
        suggestion=suggestion,
        evidence={"sides": sides},
    )
