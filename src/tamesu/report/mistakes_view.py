"""The baseline's mistakes, placed for drawing: confusion, pairs, labels, scatter, worst rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tamesu.report import words
from tamesu.report.axes import Axis
from tamesu.texts import say

View = dict[str, Any]
MAX_SHOWN_MATRIX = 24  # classes drawn as a matrix; beyond, the most confused pairs
MAX_SHOWN_LABELS = 60
SCATTER_W, SCATTER_H, SCATTER_LEFT, SCATTER_BOTTOM, SCATTER_EDGE = 420, 380, 58, 44, 10


def mistakes_view(summary: Mapping[str, Any]) -> View | None:
    """What is shown of the mistakes, by the kind of target; None without predictions."""
    found = summary["mistakes"]
    if found is None:
        return None
    view: View = {
        "kind": found["kind"],
        "n_scored": words.count(found["n_scored"]),
        "matrix": None,
        "pairs": None,
        "labels": None,
        "scatter": None,
        "off": None,
        "worst": _worst(found),
    }
    if found["kind"] in ("label", "direction", "steps"):
        if found["counts"] is not None and len(found["classes"]) <= MAX_SHOWN_MATRIX:
            view["matrix"] = _matrix(found)
        view["pairs"] = [_pair(one) for one in found["pairs"][: 5 if view["matrix"] else None]]
    elif found["kind"] == "labels":
        view["labels"] = _labels(found)
        view["n_labels_hidden"] = max(0, len(found["per_class"]) - MAX_SHOWN_LABELS)
    elif "points" in found:
        view["scatter"] = _scatter(found)
    else:
        view["off"] = _off_text(found)
    return view


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}%" if whole else "—"


def _matrix(found: Mapping[str, Any]) -> View:
    classes, rows = found["classes"], []
    for i, (name, counts) in enumerate(zip(classes, found["counts"], strict=True)):
        total = sum(counts)
        cells = [
            {
                "n": n,
                "shade": round(n / total, 3) if total else 0,
                "right": i == j,
                "text": say(
                    "{truth} taken for {prediction}: {n} of {total} ({share})",
                    truth=name,
                    prediction=classes[j],
                    n=n,
                    total=total,
                    share=_percent(n, total),
                ),
            }
            for j, n in enumerate(counts)
        ]
        rows.append({"name": name, "cells": cells, "total": words.count(total), "right": _percent(counts[i], total)})
    return {"classes": classes, "rows": rows}


def _pair(one: Mapping[str, Any]) -> View:
    share = one["n"] / one["n_truth"] if one["n_truth"] else 0.0
    return {**one, "share": f"{100 * share:.0f}%", "to": round(100 * share, 2)}


def _labels(found: Mapping[str, Any]) -> list[View]:
    rows = []
    for one in found["per_class"]:
        recall = one["n_right"] / one["n"] if one["n"] else None
        precision = one["n_right"] / one["n_said"] if one["n_said"] else None
        f1 = 2 * one["n_right"] / (one["n"] + one["n_said"]) if one["n"] + one["n_said"] else None
        rows.append(
            {
                "name": one["class"],
                "n": words.count(one["n"]),
                "recall": words.number(recall, 2),
                "precision": words.number(precision, 2),
                "f1": words.number(f1, 2),
                "to": round(100 * (f1 or 0), 2),
            }
        )
    return sorted(rows, key=lambda row: row["to"])[:MAX_SHOWN_LABELS] if len(rows) > MAX_SHOWN_LABELS else rows


def _scatter(found: Mapping[str, Any]) -> View:
    points = [point for point in found["points"] if None not in point]
    axis = Axis.over([value for point in points for value in point], pad=0.03)
    left, bottom = SCATTER_LEFT, SCATTER_H - SCATTER_BOTTOM
    width, height = SCATTER_W - left - SCATTER_EDGE, bottom - SCATTER_EDGE

    def x(value: float) -> float:
        return round(left + axis.at(value) / 100 * width, 1)

    def y(value: float) -> float:
        return round(bottom - axis.at(value) / 100 * height, 1)

    return {
        "points": [(x(truth), y(prediction)) for truth, prediction in points],
        "line": (x(axis.low), y(axis.low), x(axis.high), y(axis.high)),
        "x_ticks": [{"at": x(t), "text": f"{t:,g}"} for t in axis.ticks(5)],
        "y_ticks": [{"at": y(t), "text": f"{t:,g}"} for t in axis.ticks(5)],
        "box": {
            "w": SCATTER_W,
            "h": SCATTER_H,
            "left": left,
            "right": SCATTER_W - SCATTER_EDGE,
            "top": SCATTER_EDGE,
            "bottom": bottom,
        },
        "n_shown": words.count(len(points)),
        "all": len(points) == found["n_scored"],
        "text": _off_text(found),
    }


def _off_text(found: Mapping[str, Any]) -> str:
    off = found["off_by"]
    return say(
        "Half of the predictions are off by less than {median}, nine out of ten by less than {most}; the worst by {worst}.",
        median=f"{off['median']:.3g}",
        most=f"{off['90%']:.3g}",
        worst=f"{off['max']:.3g}",
    )


def _figures(value: Any) -> str:
    """A number, the numbers of an arrow, or places; a dash for what is not seen."""
    if isinstance(value, list):
        return ("; " if any(isinstance(one, list) for one in value) else ", ").join(map(_figures, value))
    return "—" if value is None or value != value else f"{value:.5g}"


def _worst(found: Mapping[str, Any]) -> list[View]:
    return [
        {**_worst_words(one, found["kind"]), "id": one["id"], "row": one["row"], "inputs": one["inputs"]}
        for one in found["worst"]
    ]


def _worst_words(one: Mapping[str, Any], kind: str) -> View:
    if kind in ("number", "angle", "vector", "points", "shares", "numbers", "events"):
        return {
            "truth": _figures(one["truth"]),
            "prediction": _figures(one["prediction"]),
            "more": say("off by {size}", size=f"{one['loss']:.3g}"),
        }
    if kind == "labels":
        parts = []
        if one["missed"]:
            parts.append(say("missed: {labels}", labels=one["missed"]))
        if one["extra"]:
            parts.append(say("too much: {labels}", labels=one["extra"]))
        none = say("(none)")
        return {"truth": one["truth"] or none, "prediction": one["prediction"] or none, "more": "; ".join(parts)}
    return {
        "truth": one["truth"],
        "prediction": one["prediction"],
        "probability": f"{100 * one['probability']:.0f}%",
        "more": say("the truth was given {share}", share=f"{100 * one['truth_probability']:.1f}%"),
    }
