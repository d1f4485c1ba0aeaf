"""What starting costs: importing tamesu, and a training in a worker that is warm.

    python bench/start.py [--imports 9] [--trials 60]

Imports are timed in fresh processes, beside one that starts Python alone. Trials of a learner that does nothing go through one
warm worker, results stored: what is left is what a training costs beside its learner.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

IMPORT_S, START_S = 0.3, 0.05
ENGINES = ("torch", "tensorflow", "jax", "keras", "xgboost", "lightgbm", "catboost")


class Nothing:  # its methods are the contract's
    """Predicts 0 without having learned anything."""

    log = ({"epoch": 1, "loss": 0.0, "learning_rate": 0.0},)

    def check(self, recipe: Any, dataset: Any) -> list[str]:  # noqa: D102
        return []

    def fit(self, rows: Any, recipe: Any, seed: int, device: str, on_epoch: Any = None) -> Nothing:  # noqa: D102
        return self

    def predict(self, rows: Any) -> dict[str, Any]:  # noqa: D102
        return {"y": np.zeros(len(rows))}

    def save(self, folder: Path) -> None: ...  # noqa: D102

    def load(self, folder: Path) -> Nothing:  # noqa: D102
        return self


def import_s(what: str, n: int) -> tuple[float, list[str]]:
    """Median seconds of an import beyond starting Python, and the engines that it loads."""
    code = f"{what}; import sys; print(*[one for one in {ENGINES} if one in sys.modules])"
    times: dict[str, list[float]] = {"with": [], "without": []}
    loaded: list[str] = []
    for _ in range(n):
        for name, text in (("with", code), ("without", "pass")):
            started = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
            times[name].append(time.perf_counter() - started)
            loaded = done.stdout.split() if name == "with" else loaded
    return statistics.median(times["with"]) - statistics.median(times["without"]), loaded


def start_s(n: int) -> float:
    """Median seconds between one finished trial and the next."""
    from tamesu.config import StudyConfig
    from tamesu.dataset import Dataset
    from tamesu.engines.local import LocalEngine
    from tamesu.folds import Split
    from tamesu.recipe import make_recipe
    from tamesu.store import Store
    from tamesu.trial import make_trial

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=1000), "y": rng.normal(size=1000)})
    ids = np.array([f"row{i}" for i in range(1000)], dtype=object)
    rows = Dataset(ids, table, {}, {}, {"x": "x", "y": "y"}, "made")
    config = StudyConfig(fields={"x": {"kind": "number"}, "y": {"kind": "number", "target": True}}, learner="start:Nothing")
    recipe = make_recipe(config, (0, 0))
    trials = [make_trial(rows, recipe, Split(i, 0, np.arange(800), np.arange(800, 1000))) for i in range(n)]
    waiting = iter(trials)
    ends = []
    with tempfile.TemporaryDirectory() as folder, LocalEngine(rows, Store(folder), n_workers=1) as engine:
        for finished in engine.run(lambda: next(waiting, None)):
            assert finished.result is not None, finished.error
            ends.append(time.perf_counter())
    return statistics.median(np.diff(ends)[5:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imports", type=int, default=9)
    parser.add_argument("--trials", type=int, default=60)
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    for what in ("import tamesu", "from tamesu import Study"):
        seconds, loaded = import_s(what, options.imports)
        limit = f" (limit {IMPORT_S})" if what == "import tamesu" else ""
        print(f"{what}: {seconds:.3f} s{limit}; engines loaded: {', '.join(loaded) or 'none'}")
    print(f"a trial in a warm worker beside its learner: {1000 * start_s(options.trials):.1f} ms (limit {1000 * START_S:.0f})")


if __name__ == "__main__":
    main()
