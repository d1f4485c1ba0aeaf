"""Losses against references, between frameworks, and by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax as scipy_log_softmax
from sklearn.metrics import log_loss

from tamesu.losses import (
    LOSSES,
    binary_cross_entropy,
    cross_entropy,
    sigmoid,
    squared_distance,
    squared_error,
    squared_point_distance,
)

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
N, K = 12, 4
RAW = {"label": RNG.normal(size=(N, K)) * 3, "labels": RNG.normal(size=(N, K)) * 3, "number": RNG.normal(size=(N, 1))}
RAW |= {"direction": RAW["label"], "angle": RNG.normal(size=(N, 2)), "vector": RNG.normal(size=(N, 3))}
RAW["points"] = RNG.normal(size=(N, 2 * K))
ENCODED = {
    "label": RNG.integers(0, K, N),
    "labels": RNG.integers(0, 2, (N, K)).astype(float),
    "number": RNG.normal(size=N),
    "angle": RNG.normal(size=(N, 2)),
    "vector": RNG.normal(size=(N, 3)),
    "points": RNG.normal(size=(N, K, 2)),
}
ENCODED["direction"] = ENCODED["label"]
ENCODED["points"][:, 1:][RNG.random((N, K - 1)) < 0.4] = np.nan  # not seen
WEIGHT = np.where(np.arange(N) % 3 == 0, 0.0, 1.0)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_numpy_and_torch_agree(kind, smoothing):
    given = RAW[kind], ENCODED[kind], WEIGHT
    ours = LOSSES[kind](*given, np, label_smoothing=smoothing)
    theirs = LOSSES[kind](*map(torch.from_numpy, given), torch, label_smoothing=smoothing)
    assert ours.shape == (N,)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradients_by_finite_differences(kind, smoothing):
    raw = torch.tensor(RAW[kind], requires_grad=True)
    encoded, weight = torch.from_numpy(ENCODED[kind]), torch.from_numpy(WEIGHT)
    assert torch.autograd.gradcheck(lambda x: LOSSES[kind](x, encoded, weight, torch, label_smoothing=smoothing), raw)


@pytest.mark.parametrize("kind", LOSSES)
def test_padding_weighs_nothing(kind):
    value = LOSSES[kind](RAW[kind], ENCODED[kind], WEIGHT, np)
    assert (value[WEIGHT == 0] == 0).all()
    assert (value[WEIGHT > 0] > 0).all()
    poisoned = RAW[kind].copy()
    poisoned[WEIGHT == 0] = 1e6
    np.testing.assert_array_equal(LOSSES[kind](poisoned, ENCODED[kind], WEIGHT, np), value)


def test_cross_entropy_is_log_loss():
    probability = np.exp(scipy_log_softmax(RAW["label"], axis=1))
    ours = cross_entropy(RAW["label"], ENCODED["label"], np.ones(N), np).mean()
    assert ours == pytest.approx(log_loss(ENCODED["label"], probability, labels=range(K)))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_pytorchs(smoothing):
    ours = cross_entropy(RAW["label"], ENCODED["label"], np.ones(N), np, label_smoothing=smoothing)
    logits, codes = torch.from_numpy(RAW["label"]), torch.from_numpy(ENCODED["label"])
    theirs = torch.nn.functional.cross_entropy(logits, codes, label_smoothing=smoothing, reduction="none")
    np.testing.assert_allclose(ours, theirs)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_cross_entropy_is_pytorchs_and_does_not_overflow(smoothing):
    ours = binary_cross_entropy(RAW["labels"], ENCODED["labels"], np.ones(N), np, label_smoothing=smoothing)
    smooth = np.where(ENCODED["labels"] == 1, 1 - smoothing / 2, smoothing / 2)
    logits, wanted = torch.from_numpy(RAW["labels"]), torch.from_numpy(smooth)
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(1)
    np.testing.assert_allclose(ours, theirs)
    extreme = np.array([[1e4, -1e4]])
    assert binary_cross_entropy(extreme, np.array([[1.0, 0.0]]), np.ones(1), np) == 0
    assert sigmoid(extreme, np).tolist() == [[1, 0]]


def test_squared_error_is_that():
    np.testing.assert_allclose(squared_error(np.array([[3.0]]), np.array([1.0]), np.array([0.5]), np), [2.0])


def test_points_that_are_not_seen_weigh_nothing():
    wanted = np.array([[[1.0, 2.0], [np.nan, np.nan]], [[0.0, 0.0], [1.0, 1.0]], [[np.nan] * 2] * 2])
    raw = np.array([[4.0, 6.0, 9.0, 9.0], [0.0, 0.0, 1.0, 3.0], [7.0, 7.0, 7.0, 7.0]])
    np.testing.assert_array_equal(squared_point_distance(raw, wanted, np.ones(3), np), [25, 2, 0])
    slope = torch.tensor(raw, requires_grad=True)
    squared_point_distance(slope, torch.from_numpy(wanted), torch.ones(3), torch).sum().backward()
    np.testing.assert_array_equal(slope.grad, [[6, 8, 0, 0], [0, 0, 0, 2], [0, 0, 0, 0]])


def test_the_distance_of_unit_vectors_is_one_minus_the_cosine_twice():
    a, b = RNG.uniform(-3, 3, (2, N))
    raw, wanted = (np.stack([np.cos(one), np.sin(one)], axis=1) for one in (a, b))
    np.testing.assert_allclose(squared_distance(raw, wanted, np.ones(N), np), 2 * (1 - np.cos(a - b)))
