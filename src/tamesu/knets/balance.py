"""Balanced groups of inputs, as `tamesu.nets.stem` has them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tamesu.config import InputGroup
from tamesu.knets.layers import Convolution, Tensor, learn
from tamesu.nets.plans import BALANCE_MOMENTUM, LEAST_VARIANCE, PIXELS_SEEN, groups_of, number_groups


class Balance(keras.layers.Layer):
    """The matrix that projects groups of inputs, each to its share of the variance; computed in float32.

    With room for all inputs each has a place of its own to begin with, and nothing but the groups' sizes changes; else each
    group is turned at random into all the places there are.
    """

    def __init__(self, group_of: Sequence[int], weights: Sequence[float], n_out: int):
        """Of inputs whose groups are `group_of`, numbered from 0; `weights` are those of the groups."""
        super().__init__(dtype="float32")
        n_in = len(group_of)
        members = np.eye(len(weights), dtype=np.float32)[list(group_of)]  # (n_in, groups)
        self.members, self.within = members, members @ members.T
        self.shares = np.asarray(weights, dtype=np.float32) / np.float32(sum(weights))
        start = np.eye(n_out, n_in, dtype=np.float32)
        for group in range(len(weights)) if n_out < n_in else ():
            own = members[:, group] > 0
            turned = keras.initializers.Orthogonal()((n_out, int(own.sum())))
            start[:, own] = ops.convert_to_numpy(turned)
        self.weight = self.add_weight(shape=start.shape, initializer=_values(start), name="weight")
        self.covariance = self._kept(np.eye(n_in, dtype=np.float32), "covariance")
        self.mean = self._kept(np.zeros(n_in, dtype=np.float32), "mean")
        self.n_batches = self._kept(np.zeros((), dtype=np.float32), "n_batches")
        self.built = True

    def _kept(self, start: np.ndarray, name: str) -> keras.Variable:
        return self.add_weight(shape=start.shape, initializer=_values(start), trainable=False, name=name)

    def call(self, rows: Tensor, there: Tensor, training: bool = False) -> Tensor:
        """What inputs are multiplied by; while training it looks at the rows first.

        Args:
            rows: (b, …, n_in)
            there: 1 for a row, 0 for padding.  (b,)
            training: Whether it looks.

        Returns:
            (n_out, n_in)
        """
        if training:
            self._look(ops.stop_gradient(rows), there)
        return self.matrix()

    def matrix(self) -> Tensor:
        """What inputs are multiplied by.  (n_out, n_in)"""
        least = LEAST_VARIANCE * np.eye(len(self.members), dtype=np.float32)
        within = ops.multiply(ops.add(self.covariance, least), self.within)  # nothing between groups
        of_input = ops.mean(ops.matmul(self.weight, within) * self.weight, axis=0)  # mean over what comes out
        of_group = ops.matmul(of_input[None], self.members)  # (1, groups)
        return self.weight * ops.matmul(ops.sqrt(ops.divide(self.shares, of_group)), self.members.T)

    def _look(self, rows: Tensor, there: Tensor) -> None:
        n_in = rows.shape[-1]
        places = math.prod(rows.shape[1:-1])
        weight = ops.repeat(there, places) if places > 1 else there
        weight, rows = weight[:, None], ops.reshape(rows, (-1, n_in))
        n = ops.sum(weight)
        some = ops.cast(n > 0, "float32")  # a batch without rows teaches nothing
        self.n_batches.assign(self.n_batches + some)
        share = some * ops.maximum(1 / ops.maximum(self.n_batches, 1.0), BALANCE_MOMENTUM)
        learn(self.mean, ops.sum(rows * weight, axis=0) / ops.maximum(n, 1.0), share)
        rows = (rows - self.mean) * weight
        learn(self.covariance, ops.matmul(ops.transpose(rows), rows) / ops.maximum(n, 1.0), share)


def _values(start: np.ndarray) -> Any:
    """An initializer that gives these."""
    return lambda shape, dtype=None: ops.convert_to_tensor(start, dtype=dtype)


class BalancedStem(keras.layers.Layer):
    """Channels of several groups to as many, each group with its share; comes before a backbone."""

    def __init__(self, balance: Balance):
        super().__init__(dtype="float32")
        self.balance = balance

    def call(self, joined: Tensor, there: Tensor, training: bool = False) -> Tensor:
        """(b, h, w, c) or (b, c) to the same."""
        matrix = self.balance(thinned(joined), there, training=training)
        return ops.matmul(joined, ops.transpose(matrix))


class BalancedConvolution(Convolution):
    """A convolution of balanced groups: as `BalancedStem` and then the convolution, for the price of the convolution."""

    def __init__(self, balance: Balance, in_channels: int, out_channels: int, stride: int):
        super().__init__(in_channels, out_channels, stride)
        self.balance = balance

    def kernel_for(self, x: Tensor, there: Tensor, training: bool) -> Tensor:
        """What these rows are convolved with.  (3, 3, c, c')"""
        matrix = self.balance(thinned(x), there, training=training)
        return ops.einsum("hwko,kc->hwco", self.kernel, ops.cast(matrix, self.compute_dtype))


def thinned(values: Tensor) -> Tensor:
    """As many of the pixels as a covariance needs; rows of a table as they are."""
    if len(values.shape) != 4:
        return values
    h, w = values.shape[1:3]
    return values[:, :: math.ceil(h / PIXELS_SEEN), :: math.ceil(w / PIXELS_SEEN)]


def balance_of(names: Sequence[str], groups: Mapping[str, InputGroup]) -> Balance:
    """Of inputs that come from fields of these names, one for each input; `groups` says which fields are one group."""
    together, weights = groups_of(groups)
    return Balance(*number_groups([together.get(name, name) for name in names], weights), len(names))
