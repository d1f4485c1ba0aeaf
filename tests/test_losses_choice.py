"""Losses by name: what a study may say, what it means, and what it is told."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from tamesu.document import config_from_mapping
from tamesu.errors import ConfigError
from tamesu.fields import DirectionField, LabelField, LabelsField, NumberField
from tamesu.losses import (
    LOSSES,
    binary_cross_entropy,
    class_weight_mistakes,
    count_classes,
    cross_entropy,
    loss_mistakes,
    loss_of,
    n_outputs_of,
    squared_error,
)
from tamesu.targets import make_target

TRAIN = SimpleNamespace(label_smoothing=0.0)
NUMBER = {"x": {"kind": "number"}, "y": {"kind": "number", "target": True}}
CLASSES = ("a", "b", "c")
ROWS = np.array(["a"] * 6 + ["b"] * 3 + ["c"], dtype=object)
RNG = np.random.default_rng(0)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of losses beside the study."""
    (tmp_path / "my_losses.py").write_text(
        "def cubed(raw, encoded, weight, xp, power=3.0):\n    return xp.abs(raw[:, 0] - encoded) ** power\n"
        "def whole(raw, encoded, weight, xp):\n    return xp.mean(raw)\n"
        "def wide(raw, encoded, weight, xp):\n    return raw - encoded[:, None]\n"
        "def nothing(raw, encoded, weight, xp):\n    return None\n"
        "def short(raw, encoded):\n    return raw\n"
        "a_number = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_losses", raising=False)


def number(loss: object):
    return NumberField(target=True, loss=loss)


def label(loss: object, **settings):
    return LabelField(target=True, loss=loss, **settings)


def chosen(field, classes=(), train=TRAIN, **given):
    return loss_of(make_target("y", field, classes), train, **given)


def test_the_default_is_the_first_and_stays_what_it_was():
    raw, encoded = RNG.normal(size=(5, 1)), RNG.normal(size=5)
    np.testing.assert_array_equal(
        chosen(number(None))(raw, encoded, np.ones(5), np), squared_error(raw, encoded, np.ones(5), np)
    )
    smooth, logits, codes = SimpleNamespace(label_smoothing=0.2), RNG.normal(size=(5, 3)), np.array([0, 1, 2, 0, 1])
    ours = chosen(label(None), CLASSES, smooth)(logits, codes, np.ones(5), np)
    np.testing.assert_array_equal(ours, cross_entropy(logits, codes, np.ones(5), np, label_smoothing=0.2))
    own_smoothing = chosen(label({"name": "cross_entropy", "label_smoothing": 0.0}), CLASSES, smooth)
    np.testing.assert_array_equal(own_smoothing(logits, codes, np.ones(5), np), cross_entropy(logits, codes, np.ones(5), np))


def test_a_name_and_its_options_are_used():
    raw, encoded = RNG.normal(size=(5, 1)), RNG.normal(size=5)
    ours = chosen(number({"name": "quantile", "quantile": 0.9}))(raw, encoded, np.ones(5), np)
    np.testing.assert_array_equal(ours, LOSSES["number"]["quantile"](raw, encoded, np.ones(5), np, quantile=0.9))


def test_balanced_is_scikit_learns():
    target = make_target("y", label({"name": "cross_entropy", "class_weights": "balanced"}), CLASSES).fit(ROWS)
    assert target.counts == (6, 3, 1)
    logits, codes = RNG.normal(size=(10, 3)), target.encode(ROWS)
    each = loss_of(target, TRAIN)(logits, codes, np.ones(10), np)
    weights = compute_class_weight("balanced", classes=np.array(CLASSES), y=ROWS)
    np.testing.assert_allclose(each, weights[codes] * cross_entropy(logits, codes, np.ones(10), np))
    given = loss_of(make_target("y", target.field, CLASSES), TRAIN, counts=count_classes(codes, 3))
    np.testing.assert_array_equal(given(logits, codes, np.ones(10), np), each)
    with pytest.raises(ValueError, match="count_classes"):
        loss_of(make_target("y", target.field, CLASSES), TRAIN)


def test_a_class_without_rows_and_merged_classes_are_balanced_too():
    balanced = {"name": "focal", "class_weights": "balanced"}
    known = make_target("y", label(balanced), (*CLASSES, "d")).fit(ROWS)
    weights = loss_of(known, TRAIN).keywords["class_weights"]
    np.testing.assert_allclose(weights, [10 / 18, 10 / 9, 10 / 3, 1])
    merged = make_target("y", label(balanced, merge={"c": "b"}), CLASSES).fit(ROWS)
    np.testing.assert_allclose(loss_of(merged, TRAIN).keywords["class_weights"], [10 / 12, 10 / 8, 1])
    arrow = DirectionField(target=True, angles={"a": 0, "b": 90, "c": 180}, loss=balanced)
    np.testing.assert_allclose(
        loss_of(make_target("y", arrow, CLASSES).fit(ROWS), TRAIN).keywords["class_weights"], [10 / 18, 10 / 9, 10 / 3]
    )


def test_of_classes_that_may_be_there_together_presence_and_absence_are_balanced():
    rows = np.empty(4, dtype=object)
    rows[:] = [("a",), ("a", "b"), ("a",), ()]
    target = make_target("y", LabelsField(target=True, loss={"name": "cross_entropy", "class_weights": "balanced"}), CLASSES)
    target = target.fit(rows)
    assert target.counts == ((3, 1, 0), (1, 3, 4))
    there, absent = loss_of(target, TRAIN).keywords["class_weights"]
    np.testing.assert_allclose(there, [4 / 6, 2, 1])
    np.testing.assert_allclose(absent, [2, 4 / 6, 1])
    named = make_target("y", LabelsField(target=True, loss={"name": "cross_entropy", "class_weights": {"b": 3}}), CLASSES)
    logits, encoded = RNG.normal(size=(4, 3)), target.encode(rows)
    ours = loss_of(named, TRAIN)(logits, encoded, np.ones(4), np)
    wanted = binary_cross_entropy(logits, encoded, np.ones(4), np, class_weights=((1, 3, 1), (1, 1, 1)))
    np.testing.assert_allclose(ours, wanted)


def test_counts_leave_out_what_is_unknown():
    np.testing.assert_array_equal(count_classes(np.array([[0, -1], [2, 2]]), 3), [[1, 0, 2], [2, 3, 1]])
    np.testing.assert_array_equal(count_classes(np.array([[1, np.nan], [0, 1.0]]), 2), [[1, 1], [1, 0]])


def test_weights_by_name_are_of_the_classes():
    loss = chosen(label({"name": "cross_entropy", "class_weights": {"c": 5}}), CLASSES)
    assert loss.keywords["class_weights"] == (1, 1, 5)
    numbered = chosen(label({"name": "cross_entropy", "class_weights": {3: 2}}), ("2", "3"))
    assert numbered.keywords["class_weights"] == (1, 2)
    wrong = label({"name": "cross_entropy", "class_weights": {"bb": 5}})
    (text,) = class_weight_mistakes(wrong, ("aa", "bbb"))
    assert text == "must name classes of the training rows; got 'bb'. Did you mean 'bbb'?"
    with pytest.raises(ConfigError, match=r"^fields\.y\.loss: must name classes of the training rows"):
        chosen(wrong, ("aa", "bbb"))


def test_crps_has_two_outputs_and_predicts_the_mean():
    field = number("crps")
    target = make_target("y", field).fit(np.array([1.0, 3.0]))
    assert (n_outputs_of(field), target.n_outputs, make_target("y", number("l1")).n_outputs) == (2, 2, 1)
    np.testing.assert_allclose(target.decode(np.array([[0.5, -3.0]]), np), [2.5])


OF_NUMBERS = "must be a loss for a target of kind number: l2, l1, huber, quantile, crps, or my_module:my_loss; got"
CALLED = "must be a function that can be called with (raw, encoded, weight, xp"
MERGED = label({"name": "focal", "class_weights": {"a": 2}}, merge={"a": "b"})
NOWHERE = "no_such_module_here"
WRONG = [
    (number("hubert"), f"{OF_NUMBERS} 'hubert'. Did you mean 'huber'?"),
    (number("cross_entropy"), f"{OF_NUMBERS} 'cross_entropy'."),
    (number({"delta": 1}), "must be a name, or a mapping such as {name: huber, delta: 0.5}; got {'delta': 1}."),
    (number({"name": "huber", "dleta": 1}), "huber has no option 'dleta'. Did you mean 'delta'?"),
    (number({"name": "l2", "delta": 1}), "l2 has no option 'delta'."),
    (number({"name": "huber", "delta": 0}), "delta must be a number above 0; got 0."),
    (number({"name": "huber", "delta": "wide"}), "delta must be a number above 0; got 'wide'."),
    (number({"name": "quantile", "quantile": 1.0}), "quantile must be a number above 0 and below 1; got 1.0."),
    (label({"name": "focal", "gamma": -1}), "gamma must be a number of at least 0; got -1."),
    (label({"name": "focal", "label_smoothing": 1}), "label_smoothing must be a number of at least 0 and below 1; got 1."),
    (
        label({"name": "focal", "class_weights": 3}),
        "class_weights must be balanced, or a number by class such as {rare: 5}; got 3.",
    ),
    (label({"name": "focal", "class_weights": {"a": -2}}), "class_weights.a must be a number above 0; got -2."),
    (MERGED, "class_weights must name 'b', as which 'a' is trained."),
    (number(f"{NOWHERE}:loss"), f"{NOWHERE}:loss must be in a module that Python finds. Put {NOWHERE}.py beside the study."),
    (number("my_losses:cubd"), "my_losses must have 'cubd'; it has none. Did you mean 'cubed'?"),
    (number("my_losses:a_number"), "my_losses must have 'a_number'; it has none. Known: cubed, nothing, short, whole, wide."),
    (
        number({"name": "my_losses:cubed", "powr": 2}),
        f"my_losses:cubed {CALLED}, powr): got an unexpected keyword argument 'powr'.",
    ),
    (number("my_losses:short"), f"my_losses:short {CALLED}): too many positional arguments."),
]


@pytest.mark.parametrize(("field", "text"), WRONG, ids=range(len(WRONG)))
def test_what_cannot_be_is_told(field, text, own):
    assert loss_mistakes("y", field) == [text]
    with pytest.raises(ConfigError) as caught:
        chosen(field, CLASSES)
    assert caught.value.mistakes == [f"fields.y.loss: {text}"]


def test_what_can_be_is_not():
    fine = [*("l2", "l1", "huber", "quantile", "crps"), {"name": "quantile", "quantile": 0.1}, None]
    assert [loss_mistakes("y", number(one)) for one in fine] == [[]] * len(fine)
    assert loss_mistakes("y", label({"name": "focal", "gamma": 0, "class_weights": "balanced", "label_smoothing": 0})) == []


def test_a_study_is_checked():
    with pytest.raises(ConfigError, match=r"fields\.y\.loss: must be a loss for a target of kind number.*Did you mean 'huber'"):
        config_from_mapping({"fields": NUMBER | {"y": {"kind": "number", "target": True, "loss": "hubr"}}})
    aux = {"kind": "label", "aux": 0.3, "loss": {"name": "focal", "gamma": -1}}
    with pytest.raises(ConfigError, match=r"fields\.z\.loss: gamma must be a number of at least 0; got -1"):
        config_from_mapping({"fields": NUMBER | {"z": aux}})
    config_from_mapping({"fields": NUMBER | {"y": {"kind": "number", "target": True, "loss": {"name": "huber", "delta": 2}}}})


def test_a_loss_of_your_own_is_called_and_padding_costs_nothing(own):
    loss = chosen(number({"name": "my_losses:cubed", "power": 2.0}))
    raw, encoded, weight = np.array([[1.0], [2.0], [5.0]]), np.zeros(3), np.array([1.0, 1.0, 0.0])
    np.testing.assert_array_equal(loss(raw, encoded, weight, np), [1, 4, 0])


@pytest.mark.parametrize(("name", "found"), [("whole", "the shape ()"), ("wide", "the shape (3, 1)"), ("nothing", "NoneType")])
def test_the_shape_of_a_loss_of_your_own_is_looked_at(own, name, found):
    loss = chosen(number(f"my_losses:{name}"))
    with pytest.raises(ConfigError) as caught:
        loss(np.ones((3, 1)), np.zeros(3), np.ones(3), np)
    wanted = f"my_losses:{name} must return one number for each of the 3 rows, of shape (3,); got {found}."
    assert caught.value.mistakes == [f"fields.y.loss: {wanted} Take the mean over every other axis."]


def test_the_documents_name_every_loss_and_option():
    text = (Path(__file__).parents[1] / "docs" / "study.md").read_text(encoding="utf-8")
    section = text.partition("## Auxiliary targets and losses")[2].partition("\n## ")[0]
    words = set(re.findall(r"`([a-z0-9_]+)`", section))
    functions = [(name, function) for losses in LOSSES.values() for name, function in losses.items()]
    options = {one.name for _, function in functions for one in signature(function).parameters.values() if one.kind.value == 3}
    assert {name for name, _ in functions} | options <= words


# ---- in a training


@pytest.fixture
def trained():
    """What a network predicts of skewed numbers, or of rare classes, that its inputs say nothing of."""
    torch = pytest.importorskip("torch")
    from tamesu.learners.torch import TorchLearner
    from tamesu.testing import toy_recipe, toy_tables

    rows = toy_tables(200)
    rng = np.random.default_rng(1)
    answer = np.where(rng.random(200) < 0.1, "yes", "no").astype(object)
    rows = replace(rows, table=rows.table.assign(amount=rng.exponential(size=200), answer=answer))
    before = torch.get_num_threads()
    torch.set_num_threads(1)

    def train(name: str, field, epochs: int = 25):
        recipe = toy_recipe({"size": NumberField(), name: field}, train={"epochs": epochs, "weight_decay": 0.5})
        predicted = TorchLearner().fit(rows, recipe, 0).predict(rows)[name]
        return rows.table[name].to_numpy(), predicted

    yield train
    torch.set_num_threads(before)


@pytest.mark.parametrize("quantile", [0.2, 0.9])
def test_a_network_learns_a_quantile(trained, quantile):
    true, predicted = trained("amount", number({"name": "quantile", "quantile": quantile}))
    assert (true < predicted).mean() == pytest.approx(quantile, abs=0.07)


@pytest.mark.parametrize("loss", ["crps", "huber", "l1"])
def test_a_network_learns_with_each_loss_of_numbers(trained, loss):
    true, predicted = trained("amount", number(loss), epochs=10)
    assert predicted.shape == true.shape
    assert abs(predicted - true).mean() < 1.1 * abs(true - np.median(true)).mean()


def test_a_network_makes_more_of_rare_classes_that_are_weighed_up(trained):
    plain = trained("answer", label(None), epochs=15)[1]
    balanced = trained("answer", label({"name": "focal", "gamma": 0, "class_weights": "balanced"}), epochs=15)[1]
    assert plain[:, 1].mean() == pytest.approx(0.1, abs=0.06)
    assert balanced[:, 1].mean() == pytest.approx(0.5, abs=0.15)


def test_a_network_learns_with_a_loss_of_your_own(trained, own):
    true, predicted = trained("amount", number({"name": "my_losses:cubed", "power": 1.0}), epochs=10)
    assert abs(predicted - true).mean() < 1.1 * abs(true - np.median(true)).mean()
