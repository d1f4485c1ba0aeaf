"""What follows from other fields: read from their cells, predicted beside the target, never an input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from tamesu.data import read_data  # noqa: E402
from tamesu.document import config_from_mapping  # noqa: E402
from tamesu.errors import ConfigError  # noqa: E402
from tamesu.fields.derived import direction, net_displacement, rates  # noqa: E402
from tamesu.learners.base import load_fitted  # noqa: E402
from tamesu.learners.torch import TorchLearner  # noqa: E402
from tamesu.recipe import make_recipe  # noqa: E402
from tamesu.targets import make_target, target_from_json  # noqa: E402

PEN = {"kind": "series", "names": ["x", "y"], "vectors": [["x", "y"]]}
BASE = {"pen": PEN, "a": {"kind": "number"}, "b": {"kind": "number"}, "who": {"kind": "label"}}
Y = {"y": {"kind": "label", "target": True}}


def config(more, base=BASE):
    return config_from_mapping({"name": "s", "fields": {**base, **Y, **more}, "train": {"epochs": 1}})


@given(st.lists(st.floats(0.1, 3), min_size=3, max_size=12), st.floats(-5, 5), st.floats(-5, 5), st.floats(-5, 5))
def test_rates_of_a_parabola_are_exact(steps, a, b, c):
    t = np.cumsum(steps)
    values = (a * t**2 + b * t + c)[:, None]
    scale = 1 + np.abs(values).max()
    assert np.allclose(rates(values, t)[:, 0], 2 * a * t + b, atol=1e-8 * scale)
    assert np.allclose(rates(values, t, 2)[:, 0], 2 * a, atol=1e-6 * scale)


def test_rates_of_little_and_of_gaps():
    assert np.isnan(rates(np.zeros((1, 2)), np.zeros(1))).all()
    assert rates(np.zeros((0, 2)), np.zeros(0)).shape == (0, 2)
    values = np.array([[0.0], [np.nan], [4.0], [6.0]])
    found = rates(values, np.arange(4.0))[:, 0]
    assert np.isnan(found[1])
    assert np.allclose(found[[0, 2, 3]], 2)
    twice = rates(np.array([[0.0], [1.0], [1.0], [2.0]]), np.array([0.0, 1, 1, 2]))[:, 0]
    assert np.allclose(twice, 1)


def test_net_displacement_and_its_direction():
    assert net_displacement(np.array([[np.nan, 1.0], [2.0, 5.0], [7.0, np.nan]])).tolist() == [5.0, 4.0]
    angles = direction(np.array([[1.0, 0.0], [0.0, -1.0], [0.0, 0.0]]))
    assert angles[:2] == pytest.approx([0, np.pi / 2])  # y points down: up is -y
    assert np.isnan(angles[2])


def test_derive_alone_means_derived():
    made = config({"v": {"derive": "pen", "aux": 0.3}})
    assert (made.fields["v"].kind, made.fields["v"].quantity) == ("derived", "rate")
    assert made.fields["v"].sources == (made.fields["pen"],)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"derive": "pen"}, "fields.d.aux: must be given"),
        ({"derive": "y", "map": {"u": "v"}}, "fields.d: must not be an input: it is made from the target 'y'"),
        ({"derive": "who", "aux": 0.3}, "fields.d.derive: must name a series, which has an order in time"),
        ({"derive": "pne", "aux": 0.3}, "fields.d.derive: must be the name of a field"),
        ({"derive": ["a", "pen"], "aux": 0.3}, "fields.d.derive: must be the name of a field of kind 'number'"),
        ({"derive": "who", "what": "map", "aux": 0.3}, "fields.d.map: must be given"),
        ({"derive": "pen", "target": True}, "fields.d.kind: must be"),
        ({"derive": "pen", "order": 3, "aux": 0.3}, "fields.d.order: must be"),
        ({"derive": "pen", "aux": 0.3, "colour": 1}, "colour"),
    ],
)
def test_what_cannot_be_is_told(more, text):
    with pytest.raises(ConfigError) as caught:
        config({"d": more})
    assert any(text in one for one in caught.value.mistakes), caught.value.mistakes


def test_a_rate_needs_its_series_as_an_input():
    ignored = {**BASE, "pen": {"kind": "ignore"}}
    with pytest.raises(ConfigError, match="has an order in time"):
        config({"d": {"derive": "pen", "aux": 0.3}}, ignored)


def table(n=24):
    rng = np.random.default_rng(0)
    pens = [np.cumsum(rng.normal(size=(5 + i % 4, 2)), axis=0).tolist() for i in range(n)]
    return pd.DataFrame(
        {
            "pen": [" ".join(str(round(v, 4)) for row in pen for v in row) for pen in pens],
            "a": rng.normal(size=n),
            "b": rng.normal(size=n),
            "who": ["tom", "rex"] * (n // 2),
            "y": ["u", "v"] * (n // 2),
        }
    )


DERIVED = {
    "velocity": {"derive": "pen", "aux": 0.3},
    "acceleration": {"derive": "pen", "order": 2, "aux": 0.3},
    "net": {"derive": "pen", "what": "net", "aux": 0.3},
    "heading": {"derive": "pen", "what": "direction", "aux": 0.3},
    "gap": {"derive": ["a", "b"], "aux": 0.3},
    "species": {"derive": "who", "map": {"tom": "cat", "rex": "dog"}, "aux": 0.3},
    "of_target": {"derive": "y", "map": {"u": "vowel", "v": "consonant"}, "aux": 0.1},
}


def test_each_is_read_from_its_sources_trained_and_kept(tmp_path):
    made = config(DERIVED)
    versions = {name: [one] for name, one in made.fields.items()}
    data = read_data(made, versions, base=tmp_path, cache=tmp_path / "cache", train=table())
    recipe = make_recipe(made, (1, 1))
    rows = data.train
    gap = rows.values("gap", recipe.fields["gap"])
    assert np.allclose(gap[:, 0], table()["a"] - table()["b"])
    assert rows.values("species", recipe.fields["species"]).tolist() == ["cat", "dog"] * 12
    fitted = TorchLearner().fit(rows, recipe, 0)
    assert set(DERIVED) <= set(fitted.targets)
    assert fitted.targets["velocity"].spread == "steps"
    assert fitted.targets["velocity"].n_outputs == 2
    scored = rows.without([*DERIVED, "y"])
    found = fitted.predict(scored)
    assert set(found) == {"y"}
    fitted.save(tmp_path / "model")
    assert np.array_equal(load_fitted(tmp_path / "model").predict(scored)["y"], found["y"])


def test_targets_come_back_from_json_and_are_standardised():
    made = config(DERIVED)
    for name in ("net", "gap"):
        values = np.random.default_rng(0).normal(5, 3, size=(40, 2))
        values[3] = np.nan
        target = make_target(name, made.fields[name])
        assert target.known(values).sum() == 39
        target = target.fit(values[target.known(values)])
        encoded = target.encode(values)
        assert np.nanmean(encoded, axis=0) == pytest.approx([0, 0], abs=1e-9)
        assert np.nanstd(encoded, axis=0) == pytest.approx([1, 1])
        again = target_from_json(target.to_json())
        assert np.array_equal(again.encode(values), encoded, equal_nan=True)
        assert np.allclose(target.decode(encoded, np)[~np.isnan(encoded)], values[~np.isnan(values)])


def test_what_its_source_says_counts_as_training():
    one, other = (
        make_recipe(config({"d": {"derive": "who", "map": {"tom": "cat"}, "aux": 0.3}}, {**BASE, "who": who}), (1, 1))
        for who in ({"kind": "label"}, {"kind": "label", "missing_values": ["tom"]})
    )
    assert one.training_json() != other.training_json()
