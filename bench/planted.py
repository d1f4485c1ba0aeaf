"""Comparisons whose truth is known: made data, quick learners that train many folds at once, and ideas that do nothing.

IDEAS: what baseline and idea see
  seed           the same columns, other seeds                      truth 0
  noise_swap     four noise columns against four others             truth 0 by symmetry
  feature_swap   one of two equally good columns against the other  truth 0 by symmetry
  small, clear   a column that helps a little, or much
  harm           fifteen columns of noise more
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_FRESH = 1000  # rows from the same source, for the true gain
CORE, TWIN_1, TWIN_2, NOISE_1, NOISE_2 = [0, 1, 2, 3], [4], [5], [6, 7, 8, 9], [10, 11, 12, 13]
WEAK, STRONG, JUNK = [14], [15], list(range(16, 31))
IDEAS = {
    "seed": (CORE, CORE),
    "noise_swap": (CORE + NOISE_1, CORE + NOISE_2),
    "feature_swap": (CORE + TWIN_1, CORE + TWIN_2),
    "small": (CORE, CORE + WEAK),
    "clear": (CORE, CORE + STRONG),
    "harm": (CORE, CORE + JUNK),
}
NULLS = ("seed", "noise_swap", "feature_swap")
CLIP = 1e-3  # of probabilities: a forest's 0 would make the log loss infinite

Learner = Callable[[NDArray, NDArray, NDArray, NDArray], NDArray]  # x (n, p), y (n,), train (s, n) bool, seeds (s,) -> (s, n)


def draw(n: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns x (n, 31) and labels y (n,) 0/1."""
    x = rng.normal(size=(n, 31))
    shared = rng.normal(size=n)  # what both twins measure, each with its own error
    x[:, 4] = shared + 0.7 * x[:, 4]
    x[:, 5] = shared + 0.7 * x[:, 5]
    logit = 1.2 * x[:, 0] + 0.8 * x[:, 1] + 0.8 * x[:, 2] * x[:, 3] + 0.9 * shared + 0.6 * x[:, 14] + 1.6 * x[:, 15]
    return x, (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)


def stratified_folds(y: NDArray[np.float64], n_splits: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(n,) fold of each row; classes shared out evenly."""
    order = np.lexsort((rng.random(len(y)), y))
    fold_of = np.empty(len(y), dtype=np.int64)
    fold_of[order] = np.arange(len(y)) % n_splits
    return fold_of


def logistic(x: NDArray, y: NDArray, train: NDArray, seeds: NDArray, ridge: float = 1.0) -> NDArray:
    """Ridge logistic regression of all splits at once, by Newton steps; needs no seed."""
    design = np.column_stack([np.ones(len(x)), x])  # (n, p)
    p = design.shape[1]
    products = (design[:, :, None] * design[:, None, :]).reshape(len(x), p * p)
    penalty = np.diag([1e-6] + [ridge] * (p - 1))
    w = np.zeros((len(train), p))
    mask = train.astype(float)
    for _ in range(7):
        probability = 1 / (1 + np.exp(-np.clip(w @ design.T, -30, 30)))  # (s, n)
        gradient = (mask * (y - probability)) @ design - w @ penalty
        curvature = (mask * probability * (1 - probability)) @ products
        w += np.linalg.solve(curvature.reshape(-1, p, p) + penalty, gradient[..., None])[..., 0]
    return 1 / (1 + np.exp(-np.clip(w @ design.T, -30, 30)))


def small_net(x: NDArray, y: NDArray, train: NDArray, seeds: NDArray, hidden: int = 12, steps: int = 50) -> NDArray:
    """One hidden layer, full-batch Adam, all splits at once; its start depends on the seed."""
    inputs, labels, n_splits, p = x.astype(np.float32), y.astype(np.float32), len(train), x.shape[1]
    starts = [np.random.default_rng(int(seed)) for seed in seeds]
    theta = [
        np.stack([r.normal(0, p**-0.5, size=(p, hidden)) for r in starts]).astype(np.float32),
        np.zeros((n_splits, 1, hidden), np.float32),
        np.stack([r.normal(0, hidden**-0.5, size=(hidden, 1)) for r in starts]).astype(np.float32),
        np.zeros((n_splits, 1, 1), np.float32),
    ]
    weight = (train / train.sum(axis=1, keepdims=True)).astype(np.float32)[..., None]  # (s, n, 1)
    first, second = [np.zeros_like(t) for t in theta], [np.zeros_like(t) for t in theta]
    for step in range(1, steps + 1):
        active, output = _forward(inputs, theta)
        error = weight * (output - labels[:, None])
        back = (error * theta[2].transpose(0, 2, 1)) * (1 - active**2)
        gradients = [
            inputs.T @ back + 1e-2 * theta[0],
            back.sum(axis=1, keepdims=True),
            active.transpose(0, 2, 1) @ error + 1e-2 * theta[2],
            error.sum(axis=1, keepdims=True),
        ]
        for i, gradient in enumerate(gradients):
            first[i] = 0.9 * first[i] + 0.1 * gradient
            second[i] = 0.99 * second[i] + 0.01 * gradient**2
            theta[i] -= 0.05 * (first[i] / (1 - 0.9**step)) / (np.sqrt(second[i] / (1 - 0.99**step)) + 1e-6)
    return _forward(inputs, theta)[1][..., 0].astype(float)


def _forward(inputs: NDArray, theta: list[NDArray]) -> tuple[NDArray, NDArray]:
    active = np.tanh(inputs @ theta[0] + theta[1])
    return active, 1 / (1 + np.exp(-(active @ theta[2] + theta[3])))


def forest(x: NDArray, y: NDArray, train: NDArray, seeds: NDArray) -> NDArray:
    """20 trees with at least 3 rows in a leaf."""
    from sklearn.ensemble import RandomForestClassifier

    out = []
    for rows, seed in zip(train, seeds, strict=True):
        model = RandomForestClassifier(n_estimators=20, min_samples_leaf=3, random_state=int(seed) % 2**32, n_jobs=1)
        out.append(model.fit(x[rows], y[rows]).predict_proba(x)[:, 1])
    return np.stack(out)


def neighbours(x: NDArray, y: NDArray, train: NDArray, seeds: NDArray, k: int = 15) -> NDArray:
    """The 15 nearest training rows; a single row sways many predictions, which is what makes it hard to judge."""
    squares = (x**2).sum(axis=1)
    distance = squares[:, None] + squares[None, :] - 2 * x @ x.T
    out = []
    for rows in train:
        known = np.flatnonzero(rows)
        nearest = known[np.argpartition(distance[:, known], k, axis=1)[:, :k]]
        out.append((y[nearest].sum(axis=1) + 0.5) / (k + 1))
    return np.stack(out)


LEARNERS: dict[str, Learner] = {"lr": logistic, "net": small_net, "forest": forest, "knn": neighbours}


def row_losses(y: NDArray, probability: NDArray) -> dict[str, NDArray[np.float64]]:
    """Per-row losses by metric; lower is better."""
    p = np.clip(probability, CLIP, 1 - CLIP)
    return {
        "log_loss": -(y * np.log(p) + (1 - y) * np.log(1 - p)),
        "accuracy": ((probability > 0.5) != (y > 0.5)).astype(float),
    }


@dataclass
class Comparison:
    """Baseline and idea on one data set; repeats are trained when they are asked for."""

    learner: str
    x: NDArray  # the data set's rows, then fresh ones
    y: NDArray
    n: int
    columns: tuple[list[int], list[int]]
    same_seed: bool
    rng: np.random.Generator
    n_splits: int = 5
    max_repeats: int = 5

    def __post_init__(self) -> None:
        shape = (self.max_repeats, self.n)
        self.fold_of = np.full(shape, -1, dtype=np.int64)
        self.a = {metric: np.full(shape, np.nan) for metric in ("log_loss", "accuracy")}
        self.b = {metric: np.full(shape, np.nan) for metric in ("log_loss", "accuracy")}
        self.true_gain = dict.fromkeys(self.a, np.nan)  # of one fold's two models, on fresh rows
        self.n_repeats = 0

    def train_to(self, repeat: int) -> None:
        """Fill in all repeats up to `repeat`."""
        while self.n_repeats < repeat:
            r = self.n_repeats
            self.fold_of[r] = stratified_folds(self.y[: self.n], self.n_splits, self.rng)
            seeds = self.rng.integers(2**31, size=(2, self.n_splits))
            a = self._losses(self.columns[0], r, seeds[0])
            b = self._losses(self.columns[1], r, seeds[0] if self.same_seed else seeds[1])
            for metric in self.a:
                self.a[metric][r], self.b[metric][r] = a[metric][0], b[metric][0]
                if r == 0:
                    self.true_gain[metric] = a[metric][1] - b[metric][1]
            self.n_repeats += 1

    def reseeded(self) -> dict[str, NDArray[np.float64]]:
        """Losses of the baseline in the first repeat with other seeds."""
        return {m: v[0] for m, v in self._losses(self.columns[0], 0, self.rng.integers(2**31, size=self.n_splits)).items()}

    def _losses(self, columns: list[int], r: int, seeds: NDArray) -> dict[str, tuple[NDArray, float]]:
        """By metric: (n,) out-of-fold losses of repeat r, and the mean loss on fresh rows of the first fold's model."""
        train = np.zeros((self.n_splits, len(self.y)), dtype=bool)
        train[:, : self.n] = self.fold_of[r] != np.arange(self.n_splits)[:, None]
        probability = LEARNERS[self.learner](self.x[:, columns], self.y, train, seeds)
        losses = row_losses(self.y, probability)
        own = (self.fold_of[r], np.arange(self.n))
        return {
            metric: (loss[own], float(loss[0, self.n :].mean()) if len(self.y) > self.n else 0.0)
            for metric, loss in losses.items()
        }


def make_comparison(learner: str, n: int, idea: str, seed: int, *, n_splits: int = 5, max_repeats: int = 5) -> Comparison:
    """One data set of n rows and one idea, a pure function of the arguments."""
    rng = np.random.default_rng([seed, n, sorted(LEARNERS).index(learner), list(IDEAS).index(idea)])
    x, y = draw(n + (0 if idea in NULLS else N_FRESH), rng)
    return Comparison(learner, x, y, n, IDEAS[idea], idea != "seed", rng, n_splits, max_repeats)
