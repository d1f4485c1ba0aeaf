"""Estimators put to work: seeded, given their threads, one for several outputs, and what they cannot be used for."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tamesu.errors import ConfigError
from tamesu.learners.sklearn_named import SEEDS, THREADS, find_object, make_estimator
from tamesu.learners.sklearn_outputs import Role
from tamesu.learners.tree_library import count_threads
from tamesu.seeds import seeded
from tamesu.texts import say

OTHER_ROLE = {"classifier": ("Regressor", "Classifier"), "regressor": ("Classifier", "Regressor")}


def make_seeded(name: str, params: Mapping[str, Any], seed: int, n_outputs: int = 1) -> Any:
    """A fresh estimator for so many outputs: one that takes a single one is made several, by scikit-learn's own wrapper.

    Raises:
        ConfigError: There is no such class or function.
    """
    estimator = make_estimator(name, params)
    if n_outputs > 1 and not _takes_several(estimator):
        from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor

        estimator = (MultiOutputClassifier if role_of(estimator) == "classifier" else MultiOutputRegressor)(estimator)
    for one in (estimator, *_inside(estimator)):
        taken = inspect.signature(type(one)).parameters
        settings = dict.fromkeys(SEEDS, seed)
        if not getattr(type(one).__init__, "__module__", "").startswith(
            "sklearn."
        ):  # scikit-learn's own ask joblib: see `at_work`
            settings |= dict.fromkeys(THREADS, count_threads())
        own = {key: value for key, value in settings.items() if key in taken}
        if own:
            one.set_params(**own)
    return estimator


@contextlib.contextmanager
def at_work(seed: int, n_threads: int = 1) -> Iterator[None]:
    """What draws from the global random states repeats itself; what runs in parallel does so in this process's threads."""
    from joblib import parallel_config

    with seeded(seed), parallel_config(backend="threading", n_jobs=n_threads):
        yield


def threads_to_fit(estimator: Any) -> int:
    """As many as a training has; one where an estimator holds others.

    Members of a forest are trained apart, so threads change nothing. When it predicts, threads add their votes up in whatever
    order they finish, and the last bits differ: so nothing predicts in several, not even inside another's training.
    """
    return 1 if _inside(estimator) else count_threads()


def role_of(estimator: Any) -> str:
    """classifier, regressor, or what else it says it is; empty where it says nothing."""
    return str(getattr(_tags(estimator), "estimator_type", None) or getattr(estimator, "_estimator_type", None) or "")


def role_mistakes(estimator: Any, name: str, role: Role, kind: str) -> Iterator[str]:
    """Why an estimator cannot predict a target of this kind, one sentence each.

    Args:
        name: As the study has it.
        role: What is needed.
    """
    found = role_of(estimator)
    if found not in (role, "") or not hasattr(type(estimator), "fit") or not hasattr(type(estimator), "predict"):
        yield say(
            "{learner} must be a {role}, which a target of kind {kind} needs; it is {found}.{hint}",
            learner=name,
            role=role,
            kind=kind,
            found=f"a {found}" if found else say("no estimator"),
            hint=_twin(name, role),
        )
    elif role == "classifier" and not _gives_probabilities(estimator):
        yield say(
            "{learner} gives no probabilities (it has no predict_proba), which a target of kind {kind} needs. Write learner: "
            "sklearn.calibration.CalibratedClassifierCV, sklearn: {{params: {{estimator: {{learner: {learner}}}}}}}: it is "
            "calibrated inside the training rows. Or take one that has them, such as sklearn.linear_model.LogisticRegression.",
            learner=name,
            kind=kind,
        )


def takes_weights(estimator: Any) -> bool:
    """Whether its `fit` has weights of rows."""
    with contextlib.suppress(TypeError, ValueError):
        return "sample_weight" in inspect.signature(estimator.fit).parameters
    return False


def _gives_probabilities(estimator: Any) -> bool:
    """Whether it does once it is fitted. Some, such as stacks, know it only then: these are fitted on rows of no meaning."""
    if hasattr(estimator, "predict_proba") or not hasattr(type(estimator), "predict_proba"):
        return hasattr(estimator, "predict_proba")
    x, y = np.arange(40.0).reshape(-1, 1) % 7, np.arange(40) % 2
    with at_work(0), warnings.catch_warnings(action="ignore"):
        try:
            return hasattr(estimator.fit(x, y), "predict_proba")
        except Exception:  # it will tell in the training what it needs
            return True


def _inside(estimator: Any) -> list[Any]:
    """Every estimator that it holds."""
    params = estimator.get_params(deep=True) if hasattr(estimator, "get_params") else {}
    return [one for one in params.values() if hasattr(one, "set_params") and not inspect.isclass(one)]


def _takes_several(estimator: Any) -> bool:
    tags = _tags(estimator)
    if role_of(estimator) == "classifier":
        return bool(getattr(getattr(tags, "classifier_tags", None), "multi_label", False))
    return bool(getattr(getattr(tags, "target_tags", None), "multi_output", False))


def _tags(estimator: Any) -> Any:
    """scikit-learn's description of an estimator; None of one that has none."""
    from sklearn.utils import get_tags

    try:
        return get_tags(estimator)
    except Exception:  # one that only looks like scikit-learn's
        return None


def _twin(name: str, role: Role) -> str:
    """What to write instead, where the same package has it."""
    twin = name.replace(*OTHER_ROLE[role])
    if twin == name:
        return ""
    try:
        find_object(twin)
    except ConfigError:
        return ""
    return say(" Did you mean {name!r}?", name=twin)
