"""The profile as small drawings: histograms over each other on one axis, bars of shares, rows of lengths."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tamesu.report.axes import Axis
from tamesu.report.words import MINUS, count
from tamesu.texts import say

Figures = Mapping[str, Any]
BOX = {"w": 260, "h": 112, "left": 4, "right": 256, "top": 8, "bottom": 90}
LEVELS_SHOWN = 8
DRAWN_FIRST = 24  # further columns are folded away
TICKS = 3


def profile_view(figures: Figures) -> dict[str, Any] | None:
    """What the template draws; None where nothing was profiled. The target comes first, then what differs most."""
    columns = figures.get("columns") or []
    if not columns:
        return None
    ordered = sorted(columns, key=lambda one: (not one.get("is_target", False), -(one.get("distance") or 0.0)))
    n = figures["n"]
    drawn = [one for one in ordered if one["kind"] in ("number", "date") and _is_known(one)]
    return {
        "legend": [
            {"name": name, "n": count(k), "i": i} for i, (name, k) in enumerate(zip(figures["populations"], n, strict=True))
        ],
        "box": BOX,
        "numbers": _folded([_plot(one, figures["populations"]) for one in drawn]),
        "levels": _folded([_bars(one, figures["populations"]) for one in ordered if one["kind"] == "category"]),
        "texts": [_text(one, figures["populations"]) for one in ordered if one["kind"] == "text"],
        "empty": [
            one["name"]
            for one in ordered
            if one["kind"] == "empty" or (one["kind"] in ("number", "date") and not _is_known(one))
        ],
        "is_several": len(n) > 1,
    }


def labels_view(parts: Mapping[str, Figures]) -> dict[str, Any] | None:
    """Bars of how many rows each class has in each population; of all together where a row may have several classes."""
    profile = parts.get("profile") or {}
    figures, populations = profile.get("labels"), profile.get("populations", ())
    classes = (parts.get("labels") or {}).get("classes") or []
    if not figures and classes:
        counts = [one["count"] for one in classes]
        figures = {"names": [one["name"] for one in classes], "counts": [counts]}
    if not figures or not figures["names"]:
        return None
    known = [i for i, one in enumerate(figures["counts"]) if any(one)]
    most = max((max(figures["counts"][i]) for i in known), default=1) or 1
    rows = [
        {
            "name": name,
            "bars": [
                {"i": i, "to": round(100 * figures["counts"][i][k] / most, 2), "text": count(figures["counts"][i][k])}
                for i in known
            ],
        }
        for k, name in enumerate(figures["names"])
    ]
    legend = [{"name": populations[i], "i": i} for i in known] if len(known) > 1 else []
    return {"rows": rows, "legend": legend, "n_left_out": figures.get("n_left_out", 0)}


def short(value: float) -> str:
    """A number in few characters: `0.0213`, `1240`, `52,300`, `3.5M`."""
    size = abs(value)
    if size >= 1e15 or (0 < size < 1e-4):
        return f"{value:.2g}".replace("-", MINUS)
    for power, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if size >= power:
            return f"{value / power:.3g}{letter}".replace("-", MINUS)
    text = f"{value:,.0f}" if size >= 10_000 else f"{value:.0f}" if size >= 1000 else f"{value:.4g}"  # years have no comma
    return text.replace("-", MINUS)


def percent(share: float | None) -> str:
    """A share as it is read: `3.2%`, `<0.1%`, `—`."""
    if share is None:
        return "—"
    if 0 < share < 0.001:
        return "<0.1%"
    return f"{100 * share:.1f}%" if 0 < share < 0.0995 else f"{100 * share:.0f}%"


def column_word(kind: str) -> str:
    """What a column holds, in a word."""
    match kind:
        case "number":
            return say("number")
        case "category":
            return say("category")
        case "text":
            return say("text")
        case "date":
            return say("date")
        case _:
            return say("empty")


def _is_known(one: Figures) -> bool:
    return one.get("low") is not None


def _folded(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"first": items[:DRAWN_FIRST], "rest": items[DRAWN_FIRST:]}


def _head(one: Figures, populations: Sequence[str]) -> dict[str, Any]:
    missing = one.get("missing") or []
    if one.get("is_target"):  # no answer in any test row is as it should be
        missing = [None if share == 1.0 else share for share in missing]
    shown = [{"i": i, "name": populations[i], "text": percent(share)} for i, share in enumerate(missing) if share is not None]
    return {
        "name": one["name"],
        "kind": column_word(one["kind"]),
        "is_target": one.get("is_target", False),
        "missing": shown if any(missing) else [],
    }


def _plot(one: Figures, populations: Sequence[str]) -> dict[str, Any]:
    """Shares of a column's numbers by bin as an area for the first population and as lines for the others."""
    shares, ends = [], []
    for below, counts, above in zip(one["below"], one["counts"], one["above"], strict=True):
        total = below + sum(counts) + above
        shares.append([k / total for k in counts] if total else [])
        ends.append((below, above, total))
    top = max((max(row) for row in shares if row), default=1.0) or 1.0
    n_bins = max(len(row) for row in one["counts"])
    lines = [{"i": i, "d": _steps(row, n_bins, top), "is_first": i == 0} for i, row in enumerate(shares) if row]
    medians = [row[3] for row in one["quantiles"] if row]
    form = _day if one["kind"] == "date" else short
    beyond = sum(low + high for low, high, _ in ends)
    whole = sum(total for _, _, total in ends) or 1
    alt = ", ".join(
        f"{name}: {say('median {value}', value=form(row[3]))}"
        for name, row in zip(populations, one["quantiles"], strict=True)
        if row
    )
    return {
        **_head(one, populations),
        "lines": lines,
        "ticks": list(_ticks(one)),
        "alt": f"{one['name']}: {alt}" if medians else one["name"],
        "beyond": percent(beyond / whole) if beyond else "",
        "is_log": one["log"],
    }


def _steps(shares: Sequence[float], n_bins: int, top: float) -> str:
    """An outline of bars as the `d` of a path."""
    width, height = BOX["right"] - BOX["left"], BOX["bottom"] - BOX["top"]
    parts = [f"M{BOX['left']} {BOX['bottom']}"]
    for k, share in enumerate(shares):
        y = BOX["bottom"] - height * share / top
        parts.append(f"V{y:.1f}H{BOX['left'] + width * (k + 1) / n_bins:.1f}")
    parts.append(f"V{BOX['bottom']}")
    return "".join(parts)


def _ticks(one: Figures) -> Iterator[dict[str, Any]]:
    low, high, span = one["low"], one["high"], BOX["right"] - BOX["left"]
    if not 0 < high - low < math.inf:
        return  # too large or too close for floating point
    if one["kind"] == "date":
        yield {"at": BOX["left"], "text": _day(low), "anchor": "start"}
        yield {"at": BOX["right"], "text": _day(high), "anchor": "end"}
        return
    if one["log"]:
        powers = [10.0**k for k in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
        values = powers[:: max(1, math.ceil(len(powers) / 4))]
        ends = math.log(low), math.log(high)
        places = [(math.log(one) - ends[0]) / (ends[1] - ends[0]) for one in values]
    else:
        axis = Axis(low, high)
        values = axis.ticks(TICKS)
        if max(map(len, one["counts"])) == round(high - low):  # a bin for each whole number
            values = [value for value in values if value == round(value)]
        places = [axis.at(value) / 100 for value in values]
    for value, place in zip(values, places, strict=True):
        anchor = "start" if place < 0.08 else "end" if place > 0.92 else "middle"
        yield {"at": round(BOX["left"] + span * place, 1), "text": short(value), "anchor": anchor}


def _day(days: float) -> str:
    try:
        return (dt.date(1970, 1, 1) + dt.timedelta(days=round(days))).isoformat()
    except OverflowError:
        return short(days)


def _bars(one: Figures, populations: Sequence[str]) -> dict[str, Any]:
    levels = one["levels"][:LEVELS_SHOWN]
    shares = [list(row[: len(levels)]) for row in one["shares"]]
    rest = [
        other + sum(row[len(levels) :]) if n else 0.0
        for row, other, n in zip(one["shares"], one["other"], [sum(row) for row in one["shares"]], strict=True)
    ]
    if any(value > 0 for value in rest):
        levels = [*levels, say("other levels")]
        shares = [[*row, value] for row, value in zip(shares, rest, strict=True)]
    most = max((max(row) for row in shares if row), default=1.0) or 1.0
    known = [i for i, row in enumerate(shares) if any(row)]
    rows = [
        {
            "name": name,
            "bars": [{"i": i, "to": round(100 * shares[i][k] / most, 2), "text": percent(shares[i][k])} for i in known],
        }
        for k, name in enumerate(levels)
    ]
    return {**_head(one, populations), "rows": rows, "n_distinct": count(one["n_distinct"])}


def _text(one: Figures, populations: Sequence[str]) -> dict[str, Any]:
    lengths = [
        {"name": name, "i": i, "text": say("{low} to {high}", low=row[1], high=row[5])}
        for i, (name, row) in enumerate(zip(populations, one["lengths"], strict=True))
        if row
    ]
    return {
        **_head(one, populations),
        "lengths": lengths,
        "examples": one["examples"],
        "n_distinct": count(one["n_distinct"]),
    }


__all__ = ["column_word", "labels_view", "percent", "profile_view", "short"]
