"""Gradient boosting through tamesu against the same library used by hand: the same rows, rounds and settings, paired by row.

    python bench/by_hand.py [--rounds 60] [--repeats 2] [--rows 3000] [--threads 1]

Out-of-fold log losses of both on the same folds, judged by `tamesu.compare`: it must say `no difference`. By hand is what a
user of the library writes (see bench/trees_by_hand.py). Printed are also how many predictions are equal to 1e-6, and the
largest difference of a probability.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tamesu import Study, compare
from tamesu.trial import run_trial
from trees_by_hand import RATE, predict_by_hand

NAMES = ("xgboost", "lightgbm", "catboost")
LEAST = 1e-12  # probability
COLIC = (
    *("surgery", "age", "hospital_number", "rectal_temp", "pulse", "respiratory_rate", "extremities", "peripheral_pulse"),
    *("mucous_membranes", "capillary_refill", "pain", "peristalsis", "distension", "tube", "reflux", "reflux_ph"),
    *("rectal_exam", "abdomen", "cell_volume", "protein", "fluid_look", "fluid_protein", "outcome", "lesion"),
)
COLIC_NUMBERS = ("rectal_temp", "pulse", "respiratory_rate", "reflux_ph", "cell_volume", "protein", "fluid_protein")


def tables(base: Path, rows: int) -> dict[str, tuple[pd.DataFrame, str, str | None]]:
    """By name the rows, the target and the group."""
    adult = pd.read_csv(base / "adult_income" / "train.csv", skipinitialspace=True, na_values="?")
    bank = pd.read_csv(base / "bank_additional" / "bank-additional.csv")
    titanic = pd.read_csv(base / "titanic" / "train.csv").drop(columns=["PassengerId", "Name", "Ticket", "Cabin"])
    titanic = titanic.assign(**{one: titanic[one].astype(str) for one in ("Survived", "Pclass")})
    colic = pd.read_csv(base / "horse_colic" / "horse-colic.csv", header=None, na_values="?", dtype=str)
    colic = colic.iloc[:, : len(COLIC)].set_axis(COLIC, axis=1).drop(columns="outcome")  # it is known after the lesion
    colic = colic.assign(**{one: colic[one].astype(float) for one in COLIC_NUMBERS})
    return {
        "adult_income": (adult.sample(min(rows, len(adult)), random_state=0), "income", None),
        "bank_additional": (bank.sample(min(rows, len(bank)), random_state=0), "y", None),
        "horse_colic": (colic, "lesion", "hospital_number"),
        "titanic": (titanic, "Survived", None),
    }


def losses(
    frame: pd.DataFrame, target: str, group: str | None, name: str, given: argparse.Namespace
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Through tamesu and by hand (r, n) log losses, the folds, and how far their probabilities are apart."""
    frame = frame.reset_index(drop=True)
    kinds = {one: "number" if pd.api.types.is_numeric_dtype(frame[one]) else "label" for one in frame if one != target}
    kinds |= {group: "group"} if group else {}
    study = Study(
        train=frame,
        fields={**kinds, target: {"kind": "label", "target": True}},
        learner=name,
        trees={"rounds": given.rounds, "learning_rate": RATE},
        folds={"group": group} if group else {},
        runs=tempfile.mkdtemp(),
    )
    plan = study.check()
    numbers, texts = (sorted(one for one in plan.baseline.recipe.inputs if kinds[one] == kind) for kind in ("number", "label"))
    inputs = frame[numbers + texts]  # in the order that tamesu has them: of equal splits a library takes the first
    shape = (given.repeats, len(frame))
    ours, theirs, apart, folds = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.int64)
    for (repeat, fold), split in plan.splits.items():
        if repeat >= given.repeats:
            continue
        trial = plan.trial(plan.baseline, repeat, fold)
        result, _ = run_trial(plan.rows, trial, "cpu", given.threads)
        parts = [inputs.iloc[one].reset_index(drop=True) for one in (split.train, split.test)]
        by_hand = predict_by_hand(
            name, parts[0], plan.y[split.train], parts[1], rounds=given.rounds, threads=given.threads, seed=trial.seed
        )
        truth = plan.y[split.test]
        for out, found in ((ours, result.predictions[target]), (theirs, by_hand)):
            out[repeat, split.test] = -np.log(np.maximum(found[np.arange(len(truth)), truth], LEAST))
        apart[repeat, split.test] = np.abs(result.predictions[target] - by_hand).max(axis=1)
        folds[repeat, split.test] = fold
    return ours, theirs, folds, apart


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    warnings.simplefilter("ignore", FutureWarning)
    print(
        "| data | library | log loss by hand | through tamesu | gain | interval | verdict | equal rows | largest difference |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for title, (frame, target, group) in tables(Path(os.environ.get("TAMESU_DATA", "../shared/data")), given.rows).items():
        for name in NAMES:
            ours, theirs, folds, apart = losses(frame, target, group, name, given)
            groups = None if group is None else frame[group].to_numpy()
            found = compare(theirs, ours, folds, groups=groups)
            cells = [
                f"{title} ({len(frame)})",
                name,
                *(f"{one.mean():.4f}" for one in (theirs, ours)),
                f"{found.gain:+.5f}",
                f"{found.low:+.5f} to {found.high:+.5f}",
                found.outcome.value,
                f"{(apart < 1e-6).mean():.3f}",
                f"{apart.max():.1e}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
