"""The boosting libraries as their users write them, on the frames that a study is given: what tamesu is held against."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

RATE = 0.1


def predict_by_hand(
    name: str, train: pd.DataFrame, y: NDArray[Any], test: pd.DataFrame, *, rounds: int, threads: int, seed: int
) -> NDArray[np.float64]:
    """Probabilities of the classes of `y`, in sorted order.  (n, k)

    Args:
        name: xgboost, lightgbm or catboost.
        train: Numbers, and texts as categories; missing values as they come.
        y: Codes from 0.  (n,)
        test: Rows to predict.
    """
    texts = [one for one in train if not pd.api.types.is_numeric_dtype(train[one])]
    return {"xgboost": _xgboost, "lightgbm": _lightgbm, "catboost": _catboost}[name](
        train, y, test, texts, rounds=rounds, threads=threads, seed=seed
    )


def _as_categories(train: pd.DataFrame, test: pd.DataFrame, texts: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    ours = {one: train[one].astype("category") for one in texts}
    theirs = {one: pd.Categorical(test[one], categories=ours[one].cat.categories) for one in texts}
    return train.assign(**ours), test.assign(**theirs)


def _xgboost(
    train: pd.DataFrame, y: NDArray[Any], test: pd.DataFrame, texts: list[str], *, rounds: int, threads: int, seed: int
) -> NDArray[np.float64]:
    from xgboost import XGBClassifier

    train, test = _as_categories(train, test, texts)
    model = XGBClassifier(n_estimators=rounds, learning_rate=RATE, enable_categorical=True, n_jobs=threads, random_state=seed)
    return np.asarray(model.fit(train, y).predict_proba(test), dtype=np.float64)


def _lightgbm(
    train: pd.DataFrame, y: NDArray[Any], test: pd.DataFrame, texts: list[str], *, rounds: int, threads: int, seed: int
) -> NDArray[np.float64]:
    from lightgbm import LGBMClassifier

    train, test = _as_categories(train, test, texts)
    settings = {"deterministic": True, "force_row_wise": True, "verbosity": -1}  # the first two as tamesu needs them
    model = LGBMClassifier(n_estimators=rounds, learning_rate=RATE, n_jobs=threads, random_state=seed, **settings)
    return np.asarray(model.fit(train, y).predict_proba(test), dtype=np.float64)


def _catboost(
    train: pd.DataFrame, y: NDArray[Any], test: pd.DataFrame, texts: list[str], *, rounds: int, threads: int, seed: int
) -> NDArray[np.float64]:
    from catboost import CatBoostClassifier

    train, test = (one.assign(**{name: one[name].fillna("") for name in texts}) for one in (train, test))
    model = CatBoostClassifier(
        iterations=rounds,
        learning_rate=RATE,
        random_seed=seed,
        thread_count=threads,
        cat_features=texts,
        verbose=False,
        allow_writing_files=False,
    )
    return np.asarray(model.fit(train, y).predict_proba(test), dtype=np.float64)
