"""What the models use, placed on one axis: a dot and an interval for each input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tamesu.report import words
from tamesu.report.axes import Axis
from tamesu.report.view import View, ticks_of
from tamesu.report.words import Amounts, half_width
from tamesu.texts import say
from tamesu.yamltext import flow

MAX_ROWS = 40  # inputs drawn; the JSON document has all


def importance_view(document: Mapping[str, Any]) -> View:
    """Everything the template needs, what matters most first.

    Args:
        document: From `Importance.as_dict`, or read back from its JSON.
    """
    shown = document["fields"][:MAX_ROWS]
    axis = Axis.over([0.0, *(edge for one in shown for edge in (*one["interval"], one["importance"]))])
    return {
        "arm": arm_text(document),
        "rows": [_row(one, document, axis) for one in shown],
        "zero": axis.at(0.0),
        "ticks": ticks_of(axis, Amounts(document["judged_metric"]), sign=False),
        "metric": words.metric_name(document["judged_metric"]),
        "score": score_text(document),
        "n_repeats": document["n_repeats"],
        "level": words.confidence(document),
        "n_hidden": len(document["fields"]) - len(shown),
        "yaml": ideas_yaml(document["ideas"]),
    }


def ideas_yaml(ideas: Mapping[str, Mapping[str, Any]]) -> str:
    """Ideas as lines of study.yaml; "" without any."""
    return "".join(["ideas:\n", *(f"  {flow(name)}: {flow(patch)}\n" for name, patch in ideas.items())]) if ideas else ""


def effect_word(effect: str) -> str:
    """What was seen of an input, in a few words."""
    return {
        "worse": say("used"),
        "none": say("no effect seen"),
        "constant": say("one value in every fold"),
    }[effect]


def amount_of(one: Mapping[str, Any], document: Mapping[str, Any]) -> tuple[str, str, str]:
    """How much worse, its interval, and the same in the study's metric where that is another ("" where there is none)."""
    if one["effect"] == "constant":
        return "0", "", ""
    width = half_width(one["interval"])
    judged = Amounts(document["judged_metric"], width)
    interval = "" if width is None else judged.between(one["interval"], sign=False)
    other = ""
    if document["metric"]["name"] != document["judged_metric"]["name"]:
        amounts = Amounts(document["metric"], half_width(one["metric_interval"]))
        amount = amounts.gain(one["metric_importance"], sign=False)
        other = say("{metric}: {amount}", metric=words.metric_name(document["metric"]), amount=amount)
    return judged.gain(one["importance"], sign=False), interval, other


def arm_text(document: Mapping[str, Any]) -> str:
    """Whose models they are: the baseline's, or those of an idea's arm."""
    return say("baseline") if document["arm"] == "baseline" else str(document["arm"])


def score_text(document: Mapping[str, Any]) -> str:
    """What the models score as the rows are: `accuracy 85.6%`, in as many figures as the intervals are sure of."""
    width = next((half_width(one["metric_interval"]) for one in document["fields"]), None)
    return f"{words.metric_name(document['metric'])} {Amounts(document['metric'], width).score(document['score'])}"


def _row(one: Mapping[str, Any], document: Mapping[str, Any], axis: Axis) -> View:
    amount, interval, other = amount_of(one, document)
    low, high = one["interval"]
    more = ", ".join(one["fields"]) if one["kind"] == "group" else one["kind"]
    return {
        "name": one["name"],
        "more": more if one["effect"] == "worse" else f"{more} · {effect_word(one['effect'])}",
        "effect": one["effect"],
        "amount": amount,
        "interval": interval,
        "other": other,
        "at": None if one["importance"] is None else axis.at(one["importance"]),
        "plot": None
        if half_width(one["interval"]) is None
        else {"low": axis.at(low), "high": axis.at(high), "off_low": False, "off_high": False},
    }
