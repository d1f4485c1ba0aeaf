"""Trying ideas: which training is wanted next, what the finished ones say, and when an idea is settled.

The state here is derived from finished trials alone, so a run that was stopped goes on where it was, and the same
verdicts come out whatever order the trainings finish in.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from tamesu.arms import Arm
from tamesu.engines.base import Finished
from tamesu.errors import FitError
from tamesu.judgement import Judgement, Outcome
from tamesu.plan import Plan
from tamesu.results import FoldScore
from tamesu.step_scores import as_long_as
from tamesu.store import Store
from tamesu.trial import Trial, TrialResult
from tamesu.variance import Look, seed_variance

RESEEDED = 1  # seed shift of the second training of the baseline that measures seed noise


@dataclass(frozen=True)
class Slot:
    """Where one trial's result belongs: an arm, a fold, and the seed it was trained with."""

    arm: str
    repeat: int
    fold: int
    seed_shift: int = 0


@dataclass
class ArmScores:
    """What is known of one arm so far."""

    arm: Arm
    losses: NDArray[np.float64]  # (r, n) judged loss of each row when it was out of fold, NaN before
    shown: NDArray[np.float64]  # (r, n) the same of the user's metric, as a loss
    predictions: NDArray[np.float64] | None = None  # (r, n, …) out-of-fold predictions of the target; baseline only
    folds: dict[tuple[int, int], FoldScore] = field(default_factory=dict)
    seconds: float = 0.0

    def has(self, look: Look, n_splits: int) -> bool:
        """Every fold up to `look` is trained."""
        return all(key in self.folds for key in folds_up_to(look, n_splits))


@dataclass
class IdeaState:
    """One idea on its way to a verdict."""

    scores: ArmScores
    position: int = 0  # index of the look it is working towards
    judgement: Judgement | None = None
    confirmed: bool = False
    settled: bool = False
    error: str = ""
    level: float | None = None  # at which it is confirmed; None: it cannot be


def folds_up_to(look: Look, n_splits: int) -> list[tuple[int, int]]:
    """(repeat, fold), from 0, of all folds that a look counts."""
    done = [(r, k) for r in range(look.repeat - 1) for k in range(n_splits)]
    return done + [(look.repeat - 1, k) for k in range(look.fold)]


class Tryout:
    """The baseline against its ideas, one at a time, sequentially.

    Args:
        plan: The study made ready.
        store: Where finished trials are.
        ideas: Arms to try; none: the baseline alone.
        baseline_repeats: Repeats of the baseline that are trained whatever the ideas need.
        levels: By arm, the stricter level at which an idea is confirmed, from the ledger; 0 or none: it cannot be.
        confirm: Go on training an idea that helps until it is confirmed or cannot be.
        max_trainings: New trainings at most.
        deadline: `time.monotonic()` after which no training is started.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        ideas: tuple[Arm, ...] = (),
        *,
        baseline_repeats: int = 1,
        levels: Mapping[str, float] = MappingProxyType({}),
        confirm: bool = False,
        max_trainings: int | None = None,
        deadline: float | None = None,
    ):
        self.plan, self.store, self.confirm = plan, store, confirm
        self.max_trainings, self.deadline = max_trainings, deadline
        self.baseline_repeats = min(baseline_repeats, plan.n_repeats)
        self.looks = plan.judge.looks()
        self.baseline = self._no_scores(plan.baseline)
        self.reseeded = self._no_scores(plan.baseline)
        self.ideas = [IdeaState(self._no_scores(arm), level=levels.get(arm.name) or None) for arm in ideas]
        self.fold_of = np.full((plan.n_repeats, len(plan.rows)), -1)
        for (repeat, fold), split in plan.splits.items():
            self.fold_of[repeat, split.test] = fold
        self.started: dict[str, Trial] = {}
        self.n_new = self.n_reused = 0
        self.stopped = ""
        self._trials: dict[Slot, Trial] = {}
        self._slots: dict[str, list[Slot]] = {}
        self._scores = {plan.baseline.name: self.baseline} | {state.scores.arm.name: state.scores for state in self.ideas}

    def _no_scores(self, arm: Arm) -> ArmScores:
        shape = (self.plan.n_repeats, len(self.plan.rows))
        return ArmScores(arm, np.full(shape, np.nan), np.full(shape, np.nan))

    # ── what to train next ──────────────────────────────────────────────────────────────────────────────────────────

    def next_trial(self) -> Trial | None:
        """The training most wanted now that is neither stored nor running; None: nothing until another one finishes."""
        while (found := self._first_wanted()) is not None:
            slot, trial = found
            if self.store.holds(trial):
                self.n_reused += 1
                self._take(slot, self.store.read(trial.key))  # what is wanted may have changed: look again
            elif trial.parts is None and self._is_spent():
                return None
            else:
                self.started[trial.key] = trial
                return trial
        return None

    def _first_wanted(self) -> tuple[Slot, Trial] | None:
        for slot in self._wanted():
            trial = self._trial(slot)
            if trial.key not in self.started:
                return slot, trial
        return None

    def _wanted(self) -> Iterator[Slot]:
        """Slots still empty, the most useful first: the baseline, its seed noise, then idea after idea."""
        base, n_splits = self.baseline, self.plan.n_splits
        for repeat in range(self.baseline_repeats):
            yield from self._empty(base, [(repeat, k) for k in range(n_splits)])
        if self.ideas:
            yield from self._empty(self.reseeded, [(0, k) for k in range(n_splits)], RESEEDED)
        for state in self.ideas:
            if not state.settled:
                needed = folds_up_to(self.looks[state.position], n_splits)
                yield from self._empty(state.scores, needed)
                yield from self._empty(base, needed)

    def _empty(self, scores: ArmScores, keys: list[tuple[int, int]], seed_shift: int = 0) -> Iterator[Slot]:
        return (Slot(scores.arm.name, r, k, seed_shift) for r, k in keys if (r, k) not in scores.folds)

    def _trial(self, slot: Slot) -> Trial:
        if slot not in self._trials:
            arm = self._scores[slot.arm].arm
            trial = self.plan.trial(arm, slot.repeat, slot.fold, slot.seed_shift)
            self._trials[slot] = trial
            self._slots.setdefault(trial.key, []).append(slot)
        return self._trials[slot]

    def may_train(self, part: Trial) -> bool:
        """Whether a part of an ensemble may be trained now; where it may, it counts like what `next_trial` hands out."""
        if self._is_spent():
            return False
        self.started[part.key] = part
        return True

    def _is_spent(self) -> bool:
        out_of_time = self.deadline is not None and time.monotonic() > self.deadline
        if out_of_time or (self.max_trainings is not None and self.n_new + self.n_running >= self.max_trainings):
            self.stopped = "budget"
            return True
        return False

    @property
    def n_running(self) -> int:
        """Trainings handed out and not yet back; an ensemble is none itself."""
        return sum(trial.parts is None for trial in self.started.values())

    # ── what came back ──────────────────────────────────────────────────────────────────────────────────────────────

    def record(self, finished: Finished) -> None:
        """Take one finished training in.

        Raises:
            FitError: A training of the baseline failed; without it nothing can be compared.
        """
        self.started.pop(finished.trial.key, None)
        self.n_new += finished.trial.parts is None
        for slot in self._slots.get(finished.trial.key, []):  # none for what is wanted as a part alone
            if finished.result is not None:
                self._take(slot, finished.result)
            elif slot.arm == self.plan.baseline.name:
                raise FitError(finished.error or "")
            else:
                state = next(s for s in self.ideas if s.scores.arm.name == slot.arm)
                state.error, state.settled = finished.error or "", True

    def _take(self, slot: Slot, result: TrialResult) -> None:
        scores = self.reseeded if slot.seed_shift else self._scores[slot.arm]
        if (slot.repeat, slot.fold) in scores.folds:
            return
        plan, rows = self.plan, self.plan.splits[slot.repeat, slot.fold].test
        name, _ = plan.baseline.recipe.target
        truth = plan.y[rows]
        prediction = as_long_as(truth, result.predictions[name])
        scores.losses[slot.repeat, rows] = plan.judged.row_losses(truth, prediction)
        scores.shown[slot.repeat, rows] = plan.metric.row_losses(truth, prediction)
        if scores is self.baseline:
            if scores.predictions is None:
                scores.predictions = np.full((*scores.losses.shape, *prediction.shape[1:]), np.nan)
            scores.predictions[slot.repeat, rows] = prediction
        scores.seconds += result.fit_time_s + result.predict_time_s
        scores.folds[slot.repeat, slot.fold] = FoldScore(
            repeat=slot.repeat,
            fold=slot.fold,
            n_test=len(rows),
            score=plan.metric.score(truth, prediction),
            judged=plan.judged.score(truth, prediction),
            fit_time_s=result.fit_time_s,
            log=result.log,
            weights=result.weights,
        )
        for state in self.ideas:
            self._advance(state)

    def _advance(self, state: IdeaState) -> None:
        """Judge an idea at every look whose folds are all there, until it is settled."""
        n_splits = self.plan.n_splits
        while not state.settled:
            look = self.looks[state.position]
            seeds_known = self.reseeded.has(Look(1, n_splits), n_splits)
            if not (seeds_known and state.scores.has(look, n_splits) and self.baseline.has(look, n_splits)):
                return
            strict = state.judgement is not None and state.judgement.final  # going on, to confirm
            judgement = self.judge(state, look, state.level if strict else None)
            if not strict:
                state.judgement = judgement
            if judgement.final and state.level is not None and judgement.outcome is Outcome.helps:
                state.confirmed = strict or self.judge(state, look, state.level).outcome is Outcome.helps
            go_on = self.confirm and state.level is not None and judgement.outcome is Outcome.helps and not state.confirmed
            last = state.position + 1 == len(self.looks)
            state.settled = last or (judgement.final and not go_on)
            state.position += not state.settled

    def judge(self, state: IdeaState, look: Look, level: float | None = None) -> Judgement:
        """The verdict on an idea from the folds up to `look`, in the judged loss."""
        return self.plan.judge.judge(
            self.baseline.losses, state.scores.losses, self.fold_of, look, seed_variance=self.seed_noise or 0.0, level=level
        )

    def judge_shown(self, state: IdeaState, look: Look) -> Judgement:
        """The same in the user's own metric, to be shown beside the verdict."""
        noise = seed_variance(self.baseline.shown, self.reseeded.shown, self.fold_of)
        return self.plan.judge.judge(self.baseline.shown, state.scores.shown, self.fold_of, look, seed_variance=noise)

    @property
    def seed_noise(self) -> float | None:
        """Variance of one fold's mean loss between seeds; None until the baseline was retrained with other seeds."""
        if not self.reseeded.has(Look(1, self.plan.n_splits), self.plan.n_splits):
            return None
        return seed_variance(self.baseline.losses, self.reseeded.losses, self.fold_of)

    # ── how far it is ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def n_known(self) -> int:
        """Trainings whose results are in, from this run or an earlier one."""
        return len(self.baseline.folds) + len(self.reseeded.folds) + sum(len(s.scores.folds) for s in self.ideas)

    def n_expected(self) -> int:
        """Trainings in all if every unsettled idea ended at the end of its second repeat: where most null ideas do."""
        n_splits, repeats = self.plan.n_splits, self.plan.n_repeats
        usual = min(2, repeats) * n_splits
        open_ideas = [s for s in self.ideas if not s.settled]
        ideas = sum(max(usual, len(s.scores.folds)) for s in open_ideas)
        ideas += sum(len(s.scores.folds) for s in self.ideas if s.settled)
        base = max(len(self.baseline.folds), self.baseline_repeats * n_splits, usual if open_ideas else 0)
        return base + ideas + (n_splits if self.ideas else 0)

    def n_saved(self, state: IdeaState) -> int:
        """Trainings that a fixed plan of all repeats would have needed beyond those this idea took."""
        return self.plan.n_repeats * self.plan.n_splits - len(state.scores.folds) if state.settled and not state.error else 0
