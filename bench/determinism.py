"""The same trial twice on the CPU gives bit-identical predictions: alone, beside other workers, in a worn worker.

python bench/determinism.py [--epochs 3]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tamesu.demo import write_demo
from tamesu.engines.local import LocalEngine
from tamesu.study import Study
from tamesu.trial import Trial


def predict(rows: object, trials: Sequence[Trial], n_workers: int) -> dict[str, bytes]:
    """The bytes of every trial's predictions, nothing stored."""
    waiting, found = iter(trials), {}
    with LocalEngine(rows, None, n_workers=n_workers, devices=["cpu"]) as engine:  # type: ignore[arg-type]
        for finished in engine.run(lambda: next(waiting, None)):
            if finished.result is None:
                raise SystemExit(f"{finished.error}\n{finished.traceback}")
            found[finished.trial.key] = b"".join(array.tobytes() for array in finished.result.predictions.values())
        print(f"  {len(found)} trials in {engine.n_workers} worker(s) of {engine.threads} thread(s)")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tamesu-bench-") as name:
        study = write_demo(Path(name))
        study.write_text(study.read_text().replace("epochs: 8", f"epochs: {options.epochs}"))
        plan = Study.load(study).check()
        trials = [plan.trial(plan.baseline, 0, fold, 0) for fold in range(4)]
        target = trials[2]
        alone = predict(plan.rows, [target], 1)[target.key]
        again = predict(plan.rows, [target], 1)[target.key]
        beside = predict(plan.rows, trials, 64)[target.key]
        worn = predict(plan.rows, trials, 1)[target.key]
    checks = {
        "alone, twice": again == alone,
        "beside other workers": beside == alone,
        "after others in one worker": worn == alone,
    }
    for what, same in checks.items():
        print(f"{what:28} {'bit-identical' if same else 'DIFFERS'}")
    if not all(checks.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
