"""CatBoost, by its own documented calls."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.config import TreesConfig
from tamesu.learners.tree_library import Array, Booster, Library, Task, Trainable, count_threads, logits, matching

FILE = "trees.cbm"
MISSING_TEXT = ""  # a missing category, as CatBoost has it


class CatBoost(Library):
    """Source: CatBoost's Python package, `CatBoost` and `Pool`."""

    package = "catboost"
    fixed = (
        *("loss_function", "objective", "classes_count", "class_names", "class_weights", "auto_class_weights"),
        *("iterations", "num_boost_round", "n_estimators", "num_trees", "learning_rate", "eta"),
        *("random_seed", "random_state", "thread_count", "task_type", "devices", "cat_features"),
        *("early_stopping_rounds", "use_best_model", "od_type", "od_wait", "od_pval"),
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

        return CatBoostTrees(Model().load_model(str(folder / FILE)), n_classes)

    def gpu_problem(self) -> str | None:  # noqa: D102
        return _gpu_problem()

    def unknown(self, settings: TreesConfig, task: Task, data: Trainable) -> tuple[list[str], list[str]]:  # noqa: D102
        from catboost import CatBoostClassifier, CatBoostError

        strangers: list[str] = []
        known = list(inspect.signature(CatBoostClassifier.__init__).parameters)[1:]
        while True:  # it tells of one at a time
            params = {name: value for name, value in settings.params.items() if name not in strangers}
            try:
                self._fit(data, None, settings.model_copy(update={"params": params}), task, 1, {})
            except CatBoostError as error:
                found = matching(params, str(error)) if "Unknown option" in str(error) else []
                if not found:
                    raise
                strangers += found
                continue
            return strangers, known

    def _fit(
        self, data: Trainable, held: Trainable | None, settings: TreesConfig, task: Task, n_rounds: int, more: Mapping[str, Any]
    ) -> Any:
        from catboost import CatBoost as Model

        fixed = {"loss_function": _loss(task), "learning_rate": settings.learning_rate, "random_seed": task.seed}
        where = {"task_type": "CPU" if task.device == "cpu" else "GPU", "thread_count": count_threads()}
        quiet = {"verbose": False, "allow_writing_files": False}
        model = Model({**quiet, **settings.params, **fixed, **where, "iterations": n_rounds, **more})
        return model.fit(_rows(data), eval_set=None if held is None else _rows(held))


def _loss(task: Task) -> str:
    amount = task.objective.amount
    of_numbers = {"l2": "RMSE", "l1": "MAE", "huber": f"Huber:delta={amount}", "quantile": f"Quantile:alpha={amount}"}
    if task.objective.name != "log_loss":
        return of_numbers[task.objective.name]
    return "Logloss" if task.n_classes == 2 else "MultiClass"


def _rows(data: Trainable) -> Any:
    """The rows as CatBoost takes them: one array of numbers, or columns where some are categories."""
    import pandas as pd
    from catboost import Pool

    if not data.is_category.any():
        return Pool(data.x, data.y, weight=data.weight)
    columns = {
        j: _categories(column) if is_code else column
        for j, (column, is_code) in enumerate(zip(data.x.T, data.is_category, strict=True))
    }
    return Pool(pd.DataFrame(columns), data.y, cat_features=np.flatnonzero(data.is_category).tolist(), weight=data.weight)


def _categories(column: Array) -> Any:
    """Codes as texts, each of which is written once: CatBoost's categories are texts, and never floats.  (n,)"""
    import pandas as pd

    missing = np.isnan(column)
    codes = np.where(missing, -1, column).astype(np.int64)
    n_codes = int(codes.max(initial=-1)) + 1
    names = [*map(str, range(n_codes)), MISSING_TEXT]
    return pd.Categorical.from_codes(np.where(missing, n_codes, codes), names)  # type: ignore[call-overload]


@functools.cache
def _gpu_problem() -> str | None:
    from catboost.utils import get_gpu_device_count

    return None if get_gpu_device_count() else "no CUDA device"


@dataclass(frozen=True, eq=False)
class CatBoostTrees(Booster):
    """Trees of CatBoost."""

    model: Any
    n_classes: int

    def margins(self, x: Array, is_category: NDArray[np.bool_]) -> Array:  # noqa: D102
        if not len(x):
            return np.zeros((0, max(1, self.n_classes)))
        rows = _rows(Trainable(x, np.zeros(len(x)), is_category))
        raw = np.asarray(
            self.model.predict(rows, prediction_type="RawFormulaVal", thread_count=count_threads()), dtype=np.float64
        )
        return logits(raw) if self.n_classes else raw.reshape(-1, 1)

    def save(self, folder: Path) -> None:  # noqa: D102
        self.model.save_model(str(folder / FILE))
