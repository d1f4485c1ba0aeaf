"""XGBoost, LightGBM and CatBoost, each by its own documented calls: train, count rounds, raw margins, save, load."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tamesu.config import TreesConfig
from tamesu.engines.machine import THREAD_VARIABLES, count_cores

Array = NDArray[np.float64]
MISSING_TEXT = ""  # a missing category, as CatBoost has it


@dataclass(frozen=True)
class Task:
    """What is asked of a library.

    Attributes:
        n_classes: 0 for a number.
        device: cpu or cuda.
        seed: Decides everything random; from 0 and below 2**31.
    """

    n_classes: int
    device: str
    seed: int


@dataclass(frozen=True, eq=False)
class Trainable:
    """Rows to train on.

    Attributes:
        x: Numbers and codes of categories; NaN where missing.  (n, f)
        y: Codes from 0, each of which occurs, or numbers.  (n,)
        is_category: Which columns are codes.  (f,)
    """

    x: Array
    y: NDArray[Any]
    is_category: NDArray[np.bool_]

    def take(self, index: NDArray[np.int64]) -> Trainable:
        """Some of the rows."""
        return Trainable(self.x[index], self.y[index], self.is_category)


class Booster(ABC):
    """Trained trees."""

    @abstractmethod
    def margins(self, x: Array, is_category: NDArray[np.bool_]) -> Array:
        """Raw outputs: logits of the classes, or the number.  (n, k or 1)"""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes them in the library's own format."""


class Library(ABC):
    """One library."""

    package: ClassVar[str]
    fixed: ClassVar[tuple[str, ...]]  # parameters that are not the user's to set, with the names the library has for them

    @abstractmethod
    def train(self, data: Trainable, settings: TreesConfig, task: Task, n_rounds: int) -> Booster:
        """Trains that many rounds."""

    @abstractmethod
    def best_rounds(self, data: Trainable, held: Trainable, settings: TreesConfig, task: Task, most: int, patience: int) -> int:
        """The rounds after which `held` is predicted best."""

    @abstractmethod
    def load(self, folder: Path, n_classes: int) -> Booster:
        """What `Booster.save` wrote."""


def logits(raw: Array) -> Array:
    """One margin of two classes as two; others as they are.  (n,) or (n, k) to (n, k)"""
    return np.stack([np.zeros_like(raw), raw], axis=1) if raw.ndim == 1 else raw


def count_threads() -> int:
    """Threads a training may use: as many as PyTorch was given by the engine, or a worker was started with, else all cores."""
    torch = sys.modules.get("torch")
    given = os.environ.get(THREAD_VARIABLES[0], "")
    return torch.get_num_threads() if torch else int(given) if given.isdigit() else count_cores()


class XGBoost(Library):
    """Source: XGBoost's Python package, `train`, `DMatrix` and `Booster`."""

    package = "xgboost"
    fixed = ("objective", "num_class", "learning_rate", "eta", "seed", "random_state", "nthread", "n_jobs", "device")

    def train(self, data: Trainable, settings: TreesConfig, task: Task, n_rounds: int) -> Booster:  # noqa: D102
        import xgboost

        return XGBoostTrees(xgboost.train(self._params(settings, task), xgboost_rows(data), n_rounds), task.n_classes)

    def best_rounds(  # noqa: D102
        self, data: Trainable, held: Trainable, settings: TreesConfig, task: Task, most: int, patience: int
    ) -> int:
        import xgboost

        rows, other = xgboost_rows(data), xgboost_rows(held)
        watched = {"evals": [(other, "held")], "early_stopping_rounds": patience, "verbose_eval": False}
        return int(xgboost.train(self._params(settings, task), rows, most, **watched).best_iteration) + 1

    def load(self, folder: Path, n_classes: int) -> Booster:  # noqa: D102
        import xgboost

        return XGBoostTrees(xgboost.Booster(model_file=str(folder / "trees.ubj")), n_classes)

    def _params(self, settings: TreesConfig, task: Task) -> dict[str, Any]:
        objective = {0: "reg:squarederror", 2: "binary:logistic"}.get(task.n_classes, "multi:softprob")
        many = {"num_class": task.n_classes} if task.n_classes > 2 else {}
        fixed = {"objective": objective, "learning_rate": settings.learning_rate, "seed": task.seed, "device": task.device}
        return {"verbosity": 0, **settings.params, **fixed, **many, "nthread": count_threads()}


def xgboost_rows(data: Trainable) -> Any:
    """The rows as XGBoost takes them."""
    import xgboost

    types = np.where(data.is_category, "c", "float").tolist()
    return xgboost.DMatrix(data.x, data.y, feature_types=types, enable_categorical=True)


@dataclass(frozen=True, eq=False)
class XGBoostTrees(Booster):
    """Trees of XGBoost."""

    model: Any
    n_classes: int

    def margins(self, x: Array, is_category: NDArray[np.bool_]) -> Array:  # noqa: D102
        rows = xgboost_rows(Trainable(x, np.zeros(len(x)), is_category))
        raw = np.asarray(self.model.predict(rows, output_margin=True), dtype=np.float64)
        return logits(raw) if self.n_classes else raw.reshape(-1, 1)

    def save(self, folder: Path) -> None:  # noqa: D102
        self.model.save_model(str(folder / "trees.ubj"))


class LightGBM(Library):
    """Source: LightGBM's Python package, `train`, `Dataset` and `Booster`."""

    package = "lightgbm"
    fixed = ("objective", "num_class", "learning_rate", "seed", "random_state", "num_threads", "n_jobs", "device_type")

    def train(self, data: Trainable, settings: TreesConfig, task: Task, n_rounds: int) -> Booster:  # noqa: D102
        import lightgbm

        return LightGBMTrees(lightgbm.train(self._params(settings, task), _lightgbm_rows(data), n_rounds), task.n_classes)

    def best_rounds(  # noqa: D102
        self, data: Trainable, held: Trainable, settings: TreesConfig, task: Task, most: int, patience: int
    ) -> int:
        import lightgbm

        rows = _lightgbm_rows(data)
        other = lightgbm.Dataset(held.x, held.y, reference=rows)
        stop = lightgbm.early_stopping(patience, verbose=False)
        return int(
            lightgbm.train(self._params(settings, task), rows, most, valid_sets=[other], callbacks=[stop]).best_iteration
        )

    def load(self, folder: Path, n_classes: int) -> Booster:  # noqa: D102
        import lightgbm

        return LightGBMTrees(lightgbm.Booster(model_file=str(folder / "trees.txt")), n_classes)

    def _params(self, settings: TreesConfig, task: Task) -> dict[str, Any]:
        objective = {0: "regression", 2: "binary"}.get(task.n_classes, "multiclass")
        many = {"num_class": task.n_classes} if task.n_classes > 2 else {}
        fixed = {"objective": objective, "learning_rate": settings.learning_rate, "seed": task.seed, "device_type": task.device}
        repeats = {"deterministic": True, "force_row_wise": True, "num_threads": count_threads()}
        return {"verbosity": -1, **settings.params, **fixed, **many, **repeats}


def _lightgbm_rows(data: Trainable) -> Any:
    import lightgbm

    return lightgbm.Dataset(data.x, data.y, categorical_feature=np.flatnonzero(data.is_category).tolist())


@dataclass(frozen=True, eq=False)
class LightGBMTrees(Booster):
    """Trees of LightGBM."""

    model: Any
    n_classes: int

    def margins(self, x: Array, is_category: NDArray[np.bool_]) -> Array:  # noqa: D102
        raw = np.asarray(self.model.predict(x, raw_score=True, num_threads=count_threads()), dtype=np.float64)
        return logits(raw) if self.n_classes else raw.reshape(-1, 1)

    def save(self, folder: Path) -> None:  # noqa: D102
        self.model.save_model(str(folder / "trees.txt"))


class CatBoost(Library):
    """Source: CatBoost's Python package, `CatBoost` and `Pool`."""

    package = "catboost"
    fixed = (
        "loss_function",
        "objective",
        "classes_count",
        "iterations",
        "learning_rate",
        "random_seed",
        "thread_count",
        "task_type",
    )

    def train(self, data: Trainable, settings: TreesConfig, task: Task, n_rounds: int) -> Booster:  # noqa: D102
        return CatBoostTrees(self._fit(data, None, settings, task, n_rounds, {}), task.n_classes)

    def best_rounds(  # noqa: D102
        self, data: Trainable, held: Trainable, settings: TreesConfig, task: Task, most: int, patience: int
    ) -> int:
        stop = {"early_stopping_rounds": patience, "use_best_model": True}
        return int(self._fit(data, held, settings, task, most, stop).tree_count_) or 1

    def load(self, folder: Path, n_classes: int) -> Booster:  # noqa: D102
        from catboost import CatBoost as Model

        return CatBoostTrees(Model().load_model(str(folder / "trees.cbm")), n_classes)

    def _fit(
        self, data: Trainable, held: Trainable | None, settings: TreesConfig, task: Task, n_rounds: int, more: dict[str, Any]
    ) -> Any:
        from catboost import CatBoost as Model

        loss = {0: "RMSE", 2: "Logloss"}.get(task.n_classes, "MultiClass")
        fixed = {"loss_function": loss, "learning_rate": settings.learning_rate, "random_seed": task.seed}
        where = {"task_type": "GPU" if task.device == "cuda" else "CPU", "thread_count": count_threads()}
        quiet = {"verbose": False, "allow_writing_files": False}
        model = Model({**quiet, **settings.params, **fixed, **where, "iterations": n_rounds, **more})
        return model.fit(_catboost_rows(data), eval_set=None if held is None else _catboost_rows(held))


def _catboost_rows(data: Trainable) -> Any:
    import pandas as pd
    from catboost import Pool

    columns: dict[int, Sequence[Any]] = {
        j: [MISSING_TEXT if np.isnan(code) else str(int(code)) for code in column] if is_code else column
        for j, (column, is_code) in enumerate(zip(data.x.T, data.is_category, strict=True))
    }
    return Pool(pd.DataFrame(columns), data.y, cat_features=np.flatnonzero(data.is_category).tolist())


@dataclass(frozen=True, eq=False)
class CatBoostTrees(Booster):
    """Trees of CatBoost."""

    model: Any
    n_classes: int

    def margins(self, x: Array, is_category: NDArray[np.bool_]) -> Array:  # noqa: D102
        if not len(x):
            return np.zeros((0, max(1, self.n_classes)))
        rows = _catboost_rows(Trainable(x, np.zeros(len(x)), is_category))
        raw = np.asarray(
            self.model.predict(rows, prediction_type="RawFormulaVal", thread_count=count_threads()), dtype=np.float64
        )
        return logits(raw) if self.n_classes else raw.reshape(-1, 1)

    def save(self, folder: Path) -> None:  # noqa: D102
        self.model.save_model(str(folder / "trees.cbm"))


LIBRARIES: dict[str, Library] = {"xgboost": XGBoost(), "lightgbm": LightGBM(), "catboost": CatBoost()}
