"""The target class by class: how many rows each has, what they look like, and what tells each pair of classes apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tamesu.look.columns import Column
from tamesu.look.features import Features, is_feature, make_features
from tamesu.look.finding import Finding, Part, Suggestion
from tamesu.look.material import Material
from tamesu.look.separation import sample
from tamesu.texts import say

Progress = Callable[[str, int, int], None]
MAX_CLASSES = 200  # told of one by one, the most frequent
MAX_CELLS = 3_000  # classes x columns of the profile: it has to fit a page
MAX_COLUMNS = 40
EXAMPLES = 12  # samples shown of each class
PAIRED_CLASSES = 40  # classes whose pairs are looked at
MAX_PAIRS = 60  # shown, the closest first
ROWS_OF_CLASS = 300  # a class' rows for the pairs
MIN_ROWS = 5  # known values of a class
MIN_SHARE = 0.005  # of the number target's rows: a value that comes more often is a heap, if its neighbours come less
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


def find_labels(material: Material, progress: Progress | None = None) -> Part:
    """What the target holds.

    Args:
        material: All that was read.
        progress: Told of each step.

    Returns:
        In `figures`, of one class a row: `classes` (counts, share, examples, means of pictures' numbers, missing shares, and a
        profile of the columns) and `pairs` (what tells two classes apart best, and how well); of several: `classes` and
        `together`; of a number: `number`. A finding (kind merge) where classes have fewer rows than there are folds.
    """
    column = material.columns.get(material.target)
    if column is None or not len(material):
        return Part(warnings=(say("The study has no target in the tables: nothing is said of classes."),))
    if progress is not None:
        progress(say("the target"), 0, 2)
    if material.classes and len(material.labels) == len(material):
        figures = _class_figures(material)
        if progress is not None:
            progress(say("the target"), 1, 2)
        figures["pairs"] = _pairs(material)
        return Part(tuple(_too_rare(material)), figures)
    if material.target_kind == "labels":
        return Part(figures=_labels_figures(material, column))
    if column.kind == "number":
        return Part(figures={"number": _number_figures(column.numbers[material.is_train])})
    return Part(warnings=(say("`{name}`: a target of this kind has no classes to tell of.", name=material.target),))


def class_counts(material: Material) -> NDArray[np.int64]:
    """Training rows of each class.  (k,)"""
    own = material.labels[material.is_train & (material.labels >= 0)]
    return np.bincount(own, minlength=len(material.classes)).astype(np.int64)


def _class_figures(material: Material) -> dict[str, Any]:
    counts = class_counts(material)
    total = max(1, int(counts.sum()))
    shown = [int(code) for code in np.argsort(-counts, kind="stable")[:MAX_CLASSES]]
    rows = _rows_by_class(material, shown)
    by_table = _table_of(material.labels, material.table.astype(np.int64), len(material.classes), 2)
    populations = material.populations
    by_population = (
        None if populations is None else _table_of(material.labels, populations.of, len(counts), len(populations.names))
    )
    profiled = [c for c in material.columns.values() if not c.is_target and is_feature(c, material)]
    profiled = profiled[: min(MAX_COLUMNS, max(3, MAX_CELLS // max(1, len(shown))))]
    classes = []
    for code in shown:
        at = rows[code]
        classes.append(
            {
                "name": material.classes[code],
                "count": int(counts[code]),
                "share": int(counts[code]) / total,
                "tables": {"train": int(by_table[code, 0]), "test": int(by_table[code, 1])},
                "populations": {}
                if by_population is None or populations is None
                else {name: int(by_population[code, i]) for i, name in enumerate(populations.names)},
                "examples": list(material.shown(_spread(_with_picture(material, at), EXAMPLES))),
                "properties": _means(material, at),
                "columns": {c.name: _profile(c, at) for c in profiled},
                "missing": {c.name: _share(c.empty[at]) for c in profiled if c.empty.any()},
            }
        )
    picture = material.first_picture
    return {
        "target": material.target,
        "n_classes": len(material.classes),
        "n_rows": int(counts.sum()),
        "n_without": int((material.is_train & (material.labels < 0)).sum()),
        "picture": "" if picture is None else picture.field,
        "classes": classes,
    }


def _rows_by_class(material: Material, codes: list[int]) -> dict[int, NDArray[np.int64]]:
    """Training rows of each class, in their order."""
    order = np.argsort(material.labels, kind="stable")
    order = order[material.is_train[order]]
    ends = np.searchsorted(material.labels[order], np.arange(len(material.classes) + 1))
    return {code: order[ends[code] : ends[code + 1]] for code in codes}


def _table_of(labels: NDArray[np.int64], of: NDArray[np.int64], k: int, m: int) -> NDArray[np.int64]:
    known = (labels >= 0) & (of >= 0) & (of < m)
    return np.bincount(labels[known] * m + of[known], minlength=k * m).reshape(k, m)


def _with_picture(material: Material, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the rows that have a picture; all of them where none has."""
    picture = material.first_picture
    kept = rows if picture is None else rows[picture.whole[rows]]
    return kept if len(kept) else rows


def _spread(rows: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """`n` of the rows, evenly from first to last: neighbours in a table are often alike."""
    return rows if len(rows) <= n else rows[np.linspace(0, len(rows) - 1, n).astype(np.int64)]


def _means(material: Material, rows: NDArray[np.int64]) -> dict[str, list[float]]:
    """Mean and standard deviation of each number known of pictures and series."""
    out = {}
    for name, values in material.properties.items():
        known = values[rows].astype(np.float64)
        known = known[np.isfinite(known)]
        if len(known):
            out[name] = [_short(known.mean()), _short(known.std())]
    return out


def _profile(column: Column, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Quartiles of a number; the commonest cell of words and its share."""
    if column.kind in ("number", "date"):
        values = column.numbers[rows]
        known = values[np.isfinite(values)]
        return {"quartiles": [_short(one) for one in np.percentile(known, (25, 50, 75))] if len(known) else []}
    codes = column.codes[rows]
    known_codes = codes[codes >= 0]
    if not len(known_codes):
        return {"level": "", "share": 0.0}
    counts = np.bincount(known_codes)
    return {"level": str(column.levels[int(counts.argmax())])[:60], "share": _short(counts.max() / len(known_codes))}


def _share(mask: NDArray[np.bool_]) -> float:
    return _short(mask.mean()) if len(mask) else 0.0


def _short(value: float) -> float:
    """Five digits: a page shows fewer, and the document stays small."""
    return float(f"{float(value):.5g}")


def _pairs(material: Material) -> list[dict[str, Any]]:
    """What tells each two of the frequent classes apart best, the closest classes first."""
    counts = class_counts(material)
    codes = [int(c) for c in np.argsort(-counts, kind="stable")[:PAIRED_CLASSES] if counts[c] >= MIN_ROWS]
    if len(codes) < 2:
        return []
    by_class = _rows_by_class(material, codes)
    chosen = {code: sample(by_class[code], ROWS_OF_CLASS, seed=code) for code in codes}
    rows = np.concatenate([chosen[code] for code in codes])
    features = make_features(material, rows, pictures=False)
    if not features.names:
        return []
    ends = np.cumsum([0, *(len(chosen[code]) for code in codes)])
    best: dict[tuple[int, int], tuple[float, str, str]] = {}
    for i, name in enumerate(features.names):
        parts = [features.values[ends[j] : ends[j + 1], i] for j in range(len(codes))]
        told = _apart_by_level(parts, _levels(material, features, i)) if features.is_category[i] else _apart_by_size(parts)
        for pair, (auc, value) in told.items():
            if pair not in best or auc > best[pair][0]:
                best[pair] = (auc, name, value)
    closest = sorted(best.items(), key=lambda one: one[1][0])[:MAX_PAIRS]
    return [
        {"labels": [material.classes[codes[a]], material.classes[codes[b]]], "by": name, "auc": _short(auc), "value": value}
        for (a, b), (auc, name, value) in closest
    ]


def _apart_by_size(parts: list[NDArray[np.float32]]) -> dict[tuple[int, int], tuple[float, str]]:
    """AUC of one number for each pair of classes, and the two medians."""
    known = [np.sort(part[~np.isnan(part)]) for part in parts]
    out = {}
    for a, b in combinations(range(len(parts)), 2):
        first, second = known[a], known[b]
        if min(len(first), len(second)) < MIN_ROWS:
            continue
        below = np.searchsorted(first, second, "left").sum() + np.searchsorted(first, second, "right").sum()
        auc = float(below) / (2 * len(first) * len(second))
        out[a, b] = (max(auc, 1 - auc), f"{np.median(first):.4g} – {np.median(second):.4g}")
    return out


def _apart_by_level(parts: list[NDArray[np.float32]], levels: Mapping[int, str]) -> dict[tuple[int, int], tuple[float, str]]:
    """AUC of the one level of a category whose share differs most, for each pair of classes, and the two shares."""
    known = [part[~np.isnan(part)].astype(np.int64) for part in parts]
    n_levels = max((int(codes.max()) + 1 for codes in known if len(codes)), default=1)
    shares = np.stack([np.bincount(codes, minlength=n_levels) / max(1, len(codes)) for codes in known])
    out = {}
    for a, b in combinations(range(len(parts)), 2):
        if min(len(known[a]), len(known[b])) >= MIN_ROWS:
            level = int(np.argmax(np.abs(shares[a] - shares[b])))
            value = f"{levels.get(level, '…')}: {shares[a, level]:.0%} – {shares[b, level]:.0%}"
            out[a, b] = (0.5 + abs(float(shares[a, level] - shares[b, level])) / 2, value)
    return out


def _levels(material: Material, features: Features, i: int) -> dict[int, str]:
    return {code: str(level)[:40] for code, level in enumerate(material.columns[features.names[i]].levels[:60])}


def _too_rare(material: Material) -> list[Finding]:
    """Classes with fewer rows than folds: no split both learns and scores them everywhere."""
    counts = class_counts(material)
    folds = 5 if material.config is None else material.config.folds.n_splits
    there = np.flatnonzero(counts)
    rare = [int(c) for c in there[np.argsort(counts[there], kind="stable")] if counts[c] < folds]
    if not rare:
        return []
    single = [c for c in rare if counts[c] == 1]
    n_rows = int(counts[rare].sum())
    names = ", ".join(f"`{material.classes[c]}`" for c in rare[:8]) + (" …" if len(rare) > 8 else "")
    sentence = say(
        "{n} of {k} classes have fewer rows than there are folds ({folds}): {names}. {single} of them have one row only, which "
        "is never both learned and scored. Together they are {rows} of {total} rows.",
        n=len(rare), k=len(there), folds=folds, names=names, single=len(single), rows=n_rows, total=int(counts.sum()),
    )  # fmt: skip
    by_class = _rows_by_class(material, rare[:50])
    rows = np.concatenate([by_class[c] for c in rare[:50]])
    join = say("Join these classes with others in the table, or leave their rows out: a score of them says nothing.")
    can_balance = material.target_kind in ("label", "direction") and not single
    name = material.columns[material.target].field or material.target
    suggestion = (
        Suggestion(
            {"augment": {"balance": 0.5}}, "balance", say("{join} If they must stay, draw rare classes more often:", join=join)
        )
        if can_balance and name
        else Suggestion(note=join)
    )
    return [
        Finding(
            "merge",
            sentence,
            strength=0.35 + 0.3 * min(1.0, len(single) / max(1, len(there))) + 0.15 * bool(single),
            fields=(material.target,),
            labels=tuple(material.classes[c] for c in rare[:50]),
            rows=material.shown(rows),
            suggestion=suggestion,
            evidence={
                "bars": {material.classes[c]: int(counts[c]) for c in rare[:30]},
                "rare": len(rare),
                "single": len(single),
            },
        )
    ]


def _labels_figures(material: Material, column: Column) -> dict[str, Any]:
    """Several classes a row: how often each is there, and with which others."""
    config = material.config
    separator = str(getattr(config.fields.get(column.field), "separator", " ")) if config is not None else " "
    codes = column.codes[material.is_train]
    times = np.bincount(codes[codes >= 0], minlength=len(column.levels))
    counts: dict[str, int] = {}
    together: dict[tuple[str, str], int] = {}
    sizes: dict[int, int] = {0: int((codes < 0).sum())}
    for level, n in zip(column.levels, times.tolist(), strict=True):
        names = sorted({part.strip() for part in str(level).split(separator) if part.strip()})
        sizes[len(names)] = sizes.get(len(names), 0) + n
        for name in names:
            counts[name] = counts.get(name, 0) + n
        for pair in combinations(names[:50], 2):
            together[pair] = together.get(pair, 0) + n
    total = max(1, len(codes))
    common = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    pairs = sorted(together.items(), key=lambda one: (-one[1], one[0]))[:MAX_PAIRS]
    return {
        "target": column.name,
        "n_classes": len(counts),
        "n_rows": len(codes),
        "classes": [{"name": name, "count": n, "share": n / total} for name, n in common[:MAX_CLASSES]],
        "together": [
            {"labels": list(pair), "count": n, "by_chance": counts[pair[0]] * counts[pair[1]] / total} for pair, n in pairs
        ],
        "per_row": {str(size): n for size, n in sorted(sizes.items()) if n},
    }


def _number_figures(values: NDArray[np.float64]) -> dict[str, Any]:
    """How a number target lies: quantiles, lean, and values that come far more often than their neighbours."""
    known = values[np.isfinite(values)]
    out: dict[str, Any] = {"n": len(known), "missing": int(np.isnan(values).sum()), "infinite": int(np.isinf(values).sum())}
    if not len(known):
        return out
    counts, edges = np.histogram(np.clip(known, *np.percentile(known, (0.5, 99.5))), bins=40)
    distinct, times = np.unique(known, return_counts=True)
    often = np.argsort(-times, kind="stable")[:8]
    usual = float(np.median(times))
    spread = float(known.std())
    return out | {
        "quantiles": {str(q): _short(np.quantile(known, q)) for q in QUANTILES},
        "mean": _short(known.mean()),
        "sd": _short(spread),
        "skew": _short(stats.skew(known)) if spread > 0 else 0.0,
        "log_skew": _short(stats.skew(np.log(known))) if known.min() > 0 and spread > 0 else None,
        "distinct": len(distinct),
        "heaps": [
            {"value": _short(distinct[i]), "share": _short(times[i] / len(known))}
            for i in often
            if times[i] > max(3.0 * usual, MIN_SHARE * len(known)) and len(distinct) > 20
        ],
        "multiples": {
            str(base): _short((np.abs(known / base - np.round(known / base)) < 1e-9).mean()) for base in (1, 5, 10, 100, 1000)
        },
        "histogram": {"edges": [_short(one) for one in edges], "counts": counts.tolist()},
    }


__all__ = ["class_counts", "find_labels"]
