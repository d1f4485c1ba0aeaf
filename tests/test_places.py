"""Where pixels are, in a network: the channels of NumPy, and a convolution of them that never makes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from tamesu.batches import make_batches  # noqa: E402
from tamesu.channels import position_channels, position_names, position_numbers  # noqa: E402
from tamesu.config import ChannelsConfig, ModelConfig  # noqa: E402
from tamesu.feed import make_feed  # noqa: E402
from tamesu.fields import ImageField, LabelField  # noqa: E402
from tamesu.learners.torch import TorchLearner  # noqa: E402
from tamesu.learners.torch_steps import told_places  # noqa: E402
from tamesu.maps import make_maps, whole_frames  # noqa: E402
from tamesu.nets.heads import Network  # noqa: E402
from tamesu.nets.places import Places, Seen, place_convolution  # noqa: E402
from tamesu.nets.shapes import Head, InputShape  # noqa: E402
from tamesu.preprocess import fit_inputs  # noqa: E402
from tamesu.testing import toy_pictures, toy_recipe  # noqa: E402


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


# ── in a network ────────────────────────────────────────────────────────────────────────────────────────────────────────


def networks(model, size, heads):
    """A network that is told where pixels are, and one of the same weights that is shown it."""
    stacks = {"photo": {"photo": 3, "photo@position": 11}, "far": {"far": 2, "far@position": 11}}
    shape = InputShape(stacks, size, 0, (), places={"coords": "frame", "fourier": 2, "border": True})
    torch.manual_seed(0)
    told = Network(model, shape, heads)
    shown = Network(model, replace(shape, places={}), heads)
    shown.load_state_dict(told.state_dict())
    return told, shown


@pytest.mark.parametrize("stem", ["plain", "balanced"])
@pytest.mark.parametrize(
    ("backbone", "size"), [("tiny", (9, 12)), ("tiny", (36, 30)), ("tiny", (48, 48)), ("timm:test_resnet", (32, 32))]
)
@pytest.mark.parametrize("same", [True, False])
def test_a_network_that_is_told_is_one_that_is_shown(stem, backbone, size, same):
    if backbone != "tiny":
        pytest.importorskip("timm")
    model = ModelConfig(backbone=backbone, stem=stem, width=8, dropout=0.0)
    heads = {"y": Head(2), "early": Head(1, branch="early"), "map": Head(1, "pixels", "photo", size=size)}
    told, shown = networks(model, size, heads)
    maps = {"photo": some_maps(size, 0), "far": some_maps(size, 0 if same else 1)}
    asked = ChannelsConfig(coords="frame", fourier=2, border=True)
    pictures = {"photo": torch.randn(3, *size, 3), "far": torch.randn(3, *size, 2)}
    numbers = {f"{name}@position": torch.from_numpy(position_numbers(one)) for name, one in maps.items()}
    planes = {f"{name}@position": torch.from_numpy(position_channels(one, size, asked)) for name, one in maps.items()}
    empty = torch.zeros(3, 0), torch.zeros(3, 0, dtype=torch.int64)
    for training in (True, False):
        found = told.train(training)(pictures | numbers, *empty)
        wanted = shown.train(training)(pictures | planes, *empty)
        for name in heads:
            torch.testing.assert_close(found[name], wanted[name], rtol=2e-3, atol=2e-4, msg=f"{name} {training}")


def test_the_learner_tells_and_predicts_what_it_would_if_it_showed(monkeypatch):
    rows = toy_pictures(24, channels=3)
    recipe = toy_recipe(
        {"picture": ImageField(), "side": LabelField(target=True, mirror={"left": "right"})}, (12, 12), augment={"mirror": 0.5}
    )
    recipe = recipe.model_copy(update={"channels": ChannelsConfig(coords="frame", fourier=2, border=True)})
    told = TorchLearner().fit(rows, recipe, 0)
    again = told.predict(rows)["side"]
    batches = []
    monkeypatch.setattr("tamesu.learners.torch.told_places", lambda feed, network: batches.append(feed) or feed)
    monkeypatch.setattr("tamesu.learners.torch_fitted.told_places", lambda feed, network: batches.append(feed) or feed)
    shown = TorchLearner().fit(rows, recipe, 0).predict(rows)["side"]
    assert len(batches) == 2
    np.testing.assert_allclose(again, shown, atol=5e-3)


def test_a_network_of_ones_own_is_shown_planes():
    rows = toy_pictures(8)
    recipe = toy_recipe({"picture": ImageField(), "side": LabelField(target=True)}, (12, 12))
    recipe = recipe.model_copy(update={"channels": ChannelsConfig(coords="frame")})
    feed = make_feed(rows, recipe, fit_inputs(rows, {}), {})
    assert not told_places(feed, nn.Linear(1, 1)).tells_places
    batch = next(iter(make_batches(feed, 8)))
    assert batch.pictures["picture@position"].shape == (8, 12, 12, 2)
    told = next(iter(make_batches(told_places(feed, networks(ModelConfig(width=8), (12, 12), {})[0]), 8)))
    assert told.pictures["picture@position"].shape == (8, 2, 4)
