"""What every learner does, and how the study names one."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from tamesu.errors import ConfigError, StoreError, suggest
from tamesu.learners.names import CLASSES, ENSEMBLE, EXTRAS, LEARNERS, kind_of
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.recipe import Recipe

OnEpoch = Callable[[int, float], None]
NAME_FILE = "learner.json"


@runtime_checkable
class Fitted(Protocol):
    """What a training leaves: it predicts, and can be kept.

    Attributes:
        log: One entry an epoch, from 1: {"epoch", "loss", "learning_rate"}; the loss is None where none was finite.
    """

    log: list[dict[str, Any]]

    def predict(self, rows: Dataset) -> dict[str, NDArray[Any]]:
        """By target: (n, k) probabilities of a label or of labels, or (n,) numbers in the target's unit."""
        ...

    def save(self, folder: Path) -> None:
        """Writes everything `load` needs into a folder, with the learner's name in learner.json; never pickle."""
        ...


@runtime_checkable
class Learner(Protocol):
    """Trains. It sees the training rows only: what is scored is not among its arguments."""

    def check(self, recipe: Recipe, dataset: Dataset) -> list[str]:
        """What of the recipe this learner cannot honour, one sentence each; [] when it is fine."""
        ...

    def fit(self, rows: Dataset, recipe: Recipe, seed: int, device: str, on_epoch: OnEpoch | None = None) -> Fitted:
        """Trains on all of `rows`; the same arguments give the same result on a CPU.

        Args:
            rows: Training rows, with their targets.
            recipe: What to train.
            seed: Decides everything random.
            device: cpu, cuda or mps.
            on_epoch: Called with (epoch, loss) after each epoch, from 1.
        """
        ...

    def load(self, folder: Path) -> Fitted:
        """What `Fitted.save` wrote."""
        ...


def make_learner(name: str) -> Learner:
    """The learner a study names: `torch`, an estimator `sklearn.svm.SVC`, or a class of your own, `my_module:MyLearner`.

    Raises:
        ConfigError: There is no such learner, or what it needs is not installed.
    """
    kind = kind_of(name)
    target = CLASSES.get(kind, name)
    module_name, _, class_name = target.partition(":")
    if not class_name:
        raise ConfigError(
            say(
                "learner: must be a learner of tamesu or my_module:MyLearner; got {value!r}.{hint}",
                value=name,
                hint=suggest(name, LEARNERS),
            )
        )
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except ImportError as error:
        if not kind:
            raise ConfigError(say("learner: must be importable; got {value!r}: {error}.", value=name, error=error)) from error
        command = f"pip install 'tamesu[{EXTRAS.get(kind, 'torch')}]'"
        text = say("learner: {value} needs a package ({error}). Run: {command}", value=name, error=error, command=command)
        raise ConfigError(text) from error
    except AttributeError as error:
        raise ConfigError(
            say(
                "learner: module {module} must have {name!r}; it has none.{hint}",
                module=module_name,
                name=class_name,
                hint=suggest(class_name, vars(importlib.import_module(module_name))),
            )
        ) from error
    learner = found()
    if not isinstance(learner, Learner):
        raise ConfigError(say("learner: {value} must have the methods check, fit and load.", value=name))
    return learner


def learner_name(learner: object) -> str:
    """The name under which `make_learner` finds this learner's class."""
    target = f"{type(learner).__module__}:{type(learner).__qualname__}"
    return next((name for name, built_in in CLASSES.items() if built_in == target), target)


def load_fitted(folder: Path) -> Fitted:
    """What a learner saved in a folder, or the models of an ensemble together.

    Raises:
        StoreError: There is no saved learner.
    """
    path = Path(folder) / NAME_FILE
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["learner"]
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(say("{where}: must be a saved model; {error}.", where=folder, error=error)) from error
    if name == ENSEMBLE:
        from tamesu.learners.ensemble import FittedEnsemble  # which is made of such models

        return FittedEnsemble.load(Path(folder))
    return make_learner(name).load(Path(folder))
