"""The same network on every framework, judged: Fashion-MNIST through PyTorch and through Keras on each of its backends.

    TAMESU_DATA=../shared/data python bench/keras_real.py [--rows 1000] [--epochs 4] [--out FOLDER]

The baseline is PyTorch; each backend is an idea, which should be no better and no worse: `no difference`, or `undecided` where
these few rows cannot tell. The margin of 0.1 nats was
set before anything was run.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("TAMESU_DATA", Path(__file__).parents[2] / "shared" / "data")).resolve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("runs/bench-keras"))
    options = parser.parse_args()
    from tamesu import Study

    with np.load(DATA / "fashion_mnist" / "fashion_mnist.npz") as arrays:
        pictures, names = arrays["x_train"][: options.rows], arrays["class_names"][arrays["y_train"][: options.rows]]
    started = time.monotonic()
    study = Study(
        train={"picture": pictures, "label": [str(one) for one in names]},
        fields={"picture": "image", "label": {"kind": "label", "target": True}},
        metric="accuracy",
        training={"epochs": options.epochs},
        folds={"max_repeats": 2},
        verdict={"judge": "auto", "margin": 0.1, "budget": 3},
        ideas={name: {"learner": "keras", "model": {"backend": name}} for name in ("tensorflow", "jax", "torch")},
        runs=options.out,
        name="keras-real",
    )
    result = study.try_ideas()
    baseline = result.baseline
    print(f"baseline (PyTorch): accuracy {baseline.score:.3f}, {baseline.seconds / baseline.n_trainings:.1f} s a fold\n")
    print("| backend | verdict | gain in log loss | accuracy | trainings | seconds a fold |\n|---|---|---|---|---|---|")
    for idea in result.ideas:
        judged, shown = idea.judgement, idea.metric_gain
        verdict = judged.outcome.value.replace("_", " ")
        loss = f"{judged.gain:+.3f} ({judged.low:+.3f} to {judged.high:+.3f})"
        accuracy = f"{100 * shown.value:+.1f} pp ({100 * shown.low:+.1f} to {100 * shown.high:+.1f})"
        seconds = idea.seconds / idea.n_trainings
        print(f"| {idea.name} | **{verdict}** | {loss} | {accuracy} | {idea.n_trainings} | {seconds:.1f} |")
    print(f"\n{time.monotonic() - started:.0f} s in all")


if __name__ == "__main__":
    main()
