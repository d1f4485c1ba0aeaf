"""Gradient boosting through tamesu against the same library used by hand: time of one fit and predict.

    python bench/trees.py [--repeats 9] [--rounds 200] [--threads 1] [--n 100000] [--f 50] [--only lightgbm]

Both start from the same rows in one process and take turns, so that what else the machine does falls on both; printed are
medians of the ratios of neighbours, of wall time and of processor time. By hand is what a user of the library writes (see
bench/trees_by_hand.py), with the texts made categories within the time, as they are within tamesu's. Both have the same
rounds, rate, threads, and for LightGBM the settings that make it repeatable.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tamesu import Study
from tamesu.learners.base import make_learner
from trees_by_hand import RATE, predict_by_hand

LIMIT = 1.05  # tamesu's time over the library's own
NAMES = ("xgboost", "lightgbm", "catboost")


def adult(base: Path) -> tuple[pd.DataFrame, str]:
    return pd.read_csv(base / "adult_income" / "train.csv", skipinitialspace=True, na_values="?"), "income"


def made(n: int, f: int) -> tuple[pd.DataFrame, str]:
    """Numbers, a tenth of them missing, of which some decide a class."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, f))
    y = x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(size=n) > 0
    x[rng.random((n, f)) < 0.1] = np.nan
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(f)]).assign(y=np.where(y, "yes", "no")), "y"


def measured(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor time of it, in seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def pair(frame: pd.DataFrame, target: str, name: str, rounds: int, threads: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """What is timed: through tamesu, and by hand."""
    kinds = {one: "number" if pd.api.types.is_numeric_dtype(frame[one]) else "label" for one in frame if one != target}
    study = Study(
        train=frame,
        fields={**kinds, target: {"kind": "label", "target": True}},
        learner=name,
        trees={"rounds": rounds, "learning_rate": RATE},
        runs=tempfile.mkdtemp(),
    )
    plan = study.check()
    split, recipe = plan.splits[0, 0], plan.baseline.recipe
    train, test = plan.rows.take(split.train), plan.rows.take(split.test).without([target])
    frames = [frame.drop(columns=target).iloc[one].reset_index(drop=True) for one in (split.train, split.test)]
    y = plan.y[split.train]
    learner = make_learner(name)

    def ours() -> Any:
        return learner.fit(train, recipe, 0, "cpu").predict(test)

    def by_hand() -> Any:
        return predict_by_hand(name, frames[0], y, frames[1], rounds=rounds, threads=threads, seed=0)

    return ours, by_hand


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--f", type=int, default=50)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    data = Path(os.environ.get("TAMESU_DATA", "../shared/data"))
    tables = {"adult_income": adult(data), f"made {given.n} x {given.f}": made(given.n, given.f)}
    print("| data | library | by hand, s | wall ratio | processor ratio |\n|---|---|---|---|---|")
    for title, (frame, target) in tables.items():
        for name in NAMES:
            if given.only not in ("", name):
                continue
            ours, by_hand = pair(frame, target, name, given.rounds, given.threads)
            ours(), by_hand()  # imports, and files read for the first time
            ratios = []
            seconds = []
            for i in range(given.repeats):
                first, second = (ours, by_hand) if i % 2 else (by_hand, ours)  # whoever comes second finds warm caches
                times = {first: measured(first), second: measured(second)}
                ratios.append([times[ours][k] / times[by_hand][k] for k in (0, 1)])
                seconds.append(times[by_hand][0])
            wall, processor = (statistics.median(one[k] for one in ratios) for k in (0, 1))
            print(f"| {title} | {name} | {statistics.median(seconds):.2f} | {wall:.3f} | {processor:.3f} |", flush=True)
    print(f"\nIt must be at most {LIMIT}.")


if __name__ == "__main__":
    main()
