"""What a field says of itself: pairs, cycles, names and partners that can be, and those that cannot."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.document import config_from_mapping
from tamesu.errors import ConfigError
from tamesu.symmetry import Symmetry

PICTURE = {"p": {"kind": "image"}, "y": {"kind": "label", "target": True}}
TABLE = {"file": "t.csv", "key": "id"}


def mistakes(fields) -> list[str]:
    try:
        config_from_mapping({"fields": PICTURE | fields})
    except ConfigError as error:
        return [one.removeprefix("Study fields.") for one in error.mistakes]
    return []


def label(**settings):
    return {"f": {"kind": "label", **settings}}


FINE = [
    label(mirror={"a": "b", "c": "never"}, turn={"a": "b", "b": "a"}),
    label(turn={"up": "left", "left": "down", "down": "right", "right": "up"}, mirror={"left": "right"}),
    label(turn={"portrait": "landscape", "landscape": "portrait"}, mirror="same"),
    {"f": {"kind": "labels", "mirror": {"l": "r"}, "turn": "never"}},
    {"f": {"kind": "mask", "names": {1: "lv", 2: "rv"}, "mirror": {"lv": "rv"}}},
    {"f": {"kind": "points", "points": {"l": ["a", "b"], "r": ["c", "d"]}, "mirror": {"l": "r"}}},
    {"f": {"kind": "points", "names": ["l", "r"], "mirror": "same"}},
    {
        "f": {
            "kind": "boxes",
            "mirror": {"left_hand": "right_hand"},
            "table": TABLE | {"columns": ["a", "b", "c", "d"], "name": "n"},
        }
    },
    {"f": {"kind": "vector", "columns": ["u", "v", "w"]}},
    {"f": {"kind": "vector"}},
    {"f": {"kind": "direction", "angles": {"right": 0, "left": 180}}},
    {"f": {"kind": "angle", "period_deg": 120}},
    {
        "f": {
            "kind": "series",
            "names": ["lx", "ly", "rx", "ry", "roll"],
            "vectors": [["lx", "ly"], ["rx", "ry"]],
            "mirror": {"swap": {"lx": "rx", "ly": "ry"}, "negate": ["roll"]},
        }
    },
    {"f": {"kind": "series", "table": TABLE | {"columns": ["x", "y"], "order": "t"}, "mirror": {"negate": ["x"]}}},
    {"l": {"kind": "number", "mirror": {"swap_with": "r"}}, "r": {"kind": "number", "mirror": {"swap_with": "l"}}},
    {"l": {"kind": "image", "mirror": {"swap_with": "p"}}, "p": {"kind": "image", "mirror": {"swap_with": "l"}}},
    {
        "y": {"kind": "label", "target": True, "mirror": {"swap_with": "r"}},
        "r": {"kind": "label", "mirror": {"swap_with": "y"}},
    },
    {"q": {"kind": "depth", "of": "p"}, "m": {"kind": "mask"}},  # one picture that others lie on
    {"q": {"kind": "image"}, "m": {"kind": "mask", "of": "q"}},
]


@pytest.mark.parametrize("fields", FINE, ids=str)
def test_declarations_that_can_be(fields):
    assert mistakes(fields) == []


WRONG = [
    (label(mirror={"a": "b", "b": "c"}), "f.mirror: must pair the classes"),
    (label(turn={"a": "b", "b": "c", "c": "a"}), "f.turn: must be itself again after four quarter turns"),
    (label(turn={"a": "b", "c": "b"}), "f.turn: must turn each class into another one"),
    (
        label(turn={"up": "left", "left": "down", "down": "right", "right": "up"}, mirror={"left": "up"}),
        "f.turn: must fit `mirror`",
    ),
    (label(turn={"up": "left", "left": "down", "down": "right", "right": "up"}, mirror="same"), "f.turn: must fit `mirror`"),
    (label(turn={"swap_with": "y"}), "f.turn.swap_with: must say what becomes of each class"),
    ({"f": {"kind": "labels", "mirror": {"a": "b", "c": "b"}}}, "f.mirror: must pair the classes"),
    (
        {"f": {"kind": "mask", "names": {1: "lv", 2: "rv"}, "mirror": {"lv": "rw"}}},
        "f.mirror: must hold names that this field has; got 'rw'. Known: lv, rv.",
    ),
    ({"f": {"kind": "mask", "names": {1: "lv", 2: "lv"}}}, "f.names: must name each one differently; got 'lv' twice."),
    ({"f": {"kind": "mask", "names": {"x": "lv"}}}, "f.names.x: must be named by a whole number of at least 0; got 'x'."),
    (
        {"f": {"kind": "mask", "names": {1: "lv", 2: "rv"}, "mirror": {"lv": "never"}}},
        "f.mirror: must hold names that this field has; got 'never'.",
    ),
    ({"f": {"kind": "points"}}, "f.points: must be given"),
    ({"f": {"kind": "points", "points": {"a": ["x", "y"]}, "names": ["a"]}}, "f.names: must be left out"),
    ({"f": {"kind": "points", "points": {"a": ["x"]}}}, "f.points.a: must be a pair [a, b], each text; got ['x']."),
    ({"f": {"kind": "points", "names": ["l", "r", "l"]}}, "f.names: must name each one differently"),
    (
        {"f": {"kind": "points", "names": ["l", "r"], "mirror": {"l": "nose"}}},
        "f.mirror: must hold names that this field has; got 'nose'. Known: l, r.",
    ),
    ({"f": {"kind": "points", "names": ["a", "b", "c"], "mirror": {"a": "b", "b": "c"}}}, "f.mirror: must pair the classes"),
    ({"f": {"kind": "boxes", "mirror": {"l": "r", "m": "r"}}}, "f.mirror: must pair the classes"),
    ({"f": {"kind": "boxes", "mirror": {"l": "never"}}}, "f.mirror: must name what each becomes"),
    ({"f": {"kind": "boxes", "table": TABLE | {"columns": ["a", "b"]}}}, "f.table.columns: must be 4 columns"),
    ({"f": {"kind": "boxes", "table": {"file": "t.csv", "columns": ["a"]}}}, "f.table.key: must be given"),
    ({"f": {"kind": "vector", "columns": ["u"]}}, "f.columns: must be the columns of x and y"),
    ({"f": {"kind": "vector", "columns": ["u", "v", "w", "q"]}}, "f.columns: must be a list, each text"),
    (
        {"f": {"kind": "direction", "angles": {"up": 90, "north": 450}}},
        "f.angles.north: must be another direction than 'up', up to whole turns; got 450.0.",
    ),
    ({"f": {"kind": "direction", "angles": {"up": 90, "north": -270.0000001}}}, "f.angles.north: must be another direction"),
    ({"f": {"kind": "direction", "angles": {"up": 90}}}, "f.angles: must be two directions or more"),
    ({"f": {"kind": "angle", "period_deg": 100}}, "f.period_deg: must be 360 or a whole part of it"),
    ({"f": {"kind": "angle", "period_deg": 400}}, "f.period_deg: must be a number above 0"),
    ({"f": {"kind": "depth", "camera": [500, 500, 320]}}, "f.camera: must be a list of 4, each a number; got [500, 500, 320]."),
    ({"f": {"kind": "series"}}, "f.names: must be given, or `table`"),
    ({"f": {"kind": "series", "names": ["x"], "table": TABLE | {"columns": ["x"]}}}, "f.names: must be left out"),
    (
        {"f": {"kind": "series", "names": ["x", "y"], "vectors": [["x", "z"]]}},
        "f.vectors: must hold names that this field has; got 'z'.",
    ),
    ({"f": {"kind": "series", "names": ["x", "y"], "vectors": [["x", "x"]]}}, "f.vectors: must name each one differently"),
    (
        {"f": {"kind": "series", "names": ["x", "y"], "mirror": {"swap": {"x": "z"}}}},
        "f.mirror.swap: must hold names that this field has; got 'z'.",
    ),
    (
        {"f": {"kind": "series", "names": ["x", "y"], "mirror": {"swap": {"x": "never"}}}},
        "f.mirror.swap: must hold names that this field has; got 'never'.",
    ),
    (
        {"f": {"kind": "series", "names": ["x", "y"], "mirror": {"negate": ["w"]}}},
        "f.mirror.negate: must hold names that this field has; got 'w'.",
    ),
    (
        {"f": {"kind": "series", "names": ["x", "y"], "mirror": {"swap": {"x": "y"}, "negate": ["x"]}}},
        "f.mirror.negate: must hold both 'x' and 'y' or neither",
    ),
    (
        {"f": {"kind": "series", "names": ["x", "y"], "vectors": [["x", "y"]], "mirror": {"negate": ["x"]}}},
        "f.mirror.negate: must not hold 'x', which `vectors` mirrors by itself.",
    ),
    (
        {"f": {"kind": "series", "names": ["a", "b", "c"], "vectors": [["a", "b"]], "mirror": {"swap": {"a": "c"}}}},
        "f.mirror.swap: must exchange vectors as a whole; got c and b in place of a, b.",
    ),
    (
        {"f": {"kind": "series", "names": ["a", "b"], "mirror": {"swop": {"a": "b"}}}},
        "f.mirror.swop: must be a known setting; got 'swop'. Did you mean 'swap'?",
    ),
    (label(mirror={"swap_with": "f"}), "f.mirror.swap_with: must be the name of another field; got 'f'."),
    (label(mirror={"swap_with": "g"}), "f.mirror.swap_with: must be the name of a field of kind 'label'; got 'g'. Known: y."),
    (
        label(mirror={"swap_with": "p"}),
        "f.mirror.swap_with: must be the name of a field of kind 'label'; got 'p'. 'p' is of kind image.",
    ),
    (label(mirror={"swap_with": "y"}), "f.mirror.swap_with: must be said by both; write mirror: {swap_with: f} in fields.y."),
    (
        {"f": {"kind": "image", "mirror": {"swap": "p"}}},
        "f.mirror.swap: must be a known setting; got 'swap'. Did you mean 'swap_with'?",
    ),
    ({"m": {"kind": "mask", "of": "y"}}, "m.of: must be the name of a picture field; got 'y'."),
    ({"q": {"kind": "image"}, "m": {"kind": "mask"}}, "m.of: must be given where there are several pictures, one of p, q"),
    ({"q": {"kind": "image"}, "m": {"kind": "boxes"}}, "m.of: must be given where there are several pictures, one of p, q"),
    (
        {"p": {"kind": "number"}, "m": {"kind": "points", "names": ["a"]}},
        "m.of: must be the name of a picture field; got nothing. Declare the picture",
    ),
]


@pytest.mark.parametrize(("fields", "said"), WRONG, ids=lambda one: one if isinstance(one, str) else "")
def test_declarations_that_cannot_be(fields, said):
    found = mistakes(fields)
    assert any(one.startswith(said) for one in found), found


def test_partners_say_the_same():
    left = {"kind": "label", "mirror": {"swap_with": "r", "a": "b"}}
    assert mistakes({"l": left, "r": {"kind": "label", "mirror": {"swap_with": "l", "b": "a"}}}) == []
    found = mistakes({"l": left, "r": {"kind": "label", "mirror": {"swap_with": "l"}}})
    assert found[0].startswith("l.mirror: must come with the same pairs of classes as in fields.r")
    three = {one: {"kind": "number", "mirror": {"swap_with": other}} for one, other in ("ab", "bc", "ca")}
    assert [one.split(": must")[0] for one in mistakes(three)] == [f"{one}.mirror.swap_with" for one in "abc"]


def test_a_partner_whose_own_settings_are_wrong_is_there():
    right = {"kind": "number", "mirror": {"swap_with": "l"}, "missing": []}
    (found,) = mistakes({"l": {"kind": "number", "mirror": {"swap_with": "r"}}, "r": right})
    assert found.startswith("r.missing")


names = st.sampled_from(list("abcd"))
moves = st.sampled_from(["same", "never", None]) | st.dictionaries(names, names | st.just("never"), max_size=4)


@settings(deadline=None, max_examples=300)
@given(mirror=moves, turn=moves)
def test_what_passes_obeys_the_laws_of_the_square(mirror, turn):
    """Two mirrors are none, four turns are none, and mirror, turn, mirror, turn is none; wherever there is an image."""
    if mistakes(label(mirror=mirror, turn=turn)):
        return
    symmetry = Symmetry(mirror, turn)

    def after(name, elements):
        for element in elements:
            name = None if name is None else symmetry.image(name, element)
        return name

    for name in "abcd":
        for elements in ([4, 4], [1, 1, 1, 1], [4, 1, 4, 1]):
            assert after(name, elements) in (name, None), (name, elements)
        assert after(name, [4, 1]) in (after(name, [5]), None)
        if isinstance(mirror, dict):
            assert after(name, [4]) is not None or "never" in mirror.values()
