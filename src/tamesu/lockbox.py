"""The lockbox: rows set aside at the start, the only thing that sees how far a project has fitted its own folds.

The first baseline and the present one are each trained on all other rows with several seeds and scored on the rows set
aside. Every opening is counted in the ledger, since every look wears them out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tamesu.assembly import Assembly
from tamesu.engines.local import LocalEngine
from tamesu.errors import ConfigError, FitError
from tamesu.folds import Split
from tamesu.multiplicity import LOCKBOX_SEEDS, LockboxJudgement, judge_lockbox
from tamesu.plan import Plan
from tamesu.recipe import Recipe
from tamesu.runfolder import RunFolder
from tamesu.strata import read_groups
from tamesu.targets import make_target
from tamesu.texts import say
from tamesu.trial import Trial, make_trial


def open_lockbox(plan: Plan, folder: RunFolder) -> tuple[LockboxJudgement, int]:
    """Score the first baseline and the present one on the rows set aside.

    Returns:
        What the rows say of all changes together, in the judged loss, and how often they have been looked at.

    Raises:
        ConfigError: No rows are set aside, or nothing was changed since the first run.
    """
    if not len(plan.locked):
        raise ConfigError(
            say("folds.lockbox: must be a share of the rows to set aside, such as 0.15; got 0. Set it before the first run.")
        )
    first, current = folder.first_baseline(plan), plan.baseline.recipe
    if first.training_json() == current.training_json():
        raise ConfigError(
            say("lockbox: must compare the first baseline with a later one; nothing was kept since the first run.")
        )
    groups = read_groups(plan.config.folds, plan.data.train.take(plan.locked), plan.config.fields)
    judgement = judge_lockbox(*_losses(plan, folder, (first, current)), groups=groups, alpha=plan.config.verdict.alpha)
    count = folder.ledger(plan).open_lockbox(judgement.gain, judgement.low, judgement.high)
    return judgement, count


def lockbox_sentence(judgement: LockboxJudgement, count: int) -> str:
    """What came out, for a person."""
    return say(
        "On {n} rows set aside, all that was kept since the first run gains {gain:+.4g} ({low:+.4g} … {high:+.4g}) in the "
        "judged loss; above zero is better. Opened {count} times so far.",
        n=judgement.n_rows,
        gain=judgement.gain,
        low=judgement.low,
        high=judgement.high,
        count=count,
    )


def _losses(plan: Plan, folder: RunFolder, recipes: tuple[Recipe, Recipe]) -> list[NDArray[np.float64]]:
    """(seeds, n) judged losses of the lockbox rows, for each recipe."""
    rows = plan.data.train
    trials = [
        [make_trial(rows, recipe, Split(0, seed, plan.kept, plan.locked), seed_shift=seed) for seed in range(LOCKBOX_SEEDS)]
        for recipe in recipes
    ]
    todo = [trial for several in trials for trial in several if trial.key not in folder.store]
    waiting = iter(todo)
    with Assembly(LocalEngine(rows, folder.store), rows, folder.store) as engine:
        for finished in engine.run(lambda: next(waiting, None)):
            if finished.result is None:
                raise FitError(finished.error or "")
    name, target = plan.baseline.recipe.target
    truth = make_target(name, target, plan.classes).truth(rows.take(plan.locked).values(name, target))

    def loss(trial: Trial) -> NDArray[np.float64]:
        return plan.judged.row_losses(truth, folder.store.read(trial.key).predictions[name])

    return [np.stack([loss(trial) for trial in several]) for several in trials]
