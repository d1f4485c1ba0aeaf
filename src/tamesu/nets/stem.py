"""Balanced stems (being written)."""

from __future__ import annotations
from typing import Any


def make_balanced_stem(model: Any, groups: Any) -> Any:
    """Placeholder: BalancedStem for the groups of one stack, its `out_channels` for the backbone."""
    raise NotImplementedError
