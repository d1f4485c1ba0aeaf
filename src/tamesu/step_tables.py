"""Predictions along a series as a long table: a line a step, or a line an event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def step_table(
    ids: NDArray[np.object_],
    prediction: NDArray[np.float64],
    classes: Sequence[str],
    id_name: str,
    truth: NDArray[np.int64] | None = None,
    name: str = "",
) -> pd.DataFrame:
    """id, step (from 0), the truth where it is known, prediction, and the probability of each class.

    Args:
        prediction: All classes as likely beyond a row's end, where it has no lines; NaN where nothing is predicted.  (n, t, k)
        truth: Codes, -1 where the class is not known.  (n, t)
        name: Of the truth's column.
    """
    said = ~np.isnan(prediction).any(axis=2) & (np.ptp(prediction, axis=2) > 0)
    if truth is not None:
        said |= truth >= 0
    n_steps = np.where(said.any(axis=1), said.shape[1] - said[:, ::-1].argmax(axis=1), 0)
    row, step = np.nonzero(np.arange(said.shape[1]) < n_steps[:, None])
    shares = prediction[row, step]
    names = np.array([*classes, None], dtype=object)
    best = np.where(np.isnan(shares).any(axis=1), -1, np.nan_to_num(shares).argmax(axis=1))
    frame = pd.DataFrame({id_name: ids[row], "step": step})
    if truth is not None:
        frame[name] = names[truth[row, step]]
    frame["prediction"] = names[best]
    return pd.concat([frame, pd.DataFrame(shares, columns=[f"p_{one}" for one in classes])], axis=1)


def event_table(ids: NDArray[np.object_], prediction: NDArray[np.float64], names: Sequence[str], id_name: str) -> pd.DataFrame:
    """id, event, its time, and how sure it is.

    Args:
        prediction: Times and sureness, 0 where there is none; NaN where nothing is predicted.  (n, k, m, 2)
        names: Of the events.  k
    """
    row, event, slot = np.nonzero(np.nan_to_num(prediction[..., 1]) > 0)
    found = prediction[row, event, slot]
    kinds = np.array(names, dtype=object)[event]
    return pd.DataFrame({id_name: ids[row], "event": kinds, "time": found[:, 0], "sure": found[:, 1]})
