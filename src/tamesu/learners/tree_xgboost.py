"""XGBoost, by its own documented calls."""

from __future__ import annotations

import functools
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.config import TreesConfig
from tamesu.learners.tree_library import Array, Booster, Library, Task, Trainable, count_threads, logits, matching

FILE = "trees.ubj"
BINNED = ("hist", "auto", "gpu_hist")  # tree methods that take rows already put into bins


class XGBoost(Library):
    """Source: XGBoost's Python package, `train`, `QuantileDMatrix` and `Booster`."""

    package = "xgboost"
    fixed = (
        *("objective", "num_class", "huber_slope", "quantile_alpha", "learning_rate", "eta", "seed", "random_state"),
        *("nthread", "n_jobs", "device", "n_estimators", "num_boost_round", "early_stopping_rounds", "validate_parameters"),
    )

    def train(self, data: Trainable, settings: TreesConfig, task: Task, n_rounds: int) -> Booster:  # noqa: D102
        import xgboost

        params = self._params(settings, task)
        model = xgboost.train(params, _rows(data, params), n_rounds)
        if task.device != "cpu":
            model.set_param({"device": "cpu"})  # rows to predict lie in the machine's memory
        return XGBoostTrees(model, task.n_classes, _is_linear(params))

    def best_rounds(  # noqa: D102
        self, data: Trainable, held: Trainable, settings: TreesConfig, task: Task, most: int, patience: int
    ) -> int:
        import xgboost

        params = self._params(settings, task)
        rows = _rows(data, params)
        other = _rows(held, params, rows)
        watched = {"evals": [(other, "held")], "early_stopping_rounds": patience, "verbose_eval": False}
        return int(xgboost.train(params, rows, most, **watched).best_iteration) + 1

    def load(self, folder: Path, n_classes: int) -> Booster:  # noqa: D102
        import xgboost

        model = xgboost.Booster({"nthread": count_threads()}, model_file=str(folder / FILE))
        return XGBoostTrees(
            model, n_classes, json.loads(model.save_config())["learner"]["gradient_booster"]["name"] == "gblinear"
        )

    def gpu_problem(self) -> str | None:  # noqa: D102
        return _gpu_problem()

    def unknown(self, settings: TreesConfig, task: Task, data: Trainable) -> tuple[list[str], list[str]]:  # noqa: D102
        import xgboost

        params = self._params(settings, task) | {"validate_parameters": True, "verbosity": 1}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = xgboost.train(params, _rows(data, params), 1)
        said = [str(one.message) for one in caught if "are not used" in str(one.message)]
        return [name for text in said for name in matching(settings.params, text)], list(_keys(json.loads(model.save_config())))

    def _params(self, settings: TreesConfig, task: Task) -> dict[str, Any]:
        many = {"num_class": task.n_classes} if task.n_classes > 2 else {}
        fixed = {"learning_rate": settings.learning_rate, "seed": task.seed, "device": task.device, "nthread": count_threads()}
        return {"verbosity": 0, **settings.params, **fixed, **many, **_objective(task)}


def _objective(task: Task) -> dict[str, Any]:
    amount = task.objective.amount
    of_numbers: dict[str, dict[str, Any]] = {
        "l2": {"objective": "reg:squarederror"},
        "l1": {"objective": "reg:absoluteerror"},
        "huber": {"objective": "reg:pseudohubererror", "huber_slope": amount},
        "quantile": {"objective": "reg:quantileerror", "quantile_alpha": amount},
    }
    if task.objective.name != "log_loss":
        return of_numbers[task.objective.name]
    return {"objective": "binary:logistic" if task.n_classes == 2 else "multi:softprob"}


def _rows(data: Trainable, params: Mapping[str, Any], like: Any = None) -> Any:
    """The rows as XGBoost takes them: in bins, where the way trees are grown knows them (those of `like`, if given)."""
    import xgboost

    types = np.where(data.is_category, "c", "float").tolist()
    given = {"weight": data.weight, "feature_types": types, "enable_categorical": True, "nthread": params["nthread"]}
    if _is_linear(params) or params.get("tree_method", "hist") not in BINNED:
        return xgboost.DMatrix(data.x, data.y, **given)
    return xgboost.QuantileDMatrix(data.x, data.y, max_bin=params.get("max_bin"), ref=like, **given)


def _is_linear(params: Mapping[str, Any]) -> bool:
    return params.get("booster") == "gblinear"


@functools.cache
def _gpu_problem() -> str | None:
    import xgboost

    if not xgboost.build_info().get("USE_CUDA"):
        return "built without CUDA"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rows = xgboost.DMatrix(np.zeros((4, 1)), np.array([0, 1, 0, 1]))
        try:
            xgboost.train({"device": "cuda", "verbosity": 1}, rows, 1)
        except xgboost.core.XGBoostError as error:
            return str(error).splitlines()[0]
    said = [str(one.message) for one in caught if "GPU" in str(one.message)]
    return re.sub(r"^\[.*\] WARNING: \S+ ", "", said[0].strip()).rstrip(".") if said else None


def _keys(nested: Mapping[str, Any]) -> Iterator[str]:
    for name, value in nested.items():
        if isinstance(value, Mapping):
            yield from _keys(value)
        else:
            yield name


@dataclass(frozen=True, eq=False)
class XGBoostTrees(Booster):
    """Trees of XGBoost."""

    model: Any
    n_classes: int
    is_linear: bool = False

    def margins(self, x: Array, is_category: NDArray[np.bool_]) -> Array:  # noqa: D102
        if self.is_linear:
            import xgboost

            raw = self.model.predict(xgboost.DMatrix(x, nthread=count_threads()), output_margin=True)
        else:
            raw = self.model.inplace_predict(x, predict_type="margin", validate_features=False)
        raw = np.asarray(raw, dtype=np.float64)
        return logits(raw) if self.n_classes else raw.reshape(-1, 1)

    def save(self, folder: Path) -> None:  # noqa: D102
        self.model.save_model(str(folder / FILE))
