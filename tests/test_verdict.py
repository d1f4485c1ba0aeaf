"""The verdict: formulas recomputed independently, laws, guards, words, and how often it is wrong."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tamesu.errors import VerdictError
from tamesu.texts import use_language
from tamesu.variance import estimate_from_rows, half_split_factor, overlap_factor, select_scored
from tamesu.verdict import (
    Judge,
    Look,
    Outcome,
    compare,
    interval,
    needs_fold_values,
    needs_interval_only,
    seed_variance,
    smallest_detectable_gain,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import planted

K = 5


def made(seed, n=100, repeats=5, effect=0.0, model_noise=0.02, row_noise=0.1, split_noise=0.05):
    """Losses of two arms: (a, b, folds), each (r, n); split noise is one number a row and repeat."""
    rng = np.random.default_rng(seed)
    folds = np.stack([rng.permutation(n) % K for _ in range(repeats)])
    models = rng.normal(0, model_noise, size=(repeats, K))
    a = 1 + rng.gamma(2, 0.2, size=n) + rng.normal(0, 0.02, size=(repeats, n))
    gain = effect + rng.normal(0, row_noise, size=n) + np.take_along_axis(models, folds, axis=1)
    return a, a - gain - rng.normal(0, split_noise, size=(repeats, n)), folds


# ── the formulas, written a second time from docs/verdict.md ─────────────────────────────────────────────────────────


def by_hand(delta, folds, s0, k=K):
    """theta, V and s_m^2 of complete repeats, with loops."""
    r, n = delta.shape
    theta = sum(delta[q][i] for q in range(r) for i in range(n)) / (r * n)
    v_s = np.var([np.mean([delta[q][i] for q in range(r)]) for i in range(n)], ddof=1) / n
    means = [np.mean([delta[q][i] for i in range(n) if folds[q][i] == f]) for q in range(r) for f in range(k)]
    v_f = np.var(means, ddof=1) / (r * k)
    v_w = np.var(delta.ravel(), ddof=1) / (r * n)
    x = max(0, v_f - v_w, s0 / (r * k))
    s_m = np.var([delta[q].mean() for q in range(r)], ddof=1) if r > 1 else 0
    q = max(0, s_m - s0 / k) / (k - 1) if r > 1 else 0
    return theta, k / (k - 1) * (1 + 10 / n) * v_s + x + q, s_m


def seq_2w(a, b, folds, s0, rope, repeats=5, k=K):
    """The pseudo code, look by look: (outcome, look)."""
    for r, f in [(1, 2), (1, 3), (1, k), *[(q, k) for q in range(2, repeats + 1)]]:
        if f < k:
            rows = folds[0] < f
            delta = (a - b)[:1, rows]
            m = rows.sum()
            means = [delta[0][folds[0][rows] == j].mean() for j in range(f)]
            v_s = np.var(delta, ddof=1) / m
            v = k / (k - 1) * (1 + 10 / m) * v_s + max(0, np.var(means, ddof=1) / f - v_s, s0 / f)
            theta, s_m = delta.mean(), 0
        else:
            delta = (a - b)[:r]
            m = delta.shape[1]
            theta, v, s_m = by_hand(delta, folds[:r], s0, k)
        boundary = {2: 2.8, 3: 2.6}.get(f, 2.24 if r == 1 else 1.96)
        half = stats.t.ppf(stats.norm.cdf(boundary), m - 1) * math.sqrt(v)
        differ = (delta != 0).any(axis=0).sum()
        if f == k and differ == 0:
            return "no difference", (r, f)
        if differ < 10:
            continue
        if r == 1 or r == repeats:
            if -rope < theta - half and theta + half < rope:
                return "no difference", (r, f)
            if theta - half > 0:
                return "helps", (r, f)
            if theta + half < 0:
                return "hurts", (r, f)
        se = math.sqrt(v)
        if (r, f) == (1, k) and abs(theta) < 0.7 * se and abs(theta) + 0.75 * 1.96 * se >= rope:
            return "undecided", (r, f)
        if 2 <= r < repeats:
            dv = s_m * (1 / r - 1 / repeats)
            h, s = half / math.sqrt(v) * math.sqrt(max(v - dv, v / 4)), math.sqrt(dv)  # boundaries are t, here too
            up, dn = stats.norm.cdf((theta - h) / s), stats.norm.cdf((-theta - h) / s)
            eq = max(0, stats.norm.cdf((rope - h - theta) / s) - stats.norm.cdf((-rope + h - theta) / s))
            for p, word in ((eq, "no difference"), (up, "helps"), (dn, "hurts")):
                if p > 0.975:
                    return word, (r, f)
            if up + dn + eq < 0.10:
                return "undecided", (r, f)
    return "undecided", (repeats, k)


def run(judge, a, b, folds, s0=0.0, level=None):
    """The judgement at the look where the judge stops."""
    for look in judge.looks():
        said = judge.judge(a, b, folds, look, seed_variance=s0, level=level)
        if said.final:
            return said
    raise AssertionError("the last look must be final")


@pytest.mark.parametrize("s0", [0.0, 0.002])
@pytest.mark.parametrize("n", [100, 103])
def test_variance_is_that_of_the_document(n, s0):
    a, b, folds = made(1, n=n)
    for r in (1, 2, 5):
        theta, v, s_m = by_hand((a - b)[:r], folds[:r], s0)
        e = estimate_from_rows(select_scored(a - b, folds, Look(r, K), K), K, seed_variance=s0)
        assert e.mean == pytest.approx(theta, rel=1e-12)
        assert e.variance == pytest.approx(v, rel=1e-10)
        assert r == 1 or e.repeat_variance == pytest.approx(s_m, rel=1e-10)


def test_the_whole_rule_is_that_of_the_pseudo_code():
    seen = set()
    for seed in range(300):
        rng = np.random.default_rng(seed)
        noises = {name: float(rng.choice([0, 0.01, 0.1, 0.4])) for name in ("model_noise", "row_noise", "split_noise")}
        noises["split_noise"] += 0.001
        a, b, folds = made(seed, n=int(rng.integers(60, 200)), effect=float(rng.choice([0, 0.02, -0.05, 0.1])), **noises)
        if seed % 6 == 0:  # an idea that changes few rows
            changed = rng.random(a.shape[1]) < 0.1
            b = np.where(changed, b, a)
        s0, rope = float(rng.choice([0, 1e-4, 0.01, 0.1])), float(rng.choice([0.005, 0.03, 0.2]))
        said = run(Judge(K, 5, margin=rope), a, b, folds, s0)
        assert (said.outcome.value, said.look) == seq_2w(a, b, folds, s0, rope), seed
        seen.add((said.outcome, said.reason))
    reasons = {reason for _, reason in seen}
    assert reasons >= {"interval", "margin", "curtailed", "futility", "few_differ", "more_data"}
    assert {outcome for outcome, reason in seen if reason == "curtailed"} == set(Outcome)


def test_seed_variance_by_hand():
    folds = np.array([0, 0, 0, 1, 1, 1])
    change = np.array([0.1, 0.3, 0.2, -0.4, -0.4, -0.1])
    e0, v0, e1, v1 = 0.2, 0.01, -0.3, 0.03  # v: ddof 1
    wanted = ((e0**2 - v0 / 3) + (e1**2 - v1 / 3)) / 2
    base = np.arange(6.0)
    assert seed_variance(base, base + change, folds) == pytest.approx(wanted)
    assert seed_variance(base[None], (base + change)[None], folds[None]) == pytest.approx(wanted)
    assert seed_variance(base, base, folds) == 0
    only_first = np.where(folds == 0, base + change, np.nan)
    assert seed_variance(base, only_first, folds) == pytest.approx(e0**2 - v0 / 3)
    with pytest.raises(VerdictError, match="both trainings"):
        seed_variance(base, base * np.nan, folds)


def test_nadeau_bengio_is_the_published_formula():
    a, b, folds = made(3)
    fold_gains = np.array([[(a - b)[r][folds[r] == k].mean() for k in range(K)] for r in range(5)]).ravel()
    n_test, n_train = 20, 80
    variance = (1 / 25 + n_test / n_train) * fold_gains.var(ddof=1)
    t = fold_gains.mean() / math.sqrt(variance)
    said = compare(a, b, folds, method="folds")
    assert said.standard_error == pytest.approx(math.sqrt(variance))
    assert said.p_value == pytest.approx(2 * stats.t.sf(abs(t), 24), rel=1e-9)
    assert said.high - said.gain == pytest.approx(stats.t.ppf(0.975, 24) * math.sqrt(variance), rel=1e-9)
    assert Judge(K, 5, method="folds").looks() == [Look(5, K)]


def test_rows_part_of_auc_values_is_delong():
    rng = np.random.default_rng(0)
    y = np.repeat([1, 0], [60, 140])
    scores = [y + rng.normal(0, 1, 200), y + rng.normal(0, 1.5, 200)]

    def placements(score):
        wins = (score[y == 1][:, None] > score[y == 0][None]) + 0.5 * (score[y == 1][:, None] == score[y == 0][None])
        return wins.mean(axis=1), wins.mean(axis=0), wins.mean()

    values, v10, v01 = [], [], []
    for score in scores:
        up, down, auc = placements(score)
        row = np.empty(200)
        row[y == 1] = auc + 200 / 60 * (up - auc)
        row[y == 0] = auc + 200 / 140 * (down - auc)
        values.append(1 - row)
        v10.append(up)
        v01.append(down)
    delong = np.var(v10[0] - v10[1], ddof=1) / 60 + np.var(v01[0] - v01[1], ddof=1) / 140
    folds = np.zeros((1, 200), dtype=int)
    rows = estimate_from_rows(select_scored((values[0] - values[1])[None], folds, Look(1, 1), 5), 5).rows
    assert rows == pytest.approx(delong, rel=0.02)  # equal but for n - 1 in place of n1 - 1


# ── looks and boundaries ────────────────────────────────────────────────────────────────────────────────────────────────


def test_looks():
    assert Judge(5, 5).looks() == [(1, 2), (1, 3), (1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert Judge(3, 2).looks() == [(1, 2), (1, 3), (2, 3)]
    assert Judge(2, 1).looks() == [(1, 2)]
    assert Judge(10, 1).looks() == [(1, 2), (1, 3), (1, 10)]
    assert Judge(40, 1).looks() == [(1, 40)]
    assert [Judge(5, 5).boundary(look) for look in Judge(5, 5).looks()] == [2.8, 2.6, 2.24, 1.96, 1.96, 1.96, 1.96]
    assert Judge(5, 1).boundary(Look(1, 5)) == 2.24
    assert Judge(3, 8).boundary(Look(1, 3)) == 2.24


@pytest.mark.parametrize(("look", "boundary"), [((1, 2), 2.8), ((1, 3), 2.6), ((1, 5), 2.24), ((3, 5), 1.96), ((5, 5), 1.96)])
@pytest.mark.parametrize("level", [0.05, 0.005])
def test_interval_uses_the_boundary_as_t(look, boundary, level):
    a, b, folds = made(5, effect=0.03)
    said = Judge(K, 5).judge(a, b, folds, look, level=level)
    z = boundary * stats.norm.isf(level / 2) / stats.norm.isf(0.025)
    wanted = stats.t.isf(stats.norm.sf(z), said.n_rows - 1)
    assert (said.high - said.low) / 2 / said.standard_error == pytest.approx(wanted, rel=1e-3)  # 1.96 is not quite z(0.025)
    assert said.level == level


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(1, 2), (1, 3), (1, 5), (2, 5), (5, 5)]), st.sampled_from([0.05, 0.2, 0.001]))
def test_p_value_and_interval_agree(seed, look, alpha):
    a, b, folds = made(seed, effect=0.03)
    said = Judge(K, 5, alpha=alpha).judge(a, b, folds, look)
    assert (said.p_value <= alpha) == (said.low > 0 or said.high < 0)
    if look == (5, 5):
        t = abs(said.gain) / said.standard_error
        assert said.p_value == pytest.approx(2 * stats.t.sf(t, 99), rel=1e-6)


# ── laws ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

MIRRORED = {Outcome.helps: Outcome.hurts, Outcome.hurts: Outcome.helps}
LOOKS = st.sampled_from([(1, 2), (1, 3), (1, 5), (2, 5), (4, 5), (5, 5)])
SEEDS = st.integers(0, 10**6)
EFFECTS = st.sampled_from([0.0, 0.05, -0.2])


@settings(max_examples=40, deadline=None)
@given(SEEDS, LOOKS, EFFECTS)
def test_swapping_the_arms_turns_the_sign(seed, look, effect):
    a, b, folds = made(seed, effect=effect)
    judge = Judge(K, 5, margin=0.02)
    there, back = judge.judge(a, b, folds, look, 0.001), judge.judge(b, a, folds, look, 0.001)
    assert back.gain == pytest.approx(-there.gain)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert back.outcome is MIRRORED.get(there.outcome, there.outcome)
    assert (back.final, back.small, back.reason) == (there.final, there.small, there.reason)


@settings(max_examples=40, deadline=None)
@given(SEEDS, LOOKS, EFFECTS, st.booleans())
def test_order_of_rows_does_not_matter(seed, look, effect, grouped):
    a, b, folds = made(seed, effect=effect)
    groups = np.arange(100) // 2 if grouped else None
    order = np.random.default_rng(seed).permutation(100)
    one = Judge(K, 5, groups=groups).judge(a, b, folds, look)
    other = Judge(K, 5, groups=None if groups is None else groups[order]).judge(a[:, order], b[:, order], folds[:, order], look)
    assert other.outcome is one.outcome
    assert [other.gain, other.low, other.high, other.p_value] == pytest.approx(
        [one.gain, one.low, one.high, one.p_value], rel=1e-8
    )


@settings(max_examples=40, deadline=None)
@given(SEEDS, LOOKS, EFFECTS)
def test_later_folds_do_not_change_an_earlier_look(seed, look, effect):
    a, b, folds = made(seed, effect=effect)
    later = np.ones_like(folds, dtype=bool)
    later[: look[0] - 1] = False
    later[look[0] - 1] = folds[look[0] - 1] >= look[1]
    judge = Judge(K, 5)
    now = judge.judge(np.where(later, np.nan, a), np.where(later, np.nan, b), np.where(later, -1, folds), look)
    assert now == judge.judge(a, b, folds, look) == judge.judge(a, np.where(later, b + 9, b), folds, look)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.floats(0.01, 100), LOOKS)
def test_unit_of_the_loss_does_not_matter(seed, unit, look):
    a, b, folds = made(seed, effect=0.03)
    one = Judge(K, 5).judge(a, b, folds, look, 0.001)
    other = Judge(K, 5).judge(a * unit, b * unit, folds, look, 0.001 * unit**2)
    assert other.outcome is one.outcome
    assert [other.gain, other.low, other.margin] == pytest.approx([unit * x for x in (one.gain, one.low, one.margin)], rel=1e-6)


@pytest.mark.parametrize("look", [(1, 5), (3, 5)])
def test_equal_losses_are_identical_predictions(look):
    a, _, folds = made(0)
    said = Judge(K, 5).judge(a, a.copy(), folds, look)
    assert (said.outcome, said.reason, said.final, said.n_differ) == (Outcome.no_difference, "identical", True, 0)
    assert (said.gain, said.low, said.high, said.p_value) == (0, 0, 0, 1)
    early = Judge(K, 5).judge(a, a.copy(), folds, (1, 3))
    assert (early.outcome, early.final) == (Outcome.undecided, False)


# ── groups and guards ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_groups_of_one_row_are_no_groups():
    a, b, folds = made(7, effect=0.02)
    for look in Judge(K, 5).looks():
        one = Judge(K, 5).judge(a, b, folds, look)
        other = Judge(K, 5, groups=np.arange(100)).judge(a, b, folds, look)
        assert other.standard_error == pytest.approx(one.standard_error, rel=1e-9)
        assert (other.outcome, other.n_differ) == (one.outcome, one.n_differ)


def test_rows_of_a_group_count_as_one():
    a, b, folds = made(8)
    single = estimate_from_rows(select_scored(a - b, folds, Look(5, K), K), K)
    four = [np.repeat(x, 4, axis=1) for x in (a - b, folds)]
    grouped = estimate_from_rows(select_scored(four[0], four[1], Look(5, K), K), K, groups=np.repeat(np.arange(100), 4))
    assert grouped.variance == pytest.approx(single.variance, rel=1e-9)
    assert grouped.n_clusters == 100


def test_variance_of_groups_by_hand():
    rng = np.random.default_rng(2)
    n, sizes = 90, rng.integers(1, 5, 40)
    groups = np.repeat(np.arange(40), sizes)[:n]
    n = len(groups)
    fold_of_group = rng.permutation(40) % K
    folds = fold_of_group[groups][None].repeat(2, axis=0)
    delta = rng.normal(size=(2, n))
    g = len(np.unique(groups))
    theta, by_row = delta.mean(), delta.mean(axis=0)
    wanted = g / (g - 1) * sum((by_row[groups == i] - theta).sum() ** 2 for i in np.unique(groups)) / n**2
    e = estimate_from_rows(select_scored(delta, folds, Look(2, K), K), K, groups=groups)
    assert e.rows == pytest.approx(wanted)
    assert e.factor == pytest.approx(1.25 * (1 + 10 / g))


def test_guards():
    assert needs_interval_only(200) is None
    assert needs_interval_only(49) == "tiny_n"
    assert needs_interval_only(50) is None
    assert needs_interval_only(500, n_groups=29) == "few_groups"
    assert needs_interval_only(500, n_groups=30) is None
    assert needs_interval_only(500, smallest_class=9) == "few_of_class"
    assert needs_interval_only(500, smallest_class=10) is None
    assert (
        needs_interval_only(500, scheme="leave_one_out")
        == needs_interval_only(500, scheme="leave_one_group_out")
        == "leave_one_out"
    )
    assert needs_fold_values([[8, 90], [9, 90]]) is False
    assert needs_fold_values([[7, 90], [9, 90]]) is True


@pytest.mark.parametrize(
    ("n", "groups", "reason"), [(40, None, "tiny_n"), (100, np.arange(100) // 4, "few_groups"), (100, None, "few_of_class")]
)
def test_interval_only_gives_no_verdict_however_large_the_gain(n, groups, reason):
    a, b, folds = made(0, n=n, effect=5.0)
    said = run(
        Judge(K, 5, groups=groups, interval_only_reason="few_of_class" if reason == "few_of_class" else None), a, b, folds
    )
    assert (said.outcome, said.reason, said.final) == (Outcome.undecided, reason, True)
    assert said.low > 0
    assert said.look == (1, 5)  # split noise is the lesser part: more repeats would be wasted


def test_leave_one_out_gives_an_interval_only():
    rng = np.random.default_rng(0)
    a = rng.normal(2, 0.1, size=(1, 120))
    b = a - 1 + rng.normal(0, 0.1, size=(1, 120))
    said = compare(a, b, np.arange(120)[None])
    assert (said.outcome, said.reason, said.final) == (Outcome.undecided, "leave_one_out", True)
    assert said.standard_error == pytest.approx(math.sqrt(1.25 * (1 + 10 / 120) * np.var(a - b, ddof=1) / 120))
    assert overlap_factor(120) == 1.25
    assert overlap_factor(10) == pytest.approx(10 / 9)


def test_a_handful_of_flips_is_no_verdict():
    a, _, folds = made(0, n=400)
    b = a.copy()
    b[:, :9] -= 5.0
    said = run(Judge(K, 5), a, b, folds)
    assert (said.outcome, said.reason, said.n_differ, said.look) == (Outcome.undecided, "few_differ", 9, (5, 5))
    b[:, 9] -= 5.0
    assert run(Judge(K, 5), a, b, folds).n_differ == 10
    assert run(Judge(K, 5), a, b, folds).reason != "few_differ"
    twins = np.arange(400) // 2  # ten rows in five groups
    assert run(Judge(K, 5, groups=twins), a, b, folds).reason == "few_differ"


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_margin():
    a, b, folds = made(0)
    base = a.mean()
    assert Judge(K, 5).judge(a, b, folds, (5, 5)).margin == pytest.approx(0.01 * base)
    assert Judge(K, 5).judge(a, b, folds, (5, 5), seed_variance=0.02).margin == pytest.approx(0.5 * math.sqrt(0.01))
    assert Judge(K, 5, margin_floor=("absolute", 0.005)).judge(a, b, folds, (5, 5)).margin == 0.005
    assert Judge(K, 5, margin=0.3).judge(a, b, folds, (5, 5), seed_variance=9.0).margin == 0.3


def test_small_gain_is_said_to_be_small():
    a, b, folds = made(0, effect=0.05, row_noise=0.05, split_noise=0.01, model_noise=0)
    small = run(Judge(K, 5, margin=0.055), a, b, folds)
    assert (small.outcome, small.small) == (Outcome.helps, True)
    large = run(Judge(K, 5, margin=0.01), a, b, folds)
    assert (large.outcome, large.small) == (Outcome.helps, False)


def test_factor_only_ever_widens():
    a, b, folds = made(0)
    plain = Judge(K, 5).judge(a, b, folds, (5, 5))
    assert Judge(K, 5, factor=1.0).judge(a, b, folds, (5, 5)).standard_error == plain.standard_error
    strict = Judge(K, 5, factor=1.7).judge(a, b, folds, (5, 5))
    rows = by_hand(a - b, folds, 0)[1]
    v_s = np.var((a - b).mean(axis=0), ddof=1) / 100
    assert strict.standard_error**2 == pytest.approx(rows + (1.7 - 1.25) * 1.1 * v_s)


def test_half_split_factor_waits_for_thirty():
    rng = np.random.default_rng(0)
    differences, variances = rng.normal(size=30), np.full(30, 0.5)
    assert half_split_factor(differences[:29], variances[:29]) is None
    assert half_split_factor(differences, variances) == pytest.approx((differences**2).sum() / 15)


def test_seed_noise_is_a_floor():
    a, b, folds = made(0, model_noise=0, split_noise=0.001)
    plain = Judge(K, 5).judge(a, b, folds, (1, 5))
    noisy = Judge(K, 5).judge(a, b, folds, (1, 5), seed_variance=0.05)
    assert plain.standard_error**2 < noisy.standard_error**2 == pytest.approx(by_hand((a - b)[:1], folds[:1], 0.05)[1])
    assert noisy.split_fraction > 0.5
    assert noisy.needs == "more_repeats"


def test_what_would_help():
    a, b, folds = made(11, effect=0.012, split_noise=0.01, model_noise=0)
    said = Judge(K, 5).judge(a, b, folds, (5, 5))
    assert (said.outcome, said.needs, said.reason) == (Outcome.undecided, "more_data", "more_data")
    limit = 1.25 * 1.1 * np.var((a - b).mean(axis=0), ddof=1) / 100
    assert said.rows_needed == pytest.approx(100 * limit * (2.8 / said.gain) ** 2, rel=1e-3, abs=1)
    assert said.rows_needed > 100
    assert said.smallest_gain == pytest.approx(2.8 * said.standard_error, rel=1e-4)
    assert smallest_detectable_gain([said]) == said.smallest_gain
    assert smallest_detectable_gain([]) is None


def test_split_noise_asks_for_more_repeats():
    a, b, folds = made(2, effect=0.03, model_noise=0.2, row_noise=0.01, split_noise=0.01)
    said = Judge(K, 5).judge(a, b, folds, (5, 5))
    assert (said.outcome, said.needs, said.reason) == (Outcome.undecided, "more_repeats", "more_repeats")
    e = estimate_from_rows(select_scored(a - b, folds, Look(5, K), K), K)
    assert e.split_fraction > 0.5
    if said.repeats_needed is not None:
        at_that_many = e.limit + e.influence + e.models * 5 / said.repeats_needed
        assert abs(said.gain) >= 2.79 * math.sqrt(at_that_many)
        assert "repeats would settle it" in said.sentence()


def test_between_looks_and_out_of_budget():
    a, b, folds = made(0, effect=1.0)
    judge = Judge(K, 5)
    said = judge.judge(a, b, folds, (1, 4))
    assert (said.outcome, said.final, said.reason) == (Outcome.undecided, False, "not_yet")
    assert said.low > 0
    ended = judge.judge(a, a + 0.1 * np.sin(a * 99), folds, (2, 5)).out_of_budget()
    assert ended.final
    part = judge.judge(a, b, folds, (3, 2))
    assert (part.look, part.final) == ((2, 5), False)  # an unfinished repeat is left out
    final = judge.judge(a, b, folds, (1, 5))
    assert final.out_of_budget() is final


# ── the interval of a score ─────────────────────────────────────────────────────────────────────────────────────────────


def test_interval_of_a_score():
    a, _, folds = made(4)
    found = interval(a, folds)
    theta, v, _ = by_hand(a, folds, 0)
    half = stats.t.isf(0.025, 99) * math.sqrt(v)
    assert found == pytest.approx((theta, theta - half, theta + half, math.sqrt(v)), rel=1e-9)
    part = a.copy()
    part[2:] = np.nan
    part[1, folds[1] == 4] = np.nan
    assert interval(part, folds).estimate == pytest.approx(a[0].mean())  # the second repeat is not complete
    part[0, folds[0] >= 3] = np.nan
    assert interval(part, folds).estimate == pytest.approx(a[0, folds[0] < 3].mean())
    part[0, folds[0] == 0] = np.nan  # folds may finish in any order
    assert interval(part, folds).estimate == pytest.approx(a[0, np.isin(folds[0], [1, 2])].mean())
    assert interval(a[0], folds[0]).estimate == pytest.approx(a[0].mean())
    with pytest.raises(VerdictError, match="at least one finished fold"):
        interval(a * np.nan, folds)


def test_interval_covers_the_mean():
    covered = [(i := interval(*[x for j, x in enumerate(made(seed, n=150)) if j != 1]))[1] < 1.4 < i[2] for seed in range(200)]
    assert np.mean(covered) > 0.94


# ── bad input ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_bad_input_is_told():
    a, b, folds = made(0)
    with pytest.raises(VerdictError, match="must have one shape"):
        compare(a, b[:, :-1], folds)
    hole = b.copy()
    hole[1, 7] = np.nan
    with pytest.raises(VerdictError, match="got nan for row 7 of repeat 2"):
        compare(a, hole, folds)
    with pytest.raises(VerdictError, match="n_splits must be at least 2; got 1"):
        compare(a, b, folds * 0)
    with pytest.raises(VerdictError, match="groups must have one entry a row, 100; got 99"):
        compare(a, b, folds, groups=np.arange(99))
    with pytest.raises(VerdictError, match=r"alpha must be between 0 and 1; got 1\.5"):
        compare(a, b, folds, alpha=1.5)
    with pytest.raises(VerdictError, match="margin must be a number not below zero"):
        compare(a, b, folds, margin=-1.0)
    with pytest.raises(VerdictError, match="level must be between 0 and 1"):
        Judge(K, 5).judge(a, b, folds, (5, 5), level=0.0)
    with pytest.raises(VerdictError, match="must have 6 repeats; got 5"):
        Judge(K, 6).judge(a, b, folds, (6, 5))
    missing = folds.copy()
    missing[1, 3] = -1
    with pytest.raises(VerdictError, match="same rows in every repeat"):
        Judge(K, 5).judge(a, b, missing, (5, 5))
    with pytest.raises(VerdictError, match="fold 3 of repeat 1 must score a row"):
        Judge(K, 5).judge(a, b, np.where(folds == 2, 1, folds), (1, 5))


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def japanese():
    use_language("ja")
    yield
    use_language("en")


def sentences():
    """One judgement of every kind."""
    found = {}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        a, b, folds = made(seed, effect=float(rng.choice([0, 0.05, -0.05])), model_noise=float(rng.choice([0, 0.1])))
        said = run(Judge(K, 5, margin=float(rng.choice([0.01, 0.06, 0.5]))), a, b, folds, float(rng.choice([0, 0.02])))
        found[said.outcome, said.reason, said.small] = said
        found[said.outcome, "budget", said.small] = Judge(K, 5).judge(a, b, folds, (1, 2)).out_of_budget()
    a, b, folds = made(0, n=40)
    found["tiny"] = run(Judge(K, 5), a, b, folds)
    found["identical"] = run(Judge(K, 5), a, a, folds)
    return found


def test_sentences_say_what_is_meant():
    found = sentences()
    for said in found.values():
        assert said.sentence()[0].isupper()
        assert said.sentence().endswith((".", "!"))
        assert said.outcome.sentence()
    assert "fewer than 50 rows" in found["tiny"].sentence()
    assert "Only 40 rows" in found["tiny"].caution()
    assert (
        found["identical"].sentence()
        == "No difference: the predictions are the same in every row, so the idea changes nothing here."
    )
    helps = next(said for said in found.values() if said.outcome is Outcome.helps)
    assert helps.sentence().startswith("Helps: the loss falls by ")


def test_sentences_in_japanese(japanese):
    for said in sentences().values():
        assert any("ぁ" <= letter <= "ん" for letter in said.sentence())
        assert "{" not in said.sentence()
    assert "違いなし" in Outcome.no_difference.sentence()


# ── how often it is wrong (a small part of bench/calibration.py) ────────────────────────────────────────────────────────────


def share_of(word, idea, n_datasets, learner="lr", n=200):
    hits = []
    for seed in range(n_datasets):
        data = planted.make_comparison(learner, n, idea, seed)
        data.train_to(1)
        again = data.reseeded()["log_loss"]
        noise = seed_variance(data.a["log_loss"], again, data.fold_of)
        judge = Judge(K, 5)
        for look in judge.looks():
            data.train_to(look.repeat)
            said = judge.judge(data.a["log_loss"], data.b["log_loss"], data.fold_of, look, seed_variance=noise)
            if said.final:
                break
        hits.append(said.outcome.value in word)
    return float(np.mean(hits))


def test_a_useless_idea_rarely_helps_or_hurts():
    assert share_of(("helps", "hurts"), "feature_swap", 200) <= 0.09


def test_a_clear_gain_is_found():
    assert share_of(("helps",), "clear", 200) >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("learner", ["lr", "net"])
@pytest.mark.parametrize("idea", planted.NULLS)
def test_nulls_stay_under_five_percent(learner, idea):
    assert share_of(("helps", "hurts"), idea, 600, learner) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 600)
