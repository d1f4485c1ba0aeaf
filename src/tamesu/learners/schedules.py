"""How the learning rate and the weights of auxiliaries change while a network is trained."""

from __future__ import annotations

import math
from collections.abc import Callable

from tamesu.fields.base import Aux


def cosine_with_warmup(n_steps: int, warmup_fraction: float) -> Callable[[int], float]:
    """Share of the learning rate at a step: up in a straight line, then half a cosine down to zero."""
    n_warmup = warmup_fraction * n_steps

    def schedule(step: int) -> float:
        if step < n_warmup:
            return min(1.0, (step + 1) / n_warmup)
        return 0.5 * (1 + math.cos(math.pi * (step - n_warmup) / max(1.0, n_steps - n_warmup)))

    return schedule


def weight_at(auxiliary: Aux, step: int, n_steps: int) -> float:
    """The weight of an auxiliary's loss before a step, when the target's is 1.

    Args:
        auxiliary: learned: its weight is the factor of what is learned.
        step: Steps taken so far.
        n_steps: Of the whole training.
    """
    if auxiliary.schedule != "anneal":
        return auxiliary.weight
    return auxiliary.weight * max(0.0, 1 - step / max(1, n_steps))
