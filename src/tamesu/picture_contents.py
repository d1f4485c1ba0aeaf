"""What lies in masks and depth maps: the ids of each mask, the readings of each depth map.

Every file is decoded once for it; what was found is kept beside the set of pictures, whose folder is named by the files'
contents and so never holds another set's findings.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tamesu.picture_files import Progress, in_threads
from tamesu.pictures import Pictures

CONTENTS = "contents.npz"


def mask_ids(pictures: Pictures, progress: Progress | None = None) -> list[NDArray[np.int64]]:
    """The ids that each mask of a whole set holds, sorted.

    Raises:
        DataError: A file is gone or has changed.
        OSError: The set's folder cannot be written.
    """
    return _found(pictures, progress)


def n_readings(pictures: Pictures, progress: Progress | None = None) -> NDArray[np.int64]:
    """How many pixels of each depth map of a whole set hold a distance.  (n,)

    Raises:
        DataError: A file is gone or has changed.
        OSError: The set's folder cannot be written.
    """
    return np.array([int(one[0]) for one in _found(pictures, progress)], dtype=np.int64)


def _found(pictures: Pictures, progress: Progress | None) -> list[NDArray[np.int64]]:
    file = Path(pictures.folder) / CONTENTS
    if file.exists():
        with np.load(file, allow_pickle=False) as kept:
            return np.split(kept["numbers"], kept["ends"][:-1])
    found = list(in_threads(lambda i: _look(pictures, i), range(len(pictures)), progress))
    _write(file, found)
    return found


def _look(pictures: Pictures, i: int) -> NDArray[np.int64]:
    pixels = pictures.original(i)
    if pictures.reading.kind == "depth":
        return np.array([np.count_nonzero(pixels != pictures.reading.missing)], dtype=np.int64)
    return np.flatnonzero(np.bincount(pixels.ravel())).astype(np.int64)


def _write(file: Path, found: Sequence[NDArray[np.int64]]) -> None:
    part = file.with_name(f"{file.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    numbers = np.concatenate([np.empty(0, dtype=np.int64), *found])
    with open(part, "wb") as out:
        np.savez(out, numbers=numbers, ends=np.cumsum([len(one) for one in found], dtype=np.int64))
    os.replace(part, file)
