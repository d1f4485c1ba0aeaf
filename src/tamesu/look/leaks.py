"""Columns that name the target or the population by themselves: copies, what is filled for one class only, names, order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu.look.columns import Column
from tamesu.look.features import Features, column_values
from tamesu.look.finding import Finding, Part, Suggestion
from tamesu.look.material import Material
from tamesu.look.separation import MAX_ROWS, Separation, sample, tell_apart, wilson
from tamesu.texts import say

Progress = Callable[[str, int, int], None]
SURE = 0.97  # balanced accuracy, or AUC, of one column from which it counts as naming the answer
SURE_R2 = 0.98
PURE, BASE = 0.97, 0.85  # share of one class among filled rows, and what it may be among all at most
LEAST_FILLED = 20
MOST_LEVELS = 50  # beyond, and beyond two a class, a column with pure levels marks groups, which `groups` looks at
FORM_ROWS = 4_000
ORDER_GAIN = 0.5  # of the way from chance to certainty
N_FORM = 6
SCORES_SHOWN = 20


def find_leaks(material: Material, progress: Progress | None = None) -> Part:
    """Columns from which the target, or the population, can be read off.

    Args:
        material: What was read.
        progress: Not told anything.
    """
    rows = np.flatnonzero(material.is_train)
    findings: list[Finding] = []
    found: set[str] = set()
    scores: dict[str, float] = {}
    if material.target and len(rows) >= 2 * LEAST_FILLED:
        for column in _candidates(material):
            score = _target_score(material, column, rows)
            if score is not None:
                scores[column.name] = round(max(0.0, score), 4)
            one = _names_target(material, column, score) or _filled_for_one_class(material, column, rows)
            if one is not None:
                findings.append(one)
                found.add(column.name)
        findings += _order(material, rows)
    populations = material.populations
    if populations is not None:
        for first, second in list(populations.pairs())[:3]:
            here = populations.rows(first), populations.rows(second)
            if min(map(len, here)) < LEAST_FILLED:
                continue
            for column in material.columns.values():
                own = column.declared == "id" or column.name == material.id_column  # ids go on counting: that is no news
                if own or column.name in (populations.by, material.target) or column.kind == "empty":
                    continue
                one = _names_population(material, column, *here, (first, second))
                if one is not None:
                    findings.append(one)
    best = sorted(scores, key=lambda name: -scores[name])[:SCORES_SHOWN]
    figures = {
        "columns": sorted(found),
        "scores": {name: scores[name] for name in best},
        "by_chance": round(1 / len(material.classes), 4) if material.classes else 0.0,
        "sure": SURE if material.classes else SURE_R2,
    }
    return Part(tuple(findings), figures)


def _candidates(material: Material) -> list[Column]:
    unread = ("id", "image", "mask", "depth", "series", "points", "boxes", "group")
    return [
        one
        for one in material.columns.values()
        if not one.is_target
        and one.kind not in ("empty", "text")
        and one.declared not in unread
        and one.name != material.id_column
        and not one.is_name
    ]


def _target_score(material: Material, column: Column, rows: NDArray[np.int64]) -> float | None:
    """How well the target is read off one column, on rows the reading was not made from: mean recall, or R²."""
    if material.classes:
        rows = rows[material.labels[rows] >= 0]
        return _class_score(material, column, sample(rows, MAX_ROWS))
    values = material.columns[material.target].numbers[rows]
    return _number_score(material, column, sample(rows[np.isfinite(values)], MAX_ROWS))


def _names_target(material: Material, column: Column, score: float | None) -> Finding | None:
    if score is None or score < (SURE if material.classes else SURE_R2):
        return None
    what = say("of the classes, weighed alike") if material.classes else say("of the target's variance")
    text = say(
        "`{column}` alone says the target `{target}`: {share} {what} on rows held back.",
        column=column.name,
        target=material.target,
        share=f"{score:.1%}",
        what=what,
    )
    return _finding(material, column, text, strength=0.9 if column.declared in ("number", "label") else 0.5)


def _class_score(material: Material, column: Column, rows: NDArray[np.int64]) -> float | None:
    """Mean recall of the classes when each level, or range of numbers, says the class it mostly has; halves take turns."""
    labels = material.labels[rows]
    k = len(material.classes)
    counts = np.bincount(labels, minlength=k)
    if (counts >= 4).sum() < 2:
        return None
    is_few = column.n_distinct <= max(MOST_LEVELS, 2 * k)
    if column.kind == "category" and not is_few:
        return None
    if column.kind in ("category",) or is_few:
        place = np.where(column.codes[rows] < 0, len(column.levels), column.codes[rows]).astype(np.int64)
        return _mean_recall(place, labels, len(column.levels) + 1, k)
    return _tree_recall(column_values(column, rows), labels, k)


def _tree_recall(values: NDArray[Any], labels: NDArray[np.int64], k: int) -> float:
    """Mean recall of the classes read off ranges of a number, on the half that the ranges were not made from."""
    from sklearn.tree import DecisionTreeClassifier

    half = np.random.default_rng(0).permutation(len(labels)) % 2 == 0
    told = np.empty(len(labels), dtype=np.int64)
    for train in (half, ~half):
        # As many leaves as a few ranges a class: rows cannot be learnt by heart.
        tree = DecisionTreeClassifier(max_leaf_nodes=4 * k, min_samples_leaf=5, class_weight="balanced", random_state=0)
        told[~train] = tree.fit(values[train, None], labels[train]).predict(values[~train, None])
    return _recalls(told, labels, k)


def _mean_recall(place: NDArray[np.int64], labels: NDArray[np.int64], n_levels: int, k: int) -> float:
    half = np.random.default_rng(0).permutation(len(labels)) % 2 == 0
    told = np.empty(len(labels), dtype=np.int64)
    for train in (half, ~half):
        table = np.bincount(place[train] * k + labels[train], minlength=n_levels * k).reshape(n_levels, k).astype(float)
        table /= np.maximum(1, np.bincount(labels[train], minlength=k))
        told[~train] = np.where(table.sum(axis=1) > 0, table.argmax(axis=1), -1)[place[~train]]
    return _recalls(told, labels, k)


def _recalls(told: NDArray[np.int64], labels: NDArray[np.int64], k: int) -> float:
    counts = np.bincount(labels, minlength=k)
    right = np.bincount(labels[told == labels], minlength=k)
    known = counts >= 4
    return float((right[known] / counts[known]).mean())


def _number_score(material: Material, column: Column, rows: NDArray[np.int64]) -> float | None:
    """R² of a straight line, or of ranges, on the half it was not made from."""
    from sklearn.tree import DecisionTreeRegressor

    if len(rows) < 2 * LEAST_FILLED:
        return None
    y = material.columns[material.target].numbers[rows]
    x = column_values(column, rows).astype(np.float64)
    if column.kind == "category" and column.n_distinct > MOST_LEVELS:
        return None
    known = np.isfinite(x)
    if known.mean() < 0.5 or y[known].std() == 0 or len(np.unique(x[known])) < 2:
        return None
    x, y = x[known], y[known]
    half = np.random.default_rng(0).permutation(len(x)) % 2 == 0
    tree, line = np.empty(len(x)), np.empty(len(x))
    for train in (half, ~half):
        leaves = DecisionTreeRegressor(min_samples_leaf=5, max_leaf_nodes=100, random_state=0)
        tree[~train] = leaves.fit(x[train, None], y[train]).predict(x[~train, None])
        line[~train] = np.polyval(np.polyfit(x[train] - x.mean(), y[train], 1), x[~train] - x.mean()) if x.std() > 0 else 0.0
    total = float(((y - y.mean()) ** 2).sum())
    return max(1 - float(((y - one) ** 2).sum()) / total for one in (tree, line))


def _filled_for_one_class(material: Material, column: Column, rows: NDArray[np.int64]) -> Finding | None:
    """A column that holds something (or something other than 0) for one class only, or for all but one."""
    if not material.classes:
        return None
    rows = rows[material.labels[rows] >= 0]
    labels = material.labels[rows]
    filled = ~column.empty[rows]
    if column.kind == "number":
        filled &= column.numbers[rows] != 0
    n = int(filled.sum())
    if min(n, len(rows) - n) < LEAST_FILLED:
        return None
    base = np.bincount(labels, minlength=len(material.classes)) / len(rows)
    share = np.bincount(labels[filled], minlength=len(material.classes)) / n
    only, never = int(share.argmax()), int((base - share).argmax())
    if share[only] >= PURE and base[only] <= BASE and wilson(share[only] * n, n)[0] > base[only]:
        code = only
    elif share[never] <= 1 - PURE and base[never] >= 0.3:
        code = never
    else:
        return None
    label = material.classes[code]
    shown: dict[str, Any] = {"column": column.name, "target": material.target, "label": repr(label), "n": n}
    shown |= {"share": f"{share[code]:.1%}", "base": f"{base[code]:.1%}"}
    text = (
        say(
            "`{column}` is filled almost only where `{target}` is {label}: {share} of its {n} filled rows, {base} of all rows. "
            "It may be known only afterwards.",
            **shown,
        )
        if code == only
        else say(
            "`{column}` is almost never filled where `{target}` is {label}: {share} of its {n} filled rows, {base} of all "
            "rows. It may be known only afterwards.",
            **shown,
        )
    )
    return _finding(material, column, text, strength=0.8 if column.declared in ("number", "label") else 0.5, labels=(label,))


def _order(material: Material, rows: NDArray[np.int64]) -> Iterator[Finding]:
    """The place of a row in the table, or its number as id, that says the target."""
    if not material.classes:
        return
    rows = rows[material.labels[rows] >= 0]
    labels, k = material.labels[rows], len(material.classes)
    if len(rows) < 100 or k < 2:
        return
    by_id = pd.to_numeric(
        pd.Series(material.ids[rows]).astype(str).str.extract(r"(\d+)(?!.*\d)")[0], errors="coerce"
    ).to_numpy()
    places = {material.id_column: by_id} if material.id_column else {}
    for name, place in places.items():
        gain = _order_gain(place.astype(float), labels, k)
        if gain is not None and gain >= ORDER_GAIN:
            text = say(
                "`{column}`: the rows' ids say the target: classes come in blocks ({gain} of the way from chance to "
                "certainty).",
                column=name,
                gain=f"{gain:.0%}",
            )
            note = say("Never use it as an input, and never split rows by their order.")
            yield Finding("leak", text, 0.4, fields=(name,), suggestion=Suggestion(note=note))
            return


def _order_gain(place: NDArray[np.float64], labels: NDArray[np.int64], k: int) -> float | None:
    known = np.isfinite(place)
    if known.sum() < 100 or len(np.unique(place[known])) < 50:
        return None
    place, labels = place[known], labels[known]
    n_classes = int((np.bincount(labels, minlength=k) >= 4).sum())
    return None if n_classes < 2 else (_tree_recall(place, labels, k) - 1 / n_classes) / (1 - 1 / n_classes)


def _names_population(
    material: Material, column: Column, first: NDArray[np.int64], second: NDArray[np.int64], names: tuple[str, str]
) -> Finding | None:
    """A column whose values, or whose way of writing, tell the populations apart by themselves."""
    chosen = np.concatenate([sample(first, FORM_ROWS // 2), sample(second, FORM_ROWS // 2)])
    y = np.arange(len(chosen)) >= min(len(first), FORM_ROWS // 2)
    is_unread = column.declared in ("image", "mask", "depth")
    gone = column.empty[chosen]
    if min((~gone)[y].sum(), (~gone)[~y].sum()) < LEAST_FILLED or is_unread:
        return None
    is_worded = column.kind in ("text", "category", "date") and (column.kind != "category" or column.is_name)
    if is_worded:
        told, marks = _form(column, chosen[~gone], y[~gone])
        if told is None or told.low < 0.85 or told.auc < 0.9:
            return None
        text = say(
            "`{column}`: the way it is written tells {first} from {second}: AUC {auc} ({low} to {high}){marks}.",
            column=column.name,
            first=names[0],
            second=names[1],
            auc=f"{told.auc:.2f}",
            low=f"{told.low:.2f}",
            high=f"{told.high:.2f}",
            marks=marks,
        )
        used = column.declared in ("number", "label")
        return _finding(material, column, text, strength=0.8 if used else 0.45, interval=(told.low, told.high))
    values = column_values(column, chosen)[:, None]
    features = Features((column.name,), (column.name,), values, np.array([column.kind == "category"]), chosen)
    if _quick(values[:, 0], y, column.kind == "category") < SURE:
        return None
    told = tell_apart(features, y)
    if told is None or told.auc < SURE:
        return None
    text = say(
        "`{column}` alone tells {first} from {second}: AUC {auc} ({low} to {high}).",
        column=column.name,
        first=names[0],
        second=names[1],
        auc=f"{told.auc:.2f}",
        low=f"{told.low:.2f}",
        high=f"{told.high:.2f}",
    )
    used = column.declared in ("number", "label")
    return _finding(material, column, text, strength=0.85 if used else 0.5, interval=(told.low, told.high))


def _quick(values: NDArray[np.float32], y: NDArray[np.bool_], is_category: bool) -> float:
    """An upper bound of what a classifier could do with one column: levels, or twenty ranges, each saying its own side."""
    known = np.where(np.isnan(values), np.float32(-1e30), values)
    place = (
        np.unique(known, return_inverse=True)[1]
        if is_category
        else np.searchsorted(np.quantile(known, np.linspace(0, 1, 41)), known)
    )
    ones = np.bincount(place[y], minlength=place.max() + 1) / max(1, y.sum())
    zeros = np.bincount(place[~y], minlength=place.max() + 1) / max(1, (~y).sum())
    return float(np.maximum(ones, zeros).sum() / 2) + 0.05


def _form(column: Column, rows: NDArray[np.int64], y: NDArray[np.bool_]) -> tuple[Separation | None, str]:
    """How cells are written, and whether that tells the kinds apart: length, signs, how they begin."""
    inside = column.codes[rows] >= 0
    cells = pd.Series(column.levels[np.where(inside, column.codes[rows], 0)][inside]).astype("str")
    rows, y = rows[inside], y[inside]
    if len(cells) < 2 * LEAST_FILLED:
        return None, ""
    signs = {"length": cells.str.len(), "words": cells.str.count(r"\s+"), "digits": cells.str.count(r"\d")}
    signs["signs"] = cells.str.count(r"[^\w\s]")
    signs["capitals"] = cells.str.count(r"[A-Z]")
    for n in (1, 3, 6):
        begins = cells.str[:n]
        common = begins.value_counts().index[:N_FORM]
        signs |= {f"begins {one!r}": (begins == one).astype(float) for one in common}
    values = np.stack([one.to_numpy(dtype=np.float32) for one in signs.values()], axis=1).astype(np.float32)
    features = Features(tuple(signs), (column.name,) * len(signs), values, np.zeros(len(signs), dtype=bool), rows)
    told = tell_apart(features, y)
    gap = np.array(
        [values[y, i].mean() - values[~y, i].mean() if name.startswith("begins") else 0 for i, name in enumerate(signs)]
    )
    top = int(np.abs(gap).argmax())
    marks = ""
    if abs(gap[top]) > 0.5:
        marks = say(
            "; {start} begins {a} and {b} of them",
            start=list(signs)[top].removeprefix("begins "),
            a=f"{values[~y, top].mean():.0%}",
            b=f"{values[y, top].mean():.0%}",
        )
    return told, marks


def _finding(
    material: Material,
    column: Column,
    text: str,
    *,
    strength: float,
    interval: tuple[float, float] | None = None,
    labels: tuple[str, ...] = (),
) -> Finding:
    used = column.declared in ("number", "label", "labels", "angle")
    patch = {"fields": {column.field: {"kind": "ignore"}}} if used else {}
    note = "" if used else say("The study does not use it. Keep it out.")
    return Finding(
        "leak", text, strength, fields=(column.name,), labels=labels, interval=interval, suggestion=Suggestion(patch, note=note)
    )
