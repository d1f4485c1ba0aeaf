"""Balance: every epoch has as many rows as there are, rare classes come as often as asked, and nothing changes at 0."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.balance import balanced_target, class_weights, epoch_rows, repeated_keys, row_classes, strength
from tamesu.draws import Draws, make_draws, row_keys
from tamesu.fields import LabelField, NumberField


def draws_of(n: int, seed: int = 0, epoch: int = 0) -> Draws:
    return make_draws(row_keys(range(n)), seed, epoch)


def counts_of(rows: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(rows, minlength=n)


CODES = st.lists(st.integers(0, 4), min_size=1, max_size=80).map(np.array)


@given(codes=CODES, balance=st.floats(0, 1), seed=st.integers(0, 2**31))
@settings(max_examples=80, deadline=None)
def test_each_row_comes_as_often_as_expected_rounded_and_the_sum_is_n(codes, balance, seed):
    n, draws = len(codes), draws_of(len(codes), seed)
    weights = class_weights(codes, balance)
    assert weights.mean() == pytest.approx(1)
    rows = epoch_rows(weights, draws, draws.bits("order"), codes)
    counts = counts_of(rows.positions, n)
    assert counts.sum() == n
    assert (np.abs(counts - weights) < 1 + 1e-9).all()
    for i in range(n):
        assert sorted(rows.occurrence[rows.positions == i]) == list(range(counts[i]))
    assert (np.diff(draws.bits("order")[rows.positions[rows.occurrence == 0]].astype(np.float64)) >= 0).all()
    per_class = np.bincount(codes, weights=counts)
    assert (np.abs(per_class - np.bincount(codes, weights=weights)) < 1 + 1e-9).all()


def test_fully_balanced_classes_come_equally_often():
    codes = np.repeat([0, 1, 2, 3], [50, 30, 11, 9])
    rows = epoch_rows(class_weights(codes, 1.0), draws_of(100), draws_of(100).bits("order"), codes)
    assert np.bincount(codes[rows.positions]).tolist() == [25, 25, 25, 25]


def test_over_many_epochs_rows_come_as_often_as_their_weight():
    codes = np.repeat([0, 1, 2], [40, 15, 5])
    weights = class_weights(codes, 0.5)
    np.testing.assert_allclose(weights[[0, 40, 55]] / weights[0], np.sqrt([1, 40 / 15, 8]))
    total = np.zeros(60)
    n_epochs = 600
    for epoch in range(n_epochs):
        draws = draws_of(60, epoch=epoch)
        total += counts_of(epoch_rows(weights, draws, draws.bits("order"), codes).positions, 60)
    # a count's fraction is a coin: standard error at most 0.5 / sqrt(epochs)
    tolerance = 4.5 * 0.5 / np.sqrt(n_epochs)
    assert np.abs(total / n_epochs - weights).max() < tolerance
    # so is that of a class, whose rows lie side by side
    off = np.bincount(codes, weights=total / n_epochs) - np.bincount(codes, weights=weights)
    assert np.abs(off).max() < tolerance


@given(codes=CODES, seed=st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_without_balance_the_order_is_the_plain_one(codes, seed):
    draws = draws_of(len(codes), seed)
    rows = epoch_rows(class_weights(codes, 0.0), draws, draws.bits("order"), codes)
    np.testing.assert_array_equal(rows.positions, np.argsort(draws.bits("order"), kind="stable"))
    assert not rows.occurrence.any()


def test_the_rows_of_an_epoch_do_not_depend_on_how_they_lie():
    codes = np.random.default_rng(0).integers(0, 3, 50) ** 2
    draws, order = draws_of(50), np.random.default_rng(1).permutation(50)
    one = epoch_rows(class_weights(codes, 0.7), draws, draws.bits("order"), codes)
    moved = Draws(draws.keys[order])
    other = epoch_rows(class_weights(codes[order], 0.7), moved, moved.bits("order"), codes[order])
    np.testing.assert_array_equal(order[other.positions], one.positions)
    np.testing.assert_array_equal(other.occurrence, one.occurrence)


def test_another_epoch_has_other_rows():
    codes = np.repeat([0, 1], [90, 10])
    drawn = [
        epoch_rows(class_weights(codes, 1.0), d, d.bits("order"), codes).positions
        for d in (draws_of(100), draws_of(100, epoch=1))
    ]
    assert sorted(drawn[0]) != sorted(drawn[1])


def test_rows_that_come_again_have_other_keys():
    keys = row_keys(range(6))
    occurrence = np.array([0, 1, 2, 0, 1, 3])
    again = repeated_keys(keys, occurrence)
    np.testing.assert_array_equal(again[occurrence == 0], keys[occurrence == 0])
    same = repeated_keys(np.repeat(keys[:1], 5), np.arange(5))
    assert len(np.unique(same)) == 5
    assert len(np.unique(Draws(same).uniform("rotate"))) == 5


def test_of_several_classes_the_rarest_counts():
    there = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=np.float32)
    assert row_classes(there, "labels", 3).tolist() == [1, 2, 0, 3, 1]
    weights = class_weights(row_classes(there, "labels", 3), 1.0)
    np.testing.assert_allclose(weights[[0, 1, 2, 3]] / weights[0], [1, 2, 2, 2])
    assert row_classes(np.array([2, 0]), "direction", 3).tolist() == [2, 0]
    with pytest.raises(ValueError, match="number"):
        row_classes(np.zeros(3), "number", 0)


def test_rare_classes_are_varied_more_but_not_without_end():
    codes = np.repeat([0, 1, 2], [100, 50, 1])
    np.testing.assert_allclose(strength(class_weights(codes, 1.0))[[0, 100, 150]], [1, np.sqrt(2), 2])
    np.testing.assert_allclose(strength(class_weights(codes, 0.5))[[0, 100]], [1, 2**0.25])
    assert (strength(class_weights(codes, 0.0)) == 1).all()


def test_the_target_that_is_balanced_has_classes():
    fields = {"x": LabelField(), "size": NumberField(target=True), "sign": LabelField(target=True)}
    assert balanced_target(fields) == "sign"
    assert balanced_target({"size": NumberField(target=True)}) is None


def test_no_rows_are_no_rows():
    assert len(epoch_rows(np.zeros(0), draws_of(0), draws_of(0).bits("order")).positions) == 0
    assert len(class_weights(np.zeros(0, dtype=np.int64), 0.5)) == 0
