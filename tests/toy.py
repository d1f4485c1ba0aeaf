"""A small table and learners that train in no time: what the tests of trial, store and engines run on."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from tamesu.config import StudyConfig
from tamesu.dataset import Dataset
from tamesu.errors import DataError
from tamesu.folds import Split
from tamesu.recipe import Recipe, make_recipe
from tamesu.trial import Trial, TrialResult, make_trial


def make_rows(n: int = 40, **changed: object) -> Dataset:
    """Rows with numbers `x`, `z`, a column `spare` that no recipe reads, and a number to predict, `y`."""
    rng = np.random.default_rng(7)
    x, z = rng.normal(size=n), rng.normal(size=n)
    table = pd.DataFrame({"x": x, "z": z, "spare": rng.normal(size=n), "y": 2 * x - z + rng.normal(0, 0.1, n), **changed})
    ids = np.array([f"row-{i}" for i in range(n)], dtype=object)
    digests = {name: f"{pd.util.hash_pandas_object(table[name]).sum():x}" for name in table}
    return Dataset(ids=ids, table=table, pictures={}, classes={}, digests=digests, where="toy.csv")


def make_toy_recipe(learner: str = "toy:Ridge", *, seed: int = 0, epochs: int = 2, **fields: object) -> Recipe:
    """The recipe of a study on `make_rows`; `epochs` is what the toy learners take their orders from."""
    kinds = {"x": {"kind": "number"}, "z": {"kind": "number"}, "y": {"kind": "number", "target": True}, **fields}
    config = StudyConfig.model_validate({"fields": kinds, "learner": learner, "train": {"seed": seed, "epochs": epochs}})
    return make_recipe(config, (0, 0))


def make_split(n: int = 40, repeat: int = 0, fold: int = 0, n_splits: int = 5) -> Split:
    order = np.random.default_rng(repeat).permutation(n)
    test = np.sort(order[fold::n_splits])
    return Split(repeat=repeat, fold=fold, train=np.setdiff1d(np.arange(n), test), test=test)


def make_trials(dataset: Dataset, n: int, learner: str = "toy:Ridge", **options: int) -> list[Trial]:
    recipe = make_toy_recipe(learner, **options)
    return [make_trial(dataset, recipe, make_split(len(dataset), i // 5, i % 5)) for i in range(n)]


def make_result(key: str = "0" * 32, value: float = 0.5, n: int = 8) -> TrialResult:
    """A result as run_trial would return it."""
    return TrialResult(
        key=key,
        repeat=1,
        fold=2,
        seed=3,
        ids=np.array([f"行-{i}" for i in range(n)], dtype=object),
        predictions={"y": np.full(n, value), "a/b": np.arange(2 * n, dtype=np.float32).reshape(n, 2)},
        log=[{"epoch": 0, "loss": 0.25}],
        fit_time_s=0.1,
        predict_time_s=0.01,
        device="cpu",
        threads=1,
        versions={"tamesu": "0"},
        recipe={"learner": "toy:Ridge"},
        data_digest="d",
        n_train=32,
    )


class FittedRidge:
    def __init__(self, weight: np.ndarray, log: list[dict]):
        self.weight, self.log = weight, log

    def predict(self, rows: Dataset) -> dict[str, np.ndarray]:
        return {"y": rows.table[["x", "z"]].to_numpy() @ self.weight}

    def save(self, folder: Path) -> None:
        (folder / "learner.json").write_text(json.dumps({"learner": "toy:Ridge"}))
        np.save(folder / "weight.npy", self.weight, allow_pickle=False)


class Ridge:
    """Ridge regression with a little noise from the global random state, as careless user code has."""

    def check(self, recipe: Recipe, dataset: Dataset) -> list[str]:
        return []

    def fit(self, rows, recipe, seed, device, on_epoch=None) -> FittedRidge:
        x, y = rows.table[["x", "z"]].to_numpy(), rows.table["y"].to_numpy()
        weight = np.linalg.solve(x.T @ x + np.eye(2), x.T @ y) + np.random.normal(0, 1e-3, 2)  # noqa: NPY002
        log = []
        for epoch in range(1, recipe.train.epochs + 1):
            log.append({"epoch": epoch, "loss": np.float32(1 / epoch), "learning_rate": recipe.train.learning_rate})
            if on_epoch is not None:
                on_epoch(epoch, 1 / epoch)
        return FittedRidge(weight, log)

    def load(self, folder: Path) -> FittedRidge:
        return FittedRidge(np.load(folder / "weight.npy"), [])


class Slow(Ridge):
    """Takes `epochs` hundredths of a second."""

    def fit(self, rows, recipe, seed, device, on_epoch=None) -> FittedRidge:
        time.sleep(recipe.train.epochs / 100)
        return super().fit(rows, recipe, seed, device, None)


class Peeker(Ridge):
    """Tells all it can reach."""

    def fit(self, rows, recipe, seed, device, on_epoch=None) -> FittedRidge:
        self.seen = (sorted(rows.ids), rows.table.to_numpy().copy())
        return _Peeking(super().fit(rows, recipe, seed, device, on_epoch))


class _Peeking:
    def __init__(self, fitted: FittedRidge):
        self.fitted, self.log = fitted, fitted.log
        self.columns: list[str] = []

    def predict(self, rows: Dataset) -> dict[str, np.ndarray]:
        self.columns = list(rows.table.columns)
        return self.fitted.predict(rows)


class Diverging(Ridge):
    def fit(self, rows, recipe, seed, device, on_epoch=None) -> FittedRidge:
        fitted = super().fit(rows, recipe, seed, device, on_epoch)
        fitted.weight[:] = np.nan
        return fitted


class Nameless(Ridge):
    def fit(self, rows, recipe, seed, device, on_epoch=None) -> FittedRidge:
        fitted = super().fit(rows, recipe, seed, device, on_epoch)
        fitted.predict = lambda rows: {"why": np.zeros(len(rows))}  # type: ignore[method-assign]
        return fitted


class Short(Ridge):
    def fit(self, rows, recipe, seed, device, on_epoch=None) -> FittedRidge:
        fitted = super().fit(rows, recipe, seed, device, on_epoch)
        fitted.predict = lambda rows: {"y": np.zeros(len(rows) - 1)}  # type: ignore[method-assign]
        return fitted


class Broken(Ridge):
    def fit(self, rows, recipe, seed, device, on_epoch=None) -> FittedRidge:
        raise ZeroDivisionError("the user's own mistake")


class Refusing(Ridge):
    def fit(self, rows, recipe, seed, device, on_epoch=None) -> FittedRidge:
        raise DataError("toy.csv: x must be positive; got -1.")


class Crashing(Ridge):
    """Ends its process: by signal, by exit, by a wild pointer, as `epochs` says."""

    def fit(self, rows, recipe, seed, device, on_epoch=None) -> FittedRidge:
        print("about to crash")
        match recipe.train.epochs:
            case 9:
                os.kill(os.getpid(), 9)
            case 3:
                os._exit(3)
            case 11:
                ctypes.string_at(0)
        return super().fit(rows, recipe, seed, device, on_epoch)


class CrashingOnce(Ridge):
    """Ends its process the first time: a flag file, named by the environment, remembers."""

    def fit(self, rows, recipe, seed, device, on_epoch=None) -> FittedRidge:
        flag = Path(os.environ["TOY_FLAG"])
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), 9)
        return super().fit(rows, recipe, seed, device, on_epoch)


class Surroundings(Ridge):
    """Puts what it finds around it into the log."""

    def fit(self, rows, recipe, seed, device, on_epoch=None) -> FittedRidge:
        fitted = super().fit(rows, recipe, seed, device, on_epoch)
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
        main = sys.modules["__main__"]
        fitted.log = [{name: os.environ.get(name) for name in names} | {"main": main.__spec__.name, "pid": os.getpid()}]
        return fitted
