"""Classes that may be one: spelled alike, or told apart by nothing; and classes that may be two (`splits.py`)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamesu.look.features import Features, make_features
from tamesu.look.finding import Finding, Part, Suggestion
from tamesu.look.material import Material
from tamesu.look.separation import Separation, auc_interval, sample, tell_apart, wilson
from tamesu.look.splits import find_splits
from tamesu.texts import say

Progress = Callable[[str, int, int], None]
MIN_ROWS = 25  # of a class: fewer cannot show that there is no difference
MAX_CLASSES = 300  # the most frequent are compared
ROWS_OF_CLASS = 1_000  # at most, of each class
MAX_PAIRS = 60  # the closest are looked at
MAX_TRIED = 15  # of them, those that a linear model does not tell apart get the whole classifier
MAX_HIGH = 0.68  # upper end of the AUC's interval up to which two classes may be one
SURELY_LOW = 0.58  # with so many rows that the upper end lies under this, a lower end over 0.5 is of no use either
TOLD = 0.75  # lower end of the AUC from which rows are told apart
ONE_PROPERTY = 0.02  # p-value, times the number of columns, of a single column that differs between two classes
SHOWN = 6  # samples of either class


@dataclass(frozen=True, eq=False)
class ClassRows:
    """Training rows of the classes that have enough, and what is known of them.

    Attributes:
        features: Of the rows.
        x: The features as standardised numbers without gaps, categories as one column a level.  (n, p)
        labels: Codes of `Material.classes`.  (n,)
        groups: Rows that belong together; None: none are declared.  (n,)
        codes: Classes with at least `MIN_ROWS` rows.
    """

    features: Features
    x: NDArray[np.float64]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64] | None
    codes: tuple[int, ...]


def find_merges(material: Material, progress: Progress | None = None) -> Part:
    """Pairs of classes that may be one, and classes that may be two.

    Two classes may be one where a cross-validated classifier does not tell their rows apart, the upper end of its AUC's
    interval is low, and the same features do tell both of them from the other classes: where the features say nothing of any
    class, that they say nothing of these two means nothing.

    Args:
        material: All that was read.
        progress: Told of each pair.

    Returns:
        Findings of kind merge and split; in `figures` every pair that was looked at.
    """
    spelled = _spelled_alike(material)
    if not material.classes or len(material.labels) != len(material):
        return Part(tuple(spelled), {"pairs": []})
    given = class_rows(material)
    if given is None or not given.x.shape[1]:
        text = say(
            "No class has {n} training rows and columns to tell it by: nothing can be said of classes that may be one or two.",
            n=MIN_ROWS,
        )
        return Part(tuple(spelled), {"pairs": []}, (text,))
    named = {one.labels for one in spelled}
    found, figures, warnings = _told_by_nothing(material, given, named, progress)
    splits = find_splits(material, given.features, given.labels, given.codes, given.groups, progress)
    return Part((*spelled, *found, *splits), {"pairs": figures}, tuple(warnings))


def class_rows(material: Material) -> ClassRows | None:
    """Training rows of the classes with enough of them; None where no class has, or no column says anything."""
    counts = np.bincount(material.labels[(material.labels >= 0) & material.is_train], minlength=len(material.classes))
    enough = [int(code) for code in np.argsort(-counts, kind="stable")[:MAX_CLASSES] if counts[code] >= MIN_ROWS]
    if not enough:
        return None
    limit = max(60, min(ROWS_OF_CLASS, 20_000 // len(enough)))
    order = np.argsort(material.labels, kind="stable")
    order = order[material.is_train[order]]
    ends = np.searchsorted(material.labels[order], np.arange(len(material.classes) + 1))
    rows = np.sort(np.concatenate([sample(np.sort(order[ends[c] : ends[c + 1]]), limit, seed=c) for c in enough]))
    declared = [
        c for c in material.columns.values() if c.declared and not c.is_target and c.declared not in ("group", "id", "ignore")
    ]
    by_pictures = bool(material.pictures or material.properties)
    not_told = {c.name for c in material.columns.values() if c.declared in ("group", "ignore", "id")}
    features = make_features(
        material, rows, leave_out=not_told | _says_class(material, rows), undeclared=not declared and not by_pictures
    )
    if not features.names:
        return None
    groups = None if material.groups is None else material.groups[rows]
    if groups is not None:  # a row without a group stands alone
        groups = np.where(groups < 0, groups.max() + 1 + np.arange(len(groups)), groups)
    return ClassRows(features, standardised(features), material.labels[rows], groups, tuple(enough))


def standardised(features: Features) -> NDArray[np.float64]:
    """The features around 0 with quartiles 1.35 apart, at most 5; 0 where missing; a column for each frequent level.  (n, p)"""
    parts: list[NDArray[np.float64]] = []
    for i in range(len(features.names)):
        column = features.values[:, i].astype(np.float64)
        gone = np.isnan(column)
        if features.is_category[i]:
            parts += [(column == level).astype(float) for level in np.unique(column[~gone])[:12]]
        else:
            low, middle, high = np.nanpercentile(column, (25, 50, 75)) if not gone.all() else (0.0, 0.0, 0.0)
            spread = (high - low) / 1.349 or float(np.nanstd(column)) or 1.0
            parts.append(np.clip(np.where(gone, 0.0, (column - middle) / spread), -5, 5))
        if 0.02 < gone.mean() < 1:
            parts.append(gone.astype(float))
    x = np.stack(parts, axis=1)
    return x[:, x.std(axis=0) > 0]


def _says_class(material: Material, rows: NDArray[np.int64]) -> set[str]:
    """Columns that are another name of the class: of few values, each with one class only. They would tell any pair apart."""
    k, labels = len(material.classes), material.labels[rows]
    out = set()
    for column in material.columns.values():
        if column.is_target or not len(column.levels) or not 3 <= len(column.levels) <= 2 * k + 10:
            continue
        codes = column.codes[rows]
        known = codes >= 0
        table = np.bincount(codes[known] * k + labels[known], minlength=len(column.levels) * k).reshape(-1, k)
        if known.any() and table.max(axis=1).sum() >= 0.995 * known.sum():
            out.add(column.name)
    return out


def _told_by_nothing(
    material: Material, given: ClassRows, named: set[tuple[str, ...]], progress: Progress | None
) -> tuple[list[Finding], list[dict[str, object]], list[str]]:
    findings: list[Finding] = []
    figures: list[dict[str, object]] = []
    silent = tried = 0
    pairs = _closest(given)
    for i, (a, b) in enumerate(pairs):
        if progress is not None:
            progress(say("classes that may be one"), i, len(pairs))
        names = (material.classes[a], material.classes[b])
        at = np.flatnonzero((given.labels == a) | (given.labels == b))
        y = given.labels[at] == b
        groups = None if given.groups is None else given.groups[at]
        quick = half_and_half(given.x[at], y, groups)
        told: Separation | None = None
        apart: tuple[float, float, float] | None = None
        if quick is not None and quick[0] < MAX_HIGH and not _is_known(names, named):
            apart = _from_the_others(given, a, b)
            silent += apart is None or apart[1] < TOLD
        if apart is not None and apart[1] >= TOLD and tried < MAX_TRIED:
            tried += 1
            told = tell_apart(given.features.take(at), y, groups)
        shown = quick if told is None else (told.auc, told.low, told.high)
        if shown is not None:
            sides = _sides(material, given.features.rows[at], y, names)
            figures.append({"labels": list(names), "auc": shown[0], "low": shown[1], "high": shown[2], "sides": sides})
        if told is None or apart is None or not _may_be_one(told, given.x[at], y):
            continue
        findings.append(_one_finding(material, given, at, y, (a, b), told, apart[0]))
    warnings = []
    if silent:
        text = say(
            "{n} pairs of classes are not told apart, but the columns and pictures here hardly tell these classes from any "
            "other one either: nothing can be said of joining them.",
            n=silent,
        )
        warnings.append(text)
    return findings, figures, warnings


def _is_known(names: tuple[str, str], named: set[tuple[str, ...]]) -> bool:
    return any(set(names) <= set(one) for one in named)


def _closest(given: ClassRows) -> list[tuple[int, int]]:
    """Pairs of classes by the distance of their means, nearest first; what chance adds to it is taken off."""
    codes = np.array(given.codes)
    if len(codes) < 2:
        return []
    n = np.array([(given.labels == c).sum() for c in codes], dtype=float)
    means = np.stack([given.x[given.labels == c].mean(axis=0) for c in codes])
    within = sum(((given.x[given.labels == c] - m) ** 2).sum(axis=0) for c, m in zip(codes, means, strict=True)) / n.sum()
    scaled = means / np.sqrt(np.maximum(within, 1e-6))
    squares = (scaled**2).sum(axis=1)
    distance = (squares[:, None] + squares[None] - 2 * scaled @ scaled.T) / scaled.shape[1] - (1 / n[:, None] + 1 / n[None])
    first, second = np.triu_indices(len(codes), 1)
    order = np.argsort(distance[first, second], kind="stable")[:MAX_PAIRS]
    return [
        (int(min(codes[i], codes[j])), int(max(codes[i], codes[j]))) for i, j in zip(first[order], second[order], strict=True)
    ]


def half_and_half(
    x: NDArray[np.float64], y: NDArray[np.bool_], groups: NDArray[np.int64] | None, n_repeats: int = 2
) -> tuple[float, float, float] | None:
    """AUC and interval of a linear discriminant fitted on half of the rows and scored on the others, both ways.

    A first look that costs a hundredth of `separation.tell_apart`. None where a half lacks a kind of row.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    units = np.arange(len(y)) if groups is None else groups
    _, unit = np.unique(units, return_inverse=True)
    total = np.zeros(len(y))
    for repeat in range(n_repeats):
        rng = np.random.default_rng([repeat, len(y)])
        half = (rng.permutation(unit.max() + 1) % 2 == 0)[unit]
        for train in (half, ~half):
            if min(y[train].sum(), (~y[train]).sum()) < 3 or train.all():
                return None
            model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.2).fit(x[train], y[train])
            scores = model.decision_function(x[~train])
            total[~train] += (np.argsort(np.argsort(scores)) + 0.5) / len(scores)
    auc, low, high, _ = auc_interval(total, y, groups)
    return auc, low, high


def _may_be_one(told: Separation, x: NDArray[np.float64], y: NDArray[np.bool_]) -> bool:
    """Whether the interval allows no difference that would be of use."""
    if told.high < SURELY_LOW:
        return True
    if told.high > MAX_HIGH or told.low > 0.5:
        return False
    from scipy import stats

    with np.errstate(all="ignore"):
        p_values = stats.ttest_ind(x[y], x[~y], equal_var=False).pvalue
    known = p_values[np.isfinite(p_values)]
    return not len(known) or float(known.min()) * len(known) > ONE_PROPERTY


def with_squares(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The numbers and their squares: a class in the middle of others is then told by a plane too.  (n, 2 p)"""
    return np.concatenate([x, x**2], axis=1)


def _from_the_others(given: ClassRows, a: int, b: int) -> tuple[float, float, float] | None:
    """How well the two classes together are told from all others."""
    y = (given.labels == a) | (given.labels == b)
    if (~y).sum() < MIN_ROWS:
        return None
    own, other = sample(np.flatnonzero(y), 1_000), sample(np.flatnonzero(~y), 3_000)
    at = np.sort(np.concatenate([own, other]))
    return half_and_half(with_squares(given.x[at]), y[at], None if given.groups is None else given.groups[at])


def _one_finding(
    material: Material,
    given: ClassRows,
    at: NDArray[np.int64],
    y: NDArray[np.bool_],
    pair: tuple[int, int],
    told: Separation,
    apart: float,
) -> Finding:
    n = (int((~y).sum()), int(y.sum()))
    names = (material.classes[pair[0]], material.classes[pair[1]])
    taken = told.scores > 0.5
    wrong = int((taken != y).sum())
    confused = wilson(wrong, len(y))
    sides = _sides(material, given.features.rows[at], y, names)
    sentence = say(
        "No classifier here tells `{a}` ({n_a} rows) from `{b}` ({n_b} rows): AUC {auc:.2f} ({low:.2f} to {high:.2f}), "
        "{wrong:.0%} of their rows are taken for the other one where chance gives 50%. "
        "From the other classes the two are told with AUC {apart:.2f}.",
        a=names[0], n_a=n[0], b=names[1], n_b=n[1], auc=told.auc, low=told.low, high=told.high,
        wrong=wrong / len(y), apart=apart,
    )  # fmt: skip
    kept, given_up = (
        (names[0], names[1]) if material_count(material, pair[0]) >= material_count(material, pair[1]) else names[::-1]
    )
    return Finding(
        "merge",
        sentence,
        strength=float(np.clip(0.95 - 2 * max(0.0, told.high - 0.52), 0.4, 0.9)),
        fields=(material.target,),
        labels=names,
        rows=(*sides[names[0]], *sides[names[1]]),
        interval=(told.low, told.high),
        suggestion=merge_suggestion(material, given_up, kept),
        evidence={
            "sides": sides,
            "bars": _overlaps(given.features.take(at), y),
            "table": {
                "head": [say("label"), *(say("taken for `{label}`", label=name) for name in names)],
                "rows": [
                    [name, int((~taken & (y == kind)).sum()), int((taken & (y == kind)).sum())]
                    for kind, name in enumerate(names)
                ],
            },
            "confused": {"fraction": wrong / len(y), "low": confused[0], "high": confused[1], "by_chance": 0.5},
            "auc_from_others": apart,
        },
    )


def _sides(material: Material, rows: NDArray[np.int64], y: NDArray[np.bool_], names: tuple[str, str]) -> dict[str, list[str]]:
    """Some rows of either class, evenly taken."""
    return {
        name: list(material.shown(rows[y == kind][:: max(1, int((y == kind).sum()) // SHOWN)][:SHOWN]))
        for kind, name in enumerate(names)
    }


def material_count(material: Material, code: int) -> int:
    """Training rows of a class."""
    return int(((material.labels == code) & material.is_train).sum())


def merge_suggestion(material: Material, given_up: str, kept: str) -> Suggestion:
    """To try one class in place of two, on the metric of both."""
    column = material.columns.get(material.target)
    name = column.field or material.target if column is not None else material.target
    idea = f"merge-{_slug(given_up)}-{_slug(kept)}"
    note = say("`{a}` is trained as `{b}`; both stay in the metric, so that the two arms are scored alike.", a=given_up, b=kept)
    return Suggestion({"fields": {name: {"merge": {given_up: kept}}}}, idea=idea, note=note)


def _overlaps(features: Features, y: NDArray[np.bool_], n: int = 6) -> dict[str, float]:
    """Overlap of the features that differ most, 0–1: twice the share of pairs of rows that each orders wrongly."""
    out = {}
    for i, name in enumerate(features.names):
        column = features.values[:, i]
        known = ~np.isnan(column)
        if min((known & y).sum(), (known & ~y).sum()) >= 5:
            auc = auc_interval(column[known].astype(float), y[known])[0]
            out[name] = round(2 * min(auc, 1 - auc), 4)
    return dict(sorted(out.items(), key=lambda one: one[1])[:n])


def _spelled_alike(material: Material) -> list[Finding]:
    """Classes whose names differ by case, blanks, width of letters or a full stop only, in either table."""
    column = material.columns.get(material.target)
    if column is None or material.target_kind not in ("label", "direction", ""):
        return []
    by_key: dict[str, list[int]] = {}
    for code, level in enumerate(column.levels):
        by_key.setdefault(spelling(str(level)), []).append(code)
    in_train = np.bincount(column.codes[material.is_train & (column.codes >= 0)], minlength=len(column.levels))
    out = []
    for key, codes in by_key.items():
        names = tuple(str(column.levels[code]) for code in codes)
        if len(codes) < 2 or not key or all(len(name.strip(" .。")) == 1 for name in names) or _only_signs(names):
            continue
        out.append(_spelling_finding(material, names, {n: int(in_train[c]) for n, c in zip(names, codes, strict=True)}, codes))
    return out[:20]


def _spelling_finding(material: Material, names: tuple[str, ...], in_train: Mapping[str, int], codes: list[int]) -> Finding:
    column = material.columns[material.target]
    at = {name: np.flatnonzero(column.codes == code) for name, code in zip(names, codes, strict=True)}
    sides = {name: list(material.shown(rows[:SHOWN])) for name, rows in at.items()}
    kept = max(names, key=lambda name: in_train[name])
    sentence = say(
        "{names} are the same class by their spelling ({counts} rows): they differ only in case, blanks, width of letters or a "
        "full stop.",
        names=", ".join(f"`{name}`" for name in names),
        counts=", ".join(str(len(at[name])) for name in names),
    )
    note = say("Better: write `{name}` in every row of the tables.", name=kept)
    trained = [name for name in names if name != kept and in_train[name]]
    suggestion = Suggestion(note=note)
    if trained and in_train[kept]:
        one = merge_suggestion(material, trained[0], kept)
        name = next(iter(one.patch["fields"]))
        suggestion = Suggestion({"fields": {name: {"merge": dict.fromkeys(trained, kept)}}}, one.idea, f"{note}\n{one.note}")
    rows = tuple(one for ids in sides.values() for one in ids)
    evidence = {"sides": sides, "bars": {name: len(at[name]) for name in names}}
    return Finding("merge", sentence, 0.9, (material.target,), names, rows, None, suggestion, evidence)


def spelling(name: str) -> str:
    """What stays of a name without case, width of letters, blanks and a full stop; signs stay: -1 is not 1, C++ is not C."""
    text = unicodedata.normalize("NFKC", name).casefold().strip()
    text = re.sub(r"[.。,、;:]+$", "", text).strip()
    text = re.sub(r"(?<=[^\W\d])[\s_\-]+(?=[^\W\d])", "", text)
    text = re.sub(r"(?<=[^\W\d])[\s_]+(?=\d)|(?<=\d)[\s_]+(?=[^\W\d])", "", text)
    text = re.sub(r"\s+", " ", re.sub(r"\s*([<>=])\s*", r"\1", text))
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


def _only_signs(names: tuple[str, ...]) -> bool:
    return not any(letter.isalnum() for name in names for letter in name)


def _slug(name: str) -> str:
    return re.sub(r"[^\w]+", "_", name).strip("_") or "class"


__all__ = ["ClassRows", "class_rows", "find_merges", "half_and_half", "merge_suggestion", "spelling", "standardised"]
