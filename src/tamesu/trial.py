"""One training and what it predicted: a pure function of (data, recipe, split, seed), named by their hash.

`run_trial` is the one place where rows meet a learner, and it keeps the promise the verdicts stand on: `fit` receives
the training rows only, and `predict` receives the scored rows without their targets.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import math
import os
import platform
import re
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tamesu.engines.machine import limit_threads
from tamesu.errors import FitError
from tamesu.fields import some_rows
from tamesu.learners.names import SKLEARN, kind_of
from tamesu.seeds import seeded
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.folds import Split
    from tamesu.learners.base import Fitted
    from tamesu.parts import Parts
    from tamesu.recipe import Recipe

TRIAL_VERSION = 4  # raise it when the same recipe trains to something else: stored trials are then not taken for new ones
KEY_BYTES = 16
OnEpoch = Callable[[int, float], None]


@dataclass(frozen=True, eq=False)
class Trial:
    """One training to do; `key` names its result."""

    key: str
    recipe: Recipe
    split: Split
    seed: int
    keep_model: bool
    data_digest: str = ""
    parts: Parts | None = None  # of an ensemble: the trainings it is made of


@dataclass(frozen=True, eq=False)
class TrialResult:
    """What a trial predicted for its scored rows, and everything needed to do it again."""

    key: str
    repeat: int
    fold: int
    seed: int
    ids: NDArray[np.object_]  # (m,) the scored rows
    predictions: dict[str, NDArray[Any]]  # by target: (m, k) probabilities, or (m,) in the target's unit
    log: list[dict[str, Any]]  # one entry an epoch
    fit_time_s: float
    predict_time_s: float
    device: str
    threads: int
    versions: dict[str, str]
    recipe: dict[str, Any] = field(default_factory=dict)  # the recipe as JSON holds it
    data_digest: str = ""
    n_train: int = 0
    weights: tuple[float, ...] = ()  # of an ensemble: what each member counts for, in the recipe's order


def make_trial(dataset: Dataset, recipe: Recipe, split: Split, seed_shift: int = 0, keep_model: bool = False) -> Trial:
    """The training of `recipe` on one split, or the trainings of its members, with the key the result is stored under.

    The key covers what can change the predictions and nothing else: the content of the fields the recipe reads, the
    recipe, the rows of the split, the seed, and the code and weights that the recipe names. Another metric, another
    idea or a column nobody reads leave it as it is; a changed picture or an edited `my_module.py` do not.

    Args:
        seed_shift: 0 for the run that is judged; others give the same training with fresh randomness (the noise floor).
        keep_model: Store the fitted model too; not part of the key.
    """
    if recipe.members:
        from tamesu.parts import make_ensemble_trial  # which is made of such trials

        return make_ensemble_trial(dataset, recipe, split, seed_shift, keep_model)
    data_digest = dataset.digest(recipe.read)
    training = recipe.training_json()
    seed = make_seed(recipe.train.seed, split.repeat, split.fold, seed_shift)
    parts = [
        TRIAL_VERSION,
        data_digest,
        training,
        _rows_digest(dataset.ids, split.train),
        _rows_digest(dataset.ids, split.test),
        seed,
        _outside_digests(json.loads(training)),
    ]
    key = hashlib.blake2b(json.dumps(parts).encode(), digest_size=KEY_BYTES).hexdigest()
    return Trial(key, recipe, split, seed, keep_model, data_digest)


def make_seed(base: int, repeat: int, fold: int, shift: int = 0) -> int:
    """A seed below 2**31 (what every library takes), far from its neighbours' and the same for every arm."""
    text = f"{base},{repeat},{fold},{shift}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big") >> 1


def run_trial(
    dataset: Dataset, trial: Trial, device: str, threads: int, on_epoch: OnEpoch | None = None
) -> tuple[TrialResult, Fitted]:
    """Fit on the training rows, predict the scored rows without having seen their targets.

    Args:
        device: cpu, cuda or mps.
        threads: How many the learner may use; fixed per machine, so that results do not depend on what runs beside.
        on_epoch: Called with (epoch, loss) after each epoch.

    Raises:
        FitError: Predictions are missing, of another length, or not finite; names repeat, fold and rows.
        Exception: What the learner raised, with a note saying where.
    """
    from tamesu.learners.base import make_learner

    recipe, split = trial.recipe, trial.split
    train_rows = dataset.take(split.train)
    test_rows = dataset.take(split.test).without(recipe.unseen)
    try:
        learner = make_learner(recipe.learner)
        with seeded(trial.seed), limit_threads(threads):
            started = time.perf_counter()
            fitted = learner.fit(train_rows, recipe, trial.seed, device, on_epoch)
            fitted_at = time.perf_counter()
            predictions = fitted.predict(test_rows)
            predicted_at = time.perf_counter()
    except Exception as error:
        place = say("while training repeat {repeat}, fold {fold} of {where}", where=dataset.where, **_place(split))
        error.add_note(place)
        raise
    result = TrialResult(
        key=trial.key,
        repeat=split.repeat,
        fold=split.fold,
        seed=trial.seed,
        ids=test_rows.ids,
        predictions=check_predictions(predictions, tuple(recipe.targets), test_rows.ids, split, dataset.where),
        log=[plain(entry) for entry in fitted.log],
        fit_time_s=fitted_at - started,
        predict_time_s=predicted_at - fitted_at,
        device=device,
        threads=threads,
        versions=read_versions(),
        recipe=plain(recipe.model_dump(mode="json")),
        data_digest=trial.data_digest,
        n_train=len(split.train),
    )
    return result, fitted


def check_predictions(
    predictions: Mapping[str, Any], targets: tuple[str, ...], ids: NDArray[np.object_], split: Split, where: str
) -> dict[str, NDArray[Any]]:
    """The predictions as arrays, one for each target; a failed fit never becomes a number.

    Raises:
        FitError: A target without predictions, a row too many or too few, a value that is not finite.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for name in targets:
        if name not in predictions:
            raise FitError(
                say(
                    "{where}, repeat {repeat}, fold {fold}: the learner must predict {name!r}; got {found}. "
                    "Return a dict from target to array in `predict`.",
                    where=where,
                    name=name,
                    found=sorted(predictions),
                    **_place(split),
                )
            )
        array = np.asarray(predictions[name])
        if array.shape[:1] != ids.shape or array.dtype.kind not in "fiub":
            raise FitError(
                say(
                    "{where}, repeat {repeat}, fold {fold}: the predictions of {name!r} must be numbers, one row for each of "
                    "the {n} scored rows; got shape {shape} of {dtype}.",
                    where=where,
                    name=name,
                    n=len(ids),
                    shape=array.shape,
                    dtype=str(array.dtype),
                    **_place(split),
                )
            )
        wrong = ~np.isfinite(array).reshape(len(ids), -1).all(axis=1) if array.size else np.zeros(len(ids), dtype=bool)
        if wrong.any():
            raise FitError(
                say(
                    "{where}, repeat {repeat}, fold {fold}: the predictions of {name!r} must be finite; got {value} for "
                    "{rows}. The training probably diverged: lower `train.learning_rate`, or raise `train.warmup_fraction`.",
                    where=where,
                    name=name,
                    value=array[wrong].ravel()[~np.isfinite(array[wrong].ravel())][0],
                    rows=some_rows(ids, wrong),
                    **_place(split),
                )
            )
        arrays[name] = array
    return arrays


def read_versions() -> dict[str, str]:
    """Versions of what takes part: of tamesu, Python, and of those libraries that are loaded."""
    from tamesu import __version__

    found = {"tamesu": __version__, "python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in ("numpy", "pandas", "sklearn", "cv2", "PIL", "torch", "timm"):
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = str(version)
    return found


def plain(value: Any) -> Any:
    """The value in JSON's own types: arrays become lists, what is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy and PyTorch
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _place(split: Split) -> dict[str, int]:
    return {"repeat": split.repeat, "fold": split.fold}


def _rows_digest(ids: NDArray[np.object_], index: NDArray[np.integer]) -> str:
    names = [str(one) for one in ids[index]]
    text = "\0".join([str(len(names)), *names])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).hexdigest()


def _outside_digests(value: Any) -> dict[str, str]:
    """Digests of the files a recipe only names: the source of `my_module:my_loss`, an estimator's, a file of weights.

    Without them, an edited loss would be answered with the results of the old one.
    """
    if isinstance(value, dict):
        named = value.get("learner")
        own = _digest_of(named, _estimator_source(named)) if isinstance(named, str) else {}
        return functools.reduce(lambda a, b: a | b, map(_outside_digests, value.values()), own)
    if isinstance(value, list):
        return functools.reduce(lambda a, b: a | b, map(_outside_digests, value), {})
    return _digest_of(value, _file_behind(value)) if isinstance(value, str) else {}


def _digest_of(name: str, path: str | None) -> dict[str, str]:
    if path is None:
        return {}
    state = os.stat(path)
    return {name: _file_digest(path, state.st_mtime_ns, state.st_size)}


def _estimator_source(name: str) -> str | None:
    """The file of a module of the user's own that an estimator's dotted name starts with; None of what is installed."""
    path = _file_behind(":".join(name.rsplit(".", 1))) if kind_of(name) == SKLEARN else None
    installed = tuple(sysconfig.get_path(one) + os.sep for one in ("purelib", "platlib"))
    return None if path is None or path.startswith(installed) else path


def _file_behind(text: str) -> str | None:
    if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d][\w.]*", text):
        try:
            spec = importlib.util.find_spec(text.partition(":")[0])
        except (ImportError, ValueError):  # not there, or a module without a file: the learner's check says so
            return None
        return spec.origin if spec and spec.origin and os.path.isfile(spec.origin) else None
    return text if ("/" in text or "." in text) and os.path.isfile(text) else None


@functools.lru_cache(maxsize=256)
def _file_digest(path: str, mtime_ns: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=KEY_BYTES)).hexdigest()
