"""decode(encode(y)) = y, mirrors, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamesu.errors import DataError
from tamesu.fields import LabelField, LabelsField, NumberField
from tamesu.targets import make_target, target_from_json

torch = pytest.importorskip("torch")
CLASSES = ("keep_left", "keep_right", "speed_50", "stop")


def column(values) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


@given(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=20))
def test_a_label_comes_back(names):
    target = make_target("sign", LabelField(target=True), CLASSES)
    codes = target.encode(column(names))
    probability = target.decode(50.0 * np.eye(4)[codes], np)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert [CLASSES[i] for i in probability.argmax(axis=1)] == names


@given(st.lists(st.sets(st.sampled_from(CLASSES)), min_size=1, max_size=20))
def test_labels_come_back(sets):
    target = make_target("signs", LabelsField(target=True), CLASSES)
    encoded = target.encode(column([tuple(sorted(one)) for one in sets]))
    probability = target.decode(100.0 * encoded - 50, np)
    assert [{CLASSES[j] for j in np.flatnonzero(row > 0.5)} for row in probability] == sets


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_a_number_comes_back(numbers):
    values = np.array(numbers)
    target = make_target("steer", NumberField(target=True)).fit(values)
    back = target.decode(target.encode(values)[:, None].astype(float), np)
    np.testing.assert_allclose(back, values, atol=1e-5 * (np.abs(values).max() + 1))


def test_decoding_is_the_same_in_numpy_and_torch():
    raw = np.random.default_rng(0).normal(size=(50, 4)) * 30
    for field in (LabelField(target=True), LabelsField(target=True)):
        target = make_target("sign", field, CLASSES)
        np.testing.assert_allclose(target.decode(raw, np), target.decode(torch.from_numpy(raw), torch), atol=1e-6)
        assert np.isfinite(target.decode(raw * 1e4, np)).all()


def test_a_mirror_swaps_pairs_both_ways_and_leaves_the_never_ones():
    mirror = {"keep_left": "keep_right", "speed_50": "never"}
    target = make_target("sign", LabelField(target=True, mirror=mirror), CLASSES)
    codes = np.arange(4)
    np.testing.assert_array_equal(target.may_mirror(codes), [True, True, False, True])
    np.testing.assert_array_equal(target.mirror(codes, np.array([True, True, False, True])), [1, 0, 2, 3])
    np.testing.assert_array_equal(target.mirror(codes, np.zeros(4, bool)), codes)


def test_a_class_whose_other_side_is_unknown_is_not_mirrored():
    target = make_target("sign", LabelField(target=True, mirror={"stop": "pots"}), CLASSES)
    np.testing.assert_array_equal(target.may_mirror(np.arange(4)), [True, True, True, False])


def test_labels_are_mirrored_class_by_class():
    mirror = {"keep_left": "keep_right", "speed_50": "never"}
    target = make_target("signs", LabelsField(target=True, mirror=mirror), CLASSES)
    encoded = target.encode(column([("keep_left", "stop"), ("keep_right",), ("speed_50",), ()]))
    np.testing.assert_array_equal(target.may_mirror(encoded), [True, True, False, True])
    mirrored = target.mirror(encoded, target.may_mirror(encoded))
    np.testing.assert_array_equal(mirrored, target.encode(column([("keep_right", "stop"), ("keep_left",), ("speed_50",), ()])))


def test_a_number_is_negated_in_its_own_unit():
    values = np.array([1.0, 2.0, 6.0])
    target = make_target("steer", NumberField(target=True, mirror="negate")).fit(values)
    mirrored = target.mirror(target.encode(values), np.array([True, False, True]))
    np.testing.assert_allclose(target.decode(mirrored[:, None], np), [-1, 2, -6], rtol=1e-5)


@pytest.mark.parametrize("field", [LabelField(target=True, mirror="never"), NumberField(target=True, mirror="never")])
def test_never_means_no_row(field):
    assert not make_target("x", field, CLASSES).may_mirror(np.array([0, 1, 2])).any()


def test_what_was_kept_is_the_same_target():
    fitted = make_target("steer", NumberField(target=True, mirror="negate")).fit(np.array([3.0, 5.0]))
    back = target_from_json(json.loads(json.dumps(fitted.to_json())))
    assert (back.mean, back.std, back.field) == (fitted.mean, fitted.std, fitted.field)
    label = make_target("sign", LabelField(target=True, mirror={"stop": "never"}), CLASSES)
    assert target_from_json(json.loads(json.dumps(label.to_json()))).classes == CLASSES


def test_unknown_classes_and_missing_numbers_are_refused():
    with pytest.raises(DataError, match=r"must be a class of the training table; got 'stopp'. Did you mean 'stop'"):
        make_target("sign", LabelField(target=True), CLASSES).encode(column(["stopp"]))
    with pytest.raises(DataError, match="every row must hold a number"):
        make_target("steer", NumberField(target=True)).encode(np.array([np.nan]))
