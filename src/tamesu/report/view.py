"""From the summary to what the template draws: every number placed, every text ready."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from tamesu.report import words
from tamesu.report.axes import Axis, gain_axis, path, thinned
from tamesu.report.words import Amounts, half_width
from tamesu.texts import say

View = dict[str, Any]
MAX_PATCH = 90  # characters of a patch shown in the table
PANEL_W, PANEL_H = 240, 150  # a learning curve, in its own units
PANEL_LEFT, PANEL_RIGHT, PANEL_TOP, PANEL_BOTTOM = 40, 6, 8, 22


def make_view(summary: Mapping[str, Any]) -> View:
    """Everything the template needs but the pictures."""
    from tamesu.report.maps_view import maps_view
    from tamesu.report.mistakes_view import mistakes_view

    return {
        "headline": words.headline(summary),
        "facts": _facts(summary),
        "verdict": verdict_view(summary) if summary.get("ideas") else None,
        "baseline": baseline_view(summary),
        "sensitivity": sensitivity_view(summary),
        "mistakes": mistakes_view(summary),
        "curves": curves_view(summary),
        "maps": maps_view(summary),
        "cost": cost_view(summary),
    }


def _facts(summary: Mapping[str, Any]) -> list[View]:
    """The few numbers at the top."""
    base, data = summary["baseline"], summary["data"]
    amounts = Amounts(summary["metric"], half_width(base["interval"]))
    rows = say("{n} groups", n=words.count(data["n_groups"])) if data["n_groups"] else ""
    saved = summary["n_saved"]
    return [
        {
            "name": say("baseline, {metric}", metric=words.metric_name(summary["metric"])),
            "value": amounts.score(base["score"]),
            "more": say("{level} interval", level=words.confidence(summary))
            + f" {amounts.bare(base['interval'][0])}–{amounts.score(base['interval'][1])}",
        },
        {"name": say("rows"), "value": words.count(data["n_rows"]), "more": rows},
        {
            "name": say("trainings"),
            "value": words.count(summary["n_trainings"]),
            "more": say("{n} saved by stopping early", n=words.count(saved)) if saved else "",
        },
        {"name": say("time"), "value": words.duration(summary["seconds"]), "more": ""},
    ]


# ── the verdict ─────────────────────────────────────────────────────────────────────────────────────────────────────


def verdict_view(summary: Mapping[str, Any]) -> View:
    """One row an idea, the best first, all intervals on one axis."""
    ideas = sorted(summary["ideas"], key=lambda one: (words.STATES.index(words.state_of(one)), -(one["gain"] or 0.0)))
    margin = summary["sensitivity"]["margin"]
    axis = gain_axis([one["interval"] for one in ideas if half_width(one["interval"]) is not None], margin)
    scale = Amounts(summary["judged_metric"])
    states = [words.state_of(one) for one in ideas]
    same_metric = summary["metric"]["name"] == summary["judged_metric"]["name"]
    return {
        "rows": [_verdict_row(one, summary, axis, same_metric) for one in ideas],
        "band": [axis.at(-margin), axis.at(margin)] if margin else None,
        "margin": None if margin is None else scale.gain(margin, margin, sign=False),
        "zero": axis.at(0.0),
        "ticks": ticks_of(axis, scale, sign=True),
        "counts": [{"state": s, "word": words.state_word(s), "n": states.count(s)} for s in words.STATES if s in states],
        "clipped": any(half_width(one["interval"]) is not None and not _inside(one["interval"], axis) for one in ideas),
        "metric": words.metric_name(summary["judged_metric"]),
        "shown": words.metric_name(summary["metric"]),
        "same_metric": same_metric,
    }


def _inside(interval: list[float], axis: Axis) -> bool:
    return axis.holds(interval[0]) and axis.holds(interval[1])


def ticks_of(axis: Axis, amounts: Amounts, *, sign: bool, n: int = 5) -> list[View]:
    """Round values on an axis, as they are written."""
    scaled = Axis(axis.low * amounts.factor, axis.high * amounts.factor)
    digits = scaled.tick_digits(n)
    return [{"at": scaled.at(t), "text": words.number(t, digits, sign=sign)} for t in scaled.ticks(n)]


def _verdict_row(idea: Mapping[str, Any], summary: Mapping[str, Any], axis: Axis, same_metric: bool) -> View:
    state = words.state_of(idea)
    row: View = {
        "state": state,
        "word": words.state_word(state),
        "arm": idea["arm"],
        "patch": patch_text(idea["patch"]),
        "trainings": words.count(idea["n_trainings"]),
        "saved": idea["n_saved"],
        "time": words.duration(idea["seconds"]),
        "advice": words.advice(idea),
        "sentence": words.sentence(idea, summary),
        "made_of": words.made_of(idea),
        "note": "" if state == "failed" else idea["note"],
        "standing": None,
        "plot": None,
        "gain": None,
    }
    width = half_width(idea["interval"])
    if width is None:
        return row
    judged, (low, high) = Amounts(summary["judged_metric"], width), idea["interval"]
    row["gain"] = judged.gain(idea["gain"])
    row["interval"] = judged.between(idea["interval"])
    row["plot"] = {
        "low": axis.at(low),
        "high": axis.at(high),
        "at": axis.at(idea["gain"]) if axis.holds(idea["gain"]) else None,
        "off_low": low < axis.low,
        "off_high": high > axis.high,
    }
    if state == "helps":
        row["standing"] = say("confirmed") if idea["confirmed"] else say("suggestive")
    shown = idea["metric_gain"]
    if shown and not same_metric:
        amounts = Amounts(summary["metric"], half_width(shown["interval"]))
        row["metric_gain"] = f"{words.metric_name(summary['metric'])} {amounts.gain(shown['gain'])}"
        row["metric_interval"] = amounts.between(shown["interval"])
    return row


def patch_text(patch: Mapping[str, Any], prefix: str = "") -> str:
    """A patch as a person would say it: `train.epochs: 40`."""
    parts = []
    for key, value in patch.items():
        if isinstance(value, Mapping) and value:
            parts.append(patch_text(value, f"{prefix}{key}."))
        else:
            parts.append(f"{prefix}{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    text = ", ".join(parts)
    return text if len(text) <= MAX_PATCH or prefix else text[: MAX_PATCH - 1] + "…"


# ── the baseline ────────────────────────────────────────────────────────────────────────────────────────────────────


def baseline_view(summary: Mapping[str, Any]) -> View:
    """A line of dots for each repeat, one dot a fold."""
    base = summary["baseline"]
    folds = [one for one in base["folds"] if one["score"] is not None]
    low, high = base["interval"]
    axis = Axis.over([one["score"] for one in folds] + [low, high, base["score"]])
    amounts = Amounts(summary["metric"], half_width(base["interval"]))
    rows = []
    for repeat in sorted({one["repeat"] for one in folds}):
        mine = [one for one in folds if one["repeat"] == repeat]
        mean = sum(one["score"] * one["n_test"] for one in mine) / max(1, sum(one["n_test"] for one in mine))
        dots = [
            {
                "at": axis.at(one["score"]),
                "text": say(
                    "fold {fold}: {score}, {n} rows", fold=one["fold"] + 1, score=amounts.score(one["score"]), n=one["n_test"]
                ),
            }
            for one in mine
        ]
        rows.append({"repeat": repeat + 1, "dots": dots, "mean": axis.at(mean), "text": amounts.score(mean)})
    n_folds = max((one["fold"] for one in folds), default=-1) + 1
    return {
        "rows": rows,
        "band": [axis.at(low), axis.at(high)] if half_width(base["interval"]) is not None else None,
        "at": None if base["score"] is None else axis.at(base["score"]),
        "ticks": ticks_of(axis, Amounts(summary["metric"]), sign=False),
        "metric": words.metric_name(summary["metric"]),
        "unit": "%" if amounts.is_share else "",
        "score": amounts.score(base["score"]),
        "interval": f"{amounts.bare(low)}–{amounts.score(high)}",
        "level": words.confidence(summary),
        "n_folds": n_folds,
        "n_repeats": len(rows),
        "made_of": words.made_of(base),
        "better": say("more is better") if summary["metric"]["higher_is_better"] else say("less is better"),
        "table": [
            [
                one["repeat"] + 1,
                one["fold"] + 1,
                words.count(one["n_test"]),
                amounts.score(one["score"]),
                words.duration(one["fit_time_s"]),
            ]
            for one in folds
        ],
    }


# ── what the cross-validation can see ───────────────────────────────────────────────────────────────────────────────


def sensitivity_view(summary: Mapping[str, Any]) -> View | None:
    """Bars on one scale: noise, margin, luck, smallest visible gain, the largest gain claimed."""
    found = summary["sensitivity"]
    metric = words.metric_name(summary["judged_metric"])
    entries = [
        (
            "seed",
            found["seed_noise"],
            say("seed noise"),
            say("how far another seed alone moves the {metric} of one fold", metric=metric),
        ),
        ("margin", found["margin"], say("margin that matters"), say("a change inside ± this counts as no difference")),
        (
            "luck",
            found["luck_line"] or None,
            say("luck line"),
            say("what the best of {n} useless ideas would show by luck", n=found["n_compared"]),
        ),
        (
            "smallest",
            found["smallest_gain"],
            say("smallest gain it can see"),
            say("a true gain of this size is found four times out of five"),
        ),
        ("claimed", found["claimed_gain"], say("largest gain found"), say("of the ideas that help, in this run")),
    ]
    known = [(key, value, name, why) for key, value, name, why in entries if value is not None]
    if not known:
        return None
    reference = max((value for key, value, *_ in known if key != "claimed"), default=0.0)
    top = max(min(max(value for _, value, *_ in known), 4 * reference) if reference > 0 else known[-1][1], 1e-12)
    axis, amounts = Axis(0.0, top * 1.04), Amounts(summary["judged_metric"])
    bars = [
        {
            "key": key,
            "to": axis.at(value),
            "off": not axis.holds(value),
            "name": name,
            "why": why,
            "text": amounts.gain(value, value, sign=False),
        }
        for key, value, name, why in known
    ]
    return {
        "bars": bars,
        "metric": metric,
        "use": _use_view(summary) if "ideas" in summary else None,
        "data": _data_sentences(summary),
    }


def _use_view(summary: Mapping[str, Any]) -> View:
    """How much the same rows have been asked already."""
    found = summary["sensitivity"]
    m, budget = found["n_compared"], max(1, found["n_planned"])
    if found["alarm"] == "red":
        text = say(
            "More comparisons were made on these rows than planned. Expect some of the gains to be luck; "
            "check them on rows that no decision has used (`tamesu lockbox`), or raise `verdict.budget` before going on."
        )
    elif found["claim_near_luck"]:
        text = say("The largest gain found is less than twice the luck line: part of it may be luck.")
    elif found["alarm"] == "amber":
        text = say("More than half of the planned comparisons are used: choose the next ideas with care.")
    else:
        text = say("These rows have not been asked too often yet.")
    return {
        "alarm": found["alarm"],
        "text": text,
        "count": say("{m} of {budget} planned comparisons on these rows", m=m, budget=budget),
        "fill": round(100 * min(m, budget) / max(m, budget), 2),
        "over": round(100 * max(0, m - budget) / max(m, budget), 2),
        "half": round(50 * budget / max(m, budget), 2),
    }


def _data_sentences(summary: Mapping[str, Any]) -> list[str]:
    data = summary["data"]
    if data["n_groups"]:
        found = [
            say(
                "{n} rows in {g} groups: a group is never split between training and test, and counts as one observation.",
                n=words.count(data["n_rows"]),
                g=words.count(data["n_groups"]),
            )
        ]
    else:
        found = [say("{n} rows, each counted as one observation.", n=words.count(data["n_rows"]))]
    found.append(say("Verdicts hold for training on about this many rows; with many more, an idea may turn out differently."))
    return found


# ── learning curves ─────────────────────────────────────────────────────────────────────────────────────────────────


def curves_view(summary: Mapping[str, Any]) -> View | None:
    """Training loss by epoch: a panel for each arm, a thin line for each fold, all on the same axes."""
    arms = [(say("baseline"), summary["baseline"]["folds"])] + [(one["arm"], one["folds"]) for one in summary.get("ideas", [])]
    lines = {name: [list(zip(f["epochs"], f["loss"], strict=True)) for f in folds if f["loss"]] for name, folds in arms}
    values = [loss for mine in lines.values() for line in mine for _, loss in line if loss is not None]
    if not values:
        return None
    log = min(values) > 0 and max(values) / min(values) > 30
    x_axis = Axis(1, max(2, max(e for mine in lines.values() for line in mine for e, _ in line)))
    y_axis = Axis.over([math.log10(v) if log else v for v in values], pad=0.04)

    def place(epoch: float, loss: float) -> tuple[float, float]:
        x, y = x_axis.at(epoch) / 100, y_axis.at(math.log10(loss) if log else loss) / 100
        return PANEL_LEFT + x * (PANEL_W - PANEL_LEFT - PANEL_RIGHT), PANEL_H - PANEL_BOTTOM - y * (
            PANEL_H - PANEL_TOP - PANEL_BOTTOM
        )

    panels = []
    for name, mine in lines.items():
        drawn = []
        for line in mine:
            kept = [line[i] for i in thinned(len(line)) if line[i][1] is not None]
            if kept:
                drawn.append(path([place(epoch, loss) for epoch, loss in kept]))
        ends = [line[-1][1] for line in mine if line[-1][1] is not None]
        if drawn:
            panels.append(
                {"name": name, "paths": drawn, "n": len(mine), "end": f"{sum(ends) / len(ends):.3g}" if ends else "—"}
            )
    return {
        "panels": panels,
        "log": log,
        "x_ticks": [{"at": place(t, values[0])[0], "text": f"{t:g}"} for t in x_axis.ticks(4) if t == int(t)],
        "y_ticks": [{"at": place(1, t)[1], "text": f"{t:g}"} for t in _loss_ticks(y_axis, log)],
        "box": {
            "w": PANEL_W,
            "h": PANEL_H,
            "left": PANEL_LEFT,
            "right": PANEL_W - PANEL_RIGHT,
            "bottom": PANEL_H - PANEL_BOTTOM,
        },
    }


def _loss_ticks(axis: Axis, log: bool) -> list[float]:
    if not log:
        return axis.ticks(4)
    decades = range(math.floor(axis.low) - 1, math.ceil(axis.high) + 1)
    step = max(1, round((axis.high - axis.low) / 5))
    return [10.0**d for d in decades if axis.holds(d) and d % step == 0]


# ── what it cost ────────────────────────────────────────────────────────────────────────────────────────────────────


def cost_view(summary: Mapping[str, Any]) -> View:
    """Trainings and time of each arm, spent and saved."""
    base = summary["baseline"]
    arms = [(say("baseline"), base["n_trainings"], 0, base["seconds"])]
    arms += [(one["arm"], one["n_trainings"], one["n_saved"], one["seconds"]) for one in summary.get("ideas", [])]
    most = max(1, *(spent + saved for _, spent, saved, _ in arms))
    rows = [
        {
            "name": name,
            "spent": words.count(spent),
            "saved": words.count(saved) if saved else "",
            "time": words.duration(seconds),
            "spent_to": round(100 * spent / most, 2),
            "saved_to": round(100 * saved / most, 2),
        }
        for name, spent, saved, seconds in arms
    ]
    total = summary["n_trainings"] + summary["n_saved"]
    return {
        "rows": rows,
        "spent": words.count(summary["n_trainings"]),
        "saved": words.count(summary["n_saved"]) if summary["n_saved"] else "",
        "saved_share": f"{100 * summary['n_saved'] / total:.0f}%" if summary["n_saved"] and total else "",
        "time": words.duration(summary["seconds"]),
    }
