"""The network's branch for series (being written)."""

from __future__ import annotations
from torch import nn


class SeriesBranch(nn.Module):
    """Placeholder."""

    n_features = 0

    def __init__(self, channels: int, width: int, depth: int, activation: str):
        raise NotImplementedError
