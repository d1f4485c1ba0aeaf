"""What a training epoch costs with channels, positions and balanced groups switched on, against the plain one.

    python bench/epoch.py [--rows 256] [--size 96] [--rounds 7] [--only NAME …] [--batch-size 32] [--backbone tiny]

Colour and depth pictures of one size, and 30 numbers; one arm after the other in every round, medians of processor time and of
ratios within a round. Arms of early fusion, which have one backbone in place of two, are also compared with a plain one of it.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
import torch

from tamesu import testing
from tamesu.config import AugmentConfig, ChannelsConfig, ModelConfig
from tamesu.fields import DepthField, ImageField, LabelField, NumberField
from tamesu.learners.torch import TorchLearner

DEPTH = ("metres", "valid", "log", "inverse", "clipped", "xyz", "normals", "gradient")
CAMERA = (90.0, 90.0, 47.5, 47.5)
FEW = {"n": {"fields": tuple(f"x{i}" for i in range(2))}}
ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "depth: valid, log, normals": {"channels": {"depth": ("valid", "log", "normals")}},
    "all depth channels": {"channels": {"depth": DEPTH}},
    "places: coords, 4 octaves, border": {"channels": {"coords": "frame", "fourier": 4, "border": True}},
    "early fusion": {"model": {"fusion": "early"}},
    "early fusion, balanced": {"model": {"fusion": "early", "stem": "balanced", "groups": FEW}},
    "numbers: skew, cycle, indicator": {"numbers": {"skew": "yeo_johnson", "indicator": True}},
    "everything": {
        "channels": {"depth": DEPTH, "coords": "frame", "fourier": 4, "border": True},
        "model": {"stem": "balanced", "groups": FEW},
        "numbers": {"skew": "yeo_johnson", "indicator": True},
    },
    "everything, early fusion": {
        "channels": {"depth": DEPTH, "coords": "frame", "fourier": 4, "border": True},
        "model": {"fusion": "early", "stem": "balanced", "groups": FEW},
        "numbers": {"skew": "yeo_johnson", "indicator": True},
    },
}
PLAIN, PLAIN_EARLY = "plain", "early fusion"


def make_rows(n: int, size: int) -> Any:
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    far = 1 + rng.random((n, 1, 1)) + 0.3 * rng.normal(size=(n, 1, 1)) * x / size + 0.2 * y / size
    depth = np.where(rng.random((n, size, size)) < 0.05, 0, far * 1000).clip(0, 60000).astype(np.uint16)
    colour = rng.integers(0, 255, (n, size, size, 3), dtype=np.uint8)
    pictures = {
        "colour": testing.ArrayPictures(tuple(colour)),
        "depth": testing.ArrayPictures(tuple(depth[..., None])),
    }
    table = pd.DataFrame(np.exp(rng.normal(size=(n, 30))), columns=[f"x{i}" for i in range(30)])
    table["y"] = np.where(rng.random(n) < 0.5, "a", "b")
    return testing._dataset(table, pictures)


def make_recipe(size: int, epochs: int, arm: dict[str, Any], batch_size: int = 32, backbone: str = "tiny") -> Any:
    numbers = arm.get("numbers", {})
    fields: dict[str, Any] = {
        "colour": ImageField(),
        "depth": DepthField(of="colour", camera=CAMERA, clip_m=(0.5, 3.0)),
        "y": LabelField(target=True),
    }
    fields |= {f"x{i}": NumberField(**numbers) for i in range(30)}
    recipe = testing.toy_recipe(fields, size=(size, size), train={"epochs": epochs, "batch_size": batch_size})
    model = ModelConfig.model_validate(arm.get("model", {}) | {"backbone": backbone})
    channels = ChannelsConfig.model_validate(arm.get("channels", {}))
    return recipe.model_copy(update={"model": model, "channels": channels, "augment": AugmentConfig(rotate_deg=5.0)})


def seconds(rows: Any, recipe: Any) -> float:
    """Of an epoch: two trainings that differ by two epochs, so that what is done once is left out."""
    spent = []
    for epochs in (1, 3):
        longer = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": epochs})})
        started = time.process_time()
        TorchLearner().fit(rows, longer, 0)
        spent.append(time.process_time() - started)
    return (spent[1] - spent[0]) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--backbone", default="tiny")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = make_rows(options.rows, options.size)
    names = list(dict.fromkeys([PLAIN, PLAIN_EARLY, *options.only]))
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            recipe = make_recipe(options.size, 1, ARMS[name], options.batch_size, options.backbone)
            found[name].append(seconds(rows, recipe))
    print("| | seconds an epoch | times the plain one | times the plain one of early fusion |\n|---|---|---|---|")
    for name, each in found.items():
        ratio = [np.median(np.array(each) / np.array(found[plain])) for plain in (PLAIN, PLAIN_EARLY)]
        is_early = ARMS[name].get("model", {}).get("fusion") == "early"
        print(f"| {name} | {np.median(each):.2f} | {ratio[0]:.2f} | {f'{ratio[1]:.2f}' if is_early else ''} |")


if __name__ == "__main__":
    main()
