"""How many rounds trees are boosted: fixed before the training, by an inner split of the training rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tamesu.config import TreesConfig
from tamesu.folds import Split
from tamesu.learners.tree_library import Library, Task, Trainable

PATIENCE = 50  # rounds without a better loss
MOST_ROUNDS = 2000
WITHOUT_SPLIT = 100  # rounds where there are too few rows to split
FEWEST_HELD = 2  # rows that must be held out


def choose_rounds(library: Library, data: Trainable, settings: TreesConfig, task: Task, splits: Sequence[Split]) -> int:
    """The rounds after which the held-out part of the training rows is predicted best.

    Args:
        data: Training rows.
        splits: Of those rows (see `inner_splits`); the first is taken whose larger part has every class.
    """
    n_kinds = task.n_classes or 2
    for split in splits:
        if len(split.test) >= FEWEST_HELD and len(np.unique(data.y[split.train])) >= n_kinds:
            train, held = data.take(split.train), data.take(split.test)
            return library.best_rounds(train, held, settings, task, MOST_ROUNDS, PATIENCE)
    return WITHOUT_SPLIT
