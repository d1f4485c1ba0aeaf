"""Many ideas on one data set: what is left of a verdict when it is one of many.

A verdict at 5 % is *suggestive*. It is *confirmed* when it also holds at the level that the ledger grants the j-th idea,
which keeps false confirmations to 10 % however many of the planned ideas are useless. `luck_line` and `overuse` say how
much of the total gain the best of many useless ideas would show; the lockbox is the only thing that sees over-use itself.
Pure: numbers in, numbers out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamesu.distributions import t_above, t_from
from tamesu.errors import VerdictError
from tamesu.judgement import Outcome
from tamesu.texts import say

FALSE_DISCOVERIES = 0.10  # q: share of false ones among the confirmed
PLANNED_IDEAS = 20  # M
LOCKBOX_SEEDS = 5
Alarm = Literal["none", "amber", "red"]


def confirm_level(
    j: int,
    *,
    n_confirmed: int = 0,
    budget: int = PLANNED_IDEAS,
    q: float = FALSE_DISCOVERIES,
    any_dependence: bool = False,
) -> float:
    """Level at which the j-th idea is confirmed: (q / M) max(D, 1), LOND with flat weights.

    The weights of the M planned ideas add up to q, so for a later idea nothing is left: its level is 0 and it cannot be
    confirmed until `budget` is raised, which makes every later level stricter.

    Args:
        j: Position of the idea among all that were looked at, from 1, abandoned ones counted.
        n_confirmed: D, ideas confirmed before. Only those that help: counting harmful ones too would grant higher levels.
        budget: M, planned ideas.
        q: Share of false confirmations to allow.
        any_dependence: Valid for any dependence between the comparisons, not only independent or positively dependent
            ones: the level is divided by 1 + 1/2 + ... + 1/j.

    Raises:
        VerdictError: A position or budget below 1, or fewer than no confirmed ideas.

    Source:
        Javanmard & Montanari (2018), Online Rules for Control of False Discovery Rate, Annals of Statistics 46;
        Zrnic, Ramdas & Jordan (2021), Asynchronous Online Testing of Multiple Hypotheses, JMLR 22.
    """
    for name, value, least in (("j", j, 1), ("n_confirmed", n_confirmed, 0), ("budget", budget, 1)):
        if value < least:
            raise VerdictError(
                say("confirm_level: {name} must be at least {least}; got {value}.", name=name, least=least, value=value)
            )
    if j > budget:
        return 0.0
    level = q / budget * max(n_confirmed, 1)
    if any_dependence:
        level /= sum(1 / i for i in range(1, j + 1))
    return min(level, q)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values of a batch of ideas known beforehand; those at or below q are confirmed.

    Args:
        p_values: (m,) one of each idea.

    Source:
        Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, steps)
    return adjusted


def two_level(outcome: Outcome, outcome_at_level: Outcome | None) -> Literal["confirmed", "suggestive", ""]:
    """What a verdict is worth among many: confirmed when the stricter level says the same; "" without helps or hurts.

    Args:
        outcome: At alpha.
        outcome_at_level: Of the same comparison at `confirm_level`; None: not judged there, or the level is 0.
    """
    if outcome not in (Outcome.helps, Outcome.hurts):
        return ""
    return "confirmed" if outcome_at_level is outcome else "suggestive"


def luck_line(standard_error: float, n_compared: int) -> float:
    """About what the best of `n_compared` useless ideas shows: SE sqrt(2 ln m); 0 for a single one."""
    return standard_error * math.sqrt(2 * math.log(max(n_compared, 1)))


def overuse(
    n_compared: int,
    budget: int,
    *,
    claimed_gain: float | None = None,
    luck: float | None = None,
    lockbox: tuple[float, float] | None = None,
) -> Alarm:
    """How far the data are worn out by ideas tried on them.

    Args:
        n_compared: m, comparisons looked at, abandoned ones counted.
        budget: M, planned ideas.
        claimed_gain: Sum of the gains of adopted ideas, by cross-validation; None: nothing adopted.
        luck: The luck line.
        lockbox: Interval of the gain on the rows set aside; None: not opened.
    """
    outside = lockbox is not None and claimed_gain is not None and not lockbox[0] <= claimed_gain <= lockbox[1]
    if n_compared > budget or outside:
        return "red"
    near_luck = claimed_gain is not None and luck is not None and claimed_gain < 2 * luck
    return "amber" if 2 * n_compared > budget or near_luck else "none"


def overuse_sentence(alarm: Alarm, n_compared: int, budget: int, *, outside_lockbox: bool = False) -> str | None:
    """The warning to print; None where there is nothing to warn of."""
    if alarm == "none":
        return None
    if alarm == "red" and outside_lockbox:
        return say(
            "Red: the rows set aside do not confirm the gain that cross-validation claims. It is, at least in part, luck."
        )
    if alarm == "red":
        return say(
            "Red: {m} ideas were compared on these rows, {budget} were planned. What is found now cannot be confirmed here.",
            m=n_compared,
            budget=budget,
        )
    if 2 * n_compared > budget:
        return say(
            "Amber: {m} of {budget} planned ideas were compared on these rows; luck has had many tries.",
            m=n_compared,
            budget=budget,
        )
    return say("Amber: the claimed gain is less than twice what the best of {m} useless ideas would show.", m=n_compared)


@dataclass(frozen=True)
class LockboxJudgement:
    """The present baseline against the first one, on rows that no idea was ever chosen on."""

    gain: float  # above zero: the present one is better
    low: float
    high: float
    standard_error: float
    p_value: float
    n_rows: int
    n_seeds: int
    degrees_of_freedom: float

    def excludes(self, claimed_gain: float) -> bool:
        """The gain that cross-validation claims lies outside the interval."""
        return not self.low <= claimed_gain <= self.high


def judge_lockbox(
    loss_first: ArrayLike, loss_current: ArrayLike, *, groups: ArrayLike | None = None, alpha: float = 0.05
) -> LockboxJudgement:
    """One paired row test; rows and trained models (seeds) both count, V = (1 + 10/n) V_S + X.

    The rows were in no training set, so there is no overlap to correct for. X = max(0, V_F - V_W) comes from the few seeds;
    the degrees of freedom (Welch-Satterthwaite) fall towards theirs when X is most of V.

    Args:
        loss_first: (seeds, n) per-row losses of the first baseline, trained with `LOCKBOX_SEEDS` seeds on all other rows.
        loss_current: The same of the present baseline.
        groups: (n,) rows of a group count as one.
        alpha: One minus the coverage.

    Raises:
        VerdictError: Shapes that differ, fewer than two seeds or rows, a loss that is not finite.
    """
    first, current = np.asarray(loss_first, dtype=float), np.asarray(loss_current, dtype=float)
    if first.shape != current.shape or first.ndim != 2 or min(first.shape) < 2:
        raise VerdictError(
            say(
                "lockbox: losses must have one shape (seeds, rows), at least 2 of each; got {a} and {b}.",
                a=first.shape,
                b=current.shape,
            )
        )
    gain = first - current  # (s, n)
    if not np.isfinite(gain).all():
        raise VerdictError(say("lockbox: losses must be finite; some are not."))
    n_seeds, n = gain.shape
    theta = float(gain.mean())
    codes = np.arange(n) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    n_units = int(codes.max()) + 1
    if n_units < 2:
        raise VerdictError(say("lockbox: groups must be at least 2; got {n}.", n=n_units))
    deviations = np.stack([np.bincount(codes, one - theta) for one in gain])  # (s, units)
    rows = n_units / (n_units - 1) * float((deviations.mean(axis=0) ** 2).sum()) / n**2
    models = float(gain.mean(axis=1).var(ddof=1)) / n_seeds
    both = deviations.size / (deviations.size - 1) * float((deviations**2).sum()) / gain.size**2
    rows, models = (1 + 10 / n_units) * rows, max(0.0, models - both)
    variance = rows + models
    df = n_units - 1.0
    if models > 0:
        df = variance**2 / (rows**2 / (n_units - 1) + models**2 / (n_seeds - 1))
    se = math.sqrt(variance)
    half = t_from(alpha / 2, df) * se
    p_value = 2 * t_above(abs(theta) / se, df) if se > 0 else float(theta == 0)
    return LockboxJudgement(theta, theta - half, theta + half, se, p_value, n, n_seeds, df)


def ladder_step(best: float, score: float, standard_error: float) -> float:
    """What to report when the lockbox is opened again: the new gain if better by a paired standard error, else the old.

    Source:
        Blum & Hardt (2015), The Ladder: A Reliable Leaderboard for Machine Learning Competitions, ICML.
    """
    return score if score > best + standard_error else best


def claimed_gain(gains: Sequence[float]) -> float | None:
    """Sum of the gains of the adopted ideas; None without one. Inflated where each was the best of many."""
    return float(sum(gains)) if gains else None
