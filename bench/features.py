"""How many pictures and series a second are measured for gradient boosting, on one core, reading and resizing included.

python bench/features.py [--n 2000] [--size 64]
"""

from __future__ import annotations

import argparse
import tempfile
import time

import cv2
import numpy as np

from tamesu import Study
from tamesu.features import fit_features

AIM = 2000  # pictures of 64 px a second


def measure_speed(n: int, size: int) -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    depth = rng.integers(0, 4000, (n, size, size), dtype=np.uint16)
    waves = [rng.normal(size=(200, 3)) for _ in range(n)]
    kinds = {
        "colour pictures": (list(colour), {"kind": "image"}),
        "depth maps": (list(depth), {"kind": "depth"}),
        "series of 200 x 3": (waves, {"kind": "series", "names": ["x", "y", "z"]}),
    }
    print(f"At least {AIM:,} pictures of 64 px a second are wanted.\n")
    print("| what | a second, one core | numbers each |\n|---|---|---|")
    for title, (values, field) in kinds.items():
        study = Study(
            train={"v": values, "y": ["a", "b"] * (n // 2)},
            fields={"v": field, "y": {"kind": "label", "target": True}},
            learner="lightgbm",
            size=size,
            runs=tempfile.mkdtemp(),
        )
        plan = study.check()
        started = time.process_time()
        fitted = fit_features(plan.rows, plan.baseline.recipe, 0, "cpu")
        seconds = time.process_time() - started
        print(f"| {title} | {n / seconds:,.0f} | {len(fitted.names)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--size", type=int, default=64)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    measure_speed(given.n, given.size)


if __name__ == "__main__":
    main()
