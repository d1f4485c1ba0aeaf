"""Channels computed from pictures as they are seen (being written)."""

from __future__ import annotations
from typing import Any


def make_channels(values: Any, maps: Any, field: Any, wanted: tuple[str, ...]) -> Any:
    """Placeholder."""
    raise NotImplementedError


def channel_names(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Placeholder."""
    raise NotImplementedError


def position_channels(maps: Any, size: Any, settings: Any) -> Any:
    """Placeholder."""
    raise NotImplementedError


def position_names(settings: Any) -> tuple[str, ...]:
    """Placeholder."""
    raise NotImplementedError
