"""When data are too few, or of the wrong shape, for a verdict."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

FEWEST_ROWS, FEWEST_GROUPS, FEWEST_OF_CLASS = 50, 30, 10
FEWEST_FOR_AUC = 8  # of each class in a test fold; with 4 a useless idea passed in 8-11 % of cases


def needs_interval_only(
    n: int, *, n_groups: int | None = None, smallest_class: float | None = None, scheme: str = "k_fold"
) -> str | None:
    """Why no verdict may be given on such data, as a code; None: it may.

    Args:
        n: Rows.
        n_groups: Groups, where rows come in groups.
        smallest_class: Rows of the rarest class in a test fold, on average over folds.
        scheme: As in `folds.scheme`; leave-one-out has one repeat, no spread between models, and a skewed error.
    """
    if scheme != "k_fold":
        return "leave_one_out"
    if n_groups is not None and n_groups < FEWEST_GROUPS:
        return "few_groups"
    if n < FEWEST_ROWS:
        return "tiny_n"
    if smallest_class is not None and smallest_class < FEWEST_OF_CLASS:
        return "few_of_class"
    return None


def needs_fold_values(class_counts: ArrayLike) -> bool:
    """AUC is to be judged by `method="folds"`: a test fold has fewer than 8 of a class.

    Args:
        class_counts: (folds, classes) rows of each class in each test fold.
    """
    return bool((np.asarray(class_counts) < FEWEST_FOR_AUC).any())
