"""LightGBM, by its own documented calls."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.config import TreesConfig
from tamesu.learners.tree_library import Array, Booster, Library, Task, Trainable, count_threads, logits, matching

FILE = "trees.txt"
GPU_TYPES = ("cuda", "gpu")  # two builds: CUDA, and OpenCL


class LightGBM(Library):
    """Source: LightGBM's Python package, `train`, `Dataset` and `Booster`."""

    package = "lightgbm"
    fixed = (
        *("objective", "objective_type", "app", "application", "loss", "num_class", "num_classes", "alpha"),
        *("learning_rate", "shrinkage_rate", "eta", "seed", "random_seed", "random_state"),
        *("num_threads", "num_thread", "nthread", "nthreads", "n_jobs", "device_type", "device"),
        *("num_iterations", "num_iteration", "n_iter", "num_tree", "num_trees", "num_round", "num_rounds", "nrounds"),
        *("num_boost_round", "n_estimators", "max_iter", "early_stopping_round", "early_stopping_rounds", "early_stopping"),
        *("n_iter_no_change", "deterministic", "force_row_wise", "force_col_wise"),
    )

    def train(self, data: Trainable, settings: TreesConfig, task: Task, n_rounds: int) -> Booster:  # noqa: D102
        import lightgbm

        params = self._params(settings, task)
        # kept as it was trained, it need not be written as text and read again; its rows are let go
        model = lightgbm.train(params, _rows(data), n_rounds, keep_training_booster=True).free_dataset()
        return LightGBMTrees(model, task.n_classes)

    def best_rounds(  # noqa: D102
        self, data: Trainable, held: Trainable, settings: TreesConfig, task: Task, most: int, patience: int
    ) -> int:
        import lightgbm

        params = self._params(settings, task)
        rows = _rows(data)
        other = lightgbm.Dataset(held.x, held.y, weight=held.weight, reference=rows)
        stop = lightgbm.early_stopping(patience, verbose=False)
        return int(lightgbm.train(params, rows, most, valid_sets=[other], callbacks=[stop]).best_iteration)

    def load(self, folder: Path, n_classes: int) -> Booster:  # noqa: D102
        import lightgbm

        return LightGBMTrees(lightgbm.Booster(model_file=str(folder / FILE)), n_classes)

    def gpu_problem(self) -> str | None:  # noqa: D102
        return None if _gpu_type() else _gpu_problems()[-1]

    def unknown(self, settings: TreesConfig, task: Task, data: Trainable) -> tuple[list[str], list[str]]:  # noqa: D102
        import lightgbm

        params = self._params(settings, task) | {"verbosity": 0}
        with _listening() as heard:
            model = lightgbm.train(params, _rows(data), 1)
        said = [line for line in heard.lines if "Unknown parameter" in line]
        strangers = [name for name in settings.params if any(matching([name], line) for line in said)]
        listed = model.model_to_string().partition("\nparameters:")[2].splitlines()
        return strangers, [line[1:].partition(":")[0] for line in listed if line.startswith("[")]

    def _params(self, settings: TreesConfig, task: Task) -> dict[str, Any]:
        many = {"num_class": task.n_classes} if task.n_classes > 2 else {}
        where = "cpu" if task.device == "cpu" else _gpu_type() or "gpu"
        fixed = {"learning_rate": settings.learning_rate, "seed": task.seed, "device_type": where}
        # the layout is fixed as well: left open, it is chosen by a stopwatch, and sums then differ in their last bits
        repeats = {"deterministic": True, "force_row_wise": where == "cpu", "num_threads": count_threads()}
        return {"verbosity": -1, **settings.params, **fixed, **many, **repeats, **_objective(task)}


def _objective(task: Task) -> dict[str, Any]:
    amount = task.objective.amount
    of_numbers: dict[str, dict[str, Any]] = {
        "l2": {"objective": "regression"},
        "l1": {"objective": "regression_l1"},
        "huber": {"objective": "huber", "alpha": amount},
        "quantile": {"objective": "quantile", "alpha": amount},
    }
    if task.objective.name != "log_loss":
        return of_numbers[task.objective.name]
    return {"objective": "binary" if task.n_classes == 2 else "multiclass"}


def _rows(data: Trainable) -> Any:
    import lightgbm

    categories = np.flatnonzero(data.is_category).tolist()
    return lightgbm.Dataset(data.x, data.y, weight=data.weight, categorical_feature=categories, params={"verbosity": -1})


@functools.cache
def _gpu_problems() -> tuple[str, ...]:
    """What it says of each of `GPU_TYPES`, up to the first that works."""
    import lightgbm

    said = []
    for one in GPU_TYPES:
        rows = lightgbm.Dataset(np.arange(40.0)[:, None], np.arange(40) % 2, params={"verbosity": -1})
        try:
            lightgbm.train({"device_type": one, "objective": "binary", "verbosity": -1}, rows, 1)
        except lightgbm.basic.LightGBMError as error:
            said.append(str(error).splitlines()[0].rstrip("."))
            continue
        break
    return tuple(said)


def _gpu_type() -> str | None:
    return next(iter(GPU_TYPES[len(_gpu_problems()) :]), None)


@dataclass
class _Listener:
    """What LightGBM would print."""

    lines: list[str] = field(default_factory=list)

    def info(self, line: str) -> None:
        self.lines.append(line)

    warning = info


class _Printer:
    """As LightGBM prints by itself."""

    def info(self, line: str) -> None:
        print(line)

    def warning(self, line: str) -> None:
        print(line)


@contextlib.contextmanager
def _listening() -> Iterator[_Listener]:
    import lightgbm

    heard = _Listener()
    before = getattr(lightgbm.basic, "_LOGGER", None) or _Printer()
    lightgbm.register_logger(heard)
    try:
        yield heard
    finally:
        lightgbm.register_logger(before)


@dataclass(frozen=True, eq=False)
class LightGBMTrees(Booster):
    """Trees of LightGBM."""

    model: Any
    n_classes: int

    def margins(self, x: Array, is_category: NDArray[np.bool_]) -> Array:  # noqa: D102
        raw = np.asarray(self.model.predict(x, raw_score=True, num_threads=count_threads()), dtype=np.float64)
        return logits(raw) if self.n_classes else raw.reshape(-1, 1)

    def save(self, folder: Path) -> None:  # noqa: D102
        self.model.save_model(str(folder / FILE))
