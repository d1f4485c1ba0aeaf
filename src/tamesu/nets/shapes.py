"""What a network is given and what it predicts, as plain numbers: the same for every framework."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class InputShape:
    """What comes in.

    Attributes:
        stacks: By stack of pictures and by group in it, channels (see `tamesu.stacks`).
        size: Height and width of pictures.
        n_features: Numbers of the table.
        category_sizes: Codes that each category has.
        series: By series field, channels.
        holes: Groups of pictures in which NaN stands for no reading.
        feature_fields: The field each number of the table comes from; () where that does not matter.
        category_fields: The same of each category.
        places: What is said of where pixels are, as `nets.places.Places` takes it: coords, fourier, border; {} for nothing, or
            where it comes as planes only.
    """

    stacks: dict[str, dict[str, int]]
    size: tuple[int, int]
    n_features: int
    category_sizes: tuple[int, ...]
    series: dict[str, int] = field(default_factory=dict)
    holes: tuple[str, ...] = ()
    feature_fields: tuple[str, ...] = ()
    category_fields: tuple[str, ...] = ()
    places: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` makes the same of."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> InputShape:
        """What `to_json` described."""
        lists = {name: tuple(value) for name, value in kept.items() if isinstance(value, list)}
        return cls(**(kept | lists))


@dataclass(frozen=True)
class Head:
    """What a network predicts for one target.

    Attributes:
        n_outputs: Of each place.
        spread: row: one place; steps: one a step of the series `along`; pixels: one a pixel of a map.
        along: The series field, or the picture field, it lies in; empty of a row.
        branch: late: from the joined features; early: from those half-way; own: through a layer of its own.
        size: Height and width of the map that is predicted.
    """

    n_outputs: int
    spread: str = "row"
    along: str = ""
    branch: str = "late"
    size: tuple[int, int] = (0, 0)
