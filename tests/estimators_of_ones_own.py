"""Estimators as a user has them in a module of their own."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler


class Plain:
    """Looks like an estimator, and says nothing of itself: the share of each class in training, whatever the row."""

    def __init__(self, power=1.0):
        self.power = power

    def fit(self, x, y):
        self.shares = np.bincount(y) / len(y)
        return self

    def predict(self, x):
        return np.full(len(x), self.shares.argmax())

    def predict_proba(self, x):
        return np.tile(self.shares**self.power / (self.shares**self.power).sum(), (len(x), 1))


class Noisy(ClassifierMixin, BaseEstimator):
    """Draws from the global random state, as careless code has it."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        self.weight_ = np.random.normal(size=x.shape[1])  # noqa: NPY002
        return self

    def predict_proba(self, x):
        p = 1 / (1 + np.exp(-x @ self.weight_))
        return np.stack([1 - p, p], axis=1)

    def predict(self, x):
        return self.predict_proba(x).argmax(axis=1)


class Peeping(LogisticRegression):
    """Tells what it was fitted on."""

    seen: list = []  # noqa: RUF012

    def fit(self, x, y, sample_weight=None):
        self.seen.append((x.copy(), y.copy(), sample_weight))
        return super().fit(x, y, sample_weight)


class Diverging(Plain):
    """Answers with what is no number, or with one column too many."""

    def predict_proba(self, x):
        if self.power == 2:
            return np.zeros((len(x), 3))
        return np.full((len(x), 2), np.nan)


def squared(x):
    return x**2


def make_squares(c=1.0):
    return make_pipeline(FunctionTransformer(squared), StandardScaler(), LogisticRegression(C=c))


def make_lambda():
    return make_pipeline(FunctionTransformer(lambda x: x), LogisticRegression())


A_NUMBER = 3
