"""Targets that are a value at every pixel: masks and depth, predicted beside a target on a coarse grid of the frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from tamesu.losses import log_softmax
from tamesu.targets.base import Target
from tamesu.warp import in_metres

if TYPE_CHECKING:
    from tamesu.maps import Maps
    from tamesu.pictures import Pictures

LARGEST_GRID = 24  # places a side: what a backbone's last map can still tell apart
N_LOOKED_AT = 100  # training pictures from which ids and the spread of depths are taken
MAX_IDS = 64  # the most frequent; others are unknown
UNKNOWN = -1


def grid_of(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the grid on which maps of a frame of this size are predicted."""
    scale = min(1.0, LARGEST_GRID / max(*size, 1))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def encode_maps(field: Any, seen: NDArray[Any], grid: tuple[int, int]) -> NDArray[Any]:
    """A picture as it is seen, at the places of a grid: the value of the pixel in the middle of each place.

    Args:
        field: A mask's or a depth's; of depth, places without a reading are NaN.
        seen: (b, h, w, c)
        grid: Height and width.

    Returns:
        Ids, or metres.  (b, h', w')
    """
    rows, columns = (((np.arange(n) + 0.5) * side / n).astype(np.int64) for n, side in zip(grid, seen.shape[1:3], strict=True))
    values = seen[:, rows[:, None], columns[None, :], 0]
    if field.kind != "depth":
        return values.astype(np.int64)
    metres = values.astype(np.float64)
    return np.where(np.isfinite(metres) & (metres > 0), metres, np.nan)


class MapTarget(Target):
    """What masks and depth have in common: they are encoded from the picture as it is seen, and never asked for."""

    spread: ClassVar[Literal["row", "steps", "pixels"]] = "pixels"

    def encode(self, values: NDArray[Any]) -> NDArray[Any]:
        """Nothing can be encoded before it is seen: see `encode_seen`."""
        raise TypeError("maps are encoded as they are seen")

    def allows(self, encoded: NDArray[Any], maps: Maps) -> NDArray[np.bool_]:  # noqa: D102
        return np.ones(len(maps), dtype=bool) if self.kind == "depth" else self.field.allows(None, maps)

    def move(self, encoded: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        return encoded

    def move_back(self, prediction: NDArray[Any], maps: Maps) -> NDArray[Any]:  # noqa: D102
        raise TypeError("maps are predicted in training only")


@dataclass(frozen=True, eq=False)
class MaskTarget(MapTarget):
    """An id at every place.  encoded: (b, h', w') codes, -1 for an id that training does not have.

    Attributes:
        ids: What each code stands for.
    """

    ids: tuple[int, ...] = ()
    learned: ClassVar[tuple[str, ...]] = ("ids",)

    @property
    def n_outputs(self) -> int:  # noqa: D102
        return max(1, len(self.ids))

    def fit_pictures(self, pictures: Pictures) -> MaskTarget:  # noqa: D102
        counts: dict[int, int] = {}
        for i in _some(len(pictures)):
            for one, n in zip(*np.unique(pictures.original(int(i)), return_counts=True), strict=True):
                counts[int(one)] = counts.get(int(one), 0) + int(n)
        frequent = sorted(counts, key=lambda one: (-counts[one], one))[:MAX_IDS]
        return replace(self, ids=tuple(sorted(frequent)))

    def encode_seen(self, seen: NDArray[Any]) -> NDArray[np.int64]:  # noqa: D102
        found = encode_maps(self.field, seen, grid_of(seen.shape[1:3]))  # type: ignore[arg-type]
        ids = np.array(self.ids, dtype=np.int64)
        if not len(ids):
            return np.full(found.shape, UNKNOWN)
        codes = np.minimum(np.searchsorted(ids, found), len(ids) - 1)
        return np.where(ids[codes] == found, codes, UNKNOWN)

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:
        """Probabilities of the ids.  (b, h', w', k)"""
        return xp.exp(log_softmax(raw, xp))


@dataclass(frozen=True, eq=False)
class DepthTarget(MapTarget):
    """Metres at every place.  encoded: (b, h', w') standardised by the training rows, NaN without a reading."""

    mean: float = 0.0
    std: float = 1.0
    learned: ClassVar[tuple[str, ...]] = ("mean", "std")

    @property
    def n_outputs(self) -> int:  # noqa: D102
        return 1

    def fit_pictures(self, pictures: Pictures) -> DepthTarget:  # noqa: D102
        n, total, squares = 0, 0.0, 0.0
        for i in _some(len(pictures)):
            metres = self._metres(pictures.original(int(i)))
            there = metres[np.isfinite(metres) & (metres > 0)]
            n, total, squares = n + there.size, total + float(there.sum()), squares + float(np.square(there).sum())
        if not n:
            return self
        mean = total / n
        spread = float(np.sqrt(max(0.0, squares / n - mean**2)))
        return replace(self, mean=mean, std=spread if spread > 0 else 1.0)

    def encode_seen(self, seen: NDArray[Any]) -> NDArray[np.float32]:  # noqa: D102
        metres = encode_maps(self.field, seen, grid_of(seen.shape[1:3]))  # type: ignore[arg-type]
        return ((metres - self.mean) / self.std).astype(np.float32)

    def decode(self, raw: Any, xp: ModuleType, given: Any = None) -> Any:
        """Metres.  (b, h', w')"""
        return raw[..., 0] * self.std + self.mean

    def _metres(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        return in_metres(stored, self.field).astype(np.float64)


def _some(n: int) -> NDArray[np.int64]:
    """Positions of at most N_LOOKED_AT of n pictures, evenly spread."""
    return np.unique(np.linspace(0, max(0, n - 1), min(n, N_LOOKED_AT)).round().astype(np.int64))
