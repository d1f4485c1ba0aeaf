"""What a comparison said: the outcome, its numbers, and the sentence a person reads."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from tamesu.texts import say
from tamesu.variance import Look

FEW_ROWS = 100  # below, power is near none


class Outcome(enum.Enum):
    """What a comparison said; the value is the word in JSON, `sentence()` what a person reads."""

    helps = "helps"
    hurts = "hurts"
    no_difference = "no difference"
    undecided = "undecided"

    def sentence(self) -> str:
        """What this outcome means."""
        match self:
            case Outcome.helps:
                return say("Helps: the gain is larger than chance explains. Keeping the idea is the better bet.")
            case Outcome.hurts:
                return say("Hurts: the loss is larger than chance explains. Leave the idea out.")
            case Outcome.no_difference:
                return say("No difference: whatever the idea does is smaller than what matters. Decide by cost or simplicity.")
            case Outcome.undecided:
                return say("Undecided: these data do not tell. That is not the same as no difference.")


@dataclass(frozen=True)
class Judgement:
    """One comparison at one look. A gain above zero means that the idea is better, in the unit of the losses."""

    outcome: Outcome
    final: bool  # nothing more is to be trained for it
    gain: float
    low: float
    high: float  # low..high: interval at this look's boundary
    standard_error: float
    p_value: float  # two-sided t, scaled by this look's boundary: p <= alpha exactly when the interval excludes zero
    margin: float  # smallest gain that matters
    n_rows: int  # rows scored so far
    n_differ: int  # of those, rows (with groups: groups) whose loss the idea changed
    look: Look
    small: bool  # helps or hurts, by less than the margin
    reason: str  # a short code: why this outcome, why now; `sentence()` spells it out
    rows_needed: int | None  # for 80 % power if the gain is what it seems; None with a verdict, or where no number would do
    repeats_needed: int | None  # the same in repeats; None where no number of repeats would be enough
    split_fraction: float  # share of the variance that repeats remove; over half: more repeats help, else more data
    n_total: int  # rows of the whole comparison
    smallest_gain: float  # found with 80 % power by the full number of repeats
    level: float  # alpha, or the stricter level it was judged at

    @property
    def needs(self) -> str:
        """What an undecided comparison lacks: "more_repeats" or "more_data"; "" with a verdict."""
        if self.outcome is not Outcome.undecided:
            return ""
        return "more_repeats" if self.split_fraction > 0.5 else "more_data"

    def out_of_budget(self) -> Judgement:
        """The same, ended because no more training is allowed; a final judgement stays as it is."""
        return self if self.final else replace(self, final=True, reason="budget")

    def sentence(self) -> str:
        """The verdict with its numbers and its reason, for a person."""
        match self.outcome:
            case Outcome.no_difference:
                return self._no_difference()
            case Outcome.undecided:
                return " ".join(part for part in (self._why_undecided(), self._what_would_help()) if part)
        gain, low, high, margin = _number(abs(self.gain)), _number(self.low), _number(self.high), _number(self.margin)
        if self.outcome is Outcome.helps:
            text = say("Helps: the loss falls by {gain} (interval of the gain {low} to {high}).", gain=gain, low=low, high=high)
        else:
            text = say("Hurts: the loss rises by {gain} (interval of the gain {low} to {high}).", gain=gain, low=low, high=high)
        if self.small:
            text += " " + say("But it is small: less than the {margin} that matters.", margin=margin)
        if self.reason == "curtailed":
            text += " " + say("The remaining repeats could hardly change that.")
        return text

    def caution(self) -> str | None:
        """What to keep in mind although the verdict stands; None: nothing."""
        if self.n_total < FEW_ROWS:
            return say(
                "Only {n} rows: most real gains will not be found. Collect at least {few} if you can.",
                n=self.n_total,
                few=FEW_ROWS,
            )
        return None

    def _no_difference(self) -> str:
        if self.reason == "identical":
            return say("No difference: the predictions are the same in every row, so the idea changes nothing here.")
        text = say(
            "No difference that matters: the gain is {gain} (interval {low} to {high}), within ±{margin}.",
            gain=_number(self.gain),
            low=_number(self.low),
            high=_number(self.high),
            margin=_number(self.margin),
        )
        if self.reason == "curtailed":
            text += " " + say("The remaining repeats could hardly change that.")
        return text

    def _why_undecided(self) -> str:
        seen = {"gain": _number(self.gain), "low": _number(self.low), "high": _number(self.high)}
        match self.reason:
            case "few_differ":
                return say("Undecided: the idea changed only {n} rows (or groups), too few to tell from luck.", n=self.n_differ)
            case "few_groups":
                return say(
                    "Undecided, interval only: {low} to {high}. With fewer than 30 groups no verdict can be trusted.", **seen
                )
            case "tiny_n":
                return say(
                    "Undecided, interval only: {low} to {high}. With fewer than 50 rows no verdict can be trusted.", **seen
                )
            case "few_of_class":
                return say(
                    "Undecided, interval only: {low} to {high}. A class has fewer than 10 rows a fold: too few for a verdict.",
                    **seen,
                )
            case "leave_one_out":
                return say(
                    "Undecided, interval only: {low} to {high}. Leave-one-out cannot be repeated, so it gives no verdict.",
                    **seen,
                )
            case "futility":
                return say(
                    "Undecided: the gain is {gain} ({low} to {high}); more training is unlikely to settle it, so it stopped.",
                    **seen,
                )
            case "curtailed":
                return say(
                    "Undecided: the gain is {gain} ({low} to {high}); the remaining repeats can hardly settle it.", **seen
                )
            case "budget":
                return say("Undecided: the gain is {gain} so far ({low} to {high}); the budget ended before a verdict.", **seen)
            case "not_yet":
                return say("Undecided so far: the gain is {gain} ({low} to {high}).", **seen)
        return say("Undecided: the gain is {gain} ({low} to {high}), which may be luck or may be real.", **seen)

    def _what_would_help(self) -> str:
        if self.reason in ("few_groups", "tiny_n", "few_of_class", "leave_one_out", "not_yet"):
            return ""
        if self.needs == "more_repeats" and self.repeats_needed is not None:
            return say(
                "Most of the doubt is the luck of splits and seeds: about {n} repeats would settle it.", n=self.repeats_needed
            )
        if self.rows_needed is None:
            return say("No number of rows would settle it: what is seen is no gain at all.")
        return say(
            "Most of the doubt is the choice of rows: if the gain is real, about {n} rows would show it, more repeats not.",
            n=f"{self.rows_needed:,}",
        )


def _number(value: float) -> str:
    return f"{value:.3g}"
