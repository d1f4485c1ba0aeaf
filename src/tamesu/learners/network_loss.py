"""What a network's training lowers, from raw outputs and a batch's targets: one definition for every framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from tamesu.losses import mixed_loss
from tamesu.losses.known import Array, rows_at
from tamesu.targets import Target

Loss = Callable[..., Array]


def target_losses(
    raw: Mapping[str, Array],
    batch: Mapping[str, Any],
    targets: Mapping[str, Target],
    losses: Mapping[str, Loss],
    xp: ModuleType,
) -> dict[str, Array]:
    """By target, the mean loss of the rows that hold a value of it.

    Args:
        raw: The network's outputs.  (b, …)
        batch: `targets` encoded, `known` and `laws` by target, `weight` (b,), and where rows are mixed `partner` and `share`
            (b,), as arrays of `xp` (see `batches.Batch`).
        targets: What is predicted.
        losses: Of each (see `losses.loss_of`).
    """
    out = {}
    partner, share = batch.get("partner"), batch.get("share")
    for name, target in targets.items():
        laws, counted = batch["laws"].get(name), batch["weight"]
        if name in batch["known"]:
            known = batch["known"][name]
            counted = counted * known if partner is None else counted * known * rows_at(known, partner, xp)
        trained = target.trained(raw[name], xp, laws)
        each = mixed_loss(losses[name], trained, batch["targets"][name], partner, share, counted, xp)
        each = each + target.penalty(raw[name], xp, laws) * counted
        n_counted = xp.sum(counted)
        out[name] = xp.sum(each) / xp.where(n_counted > 1, n_counted, 1.0)
    return out
