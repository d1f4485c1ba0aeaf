"""The learners a study can name, and what kind each is; imports none of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tamesu.recipe import Recipe

NETWORKS = ("torch", "keras")
TREES = ("xgboost", "lightgbm", "catboost")
SKLEARN = "sklearn"  # every estimator by dotted name, `sklearn.ensemble.RandomForestClassifier`
BACKENDS = ("tensorflow", "jax", "torch")  # of keras
LEARNERS = (*NETWORKS, *TREES)
CLASSES = {
    "torch": "tamesu.learners.torch:TorchLearner",
    "keras": "tamesu.learners.keras:KerasLearner",
    "xgboost": "tamesu.learners.trees:XGBoostLearner",
    "lightgbm": "tamesu.learners.trees:LightGBMLearner",
    "catboost": "tamesu.learners.trees:CatBoostLearner",
    SKLEARN: "tamesu.learners.sklearn:SklearnLearner",
}
EXTRAS = {"torch": "torch", "keras": "keras", "xgboost": "trees", "lightgbm": "trees", "catboost": "trees", SKLEARN: "sklearn"}
ESTIMATOR = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
OWN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
ENSEMBLE = "ensemble"  # no learner to choose: what the saved models of several together are called


def kind_of(learner: str) -> str:
    """torch, keras, xgboost, lightgbm, catboost, or sklearn for an estimator by dotted name; empty for a class of one's own."""
    if learner in LEARNERS:
        return learner
    return SKLEARN if ESTIMATOR.fullmatch(learner) else ""


def backend_of(recipe: Recipe) -> str:
    """The backend of Keras that a training of this recipe needs a process for; empty for what shares one with others."""
    return recipe.model.backend if recipe.learner == "keras" else ""
