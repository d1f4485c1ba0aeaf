"""The network's branch for series: residual 1-D convolutions with growing dilations, for which padding is not there.

Every convolution sees zeros beyond a row's end, as at the end of the longest row; normalisation and pooling look at a row's
own steps only. So a row has the same outputs however far it is padded, and a row of one step is a row like others; and rows of
unequal length can lie in one line, one after the other, with as many zeros between them as a convolution reaches.

Source:
    Bai, Kolter & Koltun (2018), An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling
    (blocks of dilated convolutions; here they look both ways); Wang, Yan & Oates (2017), Time Series Classification from
    Scratch with Deep Neural Networks (residual, batch normalisation, mean over time).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tamesu.nets.activations import make_activation
from tamesu.nets.plans import DILATIONS, NORM_EPSILON, NORM_MOMENTUM, STEM_WIDTH, plan_series

REACH = max(STEM_WIDTH // 2, *DILATIONS)  # steps that one convolution sees each way


class SeriesBranch(nn.Module):
    """Series to features of each step and of the whole row.

    Attributes:
        n_features: Length of both.
    """

    def __init__(self, channels: int, width: int, depth: int, activation: str):
        super().__init__()
        self.stem = nn.Conv1d(channels, width, STEM_WIDTH, padding=STEM_WIDTH // 2, bias=False)
        self.stem_norm, self.stem_activation = MaskedNorm(width), make_activation(activation)
        blocks: list[nn.Module] = []
        before = width
        for after, dilation in plan_series(width, depth):
            blocks.append(SeriesBlock(before, after, dilation, activation))
            before = after
        self.blocks = nn.ModuleList(blocks)
        self.pool = nn.Linear(2 * before, before)
        self.pool_activation = make_activation(activation)
        self.n_features = before
        _initialise(self)

    def forward(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the rows and of their steps; those beyond a row's end are 0.

        Args:
            values: (b, t, c)
            lengths: 0 for a row that is not there.  (b,)

        Returns:
            (b, n_features) and (b, t, n_features).
        """
        is_step = torch.arange(values.shape[1], device=values.device) < lengths[:, None]  # (b, t)
        if values.device.type == "cpu":  # elsewhere, looking at the lengths would wait for the device
            steps = self._of_steps_in_line(values, lengths, is_step)
        else:
            steps = self._of_steps(values.transpose(1, 2), is_step[:, None].to(values.dtype)).transpose(1, 2)
        mean = steps.sum(dim=1) / lengths.clamp_min(1)[:, None]
        highest = steps.masked_fill(~is_step[:, :, None], -torch.inf).amax(dim=1)
        highest = torch.where(lengths[:, None] > 0, highest, torch.zeros_like(highest))  # of a row without steps nothing
        pooled = self.pool_activation(self.pool(torch.cat([mean, highest], dim=1)))
        return pooled * (lengths[:, None] > 0), steps

    def _of_steps(self, x: Tensor, mask: Tensor) -> Tensor:
        """(b, c, t) to (b, n_features, t); 0 where `mask` (b, 1, t) is."""
        x = x * mask
        x = self.stem_activation(self.stem_norm(self.stem(x), mask)) * mask
        for block in self.blocks:
            x = block(x, mask)
        return x

    def _of_steps_in_line(self, values: Tensor, lengths: Tensor, is_step: Tensor) -> Tensor:
        """The same of (b, t, c), without a convolution's work where the longest row alone has steps."""
        start = torch.cumsum(lengths + REACH, dim=0) - lengths - REACH
        places = (start[:, None] + torch.arange(values.shape[1]))[is_step]
        line = values.new_zeros(int(lengths.sum()) + REACH * len(lengths), values.shape[2])
        mask = line.new_zeros(len(line)).index_fill_(0, places, 1.0)
        seen = self._of_steps(line.index_copy(0, places, values[is_step]).T[None], mask[None, None])[0]
        out = seen.new_zeros(*is_step.shape, seen.shape[0])
        out[is_step] = seen.T[places]
        return out


class SeriesBlock(nn.Module):
    """Two convolutions over three steps, `dilation` apart, and what went in."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int, activation: str):
        super().__init__()
        shape = {"kernel_size": 3, "padding": dilation, "dilation": dilation, "bias": False}
        self.first, self.first_norm = nn.Conv1d(in_channels, out_channels, **shape), MaskedNorm(out_channels)  # type: ignore[arg-type]
        self.second, self.second_norm = nn.Conv1d(out_channels, out_channels, **shape), MaskedNorm(out_channels)  # type: ignore[arg-type]
        self.activation, self.last_activation = make_activation(activation), make_activation(activation)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Conv1d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(b, c, t) to (b, c', t), 0 where `mask` (b, 1, t) is."""
        inner = self.activation(self.first_norm(self.first(x), mask)) * mask
        out: Tensor = self.last_activation(self.second_norm(self.second(inner), mask) + self.shortcut(x)) * mask
        return out


class MaskedNorm(nn.Module):
    """Batch normalisation whose means and spreads are those of the steps that are there."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = NORM_EPSILON):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels)), eps
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(b, c, t) to the same; (b, 1, t) says which steps are there."""
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = self._of_batch(x.float(), mask.float())
        scale = self.weight * torch.rsqrt(var + self.eps)
        return x * scale[:, None].to(x.dtype) + (self.bias - mean * scale)[:, None].to(x.dtype)

    def _of_batch(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        n = mask.sum()
        mean = (x * mask).sum(dim=(0, 2)) / n.clamp_min(1)
        var = (torch.square(x - mean[:, None]) * mask).sum(dim=(0, 2)) / n.clamp_min(1)
        with torch.no_grad():
            share = NORM_MOMENTUM * (n > 0)  # a batch without steps teaches nothing
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(var * n / (n - 1).clamp_min(1), share)
        return mean, var


def _initialise(network: SeriesBranch) -> None:
    """He's normal weights; each block starts as its shortcut."""
    for module in network.modules():
        if isinstance(module, nn.Conv1d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, SeriesBlock):
            nn.init.zeros_(module.second_norm.weight)
