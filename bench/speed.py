"""An epoch through tamesu against a hand-written PyTorch loop over tensors that are ready: same network, rows and threads.

    python bench/speed.py [--repeats 7] [--threads 1]

Both train one epoch after the other in turn, so that what else the machine does falls on both; medians are compared.
tamesu's epoch reads, augments (the default shift), batches and logs; the hand-written one only indexes float tensors in
memory. Wall time is what a single training takes; processor time is what counts when trainings run beside each other.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from tamesu.batches import make_batches
from tamesu.config import StudyConfig
from tamesu.data import read_data
from tamesu.learners.network import prepare
from tamesu.learners.torch import TorchLearner, set_pixels
from tamesu.learners.torch_steps import Training, decay_groups
from tamesu.recipe import Recipe, make_recipe

TARGET = 1.05  # tamesu's epoch over the hand-written one
N_CLASSES = 10


def make_rows(folder: Path, name: str, n: int, size: int) -> tuple[Recipe, object]:
    """Pictures of noise as arrays, or as JPEG files of many sizes; labels at random: only the time is of interest."""
    rng = np.random.default_rng(0)
    labels = [f"class{i % N_CLASSES}" for i in range(n)]
    if name == "arrays":
        train = {"picture": rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8), "label": labels}
        fields = {"picture": {"kind": "image"}, "label": {"kind": "label", "target": True}}
        config = StudyConfig(fields=fields, size=size)
        rows = read_data(
            config, {k: [v] for k, v in config.fields.items()}, base=folder, cache=folder / "cache", train=train
        ).train
    else:
        lines = ["picture,label"]
        for i in range(n):
            h, w = rng.integers(size, 2 * size, 2)
            smooth = cv2.resize(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8), (int(w), int(h)))
            cv2.imwrite(str(folder / f"{i}.jpg"), smooth)
            lines.append(f"{i}.jpg,{labels[i]}")
        (folder / "train.csv").write_text("\n".join(lines))
        fields = {"picture": {"kind": "image"}, "label": {"kind": "label", "target": True}}
        config = StudyConfig(fields=fields, size=size, data={"train": "train.csv"})
        rows = read_data(config, {k: [v] for k, v in config.fields.items()}, base=folder, cache=folder / "cache").train
    rows.pictures["picture"].prepare((size, size))
    return make_recipe(config, (size, size)), rows


class Ours:
    """One epoch after the other through tamesu's own steps."""

    def __init__(self, recipe: Recipe, rows: object, n_epochs: int):
        self.learner = TorchLearner()
        ready = prepare(rows, recipe, self.learner.make_targets)
        self.feed, self.targets, self.shape, self.pixels = ready.feed, ready.targets, ready.shape, ready.pixels
        self.training = self.make_training(recipe, n_epochs)
        self.epoch = 0

    def make_training(self, recipe: Recipe, n_epochs: int) -> Training:
        """A fresh network, ready to train."""
        torch.manual_seed(0)
        network = self.learner.make_network(recipe, self.shape, self.targets)
        set_pixels(network, self.pixels)
        return self.learner.make_training(network, recipe, self.targets, torch.device("cpu"), n_epochs * 1000)

    def run(self) -> None:
        """Trains one epoch."""
        self.learner.train_epoch(self.training, self.feed, self.epoch, 0, None)
        self.epoch += 1


class ByHand:
    """What one would write for this one data set: pictures standardised once, indexed by a permutation."""

    def __init__(self, ours: Ours, recipe: Recipe, n_epochs: int):
        network = ours.make_training(recipe, n_epochs).network
        self.backbone, self.head = network.backbones["field_0"], network.heads["target_0"]
        self.dropout = network.dropout
        self.network = nn.Sequential(self.backbone, self.dropout, self.head)
        pictures = np.concatenate([batch.pictures["picture"][: batch.n_real] for batch in make_batches(ours.feed, 64)])
        fitted = ours.pixels["picture"]
        standardised = (pictures.astype(np.float32) - fitted.mean) / fitted.std
        self.x = torch.from_numpy(standardised).permute(0, 3, 1, 2)  # channels-last in memory
        self.y = torch.from_numpy(ours.feed.encoded["label"])
        self.batch_size, self.clip = recipe.train.batch_size, recipe.train.clip_norm
        self.optimizer = torch.optim.AdamW(decay_groups(self.network, recipe.train.weight_decay), lr=1e-3, fused=True)

    def run(self) -> None:
        """Trains one epoch."""
        order = torch.randperm(len(self.x))
        total = 0.0
        for index in order.split(self.batch_size):
            loss = nn.functional.cross_entropy(self.network(self.x[index]), self.y[index])
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
            self.optimizer.step()
            total += loss.item() * len(index)


def measure(name: str, n: int, size: int, repeats: int) -> dict[str, float]:
    """Median seconds of an epoch, by wall clock and by processor time, of both; and their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        recipe, rows = make_rows(Path(folder), name, n, size)
        ours = Ours(recipe, rows, repeats + 1)
        by_hand = ByHand(ours, recipe, repeats + 1)
        times: dict[str, list[tuple[float, float]]] = {"ours": [], "by_hand": []}
        for i in range(2 * repeats + 2):
            which, loop = (("ours", ours), ("by_hand", by_hand))[(i + i // 2) % 2]  # neither always comes first
            wall, processor = time.perf_counter(), time.process_time()
            loop.run()
            if i >= 2:  # the first of each warms up
                times[which].append((time.perf_counter() - wall, time.process_time() - processor))
    middle = {which: [statistics.median(column) for column in zip(*rounds, strict=True)] for which, rounds in times.items()}
    return {
        "wall_s": middle["ours"][0],
        "by_hand_wall_s": middle["by_hand"][0],
        "wall_ratio": middle["ours"][0] / middle["by_hand"][0],
        "processor_ratio": middle["ours"][1] / middle["by_hand"][1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    print(f"threads {options.threads}, {options.repeats} epochs each, target {TARGET}")
    for name, n, size in (("arrays", 1600, 32), ("jpeg files", 320, 160)):
        got = measure(name, n, size, options.repeats)
        print(
            f"{name:10s} {size:3d} px: tamesu {got['wall_s']:.2f} s, by hand {got['by_hand_wall_s']:.2f} s an epoch; "
            f"ratio wall {got['wall_ratio']:.3f}, processor {got['processor_ratio']:.3f}"
        )


if __name__ == "__main__":
    main()
