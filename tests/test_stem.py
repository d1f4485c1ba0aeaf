"""Balanced groups: no group of inputs drowns another, whatever its channels are, and the user's weights decide."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from tamesu.config import InputGroup, ModelConfig  # noqa: E402
from tamesu.nets.backbones import make_backbone  # noqa: E402
from tamesu.nets.heads import Network  # noqa: E402
from tamesu.nets.settings import check_model  # noqa: E402
from tamesu.nets.shapes import InputShape  # noqa: E402
from tamesu.nets.stem import Balance, BalancedColumns, BalancedConv2d, BalancedStem, balance_backbone  # noqa: E402

GROUPS = {"few": 2, "many": 50}


def draw(n, channels, correlated, rng, size=(24, 20)):
    """Standardised pictures whose channels are independent, or nearly one and the same.  (n, c, h, w)"""
    own = rng.normal(size=(n, channels, *size))
    common = rng.normal(size=(n, 1, *size))
    values = np.sqrt(0.95) * common + np.sqrt(0.05) * own if correlated else own
    return torch.from_numpy(values.astype(np.float32))


def share_of(balance, rows, own):
    """What the inputs in `own` have of the variance that comes out of the matrix."""
    out = [(balance.matrix()[:, one] @ (rows[:, one] - rows[:, one].mean(0)).T).var(dim=1).sum() for one in (own, ~own)]
    return float((out[0] / (out[0] + out[1])).detach())


@pytest.mark.parametrize("out_channels", [3, 16, 52, 60])
@pytest.mark.parametrize("correlated", [(False, False), (False, True), (True, True), (True, False)])
@pytest.mark.parametrize("weights", [{}, {"few": 3.0}, {"few": 0.5, "many": 2.0}])
def test_each_group_has_its_share_of_the_variance_at_the_start(out_channels, correlated, weights):
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    stem = BalancedStem(GROUPS, weights, out_channels).requires_grad_(False).train()
    few, many = draw(6, 2, correlated[0], rng), draw(6, 50, correlated[1], rng)
    stem([few, many])  # looks at a batch
    few, many = draw(6, 2, correlated[0], rng), draw(6, 50, correlated[1], rng)
    stem.eval()
    alone = {"few": stem([few, torch.zeros_like(many)]), "many": stem([torch.zeros_like(few), many])}
    variances = {name: float(seen.var(dim=(0, 2, 3)).mean()) for name, seen in alone.items()}
    whole = sum(weights.get(name, 1.0) for name in GROUPS)
    for name, variance in variances.items():
        assert variance == pytest.approx(weights.get(name, 1.0) / whole, rel=0.1)
    assert float(stem([few, many]).var(dim=(0, 2, 3)).mean()) == pytest.approx(1, rel=0.1)


def test_shares_stay_while_the_projection_is_trained():
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    stem = BalancedStem(GROUPS, {"few": 3.0}, 16).train()
    target = draw(8, 16, False, rng)
    optimizer = torch.optim.AdamW(stem.parameters(), lr=0.05)
    for _ in range(40):
        loss = (stem([draw(8, 2, False, rng), draw(8, 50, True, rng)]) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    rows = torch.cat([draw(8, 2, False, rng), draw(8, 50, True, rng)], dim=1).permute(0, 2, 3, 1).flatten(0, 2)
    own = torch.arange(52) < 2
    assert share_of(stem.balance, rows, own) == pytest.approx(0.75, rel=0.1)


def test_groups_that_belong_together_have_one_share():
    rng = np.random.default_rng(0)
    sizes = {"a": 3, "b": 4, "c": 2}
    stem = BalancedStem(sizes, {"ac": 2.0}, 9, together={"a": "ac", "c": "ac"}).train()
    stem([draw(8, c, False, rng) for c in sizes.values()])
    rows = torch.cat([draw(8, c, False, rng) for c in sizes.values()], dim=1).permute(0, 2, 3, 1).flatten(0, 2)
    own = torch.tensor([True] * 3 + [False] * 4 + [True] * 2)
    assert share_of(stem.balance, rows, own) == pytest.approx(2 / 3, rel=0.05)


def test_a_constant_group_is_not_blown_up():
    balance = Balance([0, 1], [1.0, 1.0], 2)
    balance.look(torch.cat([torch.randn(100, 1), torch.full((100, 1), 3.0)], dim=1))
    assert balance.matrix().abs().max() < 10.1


def test_one_picture_is_enough_to_predict():
    stem = BalancedStem({"a": 3, "b": 1}, {}, 4).train()
    pictures = [torch.randn(5, 3, 7, 9), torch.randn(5, 1, 7, 9)]
    stem(pictures)
    stem.eval()
    torch.testing.assert_close(stem([one[2:3] for one in pictures]), stem(pictures)[2:3])


# ── before a backbone ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("backbone", ["tiny", "timm:resnet10t", "timm:test_vit"])
@pytest.mark.parametrize("size", [(32, 32), (48, 40)])
def test_in_the_kernel_it_is_what_it_is_before_it(backbone, size):
    if backbone != "tiny":
        pytest.importorskip("timm")
    if backbone == "timm:test_vit" and size != (32, 32):
        size = (64, 64)
    model = ModelConfig(backbone=backbone, width=8)
    groups = {"colour": 3, "depth": 5}
    torch.manual_seed(0)
    plain, _ = make_backbone(model, 8, size)
    torch.manual_seed(0)
    folded, _ = make_backbone(model, 8, size)
    assert balance_backbone(folded, model, groups) is None
    nn.init.normal_(next(one for one in folded.modules() if isinstance(one, Balance)).weight)
    stem = BalancedStem(groups, {}, 8)
    stem.balance.load_state_dict(next(one for one in folded.modules() if isinstance(one, Balance)).state_dict())
    pictures = [torch.randn(4, 3, *size), 3 * torch.randn(4, 5, *size)]
    for mode in (True, False):
        for one in (plain, folded, stem):
            one.train(mode)
        torch.testing.assert_close(folded(torch.cat(pictures, dim=1)), plain(stem(pictures)), rtol=1e-3, atol=1e-4)
    assert any(parameter.grad is None for parameter in folded.parameters())
    folded(torch.cat(pictures, dim=1)).square().sum().backward()
    weight = next(one for one in folded.modules() if isinstance(one, Balance)).weight
    assert weight.grad is not None
    assert weight.grad.abs().max() > 0


class Plain(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv, self.n_features = nn.Conv2d(channels, 4, 3), 4

    def forward(self, x):
        return self.conv(x).mean(dim=(2, 3))


def test_a_backbone_of_ones_own_has_a_stem_before_it():
    stem = balance_backbone(Plain(4), ModelConfig(), {"a": 3, "b": 1})
    assert isinstance(stem, BalancedStem)
    assert stem.out_channels == 4


def test_networks_with_balanced_stems_train_save_and_load():
    model = ModelConfig(stem="balanced", width=8, groups={"range": InputGroup(fields=("depth",), weight=2)})
    shape = InputShape({"photo": {"photo": 3, "depth": 2, "photo@position": 2}, "other": {"other": 1}}, (16, 16), 0, ())
    network = Network(model, shape, {"y": 2})
    pictures = {name: torch.randn(6, 16, 16, c) for groups in shape.stacks.values() for name, c in groups.items()}
    empty = torch.zeros(6, 0), torch.zeros(6, 0, dtype=torch.int64)
    network(pictures, *empty)["y"].square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert sum(isinstance(one, BalancedConv2d) for one in network.modules()) == 1  # one group alone needs no balance
    balance = next(one for one in network.modules() if isinstance(one, Balance))
    torch.testing.assert_close(balance.shares, torch.tensor([0.25, 0.5, 0.25]))
    again = Network(model, shape, {"y": 2})
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again.eval()(pictures, *empty)["y"], network.eval()(pictures, *empty)["y"], rtol=0, atol=0)


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("correlated", [False, True])
def test_columns_of_a_table_have_their_share(correlated):
    rng = np.random.default_rng(0)
    fields = [*(f"imu{i}" for i in range(50)), "temperature", "pressure"]
    groups = {"imu": InputGroup(fields=tuple(fields[:50])), "air": InputGroup(fields=("temperature", "pressure"), weight=3)}
    columns = BalancedColumns(fields, groups).train()

    def rows():
        many, few = draw(1, 50, correlated, rng, (400, 1)), draw(1, 2, False, rng, (400, 1))
        return torch.cat([many, few], dim=1)[0, :, :, 0].T

    columns(rows())
    own = torch.arange(52) < 50
    assert share_of(columns.balance, rows(), own) == pytest.approx(0.25, rel=0.1)


def test_a_field_that_no_group_names_is_one_by_itself():
    columns = BalancedColumns(["hour", "hour", "x", "kind", "kind", "kind"], {"time": InputGroup(fields=("hour",), weight=2)})
    torch.testing.assert_close(columns.balance.shares, torch.tensor([0.5, 0.25, 0.25]))
    assert columns.balance.members.sum(dim=0).tolist() == [2, 1, 3]


def test_tables_with_balanced_groups_train():
    groups = {"imu": InputGroup(fields=("a", "b"), weight=2)}
    shape = InputShape({}, (0, 0), 3, (4, 9), feature_fields=("a", "b", "c"), category_fields=("kind", "c2"))
    plain, balanced = (Network(ModelConfig(stem=stem, groups=groups), shape, {"y": 1}) for stem in ("plain", "balanced"))
    assert plain.table.balance is None
    assert len(balanced.table.balance.balance.shares) == 4  # imu, c, kind, c2
    inputs = {}, torch.randn(8, 3), torch.randint(0, 4, (8, 2))
    balanced(*inputs)["y"].square().sum().backward()
    assert all(parameter.grad is not None for parameter in balanced.parameters())
    assert balanced({}, torch.randn(1, 3), torch.zeros(1, 2, dtype=torch.int64))["y"].shape == (1, 1)


# ── pretrained weights and new channels ─────────────────────────────────────────────────────────────────────────────────


def pretrained(tmp_path):
    """A small timm model with weights in a file, and the model itself."""
    timm = pytest.importorskip("timm")
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=10)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    return model, str(tmp_path / "w.safetensors")


def first_kernel(backbone):
    return next(one for one in backbone.modules() if isinstance(one, nn.Conv2d)).weight.detach()


def made(new_channels, weights, channels=5):
    model = ModelConfig(backbone="timm:test_resnet", weights=weights, new_channels=new_channels)
    return make_backbone(model, channels, (32, 32))[0].eval()


@pytest.mark.filterwarnings("error")
def test_new_channels_of_a_local_file(tmp_path):
    original, file = pretrained(tmp_path)
    given = first_kernel(original)
    repeated = torch.stack([given[:, i % 3] for i in range(5)], dim=1) * (3 / 5)
    torch.testing.assert_close(first_kernel(made("repeat", file)), repeated, rtol=0, atol=0)
    mean = first_kernel(made("mean", file))
    torch.testing.assert_close(mean[:, :3], given * (3 / 5))
    torch.testing.assert_close(mean[:, 3:], (given.mean(1, keepdim=True) * (3 / 5)).expand(-1, 2, -1, -1))
    torch.testing.assert_close(mean.sum(1), given.sum(1), rtol=1e-4, atol=1e-6)  # grey pictures are seen as before
    zero = first_kernel(made("zero", file))
    torch.testing.assert_close(zero[:, :3], given, rtol=0, atol=0)
    assert not zero[:, 3:].any()


def test_with_zero_the_network_starts_as_the_pretrained_one(tmp_path):
    original, file = pretrained(tmp_path)
    original.reset_classifier(0)
    pictures = torch.randn(2, 5, 32, 32)
    torch.testing.assert_close(made("zero", file)(pictures), original.eval()(pictures[:, :3]))


@pytest.mark.parametrize("new_channels", ["repeat", "mean", "zero"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_fewer_channels_are_seen_alike_whatever_new_ones_would_be(tmp_path, new_channels, channels):
    _, file = pretrained(tmp_path)
    same = first_kernel(made("repeat", file, channels))
    torch.testing.assert_close(first_kernel(made(new_channels, file, channels)), same, rtol=0, atol=0)


@pytest.mark.parametrize("new_channels", ["repeat", "mean", "zero"])
def test_weights_of_the_hub_come_to_the_same(tmp_path, monkeypatch, new_channels):
    import timm

    _, file = pretrained(tmp_path)
    create = timm.create_model

    def offline(name, pretrained=False, **options):
        overlay = {"pretrained_cfg_overlay": {"file": file, "hf_hub_id": None, "url": ""}} if pretrained else {}
        return create(name, pretrained=pretrained, **overlay, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    from_file, from_hub = made(new_channels, file).state_dict(), made(new_channels, "hub").state_dict()
    assert from_file.keys() == from_hub.keys()
    for name, tensor in from_file.items():
        torch.testing.assert_close(from_hub[name], tensor, msg=name)


def test_new_channels_without_pretrained_weights_are_refused():
    told = check_model(ModelConfig(new_channels="zero"))
    assert told == ["model.new_channels: must be left out with weights: none, where no channel was seen before; got 'zero'."]
    assert not check_model(ModelConfig(backbone="timm:test_resnet", weights="hub", new_channels="zero"))
