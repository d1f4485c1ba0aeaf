"""Looking on while a network trains: what is seen is true, and changes nothing."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from tamesu.learners.torch import TorchLearner  # noqa: E402
from tamesu.nets.activations import ACTIVATIONS, make_activation  # noqa: E402
from tamesu.nets.health import Watch, health_advice  # noqa: E402
from tamesu.nets.tiny import Tiny  # noqa: E402
from tamesu.testing import PICTURE_FIELDS, TABLE_FIELDS, toy_pictures, toy_recipe, toy_tables  # noqa: E402
from tamesu.texts import say, use_language  # noqa: E402


def seen(network, *inputs):
    with Watch(network) as watch:
        network(*inputs).sum().backward()
    return watch.report()


def test_units_that_give_the_same_whatever_comes_in_are_dead():
    network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    with torch.no_grad():
        network[0].bias[:5] = -1e3
        network[0].bias[5:] = 1e3
    layer = seen(network, torch.randn(64, 3))["layers"][0]
    assert (layer["name"], layer["kind"], layer["units"], layer["dead"]) == ("1", "ReLU", 8, 5)
    assert layer["flat_fraction"] == pytest.approx(5 / 8)
    assert seen(network, torch.randn(4, 3))["layers"][0]["dead"] is None  # too few rows to say


@pytest.mark.parametrize("after", [nn.BatchNorm2d(6), nn.Identity()])
def test_units_of_a_map_are_its_channels(after):
    network = nn.Sequential(nn.Conv2d(1, 6, 3), after, nn.ReLU(inplace=True), nn.Conv2d(6, 1, 1))
    with torch.no_grad():
        network[0].weight[:2] = 0
        network[0].bias[:2] = -1
        if isinstance(after, nn.BatchNorm2d):
            after.bias[:2] = -1
    layer = seen(network, torch.randn(4, 1, 9, 9))["layers"][0]
    assert (layer["units"], layer["dead"]) == (6, 2)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "identity"])
def test_every_activation_is_seen_and_healthy_at_first(name):
    torch.manual_seed(0)
    layer = seen(nn.Sequential(nn.Linear(5, 16), make_activation(name), nn.Linear(16, 1)), torch.randn(64, 5))["layers"][0]
    assert layer["dead"] == 0
    assert 0 <= layer["flat_fraction"] < 0.7


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_saturation_is_the_share_where_the_slope_is_none(name):
    activation = make_activation(name)
    x = torch.linspace(-20, 20, 4001)[:, None].requires_grad_()
    slope = torch.autograd.grad(activation(x).sum(), x)[0]
    got = seen(nn.Sequential(nn.Linear(1, 1), activation), x.detach()[:8])["layers"][0]
    assert 0 <= got["flat_fraction"] <= 1
    layers = nn.Sequential(nn.Linear(1, 4001, bias=False), activation)
    with torch.no_grad():
        layers[0].weight.copy_(x)
    flat = seen(layers, torch.ones(16, 1))["layers"][0]["flat_fraction"]
    assert flat == pytest.approx(float((slope.abs() < 0.01).float().mean()), abs=1e-3)
    assert flat > 0.5


def test_gradients_are_those_of_the_step():
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    report = seen(network, torch.randn(20, 3))
    assert [one["name"] for one in report["gradients"]] == ["0", "2"]
    for one in report["gradients"]:
        weight = network[int(one["name"])].weight
        grad, weight = weight.grad, weight.detach()
        assert one["size"] == pytest.approx(float(grad.square().mean().sqrt()), rel=1e-3)
        assert one["relative"] == pytest.approx(float(grad.norm() / weight.norm()), rel=1e-3)


def test_nothing_stays_behind():
    network = Tiny(3, (16, 16), width=8)
    report = seen(network, torch.randn(8, 3, 16, 16))
    json.dumps(report, allow_nan=False)
    assert len(report["layers"]) == sum(isinstance(module, nn.ReLU) for module in network.modules())
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert not any(parameter._post_accumulate_grad_hooks for parameter in network.parameters())


def test_an_activation_that_overwrites_what_comes_in_gives_what_it_gave():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Hardswish(inplace=True), nn.Linear(4, 1))
    rows = torch.randn(20, 3)
    with Watch(network):
        looked_at = network(rows)
    torch.testing.assert_close(looked_at, network(rows), rtol=0, atol=0)


def test_what_is_not_finite_is_none():
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with Watch(network) as watch:
        (network(torch.ones(20, 2)).sum() * float("nan")).backward()
    report = watch.report()
    assert report["gradients"][0]["size"] is None
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize("fields", ["pictures", "table"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_training_is_the_same_to_the_bit(fields, activation):
    rows = toy_pictures(70) if fields == "pictures" else toy_tables(70)
    settings = (PICTURE_FIELDS, (12, 12)) if fields == "pictures" else (TABLE_FIELDS,)
    fitted = [
        TorchLearner().fit(
            rows, toy_recipe(*settings, model={"activation": activation}, train={"epochs": 4, "report": report}), 0
        )
        for report in (False, True)
    ]
    first, second = (one.network.state_dict() for one in fitted)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=0, atol=0, msg=name)
    assert [entry["loss"] for entry in fitted[0].log] == [entry["loss"] for entry in fitted[1].log]
    assert ["health" in entry for entry in fitted[1].log] == [True, True, True, False]
    assert not any("health" in entry for entry in fitted[0].log)
    assert fitted[1].log[2]["health"]["layers"]
    json.dumps(fitted[1].log, allow_nan=False)


def entry(epoch=3, layers=(), gradients=()):
    return {"epoch": epoch, "loss": 1.0, "health": {"layers": list(layers), "gradients": list(gradients)}}


def layer(kind="ReLU", units=10, dead=0, flat=0.5, name="stem.1"):
    return {"name": name, "kind": kind, "units": units, "dead": dead, "flat_fraction": flat}


def gradient(name, size):
    return {"name": name, "size": size, "relative": size}


SAME = "In epoch 3, 4 of 10 units of stem.1 give the same whatever comes in. "
ADVICE = [
    ([], None),
    ([{"epoch": 1, "loss": 1.0}], None),
    ([entry(layers=[layer(), layer("Tanh", flat=0.2)], gradients=[gradient("a", 1.0), gradient("b", 0.01)])], None),
    (
        [entry(layers=[layer(dead=4)])],
        SAME + "Try model.activation: leaky_relu",
    ),
    (
        [entry(layers=[layer("GELU", dead=4)])],
        SAME + "Try a lower train.learning_rate",
    ),
    ([entry(layers=[layer(dead=None, flat=1.0)])], None),
    ([entry(1, layers=[layer(dead=9)]), entry(2, layers=[layer(dead=1)])], None),  # the last one counts
    ([entry(layers=[layer("Tanh", flat=0.7)])], "In epoch 3, 70 % of the outputs of stem.1 lie where Tanh is flat"),
    ([entry(layers=[layer("Sigmoid", flat=0.7, name="se.gate")])], None),
    ([entry(gradients=[gradient("a", None), gradient("b", 1.0)])], "The gradient of a is not finite."),
    ([entry(gradients=[gradient("a", 0.0), gradient("b", 1.0)])], "No gradient reaches a: it learns nothing."),
    ([entry(1, gradients=[gradient("a", 0.0), gradient("b", 1.0)])], None),  # blocks start as their shortcut
    ([entry(gradients=[gradient("a", 1e-6), gradient("b", 1.0)])], "The gradient of a is 1e+06 times smaller than that of b"),
]


@pytest.mark.parametrize(("log", "told"), ADVICE)
def test_advice(log, told):
    got = health_advice(log)
    assert len(got) == (told is not None)
    assert told is None or got[0].startswith(told)


def test_advice_is_in_the_readers_language():
    use_language("ja")
    try:
        for log, told in ADVICE:
            assert all(one.isascii() is False for one in health_advice(log)), told
        assert say("Try again.") == "Try again."
    finally:
        use_language("en")


def test_a_network_that_dies_is_advised_about():
    rows = toy_tables(120)
    recipe = toy_recipe(TABLE_FIELDS, train={"epochs": 3, "batch_size": 32, "report": True})

    class Dying(TorchLearner):
        def make_network(self, recipe, shape, targets):
            network = super().make_network(recipe, shape, targets)
            with torch.no_grad():
                for module in network.modules():
                    if isinstance(module, nn.LayerNorm):
                        module.bias.fill_(-10)
            return network

    assert any("give the same whatever comes in" in one for one in health_advice(Dying().fit(rows, recipe, 0).log))
    assert not health_advice(TorchLearner().fit(rows, recipe, 0).log)
