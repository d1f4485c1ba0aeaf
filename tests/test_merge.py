"""`merge` of a label: one class to the loss, all classes to whoever reads the predictions."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from tamesu import testing  # noqa: E402
from tamesu.agreement import unknown_names  # noqa: E402
from tamesu.document import config_from_mapping  # noqa: E402
from tamesu.errors import ConfigError  # noqa: E402
from tamesu.fields import LabelField, NumberField  # noqa: E402
from tamesu.learners.base import load_fitted  # noqa: E402
from tamesu.learners.torch import TorchLearner  # noqa: E402
from tamesu.maps import make_maps, whole_frames  # noqa: E402
from tamesu.preprocess import fit_inputs  # noqa: E402
from tamesu.targets import make_target, target_from_json  # noqa: E402

CLASSES = ("a", "b", "c", "d")


def column(values) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def merging(values=(), **merge):
    target = make_target("y", LabelField(target=True, merge=merge), CLASSES)
    return target.fit(column(list(values))) if len(values) else target


def toy(n: int, seed: int = 0, poisoned_from: int | None = None):
    """`y` is "left" or "right" by the sign of x; "right" is written "upper" by a coin."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    y = np.where(x < 0, "left", np.where(rng.random(n) < 0.3, "upper", "right")).astype(object)
    if poisoned_from is not None:
        y[poisoned_from:] = "upper"
    return testing._dataset(pd.DataFrame({"x": x, "y": y}), {})


def recipe_of(merge, **train):
    fields = {"x": NumberField(), "y": LabelField(target=True, merge=merge)}
    return testing.toy_recipe(fields, train={"epochs": 8, **train})


@given(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_probabilities_sum_to_one_and_are_shared_as_in_training(values, seed):
    target = merging(values, a="b", d="b")
    raw = np.random.default_rng(seed).normal(size=(5, 4)) * 5
    apart = make_target("y", LabelField(target=True), CLASSES).decode(raw, np)
    shared = target.decode(raw, np)
    assert np.allclose(shared.sum(axis=1), 1)
    assert np.allclose(shared[:, 2], apart[:, 2])  # not merged: as it was
    assert np.allclose(shared[:, [0, 1, 3]].sum(axis=1), apart[:, [0, 1, 3]].sum(axis=1))
    counts = np.array([values.count(one) + 0.5 for one in "abd"])
    assert np.allclose(shared[:, [0, 1, 3]] / shared[:, [0, 1, 3]].sum(axis=1, keepdims=True), counts / counts.sum())
    assert np.allclose(target.decode(torch.from_numpy(raw), torch).numpy(), shared)


def test_the_loss_sees_one_class_and_the_truth_all():
    target = merging("abcd", a="b")
    assert target.as_trained(target.encode(column(list("abcd")))).tolist() == [1, 1, 2, 3]
    assert target.truth(column(list("abcd"))).tolist() == [0, 1, 2, 3]


def test_merging_acts_after_the_mirror():
    field = LabelField(target=True, merge={"a": "b"}, mirror={"a": "c"}, turn="same")
    target = make_target("y", field, CLASSES)
    frames = whole_frames(np.array([[8, 8]] * 4), (8, 8))
    mirrored = frames.then(make_maps((8, 8), mirrored=np.ones(4, dtype=bool)))
    assert target.as_trained(target.move(target.encode(column(list("abcd"))), mirrored)).tolist() == [2, 1, 1, 3]


def test_without_rows_all_get_the_same():
    assert np.allclose(merging(a="b").decode(np.zeros((1, 4)), np), 0.25)


def test_a_fitted_target_is_kept_with_the_model():
    target = merging("aabbbb", a="b")
    again = target_from_json(json.loads(json.dumps(target.to_json())))
    raw = np.random.default_rng(0).normal(size=(3, 4))
    assert np.array_equal(again.decode(raw, np), target.decode(raw, np))
    plain = make_target("y", LabelField(target=True), CLASSES).to_json()
    assert "counts" not in plain


def test_a_training_merges_and_its_model_is_kept(tmp_path):
    rows = toy(120)
    fitted = TorchLearner().fit(rows.take(slice(0, 80)), recipe_of({"upper": "right"}), 0)
    test = rows.take(slice(80, None)).without(("y",))
    found = fitted.predict(test)["y"]
    assert found.shape == (40, 3)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    ratio = found[:, 2] / found[:, 1]
    assert np.allclose(ratio, ratio[0], rtol=1e-4)  # the same for every row: nothing tells the two apart
    fitted.save(tmp_path / "model")
    assert np.array_equal(load_fitted(tmp_path / "model").predict(test)["y"], found)


def test_scored_rows_cannot_matter():
    rows, poisoned = toy(120), toy(120, poisoned_from=80)
    each = [
        TorchLearner()
        .fit(one.take(slice(0, 80)), recipe_of({"upper": "right"}), 0)
        .predict(one.take(slice(80, None)).without(("y",)))["y"]
        for one in (rows, poisoned)
    ]
    assert np.array_equal(*each)


def test_merging_nothing_is_not_merging():
    rows = toy(60)
    plain = {"x": NumberField(), "y": LabelField(target=True)}
    recipe = testing.toy_recipe(plain, train={"epochs": 8})
    assert recipe_of({}).training_json() == recipe.training_json()
    assert "merge" not in recipe.training_json()
    assert "merge" in recipe_of({"upper": "right"}).training_json()
    assert np.array_equal(
        TorchLearner().fit(rows, recipe_of({}), 0).predict(rows)["y"], TorchLearner().fit(rows, recipe, 0).predict(rows)["y"]
    )
    other = testing.toy_recipe(plain, learner="my:Learner")
    assert "merge" not in other.training_json()  # what was stored before the setting keeps its key


def test_merging_what_cannot_be_told_apart_is_no_worse():
    losses = {}
    for name, merge in (("apart", {}), ("merged", {"upper": "right"})):
        total = []
        for seed in range(2):
            rows = toy(160, seed)
            test = rows.take(slice(60, None))
            found = (
                TorchLearner().fit(rows.take(slice(0, 60)), recipe_of(merge, epochs=30), 0).predict(test.without(("y",)))["y"]
            )
            codes = make_target("y", LabelField(), ("left", "right", "upper")).encode(test.values("y", LabelField()))
            total.append(-np.log(found[np.arange(len(codes)), codes]).mean())
        losses[name] = float(np.mean(total))
    assert losses["merged"] <= losses["apart"] + 0.01, losses


def test_an_input_reads_one_class_as_the_other():
    table = pd.DataFrame({"colour": ["red", "rose", "blue", "rose"], "y": list("abab")})
    rows = testing._dataset(table, {})
    fitted = fit_inputs(rows, {"colour": LabelField(merge={"rose": "red"})})
    codes = fitted.transform(rows).categories[:, 0]
    assert codes[0] == codes[1] == codes[3] != codes[2]
    assert fitted.classes["colour"] == ("blue", "red")


@pytest.mark.parametrize("merge", [{"a": "b", "b": "c"}, {"a": "a"}])
def test_chains_are_refused(merge):
    with pytest.raises(ConfigError, match="must say at once what each class is trained as"):
        config_from_mapping(
            {
                "data": {"train": "t.csv"},
                "fields": {"x": {"kind": "number"}, "y": {"kind": "label", "target": True, "merge": merge}},
                "metric": "accuracy",
            }
        )


def test_unknown_names_are_told():
    field = LabelField(target=True, merge={"a": "bb"})
    told = unknown_names([("y", field, column(list("ab")))], {}, {("y", "label"): ("a", "b")})
    assert [one.split(".{")[0][:64] for one in told] == ["fields.y.merge: must name classes of the training rows; got 'bb'"]
