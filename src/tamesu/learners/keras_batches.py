"""A batch as Keras takes it: every place filled, so that the shape never changes, and plain dicts of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.batches import Batch

TYPES = {"uint16": np.float32, "int64": np.int32, "float64": np.float32}  # not every backend computes with the first
AS_NUMBERS = TYPES | {"int64": np.float32}  # class codes: TensorFlow compares nothing of two types


def arrays_of(batch: Batch, n_places: int, with_targets: bool = True) -> dict[str, Any]:
    """The batch in `n_places` places; those left over repeat its rows, with weight 0.

    Repeating them in place of zeros keeps the statistics of networks that look at whole batches sound.

    Args:
        batch: At least one row.
        n_places: At least as many as it has.
        with_targets: Also what is trained.

    Returns:
        `inputs` for the network; beside it `targets`, `known`, `laws`, `weight`, and where rows are mixed `partner`, `share`.
    """
    n = batch.n_real
    rows = np.arange(n_places) % n

    def filled(values: NDArray[Any], types: Mapping[str, Any] = TYPES) -> NDArray[Any]:
        chosen = values if n == n_places == len(values) else values[rows]
        return chosen.astype(types.get(str(chosen.dtype), chosen.dtype), copy=False)

    def all_filled(values: Mapping[str, NDArray[Any]], types: Mapping[str, Any] = TYPES) -> dict[str, NDArray[Any]]:
        return {name: filled(one, types) for name, one in values.items()}

    weight = (np.arange(n_places) < n).astype(np.float32)
    inputs = {
        "pictures": all_filled(batch.pictures),
        "table": filled(batch.table),
        "categories": filled(batch.categories),
        "series": all_filled(batch.series),
        "lengths": all_filled(batch.lengths),
        "weight": weight,
    }
    if not with_targets:
        return {"inputs": inputs}
    out = {
        "inputs": inputs,
        "targets": all_filled(batch.targets, AS_NUMBERS),
        "known": all_filled(batch.known),
        "laws": all_filled(batch.laws),
        "weight": weight,
    }
    if batch.partner is not None and batch.share is not None:
        out |= {"partner": filled(batch.partner), "share": filled(batch.share)}
    return out
