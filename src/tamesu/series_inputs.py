"""Series as what a network takes (being written)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SeriesArrays:
    """Placeholder."""

    values: NDArray[Any]
    lengths: NDArray[Any]


class FittedSeries:
    """Placeholder."""

    def transform(self, rows: Any) -> dict[str, SeriesArrays]:
        """Placeholder."""
        raise NotImplementedError

    def save(self, folder: Any) -> None:
        """Placeholder."""

    @classmethod
    def load(cls, folder: Any) -> FittedSeries:
        """Placeholder."""
        raise NotImplementedError


def fit_series(rows: Any, fields: Any, settings: Any) -> FittedSeries:
    """Placeholder."""
    raise NotImplementedError
