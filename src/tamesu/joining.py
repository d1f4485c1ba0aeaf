"""How the predictions of an ensemble's members become one: fitted on predictions of training rows, applied to any.

Of one row nothing is asked but that row's predictions: which other rows are scored with it makes no difference.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.classes import ONE_CLASS
from tamesu.targets import Target, target_from_json

Array = NDArray[np.float64]
FILE, SCALES = "joining.json", "scales.npz"


@dataclass(frozen=True, eq=False)
class Scale:
    """Where among its predictions of training rows one column of a member's predictions lies, and back.

    Attributes:
        values: Different predictions, ascending, and the ends of what can be predicted.
        places: The share of the training rows predicted below, half of those equal included; strictly ascending, 0 to 1.
    """

    values: Array
    places: Array

    def place(self, predictions: Array) -> Array:
        """0 to 1."""
        return np.interp(predictions, self.values, self.places)

    def value(self, places: Array) -> Array:
        """The prediction at that place."""
        return np.interp(places, self.places, self.values)


@dataclass(frozen=True, eq=False)
class Joining:
    """How predictions are joined.

    Attributes:
        target: What is predicted.
        weights: Of the members; they sum to 1, but for a number that is stacked.
        scales: For a mean of ranks: of each member, a scale for each column of its predictions. Empty otherwise.
        centre: Where predictions are counted from whose weights need not sum to 1; None: they do.
    """

    target: Target
    weights: tuple[float, ...]
    scales: tuple[tuple[Scale, ...], ...] = ()
    centre: float | None = None

    def join(self, predictions: Sequence[Sequence[NDArray[Any]]]) -> Array:
        """One prediction.

        Args:
            predictions: Of the same rows, by member and seed; the seeds of a member count alike.

        Returns:
            (n, *prediction_shape)
        """
        members = join_seeds(self.target, predictions)
        if self.scales:
            return self._join_ranks(members)
        if self.centre is not None:
            parts = [weight * (one - self.centre) for weight, one in zip(self.weights, members, strict=True)]
            return self.centre + np.sum(parts, axis=0)
        alike = len(set(self.weights)) == 1
        return self.target.join(members, None if alike else np.array(self.weights))

    def _join_ranks(self, members: Array) -> Array:
        """The mean place, as the prediction that members have there on average: in the target's own unit again.

        For every metric of order it is the mean of ranks, and where members agree it is what they say.
        """
        columns = members.reshape(*members.shape[:2], -1)  # (m, n, k)
        out = np.empty(columns.shape[1:])
        for j in range(columns.shape[2]):
            scales = [one[j] for one in self.scales]
            place = np.mean([scale.place(own[:, j]) for scale, own in zip(scales, columns, strict=True)], axis=0)
            out[:, j] = np.mean([scale.value(place) for scale in scales], axis=0)
        if self.target.kind in ONE_CLASS:  # of several classes, each was moved by itself
            out /= out.sum(axis=1, keepdims=True)
        return out.reshape(members.shape[1:])

    def save(self, folder: Path) -> None:
        """Write joining.json, and scales.npz where there are scales."""
        kept = {"target": self.target.to_json(), "weights": list(self.weights), "centre": self.centre}
        (folder / FILE).write_text(json.dumps(kept), encoding="utf-8")
        if self.scales:
            arrays = {
                f"{what}_{i}_{j}": getattr(scale, what)
                for i, columns in enumerate(self.scales)
                for j, scale in enumerate(columns)
                for what in ("values", "places")
            }
            np.savez(folder / SCALES, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, folder: Path) -> Joining:
        """What `save` wrote."""
        kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
        target, weights = target_from_json(kept["target"]), tuple(kept["weights"])
        if not (folder / SCALES).exists():
            return cls(target, weights, centre=kept["centre"])
        with np.load(folder / SCALES, allow_pickle=False) as arrays:
            n_columns = len(arrays.files) // (2 * len(weights))
            scales = tuple(
                tuple(Scale(arrays[f"values_{i}_{j}"], arrays[f"places_{i}_{j}"]) for j in range(n_columns))
                for i in range(len(weights))
            )
        return cls(target, weights, scales)


def equal_joining(target: Target, n_members: int) -> Joining:
    """A plain mean: nothing is learned."""
    return Joining(target, (1 / n_members,) * n_members)


def rank_joining(target: Target, out_of_fold: Sequence[Sequence[NDArray[Any]]]) -> Joining:
    """A mean of ranks among the members' predictions of training rows.

    Args:
        target: What is predicted.
        out_of_fold: Of training rows, by member and seed, each by a model that was not trained on the row.
    """
    members = join_seeds(target, out_of_fold)
    low, high = (0.0, 1.0) if target.classes else getattr(target.field, "range", None) or (None, None)
    columns = members.reshape(*members.shape[:2], -1)
    scales = tuple(tuple(make_scale(column, low, high) for column in own.T) for own in columns)
    return Joining(target, (1 / len(members),) * len(members), scales)


def stacked_joining(target: Target, out_of_fold: Sequence[Sequence[NDArray[Any]]], truth: NDArray[Any]) -> Joining:
    """Weights by non-negative least squares of what is true on what members predict.

    Negative weights would set members that are much alike against each other. Scaled to sum to 1 they keep what is known of a
    prediction: probabilities stay such, an arrow of length 1 stays one. Of a number without a range nothing of the kind is
    known; there they are left as they are and apply to differences from the training mean, so that members which each know a
    part of it add up, and what they exaggerate is taken back.

    Args:
        target: Fitted on the training rows, which standardises a number.
        out_of_fold: As for `rank_joining`.
        truth: What `target.truth` gives of the same rows.

    Source:
        Breiman (1996), Stacked Regressions, Machine Learning 24; scaled as in van der Laan, Polley & Hubbard (2007), Super
        Learner, Statistical Applications in Genetics and Molecular Biology 6.
    """
    from scipy.optimize import nnls

    wanted = target.as_numbers(truth).ravel()
    design = np.stack([target.as_numbers(one).ravel() for one in join_seeds(target, out_of_fold)], axis=1)
    known = ~np.isnan(wanted)  # points that are not seen
    q, r = np.linalg.qr(design[known])  # the same problem with as many rows as members
    weights, _ = nnls(r, q.T @ wanted[known])
    if target.centre is not None:
        return Joining(target, tuple(map(float, weights)), centre=target.centre)
    n = len(weights)
    shares = weights / weights.sum() if weights.sum() > 0 else np.full(n, 1 / n)  # none is of any use: none is preferred
    return Joining(target, tuple(map(float, shares)))


def make_scale(predictions: Array, low: float | None = None, high: float | None = None) -> Scale:
    """The scale of these predictions, from `low` to `high`; without these, as far beyond the outermost as those are apart.

    Args:
        predictions: Of training rows.  (n,)
        low: The least that can be predicted.
        high: The most.
    """
    values, counts = np.unique(predictions, return_counts=True)
    places = (np.cumsum(counts) - counts / 2) / counts.sum()
    beyond = (values[-1] - values[0]) or 1.0
    ends = (values[0] - beyond if low is None else low, values[-1] + beyond if high is None else high)
    if ends[0] < values[0]:
        values, places = np.append(ends[0], values), np.append(0.0, places)
    if ends[1] > values[-1]:
        values, places = np.append(values, ends[1]), np.append(places, 1.0)
    return Scale(values, places)


def join_seeds(target: Target, predictions: Sequence[Sequence[NDArray[Any]]]) -> Array:
    """The mean over the seeds of each member.  (m, n, *prediction_shape)"""
    return np.stack([target.join(np.stack(seeds).astype(np.float64)) for seeds in predictions])
