"""`aux`: what is predicted beside the target teaches it, is never scored, and is never asked of rows to be predicted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from tamesu import testing  # noqa: E402
from tamesu.document import config_from_mapping  # noqa: E402
from tamesu.errors import ConfigError  # noqa: E402
from tamesu.fields import LabelField, NumberField, PointsField  # noqa: E402
from tamesu.folds import Split  # noqa: E402
from tamesu.learners.base import load_fitted  # noqa: E402
from tamesu.learners.torch import TorchLearner  # noqa: E402
from tamesu.targets import make_target  # noqa: E402
from tamesu.trial import make_trial, run_trial  # noqa: E402

N = 60


def rows(n: int = N, poisoned_from: int | None = None, gaps: bool = True):
    """`species` is known of two rows in three, `height` of every other one; both say something of `y`."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2))
    species = np.where(x[:, 0] > 0, "cat", "dog").astype(object)
    height = x[:, 0] * 100 + 500
    if gaps:
        species[::3] = None
        height[::2] = np.nan
    if poisoned_from is not None:
        species[poisoned_from:], height[poisoned_from:] = "dog", 1e6
    y = np.where(x[:, 0] + 0.3 * rng.normal(size=n) > 0, "a", "b").astype(object)
    return testing._dataset(pd.DataFrame({"u": x[:, 0], "v": x[:, 1], "species": species, "height": height, "y": y}), {})


def recipe(aux=0.5, **settings):
    fields = {
        "u": NumberField(),
        "v": NumberField(),
        "species": LabelField(aux=aux),
        "height": NumberField(aux=aux),
        "y": LabelField(target=True),
    }
    return testing.toy_recipe(fields, train={"epochs": 4}, **settings)


def predictions(dataset, made, n_train: int = 40):
    split = Split(0, 0, np.arange(n_train), np.arange(n_train, len(dataset)))
    result, fitted = run_trial(dataset, make_trial(dataset, made, split), "cpu", 1)
    return result.predictions, fitted


@pytest.mark.parametrize("branch", ["late", "own"])
@pytest.mark.parametrize("schedule", ["fixed", "anneal", "learned"])
def test_only_the_target_is_predicted_and_heads_are_kept(tmp_path, branch, schedule):
    made = recipe({"weight": 0.5, "branch": branch, "schedule": schedule})
    found, fitted = predictions(rows(), made)
    assert set(found) == {"y"}
    assert {"species", "height"} <= set(fitted.targets)
    fitted.save(tmp_path)
    scored = rows().take(slice(40, None)).without(["y", "species", "height"])
    assert np.array_equal(load_fitted(tmp_path).predict(scored)["y"], found["y"])


def test_scored_rows_cannot_matter():
    made = recipe()
    one, _ = predictions(rows(), made)
    other, _ = predictions(rows(poisoned_from=40), made)
    assert np.array_equal(one["y"], other["y"])


def test_what_trains_matters():
    one, _ = predictions(rows(), recipe())
    other, _ = predictions(rows(gaps=False), recipe())
    assert not np.array_equal(one["y"], other["y"])


def test_a_weight_of_0_is_absence_and_the_field_no_input():
    with_none = testing.toy_recipe({"u": NumberField(), "v": NumberField(), "y": LabelField(target=True)}, train={"epochs": 4})
    none, at_0 = predictions(rows(), with_none)[0], predictions(rows(), recipe(0.0))[0]
    assert np.array_equal(none["y"], at_0["y"])
    assert recipe(0.0).training_json() == with_none.training_json()
    assert set(recipe(0.0).inputs) == {"u", "v"}


def test_a_large_unit_cannot_drown_the_target():
    """Targets are standardised: metres and micrometres train the same, but for rounding."""
    small, large = rows(), rows()
    large.table["height"] *= 1e6
    one, other = predictions(small, recipe())[0]["y"], predictions(large, recipe())[0]["y"]
    assert np.allclose(one, other, atol=1e-3)


def test_a_field_known_of_no_training_row_is_left_out():
    dataset = rows()
    dataset.table["species"] = pd.Series([None] * N, dtype=object)
    found, _ = predictions(dataset, recipe())
    assert np.isfinite(found["y"]).all()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"y": {"aux": 0.1}}, "fields.y.aux: must be left out of the target, whose weight is 1"),
        ({"h": {"kind": "number", "aux": -0.1}}, "fields.h.aux: must be"),
        ({"h": {"kind": "number", "aux": {"weight": -1.0}}}, "fields.h.aux.weight: must be"),
        ({"h": {"kind": "group", "aux": 0.1}}, "fields.h.kind: must be"),
        ({"h": {"kind": "number", "loss": "l1"}}, "fields.h.loss: must be left out of a field that is not predicted"),
    ],
)
def test_what_cannot_be_is_told(fields, text):
    study = {"name": "s", "fields": {"x": {"kind": "number"}, "y": {"kind": "label", "target": True}}}
    for name, more in fields.items():
        study["fields"][name] = study["fields"].get(name, {}) | more
    with pytest.raises(ConfigError) as caught:
        config_from_mapping(study)
    assert any(text in one for one in caught.value.mistakes), caught.value.mistakes


def test_the_learner_sees_no_auxiliary_of_rows_to_predict():
    fitted = TorchLearner().fit(rows(), recipe(), 0)
    assert set(fitted.predict(rows().without(["species", "height", "y"]))) == {"y"}


def test_a_row_with_one_hidden_point_still_teaches_the_others():
    target = make_target("eyes", PointsField(names=("left", "right"), aux=0.5))
    values = np.array([[[1.0, 2.0], [np.nan, np.nan]], [[np.nan, np.nan], [np.nan, np.nan]], [[1.0, 2.0], [3.0, 4.0]]])
    assert target.known(values).tolist() == [True, False, True]
