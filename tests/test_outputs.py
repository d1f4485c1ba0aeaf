"""Outputs that cannot break what is known: the way back is the way there, and no raw output gets around the constraint."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from tamesu import testing  # noqa: E402
from tamesu.arms import make_arms  # noqa: E402
from tamesu.document import config_from_mapping  # noqa: E402
from tamesu.errors import ConfigError, DataError  # noqa: E402
from tamesu.fields import LabelField, NumberField, NumbersField, SharesField, VectorField  # noqa: E402
from tamesu.learners.base import load_fitted  # noqa: E402
from tamesu.learners.torch import TorchLearner  # noqa: E402
from tamesu.linear import NoLaw, read_law, read_linear  # noqa: E402
from tamesu.metrics import METRICS  # noqa: E402
from tamesu.scores import mean_column_rmse, mean_column_rmse_rows  # noqa: E402
from tamesu.targets import make_target, target_from_json  # noqa: E402

N = 40
GRADES = ("bad", "fair", "good", "great")
WILD = [-np.inf, np.inf, -1e308, 1e308, 0.0, 1.0, -30.0, 1e5]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def disk(n: int) -> np.ndarray:
    angle, length = rng().uniform(0, 2 * np.pi, n), 2 * np.sqrt(rng().uniform(0, 0.99, n))
    return np.stack([length * np.cos(angle), length * np.sin(angle)], axis=1)


def texts(values) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


FLOWS = np.stack([*(v := rng().normal(5, 2, (3, N))), v[0] + v[1] - v[2]], axis=1)  # a + b = c + d
PAIR = np.stack([*(w := rng().normal(size=(2, N))), w[0] - w[1]], axis=1)  # z = x - y
LAW = {"in": ["a", "b"], "out": ["c"], "stored": ["d"]}
CASES = {
    "range": (NumberField(target=True, range=(0.0, 1.0)), rng().uniform(0.01, 0.99, N)),
    "from 0": (NumberField(target=True, range=(0.0, None)), rng().exponential(3.0, N)),
    "up to 5": (NumberField(target=True, range=(None, 5.0)), 5 - rng().exponential(3.0, N)),
    "unit": (VectorField(target=True, unit=True), disk(N) / np.linalg.norm(disk(N), axis=1, keepdims=True)),
    "disk": (VectorField(target=True, within=2.0), disk(N)),
    "shares": (SharesField(target=True, columns=("a", "b", "c"), total=100.0), rng().dirichlet([1, 2, 3], N) * 100),
    "rising": (
        NumbersField(target=True, columns=("a", "b", "c"), rising=True),
        np.cumsum(rng().exponential(1, (N, 3)), axis=1),
    ),
    "learn": (NumbersField(target=True, columns=("x", "y", "z"), learn=("x + y", "x - y")), PAIR),
    "law": (NumbersField(target=True, columns=("a", "b", "c", "d"), laws=(LAW,)), FLOWS),
}


def holds(name: str, prediction: np.ndarray) -> bool:
    """What is declared, to the last digits that the numbers have."""
    largest = np.maximum(np.abs(prediction.reshape(len(prediction), -1)).max(axis=1), 1)
    return {
        "range": lambda p: ((p >= 0) & (p <= 1)).all(),
        "from 0": lambda p: (p >= 0).all(),
        "up to 5": lambda p: (p <= 5).all(),
        "unit": lambda p: np.allclose(np.linalg.norm(p, axis=1), 1, rtol=0, atol=1e-6),
        "disk": lambda p: (np.linalg.norm(p, axis=1) <= 2).all(),
        "shares": lambda p: (p >= 0).all() and np.allclose(p.sum(axis=1), 100, rtol=1e-6),
        "rising": lambda p: (np.diff(p, axis=1) >= 0).all(),
        "learn": lambda p: (np.abs(p[:, 0] - p[:, 1] - p[:, 2]) < 1e-9 * largest).all(),
        "law": lambda p: (np.abs(p[:, 0] + p[:, 1] - p[:, 2] - p[:, 3]) < 1e-9 * largest).all(),
    }[name](prediction)


def fitted(name: str):
    field, values = CASES[name]
    return make_target("y", field).fit(values), values


@pytest.mark.parametrize("name", CASES)
def test_the_way_back_is_the_way_there(name):
    target, values = fitted(name)
    encoded = target.encode(values)
    raw = target.as_raw(encoded)
    assert raw.shape == (N, target.n_outputs)
    np.testing.assert_allclose(target.decode(raw, np), values, rtol=1e-5, atol=1e-4)
    trained = target.trained(raw, np)
    wanted = np.log(encoded) if name == "shares" else encoded
    np.testing.assert_allclose(np.reshape(trained, wanted.shape), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_what_is_known_holds_for_the_truth(name):
    assert holds(name, CASES[name][1])


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_raw_output_breaks_what_is_known(name, data):
    target, _ = fitted(name)
    number = st.floats(-1e3, 1e3) | st.sampled_from(WILD)
    row = st.lists(number, min_size=target.n_outputs, max_size=target.n_outputs)
    raw = np.array(data.draw(st.lists(row, min_size=1, max_size=5)))
    with np.errstate(over="ignore", under="ignore"):
        prediction = target.decode(raw, np)
        assert np.isfinite(prediction).all()
        assert holds(name, prediction)
        in_torch = target.decode(torch.from_numpy(raw), torch).numpy()
    assert holds(name, in_torch)
    size = np.abs(prediction).max()
    np.testing.assert_allclose(in_torch, prediction, rtol=1e-5, atol=1e-9 * max(size, 1))


@pytest.mark.parametrize("name", CASES)
def test_training_sees_a_gradient_and_nothing_endless(name):
    target, values = fitted(name)
    raw = torch.zeros(N, target.n_outputs, requires_grad=True)
    off = target.trained(raw, torch).reshape(N, -1) - torch.from_numpy(target.encode(values)).float().reshape(N, -1)
    off.square().sum().backward()
    assert torch.isfinite(raw.grad).all()
    assert (raw.grad.abs().sum(dim=0) > 0).any()


@pytest.mark.parametrize("name", CASES)
def test_a_target_is_kept_as_json(name):
    target, values = fitted(name)
    again = target_from_json(target.to_json())
    raw = target.as_raw(target.encode(values)) + 0.1
    np.testing.assert_array_equal(again.decode(raw, np), target.decode(raw, np))


def ordered():
    values = texts(rng().choice(GRADES, N, p=[0.1, 0.4, 0.3, 0.2]))
    return make_target("y", LabelField(target=True, order=GRADES), tuple(sorted(GRADES))).fit(values), values


def test_ordered_classes_go_there_and_back():
    target, values = ordered()
    encoded = target.encode(values)
    shares = target.decode(target.as_raw(encoded), np)
    assert (shares.argmax(axis=1) == encoded).all()
    assert shares.max(axis=1).min() > 0.9
    assert target_from_json(target.to_json()).cuts == target.cuts


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-50, 50) | st.sampled_from(WILD)] * 2), min_size=1, max_size=5))
def test_ordered_classes_are_probabilities_with_one_summit(raw):
    target, _ = ordered()
    for xp, values in ((np, np.array(raw)), (torch, torch.tensor(raw, dtype=torch.float64))):
        shares = np.asarray(target.decode(values, xp))
        assert (shares >= 0).all()
        assert np.allclose(shares.sum(axis=1), 1)
        assert np.isfinite(np.asarray(target.trained(values, xp))).all()


def test_ordered_classes_start_as_in_training():
    target, values = ordered()
    start = target.decode(np.zeros((1, 2)), np)[0]
    found = np.array([np.mean(values == name) for name in target.classes])
    np.testing.assert_allclose(start, found, atol=0.03)


def test_a_law_takes_inputs_in_their_own_units():
    field = NumbersField(target=True, columns=("c", "d"), laws=({"in": ["a"], "out": ["c", "d"]},))
    target = make_target("y", field).fit(FLOWS[:, 2:])
    assert target.needs == ("a",)
    given_a = rng().uniform(1, 9, (5, 1))
    predicted = target.decode(rng().normal(size=(5, 2)), np, given_a)
    np.testing.assert_allclose(predicted.sum(axis=1), given_a[:, 0], rtol=1e-12)
    gone = target.decode(np.ones((1, 2)), np, np.array([[np.nan]]))
    assert np.isfinite(gone).all()  # where an input is missing, the law says nothing


def test_a_penalty_counts_how_far_a_law_is_broken():
    field = NumbersField(target=True, columns=("a", "b", "c", "d"), laws=({**LAW, "as": "penalty", "weight": 2.0},))
    target = make_target("y", field).fit(FLOWS)
    raw = target.as_raw(target.encode(FLOWS))
    np.testing.assert_allclose(target.penalty(raw, np), 0, atol=1e-20)
    off = raw.copy()
    off[:, 0] += 1  # by one standard deviation of a
    expected = 2.0 * np.square(target.std[0] / np.linalg.norm(target.std))
    np.testing.assert_allclose(target.penalty(off, np), expected)
    np.testing.assert_allclose(target.penalty(torch.from_numpy(off), torch).numpy(), expected)


def test_linear_texts():
    assert read_linear("x - 2*y + .5 z") == {"x": 1, "y": -2, "z": 0.5}
    assert read_linear("-`a b` + c") == {"a b": -1, "c": 1}
    law = read_law({"sum": "x - y", "equals": 3, "as": "penalty", "weight": 0.5})
    assert (law.coefficients, law.equals, law.how, law.weight) == ({"x": 1, "y": -1}, 3, "penalty", 0.5)


@pytest.mark.parametrize("text", ["", "x y", "x ** 2", "x + ", "2", "x * y", "__import__('os')", "x - x"])
def test_texts_that_are_no_sums(text):
    with pytest.raises(NoLaw):
        read_linear(text)


@pytest.mark.parametrize(
    ("field", "cells", "text"),
    [
        (NumberField(target=True, range=(0.0, 1.0)), [0.5, 1.2], "row 'b' must lie in the declared range [0.0, 1.0]; got 1.2"),
        (SharesField(target=True, columns=("a", "b")), [(0.5, 0.5), (0.5, 0.6)], "row 'b' must hold shares that sum to 1"),
        (SharesField(target=True, columns=("a", "b")), [(0.5, 0.5), (1.5, -0.5)], "row 'b' must hold shares of 0 or more"),
        (VectorField(target=True, unit=True), [(1.0, 0.0), (1.0, 1.0)], "row 'b' must be of length 1; got 1.41421"),
        (VectorField(target=True, within=2.0), [(1.0, 0.0), (3.0, 0.0)], "row 'b' must be of length 2.0 or less; got 3"),
        (
            NumbersField(target=True, columns=("a", "b"), rising=True),
            [(1.0, 2.0), (2.0, 1.0)],
            "row 'b' must hold numbers that rise",
        ),
    ],
)
def test_rows_that_contradict_are_named(field, cells, text):
    column = pd.Series(cells, dtype=object if isinstance(cells[0], tuple) else float)
    with pytest.raises(DataError) as caught:
        field.read(column, np.array(["a", "b"], dtype=object), "train.csv y")
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ({"kind": "number", "range": [1.0, 0.0]}, "range: must be [low, high] with low below high"),
        ({"kind": "number", "range": [None, None]}, "range: must be [low, high], one of which may be null"),
        ({"kind": "label", "order": ["a", "a", "b"]}, "order: must name each one differently; got 'a' twice"),
        ({"kind": "label", "order": ["a", "b"], "merge": {"a": "b"}}, "order: must be left out where classes are merged"),
        ({"kind": "vector", "unit": True, "within": 2.0}, "within: must be left out where unit is true"),
        ({"kind": "numbers", "columns": ["a", "a"]}, "columns: must name each one differently"),
        ({"kind": "numbers", "columns": ["a", "b"], "learn": ["a + q"]}, "learn: must be sums of the columns; got 'q'"),
        ({"kind": "numbers", "columns": ["a", "b"], "learn": ["a * b"]}, "learn: must be a sum of names"),
        ({"kind": "numbers", "columns": ["a", "b"], "laws": [{"in": ["a"], "out": ["q"]}]}, "must name columns of the target"),
        ({"kind": "numbers", "columns": ["a", "b"], "laws": [{"in": ["x"]}]}, "must name a column of the target"),
        ({"kind": "numbers", "columns": ["a", "b"], "laws": [{"inn": ["a"]}]}, "must hold in, out, stored"),
        (
            {"kind": "numbers", "columns": ["a", "b"], "laws": [{"in": ["a"], "as": "law"}]},
            "must come as projection or penalty",
        ),
        (
            {"kind": "numbers", "columns": ["a", "b"], "units": {"a": "W", "b": "J"}, "laws": [{"in": ["a"], "out": ["b"]}]},
            "must be over quantities of one unit; got a: W, b: J",
        ),
        (
            {"kind": "numbers", "columns": ["a", "b"], "laws": [{"sum": "a + b"}, {"sum": "a - b"}]},
            "laws: must leave something to learn",
        ),
        (
            {"kind": "numbers", "columns": ["a", "b"], "rising": True, "laws": [{"in": ["a"], "out": ["b"]}]},
            "must come as penalty where rising is true",
        ),
    ],
)
def test_what_cannot_be_is_told(declared, text):
    study = {"name": "s", "fields": {"x": {"kind": "number"}, "y": {**declared, "target": True}}}
    with pytest.raises(ConfigError) as caught:
        config_from_mapping(study)
    assert any(text in one for one in caught.value.mistakes), caught.value.mistakes


def test_metrics_of_several_numbers():
    y, p = rng().normal(size=(30, 3)), rng().normal(size=(30, 3)) + 0.2
    by_hand = np.mean([np.sqrt(np.mean((y[:, j] - p[:, j]) ** 2)) for j in range(3)])
    assert METRICS["mcrmse"].score(y, p) == pytest.approx(by_hand) == mean_column_rmse(y, p)
    assert np.mean(mean_column_rmse_rows(y, p)) == pytest.approx(by_hand, rel=0.02)
    shares, said = rng().dirichlet([1, 1, 1], 30), np.full((30, 3), 1 / 3)
    assert METRICS["shares_kl"].score(shares, shares) == pytest.approx(0, abs=1e-12)
    assert METRICS["shares_kl"].score(shares, said) == pytest.approx(np.sum(shares * np.log(shares * 3), axis=1).mean())
    assert METRICS["shares_kl"].score(shares * 100, said) == pytest.approx(METRICS["shares_kl"].score(shares, said))


@pytest.mark.parametrize("name", [*CASES, "ordered"])
def test_trained_for_real_it_keeps_what_is_known(name, tmp_path):
    """A network in float32, kept and loaded again."""
    target, values = ordered() if name == "ordered" else fitted(name)
    table = pd.DataFrame({"x": rng().normal(size=N), "u": rng().normal(size=N)})
    table["y"] = list(map(tuple, values)) if values.ndim == 2 else values
    rows = testing._dataset(table, {})
    recipe = testing.toy_recipe({"x": NumberField(), "u": NumberField(), "y": target.field}, train={"epochs": 3})
    kept = TorchLearner().fit(rows, recipe, 0)
    found = kept.predict(rows.without(["y"]))["y"]
    assert found.shape[0] == N
    assert np.isfinite(found).all()
    if name == "ordered":
        assert np.allclose(found.sum(axis=1), 1)
    else:
        assert holds(name, found)
    kept.save(tmp_path)
    np.testing.assert_array_equal(load_fitted(tmp_path).predict(rows.without(["y"]))["y"], found)


def test_an_order_names_every_class_and_no_other():
    from tamesu import Study

    table = pd.DataFrame({"x": rng().normal(size=N), "y": rng().choice(GRADES, N)})
    fields = {"x": {"kind": "number"}, "y": {"kind": "label", "target": True, "order": ["bad", "fair", "goood"]}}
    with pytest.raises(DataError) as caught:
        Study(table, fields=fields).check()
    assert "got 'goood'. Did you mean 'good'" in str(caught.value)
    assert "fields.y.order: must name every class; it lacks 'good', 'great'" in str(caught.value)


def test_numbers_may_be_tried_as_shares_and_as_nothing_else():
    mix = {"kind": "numbers", "columns": ["sand", "clay"], "target": True}
    fields = {"x": {"kind": "number"}, "mix": mix}

    def study(kind):
        return config_from_mapping(
            {"fields": fields, "metric": "mcrmse", "ideas": {"parts": {"fields": {"mix": mix | {"kind": kind}}}}}
        )

    assert [type(arm.recipe.fields["mix"]) for arm in make_arms(study("shares"), (0, 0))] == [NumbersField, SharesField]
    with pytest.raises(ConfigError, match="kind: must stay as it is in an idea"):
        study("vector")
