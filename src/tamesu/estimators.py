"""tamesu's learners as scikit-learn's estimators: for pipelines, searches, ensembles and cross-validation of theirs.

    from tamesu import TamesuClassifier
    GridSearchCV(TamesuClassifier(epochs=20), {"learning_rate": [0.001, 0.003]}).fit(X, y)

What a column means comes from its type, or from `fields`, as in study.yaml.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import assert_all_finite, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from tamesu.data import read_rows
from tamesu.document import config_from_mapping
from tamesu.engines.machine import devices_for
from tamesu.errors import ConfigError, suggest
from tamesu.estimator_rows import as_frame, filled, free_name, guessed_fields, is_numeric, with_target
from tamesu.fields import as_text
from tamesu.learners.base import load_fitted, make_learner
from tamesu.plan import usual_size
from tamesu.recipe import Recipe, make_recipe
from tamesu.seeds import seeded
from tamesu.texts import say

if TYPE_CHECKING:
    import pandas as pd

    from tamesu.config import StudyConfig
    from tamesu.dataset import Dataset
    from tamesu.learners.base import Learner

SETTINGS = ("augment", "channels", "tta", "size", "resize", "upright", "despite", "train", "trees", "sklearn", "features")


class TamesuEstimator(BaseEstimator):
    """What both have in common.

    Args:
        learner: torch, keras, xgboost, lightgbm, catboost, an estimator's dotted name, or my_module:MyLearner.
        fields: What each column means, as in study.yaml; those left out are ignored. None: numbers are numbers; texts, objects,
            categories and truth values are labels; cells with arrays of pixels are images.
        epochs: Of a network.
        batch_size: Of a network.
        learning_rate: Of a network; auto: by what is learned.
        model: The section `model` of study.yaml.
        settings: Other sections of it by name: augment, channels, tta, size, resize, train, trees, sklearn, …
        random_state: As scikit-learn has it.
        device: auto (a GPU, if there is one), cpu, gpu or tpu.
    """

    _kind: Literal["label", "number"]

    def __init__(
        self,
        *,
        learner: str = "torch",
        fields: Mapping[str, Any] | None = None,
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float | Literal["auto"] = "auto",
        model: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        random_state: Any = None,
        device: str = "auto",
    ):
        self.learner = learner
        self.fields = fields
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.model = model
        self.settings = settings
        self.random_state = random_state
        self.device = device

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """What is fitted goes as the files that the learner saves."""
        state = dict(super().__getstate__())
        if "fitted_" in state:
            with tempfile.TemporaryDirectory() as name:
                self.fitted_.save(Path(name))
                files = [path for path in Path(name).rglob("*") if path.is_file()]
                state["fitted_"] = {path.relative_to(name).as_posix(): path.read_bytes() for path in files}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "fitted_" in state:
            with tempfile.TemporaryDirectory() as name:
                for relative, content in state["fitted_"].items():
                    path = Path(name) / relative
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                state = state | {"fitted_": load_fitted(Path(name))}
        super().__setstate__(state)

    def _fit(self, frame: pd.DataFrame, y: NDArray[Any], classes: tuple[str, ...] = ()) -> Self:
        """Trains.

        Args:
            y: Codes of the classes, or numbers.  (n,)
            classes: Names of the classes, in the order of their codes.

        Raises:
            ConfigError: Settings that cannot be, all of them together.
            DataError: Cells that are not what their field says.
        """
        config = self._make_config(frame)
        (target,) = (name for name, one in config.fields.items() if one.target)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        with tempfile.TemporaryDirectory() as cache:
            rows = read_rows(config, frame, type(self).__name__, cache=Path(cache))
            rows = with_target(rows, target, config.fields[target], y, classes)
            recipe = make_recipe(config, usual_size(config, rows))
            learner = make_learner(self.learner)
            self._check(learner, recipe, rows)
            with seeded(seed):
                self.fitted_ = learner.fit(rows, recipe, seed, devices_for(self.device)[0])
        self.config_, self.target_, self.log_ = config, target, self.fitted_.log
        return self

    def _predicted(self, X: Any) -> NDArray[np.float64]:
        """What the learner says of each row: (n, k) probabilities or (n,) numbers."""
        check_is_fitted(self)
        frame = self._frame(X, reset=False)
        with tempfile.TemporaryDirectory() as cache:
            rows = read_rows(self.config_, frame, type(self).__name__, cache=Path(cache))
            found = self.fitted_.predict(filled(rows))[self.target_]
        return np.asarray(found, dtype=np.float64)[: len(rows)]

    def _frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """Rows as a table, checked as scikit-learn checks them; one of more than numbers is left as it is."""
        if is_numeric(X):
            X = validate_data(self, X, reset=reset, dtype="numeric", ensure_all_finite="allow-nan")
        else:
            validate_data(self, X, reset=reset, skip_check_array=True)
        return as_frame(X, getattr(self, "feature_names_in_", None), type(self).__name__)

    def _frame_and_y(self, X: Any, y: Any, *, y_numeric: bool = False) -> tuple[pd.DataFrame, NDArray[Any]]:
        """The same of training rows, with what is to be predicted."""
        if is_numeric(X):
            X, y = validate_data(self, X, y, dtype="numeric", ensure_all_finite="allow-nan", y_numeric=y_numeric)
        else:
            validate_data(self, X, y, skip_check_array=True)
            y = column_or_1d(y, dtype=np.float64 if y_numeric else None, warn=True)
            assert_all_finite(y, estimator_name=type(self).__name__, input_name="y")
            check_consistent_length(X, y)
        return as_frame(X, getattr(self, "feature_names_in_", None), type(self).__name__), np.asarray(y)

    def _make_config(self, frame: pd.DataFrame) -> StudyConfig:
        where = type(self).__name__
        settings = dict(self.settings or {})
        unknown = [name for name in settings if name not in SETTINGS]
        if unknown:
            hint = suggest(unknown[0], SETTINGS)
            raise ConfigError(say("{where}: settings must not hold {name!r}.{hint}", where=where, name=unknown[0], hint=hint))
        if not devices_for(self.device):
            text = say(
                "must be a device that is here; got {value!r}, but no GPU is seen. `tamesu doctor` tells why.",
                value=self.device,
            )
            raise ConfigError(f"{where} device: {text}")
        fields = dict(guessed_fields(frame, where) if self.fields is None else self.fields)
        if not any(isinstance(one, Mapping) and one.get("target") for one in fields.values()):
            fields[free_name("target", fields)] = {"kind": self._kind, "target": True}
        train = {"epochs": self.epochs, "batch_size": self.batch_size, "learning_rate": self.learning_rate}
        said = {"fields": fields, "learner": self.learner, "train": train | dict(settings.pop("train", {}))}
        config = config_from_mapping(said | ({"model": self.model} if self.model else {}) | settings, where=where)
        kinds = [one.kind for one in config.fields.values() if one.target]
        if kinds != [self._kind]:
            text = say(
                "{where}: fields must hold a target of kind {kind}; got {kinds}.", where=where, kind=self._kind, kinds=kinds
            )
            raise ConfigError(text)
        return config

    def _check(self, learner: Learner, recipe: Recipe, rows: Dataset) -> None:
        sentences = learner.check(recipe, rows)
        if sentences:
            raise ConfigError([f"{type(self).__name__}: {text}" for text in sentences])


class TamesuClassifier(ClassifierMixin, TamesuEstimator):
    """A learner of tamesu as a classifier of scikit-learn's; by default the PyTorch network for tables.

    Args:
        learner, fields, epochs, batch_size, learning_rate, model, settings, random_state, device: See `TamesuEstimator`.

    Attributes:
        classes_: As in y, sorted.
        n_features_in_, feature_names_in_: As scikit-learn has them.
        fitted_: What the learner left.
        log_: One entry an epoch.
    """

    _kind = "label"

    def fit(self, X: Any, y: Any) -> Self:
        """Trains for a fixed number of epochs.

        Args:
            X: An array of numbers (n, f), or a DataFrame.
            y: One class a row.
        """
        frame, y = self._frame_and_y(X, y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        names = tuple(as_text(one) for one in self.classes_)
        if len(set(names)) < len(names) or not all(names):
            names = tuple(str(i) for i in range(len(names)))
        return self._fit(frame, codes, names)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probability of each of `classes_`.  (n, k)"""
        probabilities = self._predicted(X)
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class.  (n,)"""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]


class TamesuRegressor(RegressorMixin, TamesuEstimator):
    """A learner of tamesu as a regressor of scikit-learn's; by default the PyTorch network for tables.

    Args:
        learner, fields, epochs, batch_size, learning_rate, model, settings, random_state, device: See `TamesuEstimator`.

    Attributes:
        n_features_in_, feature_names_in_: As scikit-learn has them.
        fitted_: What the learner left.
        log_: One entry an epoch.
    """

    _kind = "number"

    def fit(self, X: Any, y: Any) -> Self:
        """Trains for a fixed number of epochs.

        Args:
            X: An array of numbers (n, f), or a DataFrame.
            y: One number a row.
        """
        frame, y = self._frame_and_y(X, y, y_numeric=True)
        return self._fit(frame, y.astype(np.float64))

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The number, in its own unit.  (n,)"""
        return self._predicted(X)
