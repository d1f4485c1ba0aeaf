"""Every kind of field obeys the laws of maps, and means by them what a person would."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.fields import (
    KINDS,
    AngleField,
    Boxes,
    BoxesField,
    DirectionField,
    Field,
    FieldBase,
    LabelField,
    LabelsField,
    MaskField,
    NumberField,
    NumbersField,
    PointsField,
    SeriesField,
    SeriesMirror,
    SharesField,
    Steps,
    StepsField,
    SwapWith,
    VectorField,
)
from tamesu.maps import Maps, make_maps
from tamesu.moving import moved_rows
from tamesu.testing import check_field, toy_tables

ROUND = {"up": "left", "left": "down", "down": "right", "right": "up"}
EIGHT = {"e": 0, "ne": 45, "n": 90, "nw": 135, "w": 180, "sw": 225, "s": 270, "se": 315}
N = 6
NUMBERS = st.floats(-50, 50)
MIRROR = make_maps((24, 24), mirrored=True)
TURN = make_maps((24, 24), turns=1)


def objects(cells: list[Any]) -> np.ndarray:
    out = np.empty(len(cells), dtype=object)
    out[:] = cells
    return out


def cells(one: st.SearchStrategy[Any]) -> st.SearchStrategy[np.ndarray]:
    return st.lists(one, min_size=N, max_size=N).map(objects)


def arrays(*shape: int, low: float = -50, high: float = 50) -> st.SearchStrategy[np.ndarray]:
    size = int(np.prod(shape))
    return st.lists(st.floats(low, high), min_size=size, max_size=size).map(lambda flat: np.array(flat).reshape(shape))


def with_gaps(values: np.ndarray) -> np.ndarray:
    """The first cell is missing."""
    values = values.copy()
    values[0] = np.nan
    return values


def box(numbers: tuple[float, ...], names: tuple[str, ...]) -> Boxes:
    corners = np.array(numbers).reshape(-1, 2, 2)
    low, size = corners[:, 0] * 20, 0.5 + corners[:, 1] * 3  # inside 24 by 24
    return Boxes(np.concatenate([low, low + size], axis=1), names[: len(corners)])


SHARES = st.floats(0, 1)
BOXES = st.integers(0, 3).flatmap(
    lambda m: st.tuples(
        st.tuples(*[SHARES] * 4 * m), st.tuples(*[st.sampled_from(["left_hand", "right_hand", "cup"])] * m)
    ).map(lambda drawn: box(*drawn))
)
TRACKS = st.integers(0, 4).flatmap(lambda t: arrays(t, 5) if t else st.just(np.zeros((0, 5))))
CLASSES = st.sampled_from(["up", "left", "down", "right", "none", None])
BODY = ("x", "y", "left_grip", "right_grip", "roll")


def along(names: list[str | None]) -> Steps:
    return Steps(np.array(names, dtype=object), np.arange(len(names), dtype=np.float64))


# each kind in its several meanings, with values as `read` gives them
KIND_CASES: dict[str, list[tuple[FieldBase, st.SearchStrategy[Any]]]] = {
    "label": [
        (LabelField(mirror={"left": "right"}, turn=ROUND), cells(CLASSES)),
        (LabelField(mirror="same", turn="same"), cells(CLASSES)),
        (LabelField(mirror={"left": "right", "up": "never"}, turn=None), cells(CLASSES)),
        (LabelField(mirror={"left": "right"}, turn={"none": "never"}), cells(CLASSES)),
        (LabelField(mirror="never", turn=ROUND), cells(CLASSES)),
        (LabelField(), cells(CLASSES)),
    ],
    "labels": [
        (
            LabelsField(mirror={"left": "right"}, turn=ROUND),
            cells(st.sets(st.sampled_from(list(ROUND))).map(lambda names: tuple(sorted(names)))),
        ),
        (LabelsField(mirror={"left": "never"}), cells(st.sampled_from([(), ("left",), ("left", "up"), ("up",)]))),
    ],
    "number": [
        (NumberField(mirror="negate", turn="same"), arrays(N).map(with_gaps)),
        (NumberField(mirror="same"), arrays(N)),
        (NumberField(mirror="never", turn="same"), arrays(N)),
    ],
    "direction": [
        (DirectionField(angles=EIGHT), cells(st.sampled_from([*EIGHT, "none", None]))),
        (DirectionField(angles={"left": 180, "right": 0, "up": 90}), cells(st.sampled_from(["left", "right", "up"]))),
    ],
    "angle": [
        (AngleField(), arrays(N, low=-400, high=400).map(with_gaps)),
        (AngleField(unit="rad", zero="up", positive="clockwise"), arrays(N, low=-7, high=7)),
        (AngleField(period_deg=180, zero="left"), arrays(N, low=-90, high=90)),
    ],
    "vector": [
        (VectorField(), arrays(N, 2).map(with_gaps)),
        (VectorField(columns=("u", "v", "w"), y="up"), arrays(N, 3)),
    ],
    "shares": [
        (SharesField(columns=("a", "b"), mirror="never"), arrays(N, 2)),
        (SharesField(columns=("a", "b")), arrays(N, 2)),
    ],
    "numbers": [(NumbersField(columns=("a", "b"), mirror="same", turn="same"), arrays(N, 2).map(with_gaps))],
    "points": [
        (
            PointsField(names=("left_eye", "nose", "right_eye"), mirror={"left_eye": "right_eye"}),
            arrays(N, 3, 2).map(with_gaps),
        ),
        (PointsField(names=("a", "b"), mirror="same"), arrays(N, 2, 2)),
        (PointsField(names=("a", "b"), mirror={"a": "never"}), arrays(N, 2, 2)),
        (PointsField(names=("a", "b")), arrays(N, 2, 2)),
    ],
    "boxes": [
        (BoxesField(mirror={"left_hand": "right_hand"}), cells(BOXES)),
        (BoxesField(mirror={"cup": "never"}), cells(BOXES)),
        (BoxesField(mirror="never"), cells(BOXES)),
    ],
    "series": [
        (
            SeriesField(
                names=BODY,
                vectors=(("x", "y"),),
                mirror=SeriesMirror(negate=("roll",), swap={"left_grip": "right_grip"}),
            ),
            cells(TRACKS),
        ),
        (SeriesField(names=BODY, mirror="never"), cells(TRACKS)),
        (SeriesField(names=BODY, vectors=(("x", "y"),)), cells(TRACKS)),
    ],
    "steps": [(StepsField(of="pen"), cells(st.lists(CLASSES, max_size=4).map(along)))],
}
NOT_MOVED = {"derived", "events", "group", "id", "ignore"}  # they name rows
PIXELS = {"image", "mask", "depth"}  # moved as pictures: tests/test_warp.py
CASES = [(kind, place) for kind, several in KIND_CASES.items() for place in range(len(several))]


def test_no_kind_is_forgotten():
    assert set(KIND_CASES) == set(KINDS) - NOT_MOVED - PIXELS


@pytest.mark.parametrize(("kind", "place"), CASES)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_every_kind_obeys_the_laws(kind, place, data):
    field, values = KIND_CASES[kind][place]
    check_field(field, data.draw(values))


@st.composite
def turns_of_any_angle(draw) -> Maps:
    angles = draw(st.lists(st.floats(-np.pi, np.pi), min_size=N, max_size=N))
    return make_maps((24, 24), mirrored=draw(st.lists(st.booleans(), min_size=N, max_size=N)), rotate_rad=angles)


@pytest.mark.parametrize(("kind", "place"), [one for one in CASES if one[0] != "boxes"])  # a turned box is a larger one
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_every_kind_comes_back_from_any_turn(kind, place, data):
    field, values = KIND_CASES[kind][place]
    check_field(field, data.draw(values), data.draw(turns_of_any_angle()))


@pytest.mark.parametrize("kind", ["vector", "angle", "points", "series"])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_two_turns_are_their_product(kind, data):
    """Where a kind has an answer to any turn, not only to quarter turns."""
    field, values = KIND_CASES[kind][0]
    drawn, first, second = data.draw(values), data.draw(turns_of_any_angle()), data.draw(turns_of_any_angle())
    twice, once = field.act(field.act(drawn, first), second), field.act(drawn, first.then(second))
    for one, other in zip(once, twice, strict=True):
        if kind == "angle":
            one, other = np.exp(1j * field.to_rad(one)), np.exp(1j * field.to_rad(other))
        np.testing.assert_allclose(other, one, atol=1e-6)


class Wrong(NumberField):
    """A kind of one's own that breaks one law."""

    law: Literal["identity", "mirror twice", "neighbours", "in place", "product", "undone"]

    def act(self, values: np.ndarray, maps: Maps) -> np.ndarray:
        if self.law == "identity":
            return values + 1
        if self.law == "mirror twice":
            return np.where(maps.mirrored, values + 1, values)
        if self.law == "neighbours":
            return np.where(maps.mirrored, -values[::-1], values)
        if self.law == "product":
            return np.where(maps.mirrored & (maps.turns == 0), -values, values)
        if self.law == "in place":
            values *= np.where(maps.mirrored, -1, 1)
        return values

    def allows(self, values: np.ndarray, maps: Maps) -> np.ndarray:
        return ~maps.mirrored | (values < 0) if self.law == "undone" else np.ones(len(maps), dtype=bool)


@pytest.mark.parametrize("law", ["identity", "mirror twice", "neighbours", "in place", "product"])
def test_a_kind_that_breaks_a_law_is_found(law):
    with pytest.raises(AssertionError):
        check_field(Wrong(law=law), np.arange(1.0, 5))


def test_a_kind_that_does_not_allow_the_way_back_is_found():
    class OneWay(Wrong):
        def act(self, values: np.ndarray, maps: Maps) -> np.ndarray:
            return np.where(maps.mirrored, -values, values)

    with pytest.raises(AssertionError, match="inverse"):
        check_field(OneWay(law="undone"), np.array([-1.0, -2.0]))


def test_a_map_knows_chirality_from_direction():
    """A turn changes where an arrow points and leaves a left hand a left hand; a mirror changes both."""
    hand = LabelField(mirror={"left_hand": "right_hand"}, turn="same")
    arrow = DirectionField(angles={"left": 180, "right": 0, "up": 90, "down": 270})
    hands, arrows = objects(["left_hand"]), objects(["left"])
    assert hand.act(hands, TURN)[0] == "left_hand"
    assert arrow.act(arrows, TURN)[0] == "down"
    assert hand.act(hands, MIRROR)[0] == "right_hand"
    assert arrow.act(arrows, MIRROR)[0] == "right"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-180, 180), min_size=9, max_size=9), st.booleans())
def test_directions_never_land_between_classes(angles_deg, mirrored):
    field = DirectionField(angles=EIGHT)
    values = objects([*EIGHT, "none"])
    maps = make_maps((24, 24), mirrored=mirrored, rotate_rad=np.deg2rad(angles_deg))
    allowed, moved = field.allows(values, maps), field.act(values, maps)
    for value, angle, is_allowed, seen in zip(values, angles_deg, allowed, moved, strict=True):
        if value == "none":
            assert is_allowed
            assert seen == "none"
            continue
        arrow = (180 - EIGHT[value] if mirrored else EIGHT[value]) + angle
        off = min((abs((arrow - own + 180) % 360 - 180), name) for name, own in EIGHT.items())
        assert abs(off[0] - 15) < 1e-6 or is_allowed == (off[0] <= 15)
        if is_allowed:
            assert seen == off[1]


@pytest.mark.parametrize(
    ("field", "expected"), [(DirectionField(angles=EIGHT), 15), (DirectionField(angles=EIGHT, tolerance_deg=4), 4)]
)
def test_how_far_an_arrow_may_be_off(field, expected):
    assert np.rad2deg(field.tolerance_rad) == pytest.approx(expected)
    narrow = DirectionField(angles={"a": 0, "b": 30, "c": 180})
    assert np.rad2deg(narrow.tolerance_rad) == pytest.approx(10)


@pytest.mark.parametrize("tilt_deg", [-15.0, 15.0])
def test_a_tilt_of_just_the_limit_is_none(tilt_deg):
    """`rotate_deg: [15, 15]` is what a hand-held camera does; rounding must not refuse it."""
    maps = make_maps((24, 24), mirrored=np.arange(8) >= 4, turns=np.arange(8) % 4, rotate_rad=np.deg2rad(tilt_deg))
    assert LabelField(mirror="same", turn=ROUND | {"none": "none"}).allows(objects(["none"] * 8), maps).all()
    assert NumberField(mirror="same").allows(np.zeros(8), maps[[0, 4]]).all()
    steep = make_maps((24, 24), rotate_rad=np.deg2rad(1.01 * tilt_deg))
    assert not LabelField(mirror="same").allows(objects(["none"]), steep)[0]
    assert LabelField(turn="same").allows(objects(["none"]), steep)[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (LabelField(mirror="never"), "a"),
        (LabelField(mirror={"a": "never"}), "a"),
        (LabelField(), "a"),
        (LabelsField(mirror={"a": "never"}), ("a", "b")),
        (NumberField(mirror="never"), 1.0),
        (NumberField(), 1.0),
        (PointsField(names=("a", "b"), mirror="never"), np.zeros((2, 2))),
        (PointsField(names=("a", "b"), mirror={"b": "never"}), np.zeros((2, 2))),
        (PointsField(names=("a", "b")), np.zeros((2, 2))),
        (BoxesField(mirror="never"), Boxes(np.ones((1, 4)))),
        (BoxesField(mirror={"a": "never"}), Boxes(np.ones((1, 4)), ("a",))),
        (SeriesField(names=("a",), mirror="never"), np.zeros((3, 1))),
        (SeriesField(names=("a",)), np.zeros((3, 1))),
    ],
)
def test_what_is_never_mirrored(field, value):
    values = np.array([value]) if isinstance(value, float) else objects([value])
    if field.kind == "points":
        values = value[None]
    assert not field.allows(values, MIRROR)[0]
    assert field.allows(values, make_maps((24, 24)))[0]


def test_a_class_that_may_be_mirrored_is_not_kept_by_one_that_may_not():
    field = LabelField(mirror={"a": "never", "b": "c"})
    assert field.allows(objects(["a", "b", None]), MIRROR[[0, 0, 0]]).tolist() == [False, True, True]
    boxes = BoxesField(mirror={"a": "never"})
    values = objects([Boxes(np.ones((1, 4)), ("a",)), Boxes(np.ones((1, 4)), ("b",))])
    assert boxes.allows(values, MIRROR[[0, 0]]).tolist() == [False, True]


def test_points_take_the_name_of_where_they_are():
    field = PointsField(names=("left_eye", "right_eye", "nose"), mirror={"left_eye": "right_eye"})
    seen = field.act(np.array([[[4.0, 8], [20, 9], [11, 12]]]), MIRROR)
    np.testing.assert_allclose(seen, [[[3, 9], [19, 8], [12, 12]]])


def test_boxes_that_leave_take_their_names_along():
    field = BoxesField(mirror="same")
    values = objects([Boxes(np.array([[0.0, 0, 4, 4], [12, 12, 20, 20]]), ("corner", "middle"))])
    (left,) = field.act(values, make_maps((24, 24), shift_x=-6))
    assert left.names == ("middle",)
    np.testing.assert_allclose(left.edges, [[6, 12, 14, 20]])


def test_a_series_by_hand():
    field, _ = KIND_CASES["series"][0]
    values = objects([np.array([[1.0, 2, 10, 20, 5]])])
    np.testing.assert_allclose(field.act(values, MIRROR)[0], [[-1, 2, 20, 10, -5]])
    np.testing.assert_allclose(field.act(values, TURN)[0], [[2, -1, 10, 20, 5]], atol=1e-12)


@pytest.mark.parametrize(
    ("field", "mirrored", "turned"),
    [
        (AngleField(), 150, 120),
        (AngleField(positive="clockwise"), 150, -60),
        (AngleField(zero="up"), -30, 120),
        (AngleField(zero="up", positive="clockwise"), -30, -60),
        (AngleField(period_deg=180), -30, -60),
    ],
)
def test_angles_by_hand(field, mirrored, turned):
    """30 degrees, from wherever 0 points, in whichever direction."""
    np.testing.assert_allclose(field.act(np.array([30.0]), MIRROR), [mirrored], atol=1e-9)
    np.testing.assert_allclose(field.act(np.array([30.0]), TURN), [turned], atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["uint8", "uint16"]))
def test_ids_of_a_mask_change_places_in_a_mirror_and_back(seed, dtype):
    """Seen through a mirror twice, a mask is itself; what is left of the middle is always the left one."""
    field = MaskField(names={1: "left_lung", 2: "right_lung", 7: "heart"}, mirror={"left_lung": "right_lung"})
    masks = np.random.default_rng(seed).choice([0, 1, 2, 7, 9], (4, 5, 6, 1)).astype(dtype)
    maps = make_maps((5, 6), mirrored=[True, False, True, False])
    before = masks.copy()

    def seen(values: np.ndarray) -> np.ndarray:
        return field.act(np.where(maps.mirrored[:, None, None, None], values[:, :, ::-1], values), maps)

    once = seen(masks)
    assert once.dtype == masks.dtype
    np.testing.assert_array_equal(once[0] == 1, masks[0, :, ::-1] == 2)
    np.testing.assert_array_equal(once[0] == 7, masks[0, :, ::-1] == 7)
    np.testing.assert_array_equal(once[1], masks[1])
    np.testing.assert_array_equal(seen(once), masks)
    np.testing.assert_array_equal(masks, before)


@pytest.mark.parametrize(("mirror", "allowed"), [("never", False), ({"heart": "never"}, False), ("same", True), (None, True)])
def test_masks_that_are_never_mirrored(mirror, allowed):
    field = MaskField(names={1: "left_lung", 2: "right_lung", 7: "heart"}, mirror=mirror)
    assert field.allows(None, MIRROR)[0] == allowed
    assert field.allows(None, TURN)[0]


def test_fields_that_change_places_do_so_twice():
    rows = toy_tables(12)
    rows = replace(rows, table=rows.table[["size", "noise"]].assign(grade=rows.table["colour"], other=rows.table["answer"]))
    fields: dict[str, Field] = {
        "size": NumberField(mirror=SwapWith(swap_with="noise"), turn="same"),
        "noise": NumberField(mirror=SwapWith(swap_with="size"), turn="same"),
        "grade": LabelField(mirror={"swap_with": "other"}, turn="same"),
        "other": LabelField(mirror={"swap_with": "grade"}, turn="same"),
    }
    once = moved_rows(rows, fields, 4)
    assert once is not None
    np.testing.assert_array_equal(once.table["size"], rows.table["noise"])
    np.testing.assert_array_equal(once.table["other"], rows.table["grade"])
    twice = moved_rows(once, fields, 4)
    assert twice is not None
    for name in fields:
        np.testing.assert_array_equal(twice.table[name], rows.table[name])
    assert moved_rows(rows, fields, 2) is None
    assert rows.table["size"].equals(toy_tables(12).table["size"])
