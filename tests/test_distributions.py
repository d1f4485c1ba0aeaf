"""Tails against scipy.stats, far out too."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tamesu.distributions import normal_above, normal_below, normal_from, t_above, t_from

values = st.floats(-30, 30)
tails = st.floats(1e-12, 1 - 1e-6)
degrees = st.integers(1, 100_000)


@given(values)
def test_normal(z):
    assert normal_above(z) == pytest.approx(stats.norm.sf(z), rel=1e-9)
    assert normal_below(z) == pytest.approx(stats.norm.cdf(z), rel=1e-9)


@given(tails, degrees)
def test_back(tail, df):
    assert normal_from(tail) == pytest.approx(stats.norm.isf(tail), rel=1e-7, abs=1e-7)
    assert t_from(tail, df) == pytest.approx(stats.t.isf(tail, df), rel=1e-6, abs=1e-7)


@given(values, degrees)
def test_t(t, df):
    assert t_above(t, df) == pytest.approx(stats.t.sf(t, df), rel=1e-7, abs=1e-300)


def test_a_study_starts_without_what_it_does_not_use():
    code = (
        "from tamesu import Study; import sys; print([one for one in ('scipy.stats', 'torch', 'keras') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
