"""Magnitudes as a study writes them, drawn for each row.

`0.2` (both ways, or up from none), `[0.1, 0.3]` (a range), `[0.3, 0.3]` (fixed), `{range: 0.2, chance: 0.3}` (not always).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tamesu.config import Amount, Sometimes

if TYPE_CHECKING:
    from tamesu.draws import Draws

Strength = NDArray[np.float64] | None  # (b,) how much stronger than written each row is varied; None: as written


def limits(amount: Amount, around: float = 0.0, *, one_sided: bool = False) -> tuple[float, float]:
    """The lowest and highest value that can be drawn, when it is drawn at all.

    Args:
        around: The value that changes nothing.
        one_sided: One number x means from `around` up by x, not both ways: there is no negative blur.
    """
    given = amount.range if isinstance(amount, Sometimes) else amount
    if isinstance(given, tuple):
        return float(given[0]), float(given[1])
    return (around if one_sided else around - given), around + given


def chance_of(amount: Amount) -> float:
    """How often it is drawn."""
    return amount.chance if isinstance(amount, Sometimes) else 1.0


def is_off(amount: Amount, around: float = 0.0) -> bool:
    """It never changes anything: nothing needs drawing."""
    return limits(amount, around) == (around, around) or chance_of(amount) == 0


def drawn(
    draws: Draws, name: str, amount: Amount, around: float = 0.0, strength: Strength = None, *, one_sided: bool = False
) -> NDArray[np.float64]:
    """One value a row; `around` where nothing is to change.  (b,)"""
    if is_off(amount, around):
        return np.full(len(draws.keys), around)
    values = draws.uniform(name, *limits(amount, around, one_sided=one_sided))
    if strength is not None:
        values = around + (values - around) * strength
    chance = chance_of(amount)
    return values if chance >= 1 else np.where(hit(draws, name, chance, strength), values, around)


def hit(draws: Draws, name: str, chance: float, strength: Strength = None) -> NDArray[np.bool_]:
    """Which rows something that happens with this chance happens to.  (b,)"""
    return draws.uniform(f"{name}?") < (chance if strength is None else np.minimum(chance * strength, 1))
