"""What names suggest about mirrors and turns: `left` and `right`, 左 and 右, `up` and `down`, `lx` and `ly`.

Only proposals: a name does not say whether the picture shows it, so a person looks at each before it counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

SIDES = {"left": "right", "lt": "rt", "l": "r", "左": "右", "ひだり": "みぎ", "ヒダリ": "ミギ"}
OTHER_SIDE = SIDES | {right: left for left, right in SIDES.items()}
SIDE = re.compile(
    "left|right|LEFT|RIGHT|Left|Right|左|右|ひだり|みぎ|ヒダリ|ミギ"
    "|(?<![A-Za-z])(?:[lr]t?|[LR][tT]?)(?![A-Za-z])"  # hand_l, L1, lt_eye
    "|(?<=[a-z])[LR](?![A-Za-z])"  # handL
    "|(?<![A-Za-z])[lr](?=[A-Z])"  # lHand
)
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[上下左右]|[^\W\d_A-Za-z上下左右]+")
ARROWS = {  # where words point: x to the right, y up
    **dict.fromkeys(("right", "r", "右"), (1, 0)),
    **dict.fromkeys(("up", "upper", "top", "u", "上"), (0, 1)),
    **dict.fromkeys(("left", "l", "左"), (-1, 0)),
    **dict.fromkeys(("down", "lower", "bottom", "d", "下"), (0, -1)),
}
QUARTER = 90.0
PART = re.compile(r"(?:(?P<first>[xyXY])[_ .-]?(?P<rest>.+)|(?P<base>.+?)(?P<gap>[_ .-]?)(?P<last>[xyXY]))")


def mirror_pairs(names: Iterable[str]) -> dict[str, str]:
    """Names that seem to change places in a mirror, the left one first: `turn_left` and `turn_right`, L and R, 左 and 右."""
    known = _no_alphabet(names)
    pairs: dict[str, str] = {}
    for one in known:
        found = SIDE.search(one)
        other = SIDE.sub(_other_side, one)
        if found is not None and found.group().lower() in SIDES and other in known:
            pairs[one] = other
    return pairs


def turn_cycles(names: Iterable[str]) -> dict[str, str]:
    """What each name becomes in a quarter turn anticlockwise, where all four are there: up, left, down, right."""
    found: dict[str, str] = {}
    for group in _pointing(names):
        at = {angle: name for name, angle in group.items()}
        for name, angle in group.items():
            if all((angle + k * QUARTER) % 360 in at for k in range(4)):
                found[name] = at[(angle + QUARTER) % 360]
    return found


def direction_angles(names: Sequence[str]) -> dict[str, float]:
    """Degrees from the right, anticlockwise, where most names are directions: four of them or more, each another one."""
    groups = [group for group in _pointing(names) if len(group) >= 4]
    if len(groups) != 1 or 2 * len(groups[0]) < len(names):
        return {}
    return dict(sorted(groups[0].items(), key=lambda item: item[1]))


def point_columns(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Columns that come as x and y, by what they have in common: `nose_x` and `nose_y`, `lx` and `ly`, `x1` and `y1`."""
    parts: dict[str, dict[str, str]] = {}
    for name in names:
        base, axis = _split_axis(name)
        if axis:
            parts.setdefault(base, {}).setdefault(axis, name)
    return {base: (both["x"], both["y"]) for base, both in parts.items() if len(both) == 2}


def _pointing(names: Iterable[str]) -> list[dict[str, float]]:
    """Names that differ in nothing but where they point, with their angles in degrees; one mapping for each such set."""
    groups: dict[str, dict[str, float]] = {}
    for name in _no_alphabet(names):
        words = [word.lower() for word in WORD.findall(name)]
        arrows = [ARROWS[word] for word in words if word in ARROWS]
        x, y = np.sum(arrows, axis=0) if arrows else (0, 0)
        if x or y:
            rest = " ".join(word for word in words if word not in ARROWS)
            angle = float(np.rint(np.rad2deg(np.arctan2(y, x)) % 360))
            group = groups.setdefault(rest, {})
            if angle not in group.values():
                group[name] = angle
    return list(groups.values())


def _no_alphabet(names: Iterable[str]) -> list[str]:
    """The names; without single letters where these are more than L, R, U and D: an alphabet."""
    known = list(names)
    letters = {name for name in known if len(name) == 1 and name.isascii() and name.isalpha()}
    return [name for name in known if name not in letters] if {one.lower() for one in letters} - set("lrud") else known


def _other_side(match: re.Match[str]) -> str:
    text = match.group()
    other = OTHER_SIDE[text.lower()]
    return other.upper() if text.isupper() else other.capitalize() if text[0].isupper() else other


def _split_axis(name: str) -> tuple[str, str]:
    """`nose_x` as (`nose`, `x`); an axis of nothing where the name has none."""
    found = PART.fullmatch(name)
    if found is None:
        return name, ""
    base, gap, last = found["base"], found["gap"], found["last"]
    if base is not None and (gap or len(base) == 1 or base[-1].isdigit() or (last.isupper() and base[-1].islower())):
        return base, last.lower()
    first, rest = found["first"], found["rest"]
    if first is not None and (rest.isdigit() or name[1] in "_ .-"):
        return rest, first.lower()
    return name, ""
