"""Where pixels are, in a network: the channels of NumPy, and a convolution of them that never makes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from tamesu.channels import position_channels, position_names, position_numbers  # noqa: E402
from tamesu.config import ChannelsConfig  # noqa: E402
from tamesu.maps import make_maps, whole_frames  # noqa: E402
from tamesu.nets.places import Places, Seen, place_convolution  # noqa: E402


def some_maps(size, seed=0, n=3):
    rng = np.random.default_rng(seed)
    inner = make_maps(
        size, mirrored=rng.random(n) < 0.5, turns=rng.integers(0, 4, n), rotate_rad=rng.uniform(-0.5, 0.5, n),
        scale_x=rng.uniform(0.6, 2, n), scale_y=rng.uniform(0.6, 2, n), shift_x=rng.uniform(-9, 9, n),
    )  # fmt: skip
    return whole_frames(rng.integers(5, 60, (n, 2)), size, "pad").then(inner)


@given(
    h=st.integers(1, 17), w=st.integers(1, 17), coords=st.sampled_from(["none", "frame", "crop"]), fourier=st.integers(0, 3),
    border=st.booleans(), steps=st.tuples(st.integers(1, 3), st.integers(1, 3)), seed=st.integers(0, 99),
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_the_planes_are_those_of_numpy(h, w, coords, fourier, border, steps, seed):
    assume(coords != "none" or fourier or border)
    asked, maps = ChannelsConfig(coords=coords, fourier=fourier, border=border), some_maps((h, w), seed)
    places = Places((h, w), coords, fourier, border)
    assert places.n_channels == len(position_names(asked))
    found = places.planes(torch.from_numpy(position_numbers(maps)), steps).permute(0, 2, 3, 1)
    truth = position_channels(maps, (h, w), asked)[:, :: steps[0], :: steps[1]]
    np.testing.assert_allclose(found.numpy(), truth, atol=2e-4)


@given(
    h=st.integers(6, 17), w=st.integers(6, 17), coords=st.sampled_from(["none", "frame", "crop"]), fourier=st.integers(1, 3),
    border=st.booleans(), kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)), stride=st.integers(1, 4),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)), dilation=st.integers(1, 2), seed=st.integers(0, 99),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_a_convolution_told_by_numbers_is_that_of_the_planes(
    h, w, coords, fourier, border, kernel, stride, padding, dilation, seed
):
    torch.manual_seed(seed)
    places = Places((h, w), coords, fourier, border)
    conv = nn.Conv2d(2 + places.n_channels, 5, kernel, stride, padding, dilation if min(h, w) > 8 else 1).double()
    numbers = torch.from_numpy(position_numbers(some_maps((h, w), seed))).double()
    pictures = torch.randn(3, 2, h, w, dtype=torch.float64)
    placed = place_convolution(conv)
    whole = conv(torch.cat([pictures, places.planes(numbers)], dim=1))
    told = placed(Seen(pictures, places.told(numbers)))
    torch.testing.assert_close(told, whole, rtol=1e-9, atol=1e-9)
    pull = torch.randn_like(whole)
    wanted = torch.autograd.grad((whole * pull).sum(), conv.weight)[0]
    torch.testing.assert_close(torch.autograd.grad((told * pull).sum(), placed.weight)[0], wanted, rtol=1e-8, atol=1e-8)


def test_the_convolution_keeps_its_names_and_parameters():
    conv = nn.Conv2d(5, 4, 3)
    placed = place_convolution(conv)
    assert placed.weight is conv.weight
    assert list(placed.state_dict()) == list(conv.state_dict())
    pictures = torch.randn(2, 5, 8, 8)
    torch.testing.assert_close(placed(pictures), conv(pictures), rtol=0, atol=0)
