"""The report in words: numbers as a person writes them, the outcome of each idea as a sentence and what to do next."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tamesu.texts import language, say

Summary = Mapping[str, Any]
MINUS = "\u2212"
SHOWN_NAMES = {  # the field's usual spelling, the same in every language
    "angle_mae": "angle MAE",
    "auc": "AUC",
    "brier": "Brier score",
    "f1_macro": "macro F1",
    "f1_micro": "micro F1",
    "mae": "MAE",
    "mape": "MAPE",
    "mcc": "MCC",
    "qwk": "QWK",
    "r2": "R²",
    "rmse": "RMSE",
    "rmsle": "RMSLE",
    "vector_mae": "vector MAE",
    "vector_mse": "vector MSE",
    "vector_rmse": "vector RMSE",
}
SHARES = ("fraction", "share", "percent")  # units of metrics from 0 to 1, shown in percent

# States of an idea: the four outcomes, and two ways of not having one.
STATES = ("helps", "undecided", "same", "hurts", "waiting", "failed")  # the order they are shown in
OUTCOMES = ("helps", "hurts", "no difference", "undecided")
_STATE_OF = {"helps": "helps", "hurts": "hurts", "no difference": "same", "undecided": "undecided"}


def state_of(idea: Summary) -> str:
    """One of STATES."""
    if idea["gain"] is None:
        return "failed" if idea["note"] else "waiting"
    return _STATE_OF[idea["outcome"]]


def state_word(state: str) -> str:
    """The outcome as it is shown."""
    return {
        "helps": say("helps"),
        "hurts": say("hurts"),
        "same": say("no difference"),
        "undecided": say("undecided"),
        "waiting": say("not judged yet"),
        "failed": say("failed"),
    }[state]


def outcome_word(outcome: str) -> str:
    """The word of a verdict, in the reader's language."""
    return state_word(_STATE_OF[outcome])


def metric_name(metric: Summary) -> str:
    """`log_loss` as `log loss`, `rmse` as `RMSE`; a dotted name by its last part."""
    name = str(metric["name"])
    return SHOWN_NAMES.get(name, name.rsplit(":", 1)[-1].replace("_", " "))


def number(value: float | None, digits: int, *, sign: bool = False) -> str:
    """`value` with a true minus; an em dash for none."""
    if value is None:
        return "—"
    text = f"{value:+,.{digits}f}" if sign else f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def digits_for(width: float | None) -> int:
    """Decimals that show two figures of an uncertainty of `width`."""
    if not width or not math.isfinite(width):
        return 4
    return min(6, max(0, 1 - math.floor(math.log10(abs(width)))))


class Amounts:
    """How scores and gains of one metric are written; shares in percent.

    Args:
        metric: Name, unit and direction.
        width: A typical uncertainty of the values, which sets the decimals; per value where not given.
    """

    def __init__(self, metric: Summary, width: float | None = None):
        self.is_share = metric["unit"] in SHARES
        self.factor = 100.0 if self.is_share else 1.0
        self.digits = None if width is None else digits_for(width * self.factor)

    def _digits(self, width: float | None) -> int:
        return self.digits if self.digits is not None else digits_for(None if width is None else width * self.factor)

    def bare(self, value: float | None, width: float | None = None, *, sign: bool = False) -> str:
        """The number without a unit."""
        return number(None if value is None else value * self.factor, self._digits(width), sign=sign)

    def score(self, value: float | None, width: float | None = None) -> str:
        """A score: `0.3391`, `90.1%`."""
        return self.bare(value, width) + ("%" if self.is_share and value is not None else "")

    def gain(self, value: float | None, width: float | None = None, *, sign: bool = True) -> str:
        """A difference of scores: `+0.031`, `+1.2 pp`."""
        text = self.bare(value, width, sign=sign)
        return say("{value} pp", value=text) if self.is_share and value is not None else text

    def between(self, interval: list[float | None], width: float | None = None, *, sign: bool = True) -> str:
        """An interval of differences: `+0.012 to +0.050`."""
        low, high = (self.bare(edge, width, sign=sign) for edge in interval)
        text = say("{low} to {high}", low=low, high=high)
        return say("{value} pp", value=text) if self.is_share else text


def half_width(interval: list[float | None] | None) -> float | None:
    """Half of an interval; None where an edge is not known."""
    if interval is None or interval[0] is None or interval[1] is None:
        return None
    return (interval[1] - interval[0]) / 2


def duration(seconds: float) -> str:
    """`48 s`, `12 min`, `3.4 h`."""
    if seconds < 90:
        return say("{n} s", n=f"{seconds:.1f}" if seconds < 9.95 else f"{seconds:.0f}")
    if seconds < 90 * 60:
        return say("{n} min", n=f"{seconds / 60:.0f}" if seconds >= 600 else f"{seconds / 60:.1f}")
    return say("{n} h", n=f"{seconds / 3600:.1f}")


def count(n: int) -> str:
    """`12,345`."""
    return f"{n:,}"


def confidence(summary: Summary) -> str:
    """`95%`."""
    return f"{100 * (1 - summary['alpha']):g}%"


def headline(summary: Summary) -> str:
    """The whole answer in one sentence."""
    ideas = summary.get("ideas")
    metric = metric_name(summary["metric"])
    if not ideas:
        base = summary["baseline"]
        amounts = Amounts(summary["metric"], half_width(base["interval"]))
        return say("The baseline reaches {metric} {score}.", metric=metric, score=amounts.score(base["score"]))
    states = Counter(state_of(idea) for idea in ideas)
    n, total = states["helps"], len(ideas)
    if n == 0 and states["undecided"] + states["waiting"] + states["failed"] == 0:
        return say("No idea helps.") if total > 1 else say("The idea does not help.")
    if n == 0:
        return say("No idea is shown to help so far.") if total > 1 else say("The idea is not shown to help so far.")
    if total == 1:
        return say("The idea helps.")
    if n == total:
        return say("All {total} ideas help.", total=total)
    return (
        say("{n} of {total} ideas helps.", n=n, total=total) if n == 1 else say("{n} of {total} ideas help.", n=n, total=total)
    )


def sentence(idea: Summary, summary: Summary) -> str:
    """What was found about an idea, in plain words."""
    state, arm = state_of(idea), idea["arm"]
    if state == "waiting":
        return say("`{arm}` has not been judged: the run stopped before enough folds were trained.", arm=arm)
    if state == "failed":
        return say("`{arm}` could not be trained, so there is nothing to judge: {note}", arm=arm, note=idea["note"])
    metric, width = metric_name(summary["judged_metric"]), half_width(idea["interval"])
    amounts = Amounts(summary["judged_metric"], width)
    size = amounts.gain(abs(idea["gain"]), sign=False)
    low, high = idea["interval"]
    values = {"arm": arm, "metric": metric, "size": size, "level": confidence(summary)}
    if state == "helps":
        text = say(
            "`{arm}` helps: {metric} gets better by about {size} ({level} interval: {interval}).",
            **values,
            interval=amounts.between([low, high], sign=False),
        )
        return _join(text, _small(idea, amounts), _standing(idea, summary))
    if state == "hurts":
        worse = [None if high is None else -high, None if low is None else -low]
        return say(
            "`{arm}` hurts: {metric} gets worse by about {size} ({level} interval: {interval}).",
            **values,
            interval=amounts.between(worse, sign=False),
        )
    if state == "same":
        if idea["n_differ"] == 0:
            return say("`{arm}` changes nothing: every prediction is the same with it and without it.", arm=arm)
        return say(
            "`{arm}` makes no difference that matters: all of the interval ({interval}) "
            "is inside the margin of ±{margin} in {metric}.",
            **values,
            interval=amounts.between([low, high]),
            margin=amounts.gain(idea["margin"], idea["margin"], sign=False),
        )
    text = say(
        "`{arm}` is undecided: the change in {metric} may lie anywhere in {interval} ({level} interval).",
        **values,
        interval=amounts.between([low, high]),
    )
    return _join(text, why_undecided(idea))


def made_of(arm: Summary) -> str:
    """What an ensemble is made of, in a line; empty for an idea, or a baseline, that is none."""
    ensemble = arm.get("ensemble")
    if not ensemble:
        return ""
    is_weighted = ensemble["method"] == "stack"
    parts = [
        f"{one['name']} {one['weight']:.2f}" if is_weighted and one["weight"] is not None else one["name"]
        for one in ensemble["members"]
    ]
    members = ", ".join(parts)
    if is_weighted:
        text = say("Weighted: {members}.", members=members)
    elif ensemble["method"] == "rank_mean":
        text = say("Mean of the ranks of {members}.", members=members)
    else:
        text = say("Mean of {members}.", members=members)
    seeds = ensemble["seeds"]
    return _join(text, say("{n} trainings of each.", n=seeds) if seeds > 1 else "")


def _join(*sentences: str) -> str:
    return ("" if language() == "ja" else " ").join(one for one in sentences if one)


def _small(idea: Summary, amounts: Amounts) -> str:
    if not idea["small"]:
        return ""
    return say(
        "The gain is smaller than the margin that matters ({margin}).",
        margin=amounts.gain(idea["margin"], idea["margin"], sign=False),
    )


def _standing(idea: Summary, summary: Summary) -> str:
    n = summary["sensitivity"]["n_planned"]
    if idea["confirmed"]:
        return say("Confirmed: it holds even with {n} ideas planned on these data.", n=n)
    if idea["level"] is None:
        return say("Suggestive: judged as if it were the only idea.")
    if idea["level"] == 0:
        return say("Suggestive: the {n} planned ideas are used up, so it cannot be confirmed (`verdict.budget`).", n=n)
    return say(
        "Suggestive: judged as if it were the only idea; with {n} ideas planned, it is confirmed from p ≤ {level} on.",
        n=n,
        level=f"{idea['level']:.2g}",
    )


def why_undecided(idea: Summary) -> str:
    """The reason of an `undecided`, and what would decide it."""
    match idea["reason"]:
        case "budget" | "not_yet":
            return say("The run stopped before it was settled; run the same command again and it goes on.")
        case "few_differ":
            return say("It changes the prediction of only {n} rows or groups, too few to tell from luck.", n=idea["n_differ"])
        case "tiny_n":
            return say("There are too few rows for a verdict; read the interval only.")
        case "few_groups":
            return say("There are too few groups for a verdict; read the interval only.")
        case "few_of_class":
            return say("A class has too few rows in each fold for a verdict; read the interval only.")
        case "leave_one_out":
            return say("Leave-one-out cannot be repeated, so it gives an interval but no verdict; k folds would give one.")
    if _needs_repeats(idea):
        if idea["repeats_needed"] is None:
            return say("Most of the doubt is the luck of splits and seeds: more repeats (`folds.max_repeats`) would narrow it.")
        return say(
            "Most of the doubt is the luck of splits and seeds: about {n} repeats (`folds.max_repeats`) would settle it.",
            n=idea["repeats_needed"],
        )
    if idea["rows_needed"] is None:
        return say("More repeats will not settle it, and no number of rows can be named that would.")
    return say(
        "More repeats will not settle it; if the change is what it looks like, about {rows} rows would.",
        rows=count(idea["rows_needed"]),
    )


def _needs_repeats(idea: Summary) -> bool:
    return idea["split_fraction"] is not None and idea["split_fraction"] > 0.5


def advice(idea: Summary) -> str:
    """What to do next, in a few words."""
    state = state_of(idea)
    if state == "helps":
        if idea["small"]:
            return say("keep it if it costs little")
        return say("keep it") if idea["confirmed"] else say("keep it; new data will tell")
    if state == "hurts":
        return say("drop it")
    if state == "same":
        return say("take what is cheaper")
    if state == "waiting":
        return say("run again: it goes on")
    if state == "failed":
        return say("mend the idea, run again")
    match idea["reason"]:
        case "budget" | "not_yet":
            return say("run again: it goes on")
        case "few_differ":
            return say("hardly any prediction changes")
        case "leave_one_out":
            return say("use k folds")
        case "few_of_class":
            return say("too few rows of a class for a verdict")
        case "few_groups":
            return say("too few groups for a verdict")
        case "tiny_n":
            return say("too few rows for a verdict")
    if _needs_repeats(idea):
        return say("allow more repeats")
    if idea["rows_needed"]:
        return say("needs about {rows} rows", rows=count(idea["rows_needed"]))
    return say("more data, or let it be")
