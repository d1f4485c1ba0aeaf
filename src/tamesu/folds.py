"""Which rows are trained on and which are scored: index arrays, the same for every arm.

One dealing rule serves plain, stratified, grouped and stratified-grouped folds. scikit-learn's own splitters are not used
because their repeats are not always fresh (`StratifiedGroupKFold` orders groups by size and shuffles ties only) and
because a split is part of a trial's name, which must not change with the version of another package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.config import FoldsConfig
from tamesu.errors import DataError
from tamesu.texts import say

MOST_LEFT_OUT = 5000  # leave-one-out trains once a fold and holds n² indices: 200 MB here
MOST_INNER = 5  # folds inside a training; each costs as many trainings as the fold outside
_FOLDS, _LOCKBOX = 0, 1  # streams of random numbers: opening a lockbox does not change the folds' draws


@dataclass(frozen=True, eq=False)
class Split:
    """One training: rows to fit on and rows to score, as sorted positions in the dataset."""

    repeat: int
    fold: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def make_splits(
    folds: FoldsConfig, *, n: int, labels: NDArray[Any] | None, groups: NDArray[Any] | None, n_repeats: int
) -> list[Split]:
    """Every split of every repeat, repeat by repeat; each repeat is a fresh shuffle.

    Repeat r depends on `folds.seed` and r alone, so asking for more repeats later keeps the earlier ones.
    Leave-one-out and leave-one-group-out have nothing to shuffle and give one repeat, whatever `n_repeats`.

    Args:
        folds: Scheme, number of folds and seed.
        n: Rows.
        labels: What to stratify by: (n,) classes, or (n, k) of 0 and 1; None does not stratify.
        groups: (n,) names of what must not be divided; None: every row by itself.
        n_repeats: Repeats wanted.

    Raises:
        DataError: These folds cannot be made from these rows.
    """
    if mistakes := _impossible(folds, n, labels, groups):
        raise DataError([f"folds: {mistake}" for mistake in mistakes])
    if folds.scheme != "k_fold":
        unit = np.arange(n) if groups is None else _codes(groups)
        return _splits_of(unit, repeat=0)
    splits = []
    for repeat in range(n_repeats):
        rng = np.random.default_rng([folds.seed, _FOLDS, repeat])
        shares = np.full(folds.n_splits, 1 / folds.n_splits)
        if groups is None and (labels is None or labels.ndim == 1):
            fold_of = _deal_rows(n, labels, folds.n_splits, rng)
        else:
            fold_of = _deal_groups(n, labels, groups, shares, rng)
        splits += _splits_of(fold_of, repeat)
    return splits


def inner_splits(split: Split, folds: FoldsConfig, *, labels: NDArray[Any] | None, groups: NDArray[Any] | None) -> list[Split]:
    """The training rows of a split, split again as the study splits its rows: what is learned there has not seen `split.test`.

    Args:
        split: Of which only `train` is looked at.
        folds: The study's.
        labels: Of the training rows, as for `make_splits`.
        groups: Of the training rows, likewise.

    Returns:
        At most `MOST_INNER` splits, as positions in the dataset of `split`; together they score every training row once.

    Raises:
        DataError: There are fewer than two rows, or groups, to train on.
    """
    n_units = len(split.train) if groups is None else len(set(groups.tolist()))
    n_splits = max(2, min(MOST_INNER, folds.n_splits, n_units))
    inner = folds.model_copy(update={"scheme": "k_fold", "n_splits": n_splits})
    made = make_splits(inner, n=len(split.train), labels=labels, groups=groups, n_repeats=1)
    return [Split(split.repeat, split.fold, split.train[one.train], split.train[one.test]) for one in made]


def split_lockbox(
    folds: FoldsConfig, *, n: int, labels: NDArray[Any] | None, groups: NDArray[Any] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows to work with, and the `folds.lockbox` share set aside; stratified, groups whole, sorted.

    Raises:
        DataError: The share is less than one row, or would leave nothing to work with.
    """
    everything = np.arange(n)
    if folds.lockbox == 0:
        return everything, everything[:0]
    rng = np.random.default_rng([folds.seed, _LOCKBOX])
    shares = np.array([1 - folds.lockbox, folds.lockbox])
    aside = _deal_groups(n, labels, groups, shares, rng, permute=False) == 1
    if not aside.any() or aside.all():
        raise DataError(
            say(
                "folds: `lockbox` must be a share that leaves rows on both sides, groups undivided; "
                "got {share!r} of {n} rows. Set a larger share, or 0 for no lockbox.",
                share=folds.lockbox,
                n=n,
            )
        )
    return everything[~aside], everything[aside]


def check_folds(
    folds: FoldsConfig, *, n: int, labels: NDArray[Any] | None = None, groups: NDArray[Any] | None = None, n_repeats: int = 1
) -> tuple[list[str], list[str]]:
    """What is wrong with these folds for these rows (mistakes), and what is worth knowing (warnings).

    Args:
        folds: As for `make_splits`.
        n: Rows, without the lockbox.
        labels: (n,) classes to be learned or stratified by; None where there are none.
        groups: (n,) group names.
        n_repeats: Repeats that are planned.

    Returns:
        Sentences that follow `study.yaml:14 folds: `.
    """
    mistakes, warnings = _impossible(folds, n, labels, groups), list[str]()
    if labels is not None and labels.ndim == 1 and n > 0:
        more_mistakes, warnings = _check_classes(folds, labels, groups)
        mistakes += more_mistakes
    n_units = n if groups is None else len(set(groups.tolist()))
    if folds.scheme == "k_fold" and n_units == folds.n_splits and n_repeats > 1:
        text = say("every repeat has the same folds, as there are as many {units} as folds.", units=_units(groups))
        warnings.append(text + " " + say("Write `max_repeats: 1`, or lower `n_splits`."))
    return mistakes, warnings


def _impossible(folds: FoldsConfig, n: int, labels: NDArray[Any] | None, groups: NDArray[Any] | None) -> list[str]:
    for what, values in (("labels", labels), ("groups", groups)):
        if values is not None and len(values) != n:
            raise ValueError(f"{what} must have {n} rows; got {len(values)}")
    if folds.scheme == "leave_one_group_out" and groups is None:
        return [say("`group` must name a field of kind 'group' for scheme 'leave_one_group_out'; got nothing.")]
    if folds.scheme == "leave_one_out" and groups is not None:
        return [
            say(
                "`scheme` must keep groups whole; got 'leave_one_out' with a group field. "
                "Write `scheme: leave_one_group_out`, or remove `group`."
            )
        ]
    n_units = n if groups is None else len(set(groups.tolist()))
    n_folds = folds.n_splits if folds.scheme == "k_fold" else 2
    if n_units < n_folds:
        text = say(
            "there must be at least as many {units} as folds, {n_folds}; got {n_units}.",
            units=_units(groups),
            n_folds=n_folds,
            n_units=n_units,
        )
        advice = say("Add rows, or lower `n_splits`.") if groups is None else say("Lower `n_splits`, or use a finer group.")
        return [text + " " + advice]
    if folds.scheme != "k_fold" and n_units > MOST_LEFT_OUT:
        return [
            say(
                "{scheme!r} must have at most {most} folds; got {n_units}, one training each. Write `scheme: k_fold`.",
                scheme=folds.scheme,
                most=MOST_LEFT_OUT,
                n_units=n_units,
            )
        ]
    return []


def _check_classes(folds: FoldsConfig, labels: NDArray[Any], groups: NDArray[Any] | None) -> tuple[list[str], list[str]]:
    """Classes that some training never sees (mistakes), and classes that some fold cannot score (warnings)."""
    codes = _codes(labels)
    names = [str(labels[i]) for i in np.unique(codes, return_index=True)[1]]
    n_rows = np.bincount(codes)
    group_codes = np.arange(len(codes)) if groups is None else _codes(groups)
    n_units = np.bincount(np.unique(np.stack([codes, group_codes]), axis=1)[0])  # groups, or rows, that a class is in

    mistakes, warnings = [], []
    advice = say("Add rows, join the class with another, or remove it.")
    if (single := n_rows == 1).any():
        text = say(
            "every class must have at least 2 rows, or it is scored without ever being learned; got 1 row of {classes}.",
            classes=_some(names, single),
        )
        mistakes.append(f"{text} {advice}")
    if groups is not None and (held := (n_units == 1) & (n_rows > 1)).any():
        holder = groups[np.flatnonzero(held[codes])[0]]
        text = say(
            "every class must be in at least 2 groups, or it is scored without ever being learned; "
            "got {classes} wholly in one group (such as {group!r}).",
            classes=_some(names, held),
            group=str(holder),
        )
        mistakes.append(f"{text} {advice}")
    if folds.scheme == "k_fold" and (few := (n_units > 1) & (n_units < folds.n_splits)).any():
        text = say(
            "{classes} is in fewer {units} than there are folds ({n_splits}): some folds are scored without it.",
            classes=_some(names, few),
            units=_units(groups),
            n_splits=folds.n_splits,
        )
        warnings.append(text)
    return mistakes, warnings


def _units(groups: NDArray[Any] | None) -> str:
    return say("rows") if groups is None else say("groups")


def _deal_rows(n: int, labels: NDArray[Any] | None, n_splits: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Shuffle, bring equal classes together, deal like cards: fold sizes and class counts differ by at most one."""
    order = rng.permutation(n)
    if labels is not None:
        codes = _codes(labels)
        codes = rng.permutation(codes.max() + 1)[codes]  # which class gets the larger share of a fold changes, too
        order = order[np.argsort(codes[order], kind="stable")]
    fold_of = np.empty(n, dtype=np.int64)
    fold_of[order] = rng.permutation(n_splits)[np.arange(n) % n_splits]
    return fold_of


def _deal_groups(
    n: int,
    labels: NDArray[Any] | None,
    groups: NDArray[Any] | None,
    shares: NDArray[np.float64],
    rng: np.random.Generator,
    permute: bool = True,
) -> NDArray[np.int64]:
    """Give every group to the part that keeps all classes, and the number of rows, closest to the wanted shares.

    Greedy on sum_k sum_c (rows of class c in part k / rows of class c)² / share_k, large groups roughly first: an empty
    part always costs least, so that no part stays empty while there are groups. Sizes are jittered up to twofold for
    the order, or every repeat would be the same few parts.
    """
    unit = np.arange(n) if groups is None else _codes(groups)
    counts = _class_counts(unit, labels)
    totals = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    sizes = np.bincount(unit)
    order = np.argsort(-sizes * rng.uniform(1, 2, len(sizes)), kind="stable")
    part_of = np.empty(len(sizes), dtype=np.int64)
    held = np.zeros((counts.shape[1], len(shares)))  # rows of class c in part k, as a share of the class
    per_share = 1 / shares
    starts, columns, values = counts.indptr.tolist(), counts.indices, counts.data / totals[counts.indices]
    for one in order.tolist():
        here, add = columns[starts[one] : starts[one + 1]], values[starts[one] : starts[one + 1]]
        rows = held[here]
        # products and sums apart, no BLAS: the same parts on every machine, as they are in the trials' names
        cost = ((2 * rows + add[:, None]) * add[:, None]).sum(axis=0) * per_share
        part = int(cost.argmin())
        part_of[one] = part
        held[here, part] = rows[:, part] + add
    if permute:
        part_of = rng.permutation(len(shares))[part_of]
    return part_of[unit]


def _class_counts(unit: NDArray[np.int64], labels: NDArray[Any] | None) -> Any:
    """Rows of each class in each group; the last column counts all rows.  (groups, classes + 1) CSR."""
    from scipy import sparse

    n, n_units = len(unit), int(unit.max()) + 1
    if labels is None:
        marks = sparse.csr_array((n, 0), dtype=np.int64)
    elif labels.ndim == 2:
        marks = sparse.csr_array(np.asarray(labels, dtype=bool).astype(np.int64))
    else:
        codes = _codes(labels)
        marks = sparse.csr_array((np.ones(n, dtype=np.int64), (np.arange(n), codes)))
    everything = sparse.csr_array(np.ones((n, 1), dtype=np.int64))
    member = sparse.csr_array((np.ones(n, dtype=np.int64), (unit, np.arange(n))), shape=(n_units, n))
    counts = sparse.csr_array(member @ sparse.hstack([marks, everything], format="csr"))
    counts.sort_indices()  # one order of summing, whatever SciPy's product left
    return counts


def _splits_of(fold_of: NDArray[np.int64], repeat: int) -> list[Split]:
    return [
        Split(repeat, fold, train=np.flatnonzero(fold_of != fold), test=np.flatnonzero(fold_of == fold))
        for fold in range(int(fold_of.max()) + 1)
    ]


def _codes(values: NDArray[Any]) -> NDArray[np.int64]:
    """0, 1, 2 … in the order of first appearance; a missing value is a class of its own.  (n,)"""
    import pandas as pd

    return pd.factorize(values, use_na_sentinel=False)[0].astype(np.int64)


def _some(names: Sequence[str], mask: NDArray[np.bool_], at_most: int = 5) -> str:
    hit = [name for name, chosen in zip(names, mask, strict=True) if chosen]
    return ", ".join(map(repr, hit[:at_most])) + (f", … ({len(hit)})" if len(hit) > at_most else "")
