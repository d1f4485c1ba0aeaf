"""An epoch of the Keras learner against `model.fit` of the same model on ready arrays, on one backend at a time.

    python bench/keras_epoch.py [--backends tensorflow jax torch] [--repeats 7] [--threads 1]

Both train one epoch after the other in turn; medians are compared. tamesu's epoch moves and augments pictures (the default
shift) and makes batches; `model.fit` is given all arrays ready in memory and shuffles them. A backend has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

TARGET = 1.1
N, SIZE, N_CLASSES = 1600, 32, 10


def make_rows() -> tuple[Any, Any]:
    """Pictures of noise, labels at random: only the time is of interest."""
    from pathlib import Path

    from tamesu.config import StudyConfig
    from tamesu.data import read_data
    from tamesu.recipe import make_recipe

    rng = np.random.default_rng(0)
    train = {
        "picture": rng.integers(0, 256, (N, SIZE, SIZE, 3), dtype=np.uint8),
        "label": [f"class{i % N_CLASSES}" for i in range(N)],
    }
    fields = {"picture": {"kind": "image"}, "label": {"kind": "label", "target": True}}
    backend = os.environ["KERAS_BACKEND"]
    config = StudyConfig(fields=fields, size=SIZE, learner="keras", model={"backend": backend})
    declared = {name: [one] for name, one in config.fields.items()}
    rows = read_data(config, declared, base=Path(), cache=Path("cache"), train=train).train
    return make_recipe(config, (SIZE, SIZE)), rows


class Ours:
    """One epoch after the other through tamesu's own steps."""

    def __init__(self, n_epochs: int):
        from tamesu.learners.keras import KerasLearner
        from tamesu.learners.network import prepare

        self.learner = KerasLearner()
        self.recipe, rows = make_rows()
        self.ready = prepare(rows, self.recipe)
        self.trainer = self.learner.make_trainer(
            self.network(),
            self.recipe,
            self.ready.targets,
            "cpu",
            n_epochs * self.learner.count_steps(self.ready.feed, self.recipe),
        )
        self.epoch = 0

    def network(self) -> Any:
        """A fresh one."""
        network = self.learner.make_network(self.recipe, self.ready.shape, self.ready.targets)
        network.set_pixels(self.ready.pixels)
        return network

    def run(self) -> None:
        """Trains one epoch."""
        self.learner.train_epoch(self.trainer, self.ready.feed, self.recipe, self.epoch, 0, None)
        self.epoch += 1


class ByFit:
    """`model.fit` on ready arrays."""

    def __init__(self, ours: Ours):
        import keras

        from tamesu.batches import make_batches
        from tamesu.learners.keras_batches import arrays_of

        feed, settings = ours.ready.feed, ours.recipe.train
        (whole,) = make_batches(feed, len(feed), n_threads=0)
        arrays = arrays_of(whole, len(feed))
        self.x, self.y, self.batch_size = arrays["inputs"], arrays["targets"], settings.batch_size
        self.x = {name: one for name, one in self.x.items() if not isinstance(one, dict) or one}
        self.model = ours.network()
        call = self.model.call
        self.model.call = lambda inputs, training=False: call({"series": {}, "lengths": {}, **inputs}, training)
        self.model.compile(
            optimizer=keras.optimizers.AdamW(settings.learning_rate, settings.weight_decay, global_clipnorm=settings.clip_norm),
            loss={"label": keras.losses.SparseCategoricalCrossentropy(from_logits=True)},
        )

    def run(self) -> None:
        """Trains one epoch."""
        self.model.fit(self.x, self.y, batch_size=self.batch_size, epochs=1, verbose=0)


def measure(backend: str, repeats: int, threads: int) -> dict[str, float]:
    """Medians in this process."""
    from tamesu.learners.keras_backend import import_keras

    import_keras(backend)
    if backend == "torch":
        import torch

        torch.set_num_threads(threads)
    ours = Ours(repeats + 2)
    fit = ByFit(ours)
    wall: dict[str, list[float]] = {"ours": [], "fit": []}
    cpu: dict[str, list[float]] = {"ours": [], "fit": []}
    for i in range(repeats + 2):
        for name, one in (("ours", ours), ("fit", fit)) if i % 2 else (("fit", fit), ("ours", ours)):
            started, spent = time.perf_counter(), time.process_time()
            one.run()
            if i >= 2:  # compiled by then
                wall[name].append(time.perf_counter() - started)
                cpu[name].append(time.process_time() - spent)
    middle = {name: statistics.median(of) for name, of in wall.items()}
    spent = {name: statistics.median(of) for name, of in cpu.items()}
    return {
        "ours_s": middle["ours"],
        "fit_s": middle["fit"],
        "wall": middle["ours"] / middle["fit"],
        "processor": spent["ours"] / spent["fit"],
        "compiled": ours.trainer.n_compiled,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="*", default=["tensorflow", "jax", "torch"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.repeats, options.threads)))
        return
    print(f"| backend | tamesu s | model.fit s | wall | processor | compiled | <= {TARGET} |\n|---|---|---|---|---|---|---|")
    for backend in options.backends:
        from tamesu.engines.machine import worker_environment

        env = worker_environment("cpu", options.threads, os.environ, backend)
        command = [
            sys.executable,
            __file__,
            "--one",
            backend,
            "--repeats",
            str(options.repeats),
            "--threads",
            str(options.threads),
        ]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        print(
            f"| {backend} | {found['ours_s']:.2f} | {found['fit_s']:.2f} | **{found['wall']:.3f}** | {found['processor']:.3f} "
            f"| {found['compiled']} | {'yes' if found['wall'] <= TARGET else 'no'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
