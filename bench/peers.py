"""The default study against fastai's `vision_learner(resnet18, pretrained=False)` given the same wall time.

    pip install fastai
    TAMESU_DATA=../shared/data python bench/peers.py --seeds 3

For each data set and seed: tamesu trains its default study (nothing tuned) on all training rows once; fastai then trains
as many one-cycle epochs as fit into the same wall time (never fewer than one). Same threads, same process layout, one
after the other. Prints test accuracy of both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("TAMESU_DATA", Path(__file__).parents[2] / "shared" / "data"))


def read_pictures(paths):
    import cv2

    return np.stack([cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths])


def read_fashion_mnist(seed):
    with np.load(DATA / "fashion_mnist" / "fashion_mnist.npz") as data:
        return data["x_train"], data["y_train"], data["x_test"], data["y_test"]


def read_csv_set(folder, label, image_root=""):
    import pandas as pd

    table = pd.read_csv(folder / "labels.csv")
    sets = []
    for split in ("train", "test"):
        rows = table[table["split"] == split]
        sets += [read_pictures([folder / image_root / file for file in rows["file"]]), rows[label].to_numpy()]
    return sets


def read_cifar10_jpg(seed):
    return read_csv_set(DATA / "cifar10_jpg", "class")


def read_gtsrb_directions(seed):
    folder = DATA / "gtsrb_directions"
    root = "" if (folder / _first_file(folder)).exists() else "images"
    return read_csv_set(folder, "class_name", root)


def _first_file(folder):
    import pandas as pd

    return pd.read_csv(folder / "labels.csv", nrows=1)["file"][0]


def read_sign_digits(seed):
    """350 rows and no split of their own: 30 % held out by seed, stratified."""
    from sklearn.model_selection import train_test_split

    paths = sorted(path for path in (DATA / "sign_digits").glob("[0-9]/*"))
    x, y = read_pictures(paths), np.array([path.parent.name for path in paths])
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, stratify=y, random_state=seed)
    return x_train, y_train, x_test, y_test


SETS = {
    "fashion_mnist": read_fashion_mnist,
    "cifar10_jpg": read_cifar10_jpg,
    "gtsrb_directions": read_gtsrb_directions,
    "sign_digits": read_sign_digits,
}


def train_tamesu(name, seed, threads, budget_s):
    """The default study, trained once on all training rows."""
    import torch

    from tamesu import Study
    from tamesu.learners.base import make_learner

    torch.set_num_threads(threads)
    x_train, y_train, x_test, y_test = SETS[name](seed)
    with tempfile.TemporaryDirectory() as runs:
        study = Study(
            train={"picture": x_train, "label": [str(y) for y in y_train]},
            test={"picture": x_test},
            fields={"picture": {"kind": "image"}, "label": {"kind": "label", "target": True}},
            runs=runs,
        )
        plan = study.check()
        recipe = plan.baseline.recipe
        started = time.perf_counter()
        fitted = make_learner("torch").fit(plan.data.train, recipe, seed, "cpu")
        seconds = time.perf_counter() - started
        shares = fitted.predict(plan.data.test)["label"]
    guess = np.array(plan.classes)[shares.argmax(axis=1)]
    return {"accuracy": float(np.mean(guess == y_test.astype(str))), "seconds": seconds, "epochs": recipe.train.epochs}


def train_fastai(name, seed, threads, budget_s):
    """resnet18 from scratch, one cycle of as many epochs as fit."""
    import pandas as pd
    import torch
    from fastai.vision.all import ImageDataLoaders, resnet18, set_seed, vision_learner
    from PIL import Image

    torch.set_num_threads(threads)
    x_train, y_train, x_test, y_test = SETS[name](seed)
    with tempfile.TemporaryDirectory() as folder:
        for split, pictures in (("train", x_train), ("test", x_test)):
            for i, picture in enumerate(pictures):
                Image.fromarray(picture).convert("RGB").save(f"{folder}/{split}{i}.png", compress_level=1)
        table = pd.DataFrame({"name": [f"train{i}.png" for i in range(len(x_train))], "label": [str(y) for y in y_train]})
        table["is_valid"] = table.index == 0  # fastai wants a validation set; one row keeps its cost at nothing

        def make():
            set_seed(seed, reproducible=True)
            loaders = ImageDataLoaders.from_df(table, folder, valid_col="is_valid", num_workers=0)
            return vision_learner(loaders, resnet18, pretrained=False), loaders

        learner, _ = make()
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(1)  # warm up
            started = time.perf_counter()
            learner.fit_one_cycle(1)
            epoch_s = time.perf_counter() - started
            epochs = max(1, round(budget_s / epoch_s))
            learner, loaders = make()
            started = time.perf_counter()
            learner.fit_one_cycle(epochs)
            seconds = time.perf_counter() - started
            shares, _ = learner.get_preds(dl=loaders.test_dl([Path(folder) / f"test{i}.png" for i in range(len(x_test))]))
        guess = np.array(list(loaders.vocab))[shares.argmax(dim=1).numpy()]
    return {"accuracy": float(np.mean(guess == y_test.astype(str))), "seconds": seconds, "epochs": epochs}


def in_process_of_its_own(who, name, seed, threads, budget_s=0.0):
    """Each training starts cold, with the same threads."""
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, __file__, "--one", who, name, str(seed), str(threads), str(budget_s)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        who, name, seed, threads, budget = options.one
        train = {"tamesu": train_tamesu, "fastai": train_fastai}[who]
        print(json.dumps(train(name, int(seed), int(threads), float(budget))))
        return
    print("| data | tamesu default | fastai resnet18 | seconds | epochs tamesu / fastai |\n|---|---|---|---|---|", flush=True)
    for name in options.sets:
        ours, theirs = [], []
        for seed in range(options.seeds):
            ours.append(in_process_of_its_own("tamesu", name, seed, options.threads))
            theirs.append(in_process_of_its_own("fastai", name, seed, options.threads, ours[-1]["seconds"]))
        cells = [" ".join(f"{run['accuracy']:.3f}" for run in runs) for runs in (ours, theirs)]
        means = [np.mean([run["accuracy"] for run in runs]) for runs in (ours, theirs)]
        seconds = " / ".join(f"{np.mean([run['seconds'] for run in runs]):.0f}" for runs in (ours, theirs))
        epochs = f"{ours[0]['epochs']} / {theirs[0]['epochs']}"
        print(
            f"| {name} | **{means[0]:.3f}** ({cells[0]}) | **{means[1]:.3f}** ({cells[1]}) | {seconds} | {epochs} |", flush=True
        )


if __name__ == "__main__":
    main()
