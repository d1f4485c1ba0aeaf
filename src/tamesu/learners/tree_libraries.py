"""The libraries of boosted trees, by name; none is imported before it trains."""

from __future__ import annotations

from tamesu.learners.tree_catboost import CatBoost
from tamesu.learners.tree_library import Library
from tamesu.learners.tree_lightgbm import LightGBM
from tamesu.learners.tree_xgboost import XGBoost

LIBRARIES: dict[str, Library] = {"xgboost": XGBoost(), "lightgbm": LightGBM(), "catboost": CatBoost()}
