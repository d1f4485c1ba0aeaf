"""decode(encode(y)) = y; a target moves as its field does, and a prediction moves back; what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.errors import DataError
from tamesu.fields import (
    AngleField,
    DirectionField,
    LabelField,
    LabelsField,
    NumberField,
    PointsField,
    VectorField,
)
from tamesu.maps import Maps, make_maps, whole_frames
from tamesu.targets import make_target, target_from_json
from tamesu.targets.places import as_pixels, as_shares

torch = pytest.importorskip("torch")
CLASSES = ("keep_left", "keep_right", "speed_50", "stop")
ARROWS = {"right": 0, "up": 90, "left": 180, "down": -90}
WAYS = ("down", "left", "none", "right", "up")
TURN = {"keep_left": "stop", "stop": "keep_right", "keep_right": "speed_50", "speed_50": "keep_left"}


def column(values) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


# ── the same law for every kind ─────────────────────────────────────────────────────────────────────────────────────────

FIELDS = {
    "label": LabelField(target=True, mirror={"keep_left": "keep_right"}, turn="same"),
    "label, never": LabelField(target=True, mirror={"keep_left": "keep_right", "speed_50": "never"}),
    "label, turned": LabelField(target=True, mirror="never", turn=TURN),
    "label, mute": LabelField(target=True),
    "labels": LabelsField(target=True, mirror={"keep_left": "keep_right", "stop": "never"}, turn="same"),
    "labels, turned": LabelsField(target=True, turn={"keep_left": "never"} | {"stop": "speed_50", "speed_50": "stop"}),
    "number, negate": NumberField(target=True, mirror="negate", turn="same"),
    "number, same": NumberField(target=True, mirror="same"),
    "number, never": NumberField(target=True, mirror="never"),
    "direction": DirectionField(target=True, angles=ARROWS),
    "direction, eight": DirectionField(target=True, angles={str(a): a for a in range(0, 360, 45)}),
    "direction, two": DirectionField(target=True, angles={"left": 180, "right": 0}),
    "angle": AngleField(target=True),
    "angle, line": AngleField(target=True, unit="rad", zero="up", positive="clockwise", period_deg=180),
    "angle, third": AngleField(target=True, zero="down", period_deg=120),
    "vector": VectorField(target=True),
    "vector, up": VectorField(target=True, y="up", columns=("u", "v", "w")),
    "points": PointsField(target=True, names=("left", "nose", "right"), mirror={"left": "right"}),
    "points, never": PointsField(target=True, names=("a", "b"), mirror="never"),
}
CLASSES_OF = {"direction": WAYS, "direction, eight": tuple(str(a) for a in range(0, 360, 45)), "direction, two": WAYS}
NAMES = tuple(FIELDS)
EVERY_KIND = pytest.mark.parametrize("case", NAMES)


def values_of(case: str, n: int, rng: np.random.Generator) -> np.ndarray:
    field, classes = FIELDS[case], np.array(CLASSES_OF.get(case, CLASSES), dtype=object)
    if field.kind in ("label", "direction"):
        return rng.choice(classes, n)
    if field.kind == "labels":
        return column([tuple(sorted(rng.choice(classes, rng.integers(0, 4), replace=False))) for _ in range(n)])
    if field.kind == "vector":
        return rng.normal(0, 3, (n, field.n_numbers))
    if field.kind == "points":
        places = rng.uniform(0, 40, (n, len(field.names), 2))
        places[rng.random(places.shape[:2]) < 0.2] = np.nan
        return places
    return rng.normal(20, 90, n)


def target_of(case: str, values: np.ndarray):
    classes = CLASSES_OF.get(case, CLASSES) if FIELDS[case].kind in ("label", "labels", "direction") else ()
    return make_target("y", FIELDS[case], classes).fit(values)


def random_maps(n: int, rng: np.random.Generator) -> Maps:
    """From pictures of many sizes to a frame: mirrors, quarter turns, a tilt and a stretch; but the first as it is."""
    plain = np.arange(n) == 0
    tilted = (rng.random(n) < 0.5) & ~plain
    inner = make_maps(
        (24, 32),
        mirrored=(rng.random(n) < 0.5) & ~plain,
        turns=np.where(plain, 0, rng.integers(0, 4, n)),
        rotate_rad=np.where(tilted, rng.uniform(-0.6, 0.6, n), 0),
        scale_x=np.where(tilted, rng.uniform(0.8, 1.2, n), 1),
        shift_x=rng.integers(-3, 4, n),
    )
    return whole_frames(rng.integers(20, 60, (n, 2)), (24, 32)).then(inner)


def as_encoded(target, moved: np.ndarray, maps: Maps) -> np.ndarray:
    """What training would take for values that are true of the frame."""
    encoded = target.encode(moved)
    return as_shares(encoded, maps.target) if target.kind == "points" else encoded


@EVERY_KIND
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_target_moves_as_its_field_does(case, seed):
    rng = np.random.default_rng(seed)
    values = values_of(case, 30, rng)
    target, maps = target_of(case, values), random_maps(30, rng)
    encoded = target.encode(values)
    allowed = target.allows(encoded, maps)
    known = target.field.allows(values, maps)
    if case == "direction, two":  # the field knows where arrows point; the target, that no class has that name
        assert not (allowed & ~known).any()
    else:
        np.testing.assert_array_equal(allowed, known)
    expected = as_encoded(target, target.field.act(values[allowed], maps[allowed]), maps[allowed])
    np.testing.assert_allclose(target.move(encoded[allowed], maps[allowed]), expected, atol=1e-9)


def certain(target, moved: np.ndarray) -> np.ndarray:
    """The prediction of a network that is right about what it sees."""
    if target.kind in ("label", "direction"):
        return np.eye(len(target.classes))[moved]
    if target.kind == "labels":
        return moved.astype(float)
    if target.kind == "number":
        return target.decode(moved[:, None], np)
    return target.decode(moved.reshape(len(moved), -1), np)


@EVERY_KIND
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_is_right_of_the_frame_is_right_of_the_original_once_moved_back(case, seed):
    rng = np.random.default_rng(seed)
    values = values_of(case, 30, rng)
    if FIELDS[case].kind == "points":
        values = np.nan_to_num(values, nan=7.0)
    target, maps = target_of(case, values), random_maps(30, rng)
    encoded = target.encode(values)
    allowed = target.allows(encoded, maps)
    back = target.move_back(certain(target, target.move(encoded, maps)), maps)[allowed]
    truth = target.truth(values)[allowed]
    assert allowed[0]
    empty = (encoded == 0).all(axis=1) if target.kind == "labels" else np.zeros(30, dtype=bool)  # nothing to be moved
    partly = target.kind == "direction"  # a tilt may suit this arrow and not the others
    assert (target.speaks(maps) | ~allowed | empty | partly).all()
    if target.kind == "labels":
        known = ~np.isnan(back)
        np.testing.assert_array_equal(back[known], truth[known])
        assert known[truth > 0].all()
    elif target.kind in ("label", "direction"):
        rows = ~np.isnan(back).all(axis=1)
        np.testing.assert_array_equal(np.nanargmax(back[rows], axis=1), truth[rows])
        assert rows.all() or partly
    elif target.kind == "angle":
        period = np.deg2rad(target.field.period_deg) / target.field.unit_rad
        np.testing.assert_allclose((back - truth + period / 2) % period - period / 2, 0, atol=1e-7)
    else:
        np.testing.assert_allclose(back, truth, atol=1e-7)


@EVERY_KIND
def test_rows_that_are_not_allowed_say_nothing(case):
    rng = np.random.default_rng(1)
    values = values_of(case, 200, rng)
    target, maps = target_of(case, values), random_maps(200, rng)
    back = target.move_back(np.ones((200, *target.prediction_shape)), maps).reshape(200, -1)
    np.testing.assert_array_equal(target.speaks(maps), np.isfinite(back).any(axis=1))
    if case == "number, never":
        assert np.isnan(back[maps.mirrored]).all()
    if case == "label, mute":
        assert np.isnan(back[maps.mirrored | (maps.turns > 0)]).all()
        assert np.isfinite(back[~maps.mirrored & (maps.elements == 0) & (np.abs(maps.tilt_rad) < 0.2)]).all()


@EVERY_KIND
def test_what_was_kept_is_the_same_target(case):
    values = values_of(case, 20, np.random.default_rng(2))
    target = target_of(case, values)
    back = target_from_json(json.loads(json.dumps(target.to_json())))
    assert (back.name, back.field, back.classes, type(back)) == (target.name, target.field, target.classes, type(target))
    np.testing.assert_array_equal(back.encode(values), target.encode(values))


@EVERY_KIND
def test_decoding_is_the_same_in_numpy_and_torch(case):
    target = target_of(case, values_of(case, 20, np.random.default_rng(3)))
    raw = np.random.default_rng(4).normal(size=(50, target.n_outputs)) * 30
    decoded = target.decode(raw, np)
    assert decoded.shape == (50, *target.prediction_shape)
    np.testing.assert_allclose(decoded, target.decode(torch.from_numpy(raw), torch), atol=1e-6)
    assert np.isfinite(target.decode(raw * 1e4, np)).all()


# ── values come back ────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=20))
def test_a_label_comes_back(names):
    target = make_target("sign", LabelField(target=True), CLASSES)
    codes = target.encode(column(names))
    probability = target.decode(50.0 * np.eye(4)[codes], np)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert [CLASSES[i] for i in probability.argmax(axis=1)] == names


@given(st.lists(st.sets(st.sampled_from(CLASSES)), min_size=1, max_size=20))
def test_labels_come_back(sets):
    target = make_target("signs", LabelsField(target=True), CLASSES)
    encoded = target.encode(column([tuple(sorted(one)) for one in sets]))
    probability = target.decode(100.0 * encoded - 50, np)
    assert [{CLASSES[j] for j in np.flatnonzero(row > 0.5)} for row in probability] == sets


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_a_number_comes_back(numbers):
    values = np.array(numbers)
    target = make_target("steer", NumberField(target=True)).fit(values)
    back = target.decode(target.encode(values)[:, None].astype(float), np)
    np.testing.assert_allclose(back, values, atol=1e-5 * (np.abs(values).max() + 1))
    np.testing.assert_array_equal(target.truth(values), values)


@given(st.floats(-1000, 1000), st.sampled_from(["angle", "angle, line", "angle, third"]))
def test_an_angle_comes_back_within_its_period(value, case):
    target = make_target("course", FIELDS[case])
    period = np.deg2rad(target.field.period_deg) / target.field.unit_rad
    back = target.decode(5 * target.encode(np.array([value])), np)[0]  # however long the arrow
    assert abs((back - value + period / 2) % period - period / 2) < 1e-6
    assert -period / 2 - 1e-9 <= back <= period / 2 + 1e-9


def test_vectors_keep_their_shape_in_one_scale():
    values = np.array([[3.0, 4.0], [0.0, 0.0], [-3.0, 4.0]])
    target = make_target("wind", VectorField(target=True)).fit(values)
    assert target.scale == pytest.approx(np.sqrt(50 / 3))
    np.testing.assert_allclose(target.encode(values) * target.scale, values)
    assert make_target("wind", VectorField(target=True)).fit(np.zeros((3, 2))).scale == 1


def test_shares_of_the_frame_go_from_edge_to_edge():
    frames = np.array([[10, 20]])
    np.testing.assert_allclose(
        as_shares(np.array([[[-0.5, -0.5], [19.5, 9.5], [9.5, 4.5]]]), frames), [[[-1, -1], [1, 1], [0, 0]]]
    )
    np.testing.assert_allclose(as_pixels(np.array([[[-1.0, 1.0]]]), frames), [[[-0.5, 9.5]]])


# ── mirrors, told by hand ───────────────────────────────────────────────────────────────────────────────────────────────


def mirrors(*mirrored: bool) -> Maps:
    return make_maps((8, 8), mirrored=np.array(mirrored))


def test_a_mirror_swaps_pairs_both_ways_and_leaves_the_never_ones():
    mirror = {"keep_left": "keep_right", "speed_50": "never"}
    target = make_target("sign", LabelField(target=True, mirror=mirror), CLASSES)
    codes, all_of_them = np.arange(4), mirrors(True, True, True, True)
    np.testing.assert_array_equal(target.allows(codes, all_of_them), [True, True, False, True])
    np.testing.assert_array_equal(target.move(codes, mirrors(True, True, False, True)), [1, 0, 2, 3])
    back = target.move_back(np.array([[0.6, 0.1, 0.1, 0.2]]), mirrors(True))
    np.testing.assert_array_equal(back, [[0.1, 0.6, np.nan, 0.2]])


def test_a_class_whose_other_side_is_unknown_is_not_mirrored():
    target = make_target("sign", LabelField(target=True, mirror={"stop": "pots"}), CLASSES)
    np.testing.assert_array_equal(target.allows(np.arange(4), mirrors(True, True, True, True)), [True, True, True, False])


def test_labels_are_mirrored_class_by_class():
    mirror = {"keep_left": "keep_right", "speed_50": "never"}
    target = make_target("signs", LabelsField(target=True, mirror=mirror), CLASSES)
    encoded = target.encode(column([("keep_left", "stop"), ("keep_right",), ("speed_50",), ()]))
    allowed = target.allows(encoded, mirrors(True, True, True, True))
    np.testing.assert_array_equal(allowed, [True, True, False, True])
    moved = target.move(encoded, mirrors(*allowed))
    np.testing.assert_array_equal(moved, target.encode(column([("keep_right", "stop"), ("keep_left",), ("speed_50",), ()])))


def test_a_number_is_negated_in_its_own_unit():
    values = np.array([1.0, 2.0, 6.0])
    target = make_target("steer", NumberField(target=True, mirror="negate")).fit(values)
    moved = target.move(target.encode(values), mirrors(True, False, True))
    np.testing.assert_allclose(target.decode(moved[:, None], np), [-1, 2, -6], rtol=1e-5)


def test_a_value_that_changes_places_is_not_predicted_from_a_mirrored_picture():
    for field, classes in (
        (NumberField(target=True, mirror={"swap_with": "other"}), ()),
        (LabelField(target=True, mirror={"swap_with": "other"}), CLASSES),
    ):
        target = make_target("grade", field, classes)
        np.testing.assert_array_equal(target.speaks(mirrors(True, False)), [False, True])
        assert target.allows(np.array([0, 1]), mirrors(True, False)).all()  # training takes the partner's value


def test_an_upright_arrow_turns_and_a_mirrored_one_is_the_other():
    target = make_target("way", FIELDS["direction"], WAYS)
    codes = {name: i for i, name in enumerate(WAYS)}
    every = np.arange(5)
    turned = make_maps((8, 8), turns=np.ones(5, dtype=int))
    assert [WAYS[i] for i in target.move(every, turned)] == ["right", "down", "none", "up", "left"]
    assert [WAYS[i] for i in target.move(every, mirrors(*[True] * 5))] == ["down", "right", "none", "left", "up"]
    tilted = make_maps((8, 8), rotate_rad=np.deg2rad([14.0, 16.0, 45.0, 80.0]))
    np.testing.assert_array_equal(target.allows(np.full(4, codes["up"]), tilted), [True, False, False, True])
    assert target.allows(np.full(4, codes["none"]), tilted).all()
    np.testing.assert_array_equal(target.speaks(tilted), [True, False, False, True])


def test_a_direction_without_the_other_class_is_known_in_part():
    target = make_target("way", FIELDS["direction"], ("down", "left", "up"))
    back = target.move_back(np.array([[0.5, 0.3, 0.2]]), mirrors(True))
    np.testing.assert_array_equal(back, [[0.5, np.nan, 0.2]])


# ── several predictions as one ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_view_without_a_class_says_how_the_rest_compare():
    target = make_target("sign", FIELDS["label, never"], CLASSES)
    views = np.array([[[0.1, 0.1, 0.7, 0.1]], [[0.2, 0.6, np.nan, 0.1]]])
    scaled = np.array([0.2, 0.6, 0.1]) * 0.3 / 0.9  # to what the first view leaves
    joined = target.join(views)
    np.testing.assert_allclose(joined[0, [0, 1, 3]], (scaled + 0.1) / 2)
    np.testing.assert_allclose(joined[0, 2], 0.7)


@given(st.integers(0, 2**32 - 1))
def test_joined_probabilities_add_up_to_one(seed):
    rng = np.random.default_rng(seed)
    views = rng.dirichlet(np.full(4, 0.3), (5, 8))
    views[1:][rng.random((4, 8, 4)) < 0.4] = np.nan
    joined = make_target("sign", FIELDS["label, never"], CLASSES).join(views)
    assert np.isfinite(joined).all()
    np.testing.assert_allclose(joined.sum(axis=1), 1)


def test_probabilities_of_views_that_know_all_are_averaged_and_rows_without_any_stay_unknown():
    target = make_target("sign", LabelField(target=True), CLASSES)
    views = np.full((2, 3, 4), np.nan)
    views[0, 0], views[1, 0], views[1, 1] = [1, 0, 0, 0], [0, 1, 0, 0], [0.25] * 4
    joined = target.join(views)
    np.testing.assert_array_equal(joined[:2], [[0.5, 0.5, 0, 0], [0.25] * 4])
    assert np.isnan(joined[2]).all()


def test_angles_are_averaged_around_the_circle():
    target = make_target("course", AngleField(target=True))
    np.testing.assert_allclose(target.join(np.array([[170.0, 10.0], [-170.0, np.nan]])), [-180, 10], atol=1e-9)
    line = make_target("tilt", AngleField(target=True, period_deg=180))
    np.testing.assert_allclose(line.join(np.array([[89.0], [-89.0]])) % 180, 90, atol=1e-9)


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_unknown_classes_and_missing_numbers_are_refused():
    for field in (LabelField(target=True), DirectionField(target=True, angles=ARROWS)):
        with pytest.raises(DataError, match=r"must be a class of the training table; got 'stopp'. Did you mean 'stop'"):
            make_target("sign", field, CLASSES).encode(column(["stopp"]))
    for field in (NumberField(target=True), AngleField(target=True)):
        with pytest.raises(DataError, match="every row must hold a number"):
            make_target("steer", field).encode(np.array([np.nan]))
    with pytest.raises(DataError, match="every row must hold a number"):
        make_target("wind", VectorField(target=True)).encode(np.array([[np.nan, 1.0]]))
