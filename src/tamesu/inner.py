"""Folds inside the training rows: what a learner needs to choose, or to cross-fit, without looking at a scored row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tamesu.config import FoldsConfig
from tamesu.folds import Split, make_splits

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.recipe import Recipe

N_INNER = 5
CLASSED = ("label", "direction")  # kinds whose classes are spread evenly


def inner_splits(rows: Dataset, recipe: Recipe, seed: int) -> list[Split]:
    """Splits of the training rows into `N_INNER` folds, or as many as there are rows or groups; [] of fewer than two.

    Classes are spread evenly, and rows of one group stay together where the study names one.

    Args:
        rows: Training rows, and nothing else.
        recipe: Of it, the target and the group.
        seed: Decides which rows are together.
    """
    name, field = recipe.target
    labels = rows.values(name, field) if field.kind in CLASSED else None
    group = recipe.group
    groups = None if group is None else rows.values(group, recipe.fields[group])
    n_units = len(rows) if groups is None else len(set(groups.tolist()))
    n_splits = min(N_INNER, n_units)
    if n_splits < 2:
        return []
    return make_splits(FoldsConfig(n_splits=n_splits, seed=seed), n=len(rows), labels=labels, groups=groups, n_repeats=1)
