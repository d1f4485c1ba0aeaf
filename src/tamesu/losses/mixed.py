"""The loss of rows that are partly another row."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from tamesu.losses.known import Array, rows_at


def mixed_loss(
    loss: Callable[..., Array],
    raw: Array,
    encoded: Array,
    partner: Array | None,
    share: Array | None,
    weight: Array,
    xp: ModuleType,
    **options: Any,
) -> Array:
    """A loss of rows that are partly another row (mixup, cutmix): the mean of both targets' losses, never of the targets.

    Args:
        loss: One of `LOSSES`.
        raw: As that loss takes it.  (n, …)
        encoded: The rows' own targets.  (n, …)
        partner: Position in the batch of the row each was mixed with; None where none was.  (n,) integer
        share: Of the row's own target; 1 where it was not mixed.  (n,)
        weight: 0 for padding.  (n,)
        options: What else the loss takes.

    Returns:
        (n,) in the loss's unit.

    Source:
        Zhang et al. (2018), mixup; for one-hot targets and cross entropy the two are equal.
    """
    own = loss(raw, encoded, weight, xp, **options)
    if partner is None or share is None:
        return own
    other = loss(raw, rows_at(encoded, partner, xp), weight, xp, **options)
    return share * own + (1 - share) * other
