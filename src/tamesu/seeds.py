"""Global random states, for code that draws from them."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator

import numpy as np


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Global random states set, for learners that draw from them, and put back afterwards.

    A warm worker runs many trials; without this the second would depend on the first.
    """
    kept_python, kept_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global state is the point
    torch = sys.modules.get("torch")
    kept_torch = torch.random.get_rng_state() if torch else None
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if torch:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(kept_python)
        np.random.set_state(kept_numpy)  # noqa: NPY002
        if torch and kept_torch is not None:
            torch.random.set_rng_state(kept_torch)
