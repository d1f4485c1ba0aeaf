"""Heads that predict maps (being written)."""

from __future__ import annotations
from typing import Any


def make_map_head(backbone: Any, head: Any, size: Any) -> Any:
    """Placeholder."""
    raise NotImplementedError
