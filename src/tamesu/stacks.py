"""Which channels go through a backbone together: stacks of groups.

A picture a learner is given is a stack by itself, of one group that is called like its field. With `model.fusion: early` a
picture `of` another is a group in that one's stack; where the pixels are is a group more in each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from tamesu.channels import channel_names, make_channels, position_names
from tamesu.config import ChannelsConfig
from tamesu.fields import DepthField, Field

if TYPE_CHECKING:
    from tamesu.maps import Maps

Stacks = dict[str, dict[str, int]]  # by stack and group, the number of channels


def make_stacks(given: Mapping[str, Field], n_channels: Mapping[str, int], channels: ChannelsConfig, fusion: str) -> Stacks:
    """The stacks of the pictures a learner is given.

    Args:
        given: Picture fields by name.
        n_channels: Of their files.
        channels: What is computed from them.
        fusion: late or early.
    """
    stacks: Stacks = {}
    for name, field in given.items():
        stack = stacks.setdefault(stack_of(name, given, given, fusion), {})
        stack[name] = len(channel_names(channels.depth)) if has_depth_channels(field, channels) else n_channels[name]
    if channels.places:
        for name, stack in stacks.items():
            stack[position_group(name)] = len(position_names(channels))
    return stacks


def stack_of(name: str, fields: Mapping[str, Any], given: Collection[str], fusion: str) -> str:
    """The stack a picture belongs to."""
    of: str | None = getattr(fields[name], "of", None)
    return of if fusion == "early" and of is not None and of in given else name


def position_group(stack: str) -> str:
    """What the group is called that says where the pixels of a stack are."""
    return f"{stack}@position"


def has_depth_channels(field: Field, channels: ChannelsConfig) -> bool:
    """Whether this picture is given as channels computed from its distances."""
    return isinstance(field, DepthField) and bool(channels.depth)


def depth_channels(values: NDArray[Any], maps: Maps, field: Field, channels: ChannelsConfig) -> NDArray[Any]:
    """A picture as it is given: distances as the channels the study asks for, anything else as it is.  (b, h, w, c)"""
    if isinstance(field, DepthField) and channels.depth:
        return make_channels(values, maps, field, channels.depth)
    return values
