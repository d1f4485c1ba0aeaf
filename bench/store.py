"""A store of 10,000 trials lists in under a second; also what reading and writing one costs.

python bench/store.py [--trials 10000] [--rows 1000] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np

from tamesu.store import Store
from tamesu.trial import TrialResult


def make_result(i: int, n: int, rng: np.random.Generator) -> TrialResult:
    return TrialResult(
        key=f"{i:032x}",
        repeat=i // 5,
        fold=i % 5,
        seed=i,
        ids=np.array([f"images/{row:06d}.jpg" for row in range(n)], dtype=object),
        predictions={"label": rng.dirichlet(np.ones(10), n).astype(np.float32)},
        log=[{"epoch": epoch, "loss": 1 / epoch, "learning_rate": 0.002} for epoch in range(1, 21)],
        fit_time_s=1.0,
        predict_time_s=0.1,
        device="cpu",
        threads=1,
        versions={"tamesu": "0", "numpy": np.__version__},
        recipe={"learner": "torch", "fields": {"file": {"kind": "image"}, "label": {"kind": "label", "target": True}}},
        n_train=4 * n,
    )


def measure(folder: Path, n_trials: int, n_rows: int) -> None:
    store, rng = Store(folder), np.random.default_rng(0)
    store.check_writable()
    n_timed = min(n_trials, 200)
    started = time.perf_counter()
    for i in range(n_timed):
        store.write(make_result(i, n_rows, rng))
    print(f"write, flushed to disk     {(time.perf_counter() - started) / n_timed * 1e3:8.2f} ms a trial", flush=True)
    with patch("tamesu.folders._sync"):  # the other thousands need not survive a power cut
        for i in range(n_timed, n_trials):
            store.write(make_result(i, n_rows, rng))
    started = time.perf_counter()
    keys = Store(folder).keys()
    listed_s = time.perf_counter() - started
    print(f"list {len(keys)} trials         {listed_s:8.3f} s   {'ok' if listed_s < 1 else 'TOO SLOW'}")
    started = time.perf_counter()
    assert all(keys[-1] in store for _ in range(100))
    print(f"is it there, and whole     {(time.perf_counter() - started) * 10:8.2f} ms a trial")
    started = time.perf_counter()
    n_read = sum(1 for _ in store.read_all())
    print(f"read all, digests checked  {time.perf_counter() - started:8.2f} s")
    assert n_read == len(keys) == n_trials
    if listed_s >= 1:
        raise SystemExit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=1_000, help="scored rows in each trial, 10 classes")
    parser.add_argument("--out", type=Path, help="keep the store here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tamesu-bench-") as name:
        measure(options.out or Path(name) / "trials", options.trials, options.rows)


if __name__ == "__main__":
    main()
