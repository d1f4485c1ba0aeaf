"""What a mirror and a quarter turn do to classes: permutations that must obey the laws of the square.

Two mirrors are none, four quarter turns are none, and a mirror turns a turn round: mirror, turn, mirror, turn is none.
A class may also be without an image (`never`): pictures of it are not mirrored, or not turned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tamesu.errors import suggest
from tamesu.texts import say

NEVER = -1  # in a table of images: this class has none
# what a hand-held camera tilts by: up to here, rounding allowed for, a picture says the same
TILT_RAD = np.deg2rad(15.0) + 1e-9
Moves = Literal["same", "never"] | Mapping[str, str] | None
N_ELEMENTS = 8  # of the square's symmetries: 4 * mirrored + quarter turns after it


@dataclass(frozen=True)
class Symmetry:
    """What the eight symmetries of the square do to class names.

    Attributes:
        mirror: `same`, `never`, or which class becomes which in a mirror; pairs hold both ways, classes not named stay.
        turn: The same for a quarter turn anticlockwise; here an entry holds one way. None: only tilts leave a class as it is.
    """

    mirror: Moves
    turn: Moves = None

    @cached_property
    def mirror_images(self) -> dict[str, str | None]:
        """Class to class for those that a mirror changes; None: may not be mirrored."""
        if not isinstance(self.mirror, Mapping):
            return {}
        pairs = {one: other for one, other in self.mirror.items() if one != "swap_with"}
        both = {other: one for one, other in pairs.items() if other != "never"} | pairs
        return {one: None if other == "never" else other for one, other in both.items()}

    @cached_property
    def turn_images(self) -> dict[str, str | None]:
        """Class to class for those that a quarter turn changes; None: may not be turned."""
        pairs = self.turn if isinstance(self.turn, Mapping) else {}
        return {one: None if other == "never" else other for one, other in pairs.items()}

    @property
    def bears_any_tilt(self) -> bool:
        """Rotations between quarter turns leave every class as it is."""
        return self.turn == "same"

    def image(self, name: str, element: int) -> str | None:
        """The class that `name` is seen as; None where there is none."""
        here: str | None = name
        if element >= 4:
            here = None if self.mirror in ("never", None) else self.mirror_images.get(name, name)
        for _ in range(element % 4):
            if here is None or self.turn in ("never", None):
                return None
            here = self.turn_images.get(here, here)
        return here

    def codes(self, classes: tuple[str, ...]) -> NDArray[np.int64]:
        """For each symmetry and class the code of the class it is seen as, or NEVER.  (8, k)"""
        place = {name: i for i, name in enumerate(classes)}
        images = [[self.image(name, element) for name in classes] for element in range(N_ELEMENTS)]
        return np.array(
            [[place.get(one, NEVER) if one is not None else NEVER for one in row] for row in images], dtype=np.int64
        ).reshape(N_ELEMENTS, len(classes))


def symmetry_mistakes(mirror: Moves, turn: Moves) -> Iterator[tuple[Literal["mirror", "turn"], str]]:
    """What keeps these from being a mirror and a turn, whatever classes there are: (setting, sentence)."""
    broken = False
    for text in _pair_mistakes(mirror):
        broken = True
        yield "mirror", text
    for text in _cycle_mistakes(turn):
        broken = True
        yield "turn", text
    if not broken and isinstance(turn, Mapping) and mirror not in (None, "never"):
        yield from _dihedral_mistakes(Symmetry(mirror, turn))


def name_mistakes(moves: Moves, classes: Iterable[str]) -> Iterator[str]:
    """Names in a mirror or turn that are no class of the data."""
    known = set(classes)
    if isinstance(moves, Mapping):
        named = dict.fromkeys(name for one, other in moves.items() if one != "swap_with" for name in (one, other))
        for name in named:
            if name != "never" and name not in known:
                yield say("must name classes of the training rows; got {name!r}.{hint}", name=name, hint=suggest(name, known))


def _pair_mistakes(mirror: Moves) -> Iterator[str]:
    swaps: dict[str, str] = {}
    pairs = mirror.items() if isinstance(mirror, Mapping) else ()
    for left, right in pairs:
        if left == "swap_with":
            continue
        for one, other in ((left, right),) if right == "never" else ((left, right), (right, left)):
            if swaps.setdefault(one, other) != other:
                yield say(
                    "must pair the classes, since a mirror applied twice is the picture again; got {one!r} with both {first!r} "
                    "and {second!r}. Leave out classes that a mirror does not change.",
                    one=one,
                    first=swaps[one],
                    second=other,
                )
                return


def _cycle_mistakes(turn: Moves) -> Iterator[str]:
    if not isinstance(turn, Mapping):
        return
    images = Symmetry("same", turn).turn_images
    reached = [other for other in images.values() if other is not None]
    for name in dict.fromkeys(reached):
        if reached.count(name) > 1:
            sources = " and ".join(repr(one) for one, other in images.items() if other == name)
            yield say(
                "must turn each class into another one; got both {sources} turned into {name!r}.", sources=sources, name=name
            )
            return
    for name in images:
        chain = [name]
        for _ in range(4):
            here = images.get(chain[-1], chain[-1])
            if here is None:
                break
            chain.append(here)
        if len(chain) == 5 and chain[-1] != name:
            shown = " → ".join(chain)
            yield say("must be itself again after four quarter turns; got {shown}. Name all classes of the cycle.", shown=shown)
            return


def product(first: int, second: int) -> int:
    """The symmetry that is one after the other: a mirror turns the turns before it round."""
    turns = second % 4 + (-first if second >= 4 else first) % 4
    return 4 * ((first >= 4) != (second >= 4)) + turns % 4


def _dihedral_mistakes(symmetry: Symmetry) -> Iterator[tuple[Literal["mirror", "turn"], str]]:
    for name in {**symmetry.mirror_images, **symmetry.turn_images}:
        for first in range(N_ELEMENTS):
            between = symmetry.image(name, first)
            for second in range(N_ELEMENTS):
                end = None if between is None else symmetry.image(between, second)
                at_once = symmetry.image(name, product(first, second))
                if end is not None and at_once is not None and end != at_once:
                    text = say(
                        "must fit `mirror`: mirror, turn, mirror, turn is the picture again; "
                        "got {name!r} as both {one!r} and {other!r}.",
                        name=name,
                        one=end,
                        other=at_once,
                    )
                    yield "turn", text
                    return
