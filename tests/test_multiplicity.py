"""Many ideas on one data set: levels, luck, over-use, lockbox."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tamesu.errors import VerdictError
from tamesu.multiplicity import (
    confirm_level,
    holm,
    judge_lockbox,
    ladder_step,
    luck_line,
    overuse,
    overuse_sentence,
    two_level,
)
from tamesu.verdict import Outcome


def test_confirm_level_is_lond_with_flat_weights():
    assert confirm_level(1) == pytest.approx(0.1 / 20)
    assert confirm_level(7, n_confirmed=1) == pytest.approx(0.1 / 20)
    assert confirm_level(7, n_confirmed=3) == pytest.approx(3 * 0.1 / 20)
    assert confirm_level(7, n_confirmed=3, budget=40, q=0.2) == pytest.approx(3 * 0.2 / 40)
    assert confirm_level(3, any_dependence=True) == pytest.approx(0.1 / 20 / (1 + 1 / 2 + 1 / 3))
    assert confirm_level(20) > 0
    assert confirm_level(21) == 0  # the weights of the planned ideas are spent
    with pytest.raises(VerdictError, match="budget must be at least 1; got 0"):
        confirm_level(1, budget=0)
    with pytest.raises(VerdictError, match="j must be at least 1; got 0"):
        confirm_level(0)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60))
def test_levels_of_useless_ideas_add_up_to_q(budget, n_ideas):
    assert sum(confirm_level(j, budget=budget) for j in range(1, n_ideas + 1)) <= 0.1 + 1e-12


def test_false_discoveries_stay_under_q():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(2000):
        confirmed = false = 0
        for j in range(1, 21):
            real = j % 4 == 0
            p = 2 * stats.norm.sf(abs(rng.normal(3.5 if real else 0.0)))
            if p <= confirm_level(j, n_confirmed=confirmed):
                confirmed += 1
                false += not real
        shares.append(false / max(confirmed, 1))
    assert np.mean(shares) <= 0.1


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm's printed scheme
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]).shape == (0,)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_lies_between_the_p_value_and_bonferroni(p_values):
    adjusted, p = holm(p_values), np.array(p_values)
    assert (adjusted >= p - 1e-12).all()
    assert (adjusted <= np.minimum(1, p * len(p)) + 1e-12).all() or (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()
    assert adjusted.min() == pytest.approx(min(1, p.min() * len(p)))


def test_two_level():
    assert two_level(Outcome.helps, Outcome.helps) == "confirmed"
    assert two_level(Outcome.helps, Outcome.undecided) == "suggestive"
    assert two_level(Outcome.hurts, None) == "suggestive"
    assert two_level(Outcome.no_difference, Outcome.no_difference) == ""
    assert two_level(Outcome.undecided, Outcome.helps) == ""


def test_luck_line_is_near_the_best_of_useless_ideas():
    assert luck_line(0.01, 1) == 0
    assert luck_line(0.01, 40) == pytest.approx(0.01 * math.sqrt(2 * math.log(40)))
    best = np.random.default_rng(0).normal(size=(4000, 40)).max(axis=1).mean()
    assert best < luck_line(1, 40) < 1.4 * best  # the asymptotic line lies above the mean of the best


def test_overuse():
    assert overuse(5, 20) == "none"
    assert overuse(10, 20) == "none"
    assert overuse(11, 20) == "amber"
    assert overuse(21, 20) == "red"
    assert overuse(5, 20, claimed_gain=0.03, luck=0.02) == "amber"
    assert overuse(5, 20, claimed_gain=0.05, luck=0.02) == "none"
    assert overuse(5, 20, claimed_gain=0.05, luck=0.02, lockbox=(-0.01, 0.04)) == "red"
    assert overuse(5, 20, claimed_gain=0.05, luck=0.02, lockbox=(0.01, 0.06)) == "none"
    assert overuse_sentence("none", 5, 20) is None
    assert "11 of 20" in overuse_sentence("amber", 11, 20)
    assert "twice" in overuse_sentence("amber", 5, 20)
    assert "21 ideas" in overuse_sentence("red", 21, 20)
    assert "set aside" in overuse_sentence("red", 5, 20, outside_lockbox=True)


def test_lockbox_with_equal_seeds_is_a_paired_t_test():
    rng = np.random.default_rng(0)
    first = rng.gamma(2, size=400)
    current = first - rng.normal(0.05, 0.5, size=400)
    found = judge_lockbox(np.tile(first, (5, 1)), np.tile(current, (5, 1)))
    variance = (1 + 10 / 400) * np.var(first - current, ddof=1) / 400
    assert found.gain == pytest.approx((first - current).mean())
    assert found.standard_error == pytest.approx(math.sqrt(variance))
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(found.gain) / math.sqrt(variance), 399))
    assert found.degrees_of_freedom == 399


def test_lockbox_counts_the_seeds():
    rng = np.random.default_rng(1)
    gain = 0.1 * np.array([-1, 1, -1, 1, 0])[:, None] + rng.normal(0, 0.01, size=(5, 2000))
    found = judge_lockbox(1 + gain, np.ones_like(gain))
    assert found.standard_error == pytest.approx(math.sqrt(gain.mean(axis=1).var(ddof=1) / 5), rel=0.01)
    assert found.degrees_of_freedom == pytest.approx(4, abs=0.1)
    assert found.low < 0 < found.high
    assert found.excludes(0.5)
    assert not found.excludes(0.0)


def test_lockbox_counts_groups_as_one():
    rng = np.random.default_rng(2)
    gain = rng.normal(0.1, 1, size=(5, 50)).repeat(8, axis=1)
    grouped = judge_lockbox(gain, 0 * gain, groups=np.arange(50).repeat(8))
    single = judge_lockbox(gain[:, ::8], 0 * gain[:, ::8])
    assert grouped.standard_error == pytest.approx(single.standard_error)
    assert judge_lockbox(gain, 0 * gain).standard_error < 0.6 * grouped.standard_error


def test_lockbox_is_wrong_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    wrong = []
    for _ in range(600):
        seeds = rng.normal(0, 0.03, size=(5, 1))
        found = judge_lockbox(seeds + rng.normal(0, 0.5, size=300) + rng.normal(0, 0.2, size=(5, 300)), np.zeros((5, 300)))
        wrong.append(found.p_value <= 0.05)
    assert 0.02 <= np.mean(wrong) <= 0.07


def test_lockbox_tells_bad_input():
    with pytest.raises(VerdictError, match="at least 2 of each"):
        judge_lockbox(np.zeros((1, 9)), np.zeros((1, 9)))
    with pytest.raises(VerdictError, match="must be finite"):
        judge_lockbox(np.full((2, 9), np.nan), np.zeros((2, 9)))
    with pytest.raises(VerdictError, match="groups must be at least 2"):
        judge_lockbox(np.ones((2, 9)), np.zeros((2, 9)), groups=np.zeros(9))


def test_ladder_step():
    assert ladder_step(0.10, 0.11, 0.02) == 0.10
    assert ladder_step(0.10, 0.13, 0.02) == 0.13
    assert ladder_step(0.10, 0.05, 0.02) == 0.10
