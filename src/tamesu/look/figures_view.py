"""Figures of the analyses as small drawings and tables: missing cells, pairs of labels, label errors, leaks, groups, copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tamesu.look.profile_view import percent, short
from tamesu.report.words import count
from tamesu.texts import say

Figures = Mapping[str, Any]
DRAWN_FIRST, PAIRS_SHOWN, PICTURED_PAIRS, SIDE_SHOWN, COLUMNS_NAMED = 15, 12, 6, 4, 8
LEAST_AUC = 0.3  # left end of the axis of AUCs; 0.5 is chance


def cells_view(parts: Mapping[str, Any]) -> dict[str, Any] | None:
    """How much of each column is missing, and which columns are missing together; None where nothing is."""
    figures = parts.get("missing") or {}
    columns = sorted(figures.get("columns") or [], key=lambda one: -_gone(one))
    if not columns:
        return None
    ways = [("missing", say("empty, or a word for it")), ("unknown", say("says unknown")), ("sentinel", say("a number for it"))]
    used = [(i, key, name) for i, (key, name) in enumerate(ways) if any(one[key] for one in columns)]
    rows = [
        {
            "name": one["name"],
            "parts": [{"i": i + 3, "to": round(100 * one[key], 2), "name": name} for i, key, name in used if one[key]],
            "text": percent(_gone(one)),
        }
        for one in columns
    ]
    n_whole = figures.get("n_columns", len(columns)) - len(columns)
    patterns = [
        {"n": count(one["n"]), "share": percent(one["share"]), "to": round(100 * one["share"], 2), **_named(one["columns"])}
        for one in figures.get("patterns") or []
    ]
    return {
        "legend": [{"i": i + 3, "name": name} for i, _, name in used],
        "first": rows[:DRAWN_FIRST],
        "rest": rows[DRAWN_FIRST:],
        "n_whole": count(n_whole) if n_whole > 0 else "",
        "patterns": patterns if any(one["n_columns"] > 1 for one in patterns) else [],
    }


def pairs_view(parts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Pairs of labels by how well they are told apart, the least first; None where no pair was looked at."""
    pairs = sorted((parts.get("merges") or {}).get("pairs") or [], key=lambda one: one["auc"])
    if not pairs:
        return None
    rows = []
    for k, one in enumerate(pairs[:PAIRS_SHOWN]):
        low, at, high = (_place(one[key]) for key in ("low", "auc", "high"))
        sides = (one.get("sides") or {}) if k < PICTURED_PAIRS else {}
        rows.append(
            {
                "labels": one["labels"],
                "low": low,
                "width": round(high - low, 2),
                "at": at,
                "text": say("AUC {auc} ({low} to {high})", **{key: f"{one[key]:.2f}" for key in ("auc", "low", "high")}),
                "sides": [{"name": name, "ids": ids[:SIDE_SHOWN]} for name, ids in sides.items()],
            }
        )
    ticks = [{"at": _place(value), "text": f"{value:g}"} for value in (0.5, 0.75, 1.0)]
    return {"rows": rows, "chance": _place(0.5), "ticks": ticks, "n_more": count(max(0, len(pairs) - PAIRS_SHOWN))}


def pair_ids(parts: Mapping[str, Any]) -> Iterator[str]:
    """Ids of the rows that the pairs of labels want pictures of."""
    pairs = sorted((parts.get("merges") or {}).get("pairs") or [], key=lambda one: one["auc"])
    for one in pairs[:PICTURED_PAIRS]:
        for ids in (one.get("sides") or {}).values():
            yield from ids[:SIDE_SHOWN]


def doubts_view(parts: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the out-of-fold predictions say of the labels, or what is needed to ask them."""
    figures = parts.get("label_errors") or {}
    if figures.get("needs"):
        return {"needs": figures["needs"], "facts": [], "table": None}
    if "n" not in figures:
        return None
    facts = [(say("rows with an out-of-fold prediction"), count(figures["n"]))]
    if "accuracy" in figures:
        facts.append((say("the model agrees with the label"), percent(figures["accuracy"])))
        facts.append((say("agreement beyond chance (kappa)"), f"{figures['kappa']:.2f}"))
        low, high = (f"{100 * one:.1f} %" for one in figures["interval"])
        estimate = f"{100 * figures['wrong_fraction']:.1f} %"
        facts.append((say("labels that look wrong"), f"{estimate} ({say('{low} to {high}', low=low, high=high)})"))
    facts.append((say("rows listed"), count(figures["n_listed"])))
    rows = [[str(given), str(proposed), count(n)] for given, proposed, n in (figures.get("pairs") or [])[:PAIRS_SHOWN]]
    return {"needs": "", "facts": facts, "table": small_table([say("as given"), say("proposed"), say("rows")], rows, 1)}


def bounds_view(parts: Mapping[str, Any]) -> dict[str, Any] | None:
    """What single columns say of the target, what holds rows together, and what comes twice; None where nothing is known."""
    leaks, groups = parts.get("leaks") or {}, parts.get("groups") or {}
    out = {
        "leaks": list(_single(leaks)),
        "is_classes": bool(leaks.get("by_chance")),
        "groups": list(_groups(groups)),
        "declared": groups.get("declared") or "",
        "copies": _copies(parts.get("duplicates") or {}),
    }
    return out if out["leaks"] or out["groups"] or out["copies"] else None


def _single(figures: Figures) -> Iterator[dict[str, Any]]:
    scores = list((figures.get("scores") or {}).items())[:DRAWN_FIRST]
    for name, score in scores:
        is_sure = score >= figures["sure"]
        yield {"name": name, "to": _bar(score), "mark": _bar(figures["by_chance"]), "text": short(score), "is_sure": is_sure}


def _groups(figures: Figures) -> Iterator[dict[str, Any]]:
    found = sorted((figures.get("candidates") or {}).items(), key=lambda one: -one[1]["share"])
    for name, one in found[:DRAWN_FIRST]:
        text = say("{share}, {n} groups", share=percent(one["share"]), n=count(one["groups"]))
        yield {"name": name, "to": _bar(one["share"]), "mark": _bar(one["chance"]), "text": text, "is_sure": True}


def _copies(figures: Figures) -> dict[str, Any] | None:
    """Rows that have a twin, by what of them is equal."""
    rows = []
    for name, one in figures.items():
        if isinstance(one, Mapping):
            rows.append([say("pictures of {name}, pixel by pixel", name=name), count(one["same"])])
            rows.append([say("pictures of {name}, nearly", name=name), count(one["nearly"])])
        else:
            rows.append([say("all columns but id and target"), count(one)])
    return small_table([say("what is equal"), say("rows with a twin")], rows, 1)


def small_table(head: Sequence[str], rows: list[list[str]], n_numbers: int) -> dict[str, Any] | None:
    """Cells as text; the last columns hold numbers."""
    if not rows:
        return None
    return {"head": list(head), "rows": rows, "is_number": [k >= len(head) - n_numbers for k in range(len(head))], "n_more": 0}


def _named(columns: Sequence[str]) -> dict[str, Any]:
    rest = len(columns) - COLUMNS_NAMED
    more = say("and {n} more columns", n=rest) if rest > 0 else ""
    return {"columns": columns[:COLUMNS_NAMED], "n_columns": len(columns), "more": more}


def _gone(one: Figures) -> float:
    return float(one["missing"] + one["unknown"] + one["sentinel"])


def _bar(share: float) -> float:
    return round(100 * min(1.0, max(0.0, share)), 2)


def _place(auc: float) -> float:
    return round(100 * min(1.0, max(0.0, (auc - LEAST_AUC) / (1 - LEAST_AUC))), 2)


__all__ = ["bounds_view", "cells_view", "doubts_view", "pair_ids", "pairs_view", "small_table"]
