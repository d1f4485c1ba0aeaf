"""Losses against references, between frameworks, and by finite differences."""

from __future__ import annotations

import os
import tempfile

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import log_softmax as scipy_log_softmax
from scipy.stats import norm
from sklearn.metrics import log_loss

os.environ["KERAS_BACKEND"] = "torch"  # before it is imported; TensorFlow and JAX need not be there
os.environ.setdefault("KERAS_HOME", tempfile.gettempdir())

from tamesu.losses import (
    LOSSES,
    binary_cross_entropy,
    binary_focal,
    conservation,
    cross_entropy,
    crps,
    dice,
    distance,
    edge_aware_smoothness,
    focal,
    huber,
    imbalance,
    law_coefficients,
    log_sigmoid,
    mixed_loss,
    quantile_error,
    sigmoid,
    smooth_absolute_error,
    squared_distance,
    squared_error,
    squared_point_distance,
)

torch = pytest.importorskip("torch")
F = torch.nn.functional
RNG = np.random.default_rng(0)
N, K, T, H, W = 12, 4, 5, 6, 7
WEIGHT = np.where(np.arange(N) % 3 == 0, 0.0, 1.0)
ONES = np.ones(N)


def holes(values: np.ndarray, share: float = 0.3) -> np.ndarray:
    """Some values unknown: -1 of codes, NaN of numbers."""
    return np.where(RNG.random(values.shape) < share, -1 if values.dtype.kind == "i" else np.nan, values)


def codes(*shape: int) -> np.ndarray:
    return RNG.integers(0, K, shape)


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


CASES = {
    "label": (3 * numbers(N, K), codes(N)),
    "labels": (3 * numbers(N, K), RNG.integers(0, 2, (N, K)).astype(float)),
    "direction": (3 * numbers(N, K), codes(N)),
    "number": (numbers(N, 1), numbers(N)),
    "numbers": (numbers(N, K), holes(numbers(N, K))),
    "shares": (3 * numbers(N, K), RNG.dirichlet(np.ones(K), N)),
    "boxes": (numbers(N, K), holes(numbers(N, K))),
    "angle": (numbers(N, 2), numbers(N, 2)),
    "vector": (numbers(N, 3), numbers(N, 3)),
    "points": (numbers(N, 2 * K), numbers(N, K, 2)),
    "steps": (3 * numbers(N, T, K), holes(codes(N, T))),
    "events": (3 * numbers(N, T, K), holes(RNG.random((N, T, K)))),
    "mask": (3 * numbers(N, H, W, K), holes(codes(N, H, W))),
    "depth": (numbers(N, H, W, 1), holes(numbers(N, H, W))),
    "derived": (numbers(N, K), holes(numbers(N, K))),
}
CASES["points"][1][:, 1:][RNG.random((N, K - 1)) < 0.4] = np.nan  # not seen
LOG_SPREAD = numbers(N, 1)
OPTIONS = {
    "cross_entropy": {"label_smoothing": 0.1},
    "focal": {"gamma": 1.5, "label_smoothing": 0.1},
    "cross_entropy_dice": {"label_smoothing": 0.1},
    "huber": {"delta": 0.4},
    "quantile": {"quantile": 0.9},
    "l1_smooth": {"smooth": 0.7},
}
WEIGHTS = (0.5, 2.0, 1.0, 3.0)
EACH = [(kind, name, {}) for kind in LOSSES for name in LOSSES[kind]]
EACH += [(kind, name, OPTIONS[name]) for kind, name, _ in EACH if name in OPTIONS]
EACH += [(kind, name, {"class_weights": WEIGHTS}) for kind in ("label", "steps") for name in ("cross_entropy", "focal")]
EACH += [("labels", name, {"class_weights": (WEIGHTS, WEIGHTS[::-1])}) for name in ("cross_entropy", "focal")]
each_loss = pytest.mark.parametrize(("kind", "name", "options"), EACH, ids=lambda one: str(one))


def case(kind: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """What the loss takes; crps has a log spread beside the mean."""
    raw, encoded = CASES[kind]
    return (np.concatenate([raw, LOG_SPREAD], axis=1) if name == "crps" else raw), encoded


def test_every_kind_has_a_case():
    assert set(CASES) == set(LOSSES)


@each_loss
def test_numpy_torch_and_keras_agree(kind, name, options):
    keras = pytest.importorskip("keras")
    loss, given = LOSSES[kind][name], (*case(kind, name), WEIGHT)
    ours = loss(*given, np, **options)
    theirs = loss(*map(torch.from_numpy, given), torch, **options)
    keras_given = (keras.ops.convert_to_tensor(one, dtype=str(one.dtype)) for one in given)
    kerass = loss(*keras_given, keras.ops, **options)
    assert ours.shape == theirs.shape == tuple(kerass.shape) == (N,)
    assert ours.dtype == np.float64
    assert theirs.dtype == torch.float64
    np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(kerass), ours, rtol=1e-5, atol=1e-12)


@each_loss
def test_gradients_by_finite_differences(kind, name, options):
    raw, encoded = case(kind, name)
    rows = slice(1, 4)
    given = torch.tensor(raw[rows], requires_grad=True)
    encoded, weight = torch.from_numpy(encoded[rows]), torch.from_numpy(WEIGHT[rows])
    assert torch.autograd.gradcheck(lambda x: LOSSES[kind][name](x, encoded, weight, torch, **options), given)


@each_loss
def test_a_weight_of_0_is_like_not_being_there(kind, name, options):
    loss, (raw, encoded) = LOSSES[kind][name], case(kind, name)
    there = WEIGHT > 0
    value = loss(raw, encoded, WEIGHT, np, **options)
    assert (value[~there] == 0).all()
    assert (value[there] > 0).all()
    np.testing.assert_allclose(value[there], loss(raw[there], encoded[there], WEIGHT[there], np, **options), rtol=1e-12)
    poisoned = np.where(there.reshape(-1, *(1,) * (raw.ndim - 1)), raw, 1e6)
    np.testing.assert_array_equal(loss(poisoned, encoded, WEIGHT, np, **options), value)
    given = torch.tensor(raw, requires_grad=True)
    loss(given, torch.from_numpy(encoded), torch.from_numpy(WEIGHT), torch, **options).sum().backward()
    assert (given.grad[~there] == 0).all()


@each_loss
def test_nothing_overflows(kind, name, options):
    raw, encoded = case(kind, name)
    held = torch.from_numpy(encoded if encoded.dtype.kind == "i" else encoded.astype(np.float32))
    for far in (1e4, -1e4):
        some = np.random.default_rng(1).random(raw.shape) < 0.5
        extreme = torch.tensor(np.where(some, far, raw), dtype=torch.float32, requires_grad=True)
        value = LOSSES[kind][name](extreme, held, torch.ones(N), torch, **options)
        value.sum().backward()
        assert torch.isfinite(value).all()
        assert torch.isfinite(extreme.grad).all()


@each_loss
def test_what_is_unknown_costs_and_teaches_nothing(kind, name, options):
    raw, encoded = case(kind, name)
    unknown = np.full_like(encoded, -1 if encoded.dtype.kind == "i" else np.nan)
    given = torch.tensor(raw, requires_grad=True)
    value = LOSSES[kind][name](given, torch.from_numpy(unknown), torch.ones(N), torch, **options)
    value.sum().backward()
    if name == "l1_smooth":  # to be smooth needs no truth
        assert torch.isfinite(value).all()
        return
    assert (value == 0).all()
    assert (given.grad == 0).all()


@pytest.mark.parametrize("kind", ["steps", "events", "mask", "depth", "numbers"])
def test_a_row_is_the_mean_over_what_is_known_of_it(kind):
    raw, encoded = CASES[kind]
    name = {"mask": "focal", "depth": "l1"}.get(kind, next(iter(LOSSES[kind])))
    value = LOSSES[kind][name](raw, encoded, ONES, np)
    for i in range(3):
        known = encoded[i] >= 0 if encoded.dtype.kind == "i" else ~np.isnan(encoded[i])
        if kind in ("events", "numbers"):
            alone, held = raw[i][known][:, None], encoded[i][known][:, None]
        else:
            alone, held = raw[i][known], encoded[i][known]
        np.testing.assert_allclose(value[i], LOSSES[kind][name](alone, held, np.ones(len(held)), np).mean())


def test_cross_entropy_is_log_loss():
    raw, encoded = CASES["label"]
    probability = np.exp(scipy_log_softmax(raw, axis=1))
    ours = cross_entropy(raw, encoded, ONES, np).mean()
    assert ours == pytest.approx(log_loss(encoded, probability, labels=range(K)))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropy_is_pytorchs(smoothing, weights):
    raw, encoded = CASES["label"]
    ours = cross_entropy(raw, encoded, ONES, np, label_smoothing=smoothing, class_weights=weights)
    given = {"weight": None if weights is None else torch.tensor(weights, dtype=torch.float64)}
    logits, held = torch.from_numpy(raw), torch.from_numpy(encoded)
    theirs = F.cross_entropy(logits, held, label_smoothing=smoothing, reduction="none", **given)
    np.testing.assert_allclose(ours, theirs)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_cross_entropy_is_pytorchs_and_does_not_overflow(smoothing):
    raw, encoded = CASES["labels"]
    ours = binary_cross_entropy(raw, encoded, ONES, np, label_smoothing=smoothing)
    smooth = np.where(encoded == 1, 1 - smoothing / 2, smoothing / 2)
    logits, wanted = torch.from_numpy(raw), torch.from_numpy(smooth)
    theirs = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(1)
    np.testing.assert_allclose(ours, theirs)
    extreme = np.array([[1e4, -1e4]])
    assert binary_cross_entropy(extreme, np.array([[1.0, 0.0]]), np.ones(1), np) == 0
    assert sigmoid(extreme, np).tolist() == [[1, 0]]
    assert log_sigmoid(extreme, np).tolist() == [[0, -1e4]]


def test_weights_of_classes_that_may_be_there_together_are_pytorchs():
    raw, encoded = CASES["labels"]
    ours = binary_cross_entropy(raw, encoded, ONES, np, class_weights=(WEIGHTS, (1.0,) * K))
    there = torch.tensor(WEIGHTS, dtype=torch.float64)
    logits, wanted = torch.from_numpy(raw), torch.from_numpy(encoded)
    theirs = F.binary_cross_entropy_with_logits(logits, wanted, pos_weight=there, reduction="none").mean(1)
    np.testing.assert_allclose(ours, theirs)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_focal_is_its_formula_and_cross_entropy_where_gamma_is_0(smoothing):
    raw, encoded = CASES["label"]
    p = np.exp(scipy_log_softmax(raw, axis=1))[np.arange(N), encoded]
    np.testing.assert_allclose(focal(raw, encoded, ONES, np), -((1 - p) ** 2) * np.log(p))
    given = {"label_smoothing": smoothing}
    np.testing.assert_allclose(focal(raw, encoded, ONES, np, gamma=0, **given), cross_entropy(raw, encoded, ONES, np, **given))
    raw, encoded = CASES["labels"]
    np.testing.assert_allclose(
        binary_focal(raw, encoded, ONES, np, gamma=0, **given), binary_cross_entropy(raw, encoded, ONES, np, **given)
    )


def test_squared_error_and_huber_are_that():
    np.testing.assert_allclose(squared_error(np.array([[3.0]]), np.array([1.0]), np.array([0.5]), np), [2.0])
    raw, encoded = CASES["number"]
    theirs = F.huber_loss(torch.from_numpy(raw[:, 0]), torch.from_numpy(encoded), reduction="none", delta=0.3)
    np.testing.assert_allclose(huber(raw, encoded, ONES, np, delta=0.3), theirs)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.8])
def test_the_quantile_is_what_costs_least(quantile):
    values = numbers(2001)
    tried = np.linspace(-2, 2, 401)
    costs = [quantile_error(np.full((2001, 1), one), values, np.ones(2001), np, quantile=quantile).mean() for one in tried]
    assert tried[np.argmin(costs)] == pytest.approx(np.quantile(values, quantile), abs=0.011)


@pytest.mark.parametrize(("mean", "spread", "truth"), [(0.0, 1.0, 0.3), (2.0, 0.2, -1.0), (-1.0, 3.0, -1.0)])
def test_crps_is_the_squared_distance_of_the_curve_from_the_step(mean, spread, truth):
    def squared(x: float) -> float:
        return float((norm.cdf(x, mean, spread) - (x >= truth)) ** 2)

    whole = quad(squared, -40, truth, limit=500)[0] + quad(squared, truth, 40, limit=500)[0]
    ours = crps(np.array([[mean, np.log(spread)]]), np.array([truth]), np.ones(1), np)
    np.testing.assert_allclose(ours, whole, rtol=1e-6)


def test_crps_costs_least_for_the_true_mean_and_spread():
    values = 0.5 + 0.7 * norm.ppf((np.arange(4000) + 0.5) / 4000)

    def cost(mean: float, spread: float) -> float:
        raw = np.tile([mean, np.log(spread)], (4000, 1))
        return float(crps(raw, values, np.ones(4000), np).mean())

    best = cost(0.5, 0.7)
    assert all(best < cost(*other) for other in ((0.6, 0.7), (0.4, 0.7), (0.5, 0.8), (0.5, 0.6)))


def test_dice_by_hand():
    held = np.array([[0, 0, 1, -1]])
    right = np.array([[[9e3, 0], [9e3, 0], [0, 9e3], [0, 9e3]]])
    assert dice(right, held, np.ones(1), np) == pytest.approx(0)
    wrong = right[:, :, ::-1]  # overlap 0; of both classes 3 predicted or there, and 1 added
    assert dice(wrong, held, np.ones(1), np) == pytest.approx(1 - 1 / 4)
    half = np.array([[[9e3, 0], [0, 9e3], [0, 9e3], [0, 9e3]]])
    assert dice(half, held, np.ones(1), np) == pytest.approx(1 - ((2 + 1) / (1 + 2 + 1) + (2 + 1) / (2 + 1 + 1)) / 2)


def test_points_that_are_not_seen_weigh_nothing():
    wanted = np.array([[[1.0, 2.0], [np.nan, np.nan]], [[0.0, 0.0], [1.0, 1.0]], [[np.nan] * 2] * 2])
    raw = np.array([[4.0, 6.0, 9.0, 9.0], [0.0, 0.0, 1.0, 3.0], [7.0, 7.0, 7.0, 7.0]])
    np.testing.assert_array_equal(squared_point_distance(raw, wanted, np.ones(3), np), [25, 2, 0])
    np.testing.assert_array_equal(LOSSES["points"]["l1"](raw, wanted, np.ones(3), np), [5, 1, 0])
    slope = torch.tensor(raw, requires_grad=True)
    squared_point_distance(slope, torch.from_numpy(wanted), torch.ones(3), torch).sum().backward()
    np.testing.assert_array_equal(slope.grad, [[6, 8, 0, 0], [0, 0, 0, 2], [0, 0, 0, 0]])


def test_the_distance_of_unit_vectors_is_one_minus_the_cosine_twice():
    a, b = RNG.uniform(-3, 3, (2, N))
    raw, wanted = (np.stack([np.cos(one), np.sin(one)], axis=1) for one in (a, b))
    np.testing.assert_allclose(squared_distance(raw, wanted, ONES, np), 2 * (1 - np.cos(a - b)))


@pytest.mark.parametrize("name", ["l1", "l2", "huber"])
def test_losses_of_arrows_are_the_same_however_the_picture_is_rotated(name):
    raw, wanted = CASES["angle"]
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    loss = LOSSES["vector"][name]
    np.testing.assert_allclose(loss(raw @ turn, wanted @ turn, ONES, np), loss(raw, wanted, ONES, np))


def test_a_distance_of_0_has_a_slope_of_0():
    raw = torch.zeros((2, 3), requires_grad=True)
    distance(raw, torch.zeros(2, 3), torch.ones(2), torch).sum().backward()
    assert (raw.grad == 0).all()


def test_mixed_rows_cost_the_mean_of_both_truths():
    raw, encoded = CASES["label"]
    partner, share = np.roll(np.arange(N), 1), np.linspace(0, 1, N)
    mixed = mixed_loss(cross_entropy, raw, encoded, partner, share, ONES, np)
    other = cross_entropy(raw, encoded[partner], ONES, np)
    np.testing.assert_allclose(mixed, share * cross_entropy(raw, encoded, ONES, np) + (1 - share) * other)


# ---- maps


def smoothness(maps, guide, **options):
    return edge_aware_smoothness(maps, guide, np, **options)


def test_smoothness_is_the_published_formula():
    maps, guide = RNG.uniform(1, 5, (2, H, W)), RNG.random((2, H, W, 3))
    for of in ("depth", "inverse"):
        d = maps if of == "depth" else 1 / maps
        for i, each in enumerate(smoothness(maps, guide, of=of)):
            star = d[i] / d[i].mean()
            along_x = np.abs(np.diff(star, axis=1)) * np.exp(-np.abs(np.diff(guide[i], axis=1)).mean(axis=2))
            along_y = np.abs(np.diff(star, axis=0)) * np.exp(-np.abs(np.diff(guide[i], axis=0)).mean(axis=2))
            assert each == pytest.approx(along_x.mean() + along_y.mean())


def test_smoothness_forgives_changes_where_the_picture_changes():
    step = np.ones((1, H, W))
    step[:, :, 3:] = 2
    flat, edge = np.zeros((1, H, W, 1)), 10 * step[..., None]
    assert smoothness(np.ones((1, H, W)), flat) == 0
    assert smoothness(step, edge) < 1e-3 * smoothness(step, flat)


@pytest.mark.parametrize("of", ["depth", "inverse"])
def test_smoothness_leaves_out_what_is_not_valid(of):
    maps, guide = RNG.uniform(1, 5, (2, H, W)), RNG.random((2, H, W, 3))
    hole = np.zeros((2, H, W), dtype=bool)
    hole[:, 2:4, 2:4] = True
    holed = np.where(hole, np.nan, maps)
    value = smoothness(holed, guide, of=of)
    assert np.isfinite(value).all()
    np.testing.assert_allclose(smoothness(np.where(hole, 77.0, maps), guide, of=of, valid=~hole), value)
    assert (smoothness(np.full((2, H, W), np.nan), guide, of=of) == 0).all()
    np.testing.assert_allclose(smoothness(3 * maps, guide, of=of), smoothness(maps, guide, of=of))  # whatever the unit
    assert (smoothness(np.where(hole, np.nan, 3.0), guide, of=of) == 0).all()  # the rim of a hole is no change
    blind = np.where(hole[..., None], np.nan, 1.0) * np.ones((2, H, W, 3))  # no edge is known, so none is there
    np.testing.assert_allclose(smoothness(maps, blind, of=of), smoothness(maps, np.zeros((2, H, W, 1)), of=of))
    if of == "inverse":  # 0 is no reading
        np.testing.assert_allclose(smoothness(np.where(hole, 0.0, maps), guide), value)


def test_smoothness_agrees_between_frameworks_and_with_finite_differences():
    keras = pytest.importorskip("keras")
    maps, guide = holes(RNG.uniform(1, 5, (2, H, W)), 0.1), holes(RNG.random((2, H, W, 3)), 0.1)
    ours = smoothness(maps, guide)
    np.testing.assert_allclose(edge_aware_smoothness(torch.from_numpy(maps), torch.from_numpy(guide), torch), ours)
    given = (keras.ops.convert_to_tensor(one, dtype="float64") for one in (maps, guide))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(edge_aware_smoothness(*given, keras.ops)), ours, rtol=1e-5)
    slope = torch.tensor(np.nan_to_num(maps, nan=1.0), requires_grad=True)
    valid, picture = torch.from_numpy(~np.isnan(maps)), torch.from_numpy(guide)
    assert torch.autograd.gradcheck(lambda x: edge_aware_smoothness(x, picture, torch, valid=valid), slope)


def test_depth_is_trained_right_where_it_is_known_and_smooth_elsewhere():
    raw, encoded = CASES["depth"]
    plain = LOSSES["depth"]["l1"](raw, encoded, ONES, np)
    np.testing.assert_array_equal(smooth_absolute_error(raw, encoded, ONES, np, smooth=0.0), plain)
    rough = smooth_absolute_error(raw, encoded, ONES, np, smooth=1.0) - plain
    wanted = smoothness(raw[..., 0], encoded[..., None], of="depth", normalise=False)
    np.testing.assert_allclose(rough, wanted)


# ---- conservation


def test_a_law_is_kept_exactly_where_nothing_is_lost():
    law = law_coefficients(["shortwave", "latent"], ["longwave"], ["storage"])
    assert law == {"shortwave": 1, "latent": 1, "longwave": -1, "storage": -1}
    shortwave, latent, longwave = numbers(3, N)
    columns = {"shortwave": shortwave, "latent": latent, "longwave": longwave, "storage": shortwave + latent - longwave}
    np.testing.assert_allclose(conservation(columns, law, np), 0, atol=1e-12)
    columns["storage"] = columns["storage"] + 2
    np.testing.assert_allclose(imbalance(columns, law), -2)
    np.testing.assert_allclose(conservation(columns, law, np, unit=4.0), 0.25)
    columns["latent"] = np.where(WEIGHT > 0, latent, np.nan)
    assert (conservation(columns, law, np)[WEIGHT == 0] == 0).all()
    assert law_coefficients({"x": 2.0}, ["y"], ["x"]) == {"x": 1, "y": -1}


def test_the_penalty_agrees_between_frameworks_and_with_finite_differences():
    keras = pytest.importorskip("keras")
    law = law_coefficients({"a": 2.0}, ["b"])
    a, b = numbers(2, N)
    ours = conservation({"a": a, "b": b}, law, np)
    columns = {name: keras.ops.convert_to_tensor(one, dtype="float64") for name, one in (("a", a), ("b", b))}
    np.testing.assert_allclose(keras.ops.convert_to_numpy(conservation(columns, law, keras.ops)), ours, rtol=1e-5)
    given = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, y: conservation({"a": x, "b": y}, law, torch), given)
