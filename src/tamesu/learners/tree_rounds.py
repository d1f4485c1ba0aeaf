"""How many rounds trees are boosted: fixed before the training, by an inner split of the training rows."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

from tamesu.config import TreesConfig
from tamesu.learners.tree_libraries import Library, Task, Trainable

HELD_OUT = 0.2  # share of the training rows
PATIENCE = 50  # rounds without a better loss
MOST_ROUNDS = 2000
WITHOUT_SPLIT = 100  # rounds where there are too few rows to split


def choose_rounds(library: Library, data: Trainable, settings: TreesConfig, task: Task) -> int:
    """The rounds after which the held-out part of the training rows is predicted best."""
    held = round(HELD_OUT * len(data.y))
    counts = np.unique(data.y, return_counts=True)[1] if task.n_classes else np.array([held])
    if held < 2 or len(data.y) - held < 2:
        return WITHOUT_SPLIT
    stratified = task.n_classes and counts.min() >= 2 and held >= task.n_classes
    splitter = (StratifiedShuffleSplit if stratified else ShuffleSplit)(1, test_size=held, random_state=task.seed)
    train, test = next(splitter.split(data.x, data.y))
    if len(np.unique(data.y[train])) < (task.n_classes or 2):
        return WITHOUT_SPLIT  # a class of one row: every class must be trained
    return library.best_rounds(data.take(train), data.take(test), settings, task, MOST_ROUNDS, PATIENCE)
