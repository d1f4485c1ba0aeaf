"""A contact sheet before it is drawn: what each picture shows, in values that can be read and tested."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Place = tuple[float, float]  # x, y


@dataclass(frozen=True)
class Mark:
    """Something to draw on a picture, in the picture's own pixels.

    Attributes:
        kind: dot: one place; box: two opposite corners; arrow: from, to; line: from, to, without a head.
        name: What it is: of a point, of what is in a box, of an arrow's field.
        places: As the kind says.
        field: The field it comes from.
    """

    kind: Literal["dot", "box", "arrow", "line"]
    name: str
    places: tuple[Place, ...]
    field: str


@dataclass(frozen=True, eq=False)
class Area:
    """A mask over a picture.

    Attributes:
        field: The mask.
        ids: For every pixel of the picture.  (h, w)
        names: What each id is; ids without a name are shown by their number.
        background: The id that is not coloured.
    """

    field: str
    ids: NDArray[Any]
    names: dict[int, str]
    background: int = 0

    def name(self, one: int) -> str:
        """The name of an id."""
        return self.names.get(one, str(one))


@dataclass(frozen=True)
class Note:
    """A value in words, under a picture.

    Attributes:
        field: Whose value.
        text: The value as it is here.
        was: The value as it is in the original.
        is_target: It is what is predicted.
    """

    field: str
    text: str
    was: str
    is_target: bool = False

    @property
    def is_changed(self) -> bool:
        """The map changed it."""
        return self.text != self.was

    @property
    def change(self) -> str:
        """`keep_left → keep_right`, or the value alone where it stayed."""
        return f"{self.was} → {self.text}" if self.is_changed else self.text


@dataclass(frozen=True, eq=False)
class Track:
    """A series as lines in a frame from 0 to 1, y down.

    Attributes:
        field: The series.
        lines: Places of each line by name of what is drawn.  (t, 2)
        in_plane: They are places in the plane of the picture; else values over time.
    """

    field: str
    lines: dict[str, NDArray[np.float64]]
    in_plane: bool = False


@dataclass(frozen=True, eq=False)
class Cell:
    """One picture with all that is known of it.

    Attributes:
        title: original, epoch 1, mirrored …
        how: What the map did, in words.
        pixels: None where there is nothing to be seen, as `how` says.  (h, w, 3) uint8
    """

    title: str
    how: str
    pixels: NDArray[np.uint8] | None
    marks: tuple[Mark, ...] = ()
    areas: tuple[Area, ...] = ()
    notes: tuple[Note, ...] = ()
    tracks: tuple[Track, ...] = ()

    def note(self, name: str) -> Note | None:
        """What it says about a field."""
        return next((one for one in self.notes if one.field == name), None)


@dataclass(frozen=True, eq=False)
class Line:
    """One picture of a sample: the original, what training sees of it, and exact maps.

    Attributes:
        row: The sample's id.
        picture: The picture's field; "" where the sample has none.
        fold: The fold of the first repeat that it is shown as a training row of.
    """

    row: str
    picture: str
    fold: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, eq=False)
class Sheet:
    """All lines, with what is to be read above and below them."""

    title: str
    lines: tuple[Line, ...]
    remarks: tuple[str, ...] = ()
    marked: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by field: names of its points, boxes, or areas
