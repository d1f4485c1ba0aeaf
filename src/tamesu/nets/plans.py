"""How networks are laid out, as plain numbers: what PyTorch's modules and Keras's layers are both built from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tamesu.config import InputGroup

Size = tuple[int, int]
NewChannels = Literal["repeat", "mean", "zero"]

# tiny: pictures
STEM_MAP = 20  # px: 32 px pictures are halved once, 64 px ones twice, 100 px ones three times
LAST_MAP = 4  # px: at this or less a map is averaged
MAX_WIDTH = 512

# series
DILATIONS = (1, 2, 4, 8, 16)  # one level each: a step sees 64 steps each way
STEM_WIDTH = 5  # steps

# heads that predict maps
N_HIDDEN = 64

# normalisation, as in nn.BatchNorm2d
NORM_EPSILON = 1e-5
NORM_MOMENTUM = 0.1

# balanced groups of inputs
PIXELS_SEEN = 12  # along each side, of those the covariance is computed from; all of them would cost a tenth of a step
BALANCE_MOMENTUM = 0.05  # of the running covariance, once so many batches have gone by that their mean changes more slowly
LEAST_VARIANCE = 0.01  # added to every input's: standardised ones have 1, and what hardly varies is not blown up

N_COLOURS = 3


class Stem(NamedTuple):
    """The convolutions a picture goes through first.

    Attributes:
        convolutions: Channels and stride of each.
        n_maxima: How often the largest of two by two is taken after them.
    """

    convolutions: tuple[tuple[int, int], ...]
    n_maxima: int


def plan_stages(size: Size) -> tuple[int, int]:
    """How often the stem halves a picture of this size, and how many stages follow."""
    side = min(size)
    n_halvings = max(0, math.ceil(math.log2(side / STEM_MAP)))
    side = max(1, round(side / 2**n_halvings))
    return n_halvings, 1 + max(0, math.ceil(math.log2(side / LAST_MAP)))


def plan_stem(width: int, n_halvings: int) -> Stem:
    """Convolutions for the first two halvings, maxima for the others: large maps are dear."""
    if n_halvings < 2:
        return Stem(((width, 2**n_halvings),), 0)
    return Stem(((max(1, width // 2), 2), (width, 2)), n_halvings - 2)


def plan_blocks(n_stages: int, width: int, depth: int) -> list[tuple[int, int]]:
    """Channels and stride of each residual block."""
    return [
        (min(width * 2**stage, MAX_WIDTH), 2 if stage > 0 and i == 0 else 1) for stage in range(n_stages) for i in range(depth)
    ]


def plan_series(width: int, depth: int) -> list[tuple[int, int]]:
    """Channels and dilation of each block of the branch for series."""
    return [(width if level < 2 else 2 * width, dilation) for level, dilation in enumerate(DILATIONS) for _ in range(depth)]


def embedding_width(n_codes: int) -> int:
    """Numbers that stand for a category of so many codes: a rule found by trial, from fastai's tabular models."""
    return min(50, max(2, round(1.6 * n_codes**0.56)))


def groups_of(groups: Mapping[str, InputGroup]) -> tuple[dict[str, str], dict[str, float]]:
    """By field the group that names it, and by group its weight."""
    return {field: name for name, group in groups.items() for field in group.fields}, {
        name: group.weight for name, group in groups.items()
    }


def number_groups(names: Sequence[str], weights: Mapping[str, float]) -> tuple[list[int], list[float]]:
    """The number of each input's group, and the weight of each group; inputs of one name are one group."""
    places = list(dict.fromkeys(names))
    return [places.index(name) for name in names], [weights.get(name, 1.0) for name in places]


def colour_mix(n_channels: int, new_channels: NewChannels) -> NDArray[np.float32]:
    """What of a kernel's red, green and blue each of other channels gets; the first three of more are those colours.

    Args:
        n_channels: What the kernel is to look at. For one, the three are added up, as for grey pictures.
        new_channels: repeat: red, green, blue, red, … ; mean: new ones are seen as the mean of the three; with both, the whole
            is multiplied by three over the number of channels, so that sums stay about as large. zero: new ones count for
            nothing to begin with, and the colours for what they did.

    Returns:
        (n_channels, 3)

    Source:
        `repeat` is what timm does (timm.models._manipulate.adapt_input_conv).
    """
    if n_channels == 1:
        return np.ones((1, N_COLOURS), dtype=np.float32)
    colours = np.eye(N_COLOURS, dtype=np.float32)
    share = np.float32(N_COLOURS / n_channels)
    n_new = n_channels - N_COLOURS
    if new_channels == "repeat" or n_new < 0:
        return colours[np.arange(n_channels) % N_COLOURS] * share
    if new_channels == "mean":
        return np.concatenate([colours, np.full((n_new, N_COLOURS), 1 / N_COLOURS, dtype=np.float32)]) * share
    return np.concatenate([colours, np.zeros((n_new, N_COLOURS), dtype=np.float32)])
