"""Channels computed from pictures as they are seen: from distances, and from where in the original each pixel lies."""

from tamesu.channels.depth import channel_names, make_channels
from tamesu.channels.position import position_channels, position_names, position_numbers

__all__ = ["channel_names", "make_channels", "position_channels", "position_names", "position_numbers"]
