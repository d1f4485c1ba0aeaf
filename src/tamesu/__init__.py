"""tamesu: tell the model what you already know about your data, and find out whether it helped."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "Study": "tamesu.study",
    "compare": "tamesu.verdict",
    "Outcome": "tamesu.verdict",
    "Metric": "tamesu.metrics",
    "TamesuClassifier": "tamesu.estimators",
    "TamesuRegressor": "tamesu.estimators",
    "TamesuError": "tamesu.errors",
    "ConfigError": "tamesu.errors",
    "DataError": "tamesu.errors",
    "FitError": "tamesu.errors",
    "StoreError": "tamesu.errors",
    "VerdictError": "tamesu.errors",
}
__all__ = ["__version__", *_PUBLIC]

if TYPE_CHECKING:
    from tamesu.errors import ConfigError, DataError, FitError, StoreError, TamesuError, VerdictError
    from tamesu.estimators import TamesuClassifier, TamesuRegressor
    from tamesu.metrics import Metric
    from tamesu.study import Study
    from tamesu.verdict import Outcome, compare


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'tamesu' has no attribute {name!r}")
