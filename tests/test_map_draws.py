"""What is drawn for each row: ranges, chances, what targets forbid, and nothing that depends on company or order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, kstest

from tamesu.amounts import chance_of, drawn, hit, is_off, limits
from tamesu.config import AugmentConfig, Sometimes
from tamesu.draws import Draws, make_draws, row_keys
from tamesu.fields import DirectionField, FieldBase, LabelField, NumberField
from tamesu.geometry import move_points
from tamesu.map_draws import draw_maps
from tamesu.maps import Maps

SIZE = (24, 24)
EVERYTHING = AugmentConfig(
    mirror=0.5,
    flip=0.3,
    turn=0.6,
    rotate_deg=40,
    scale=(0.8, 1.3),
    aspect=Sometimes(range=0.2, chance=0.5),
    shear_deg=10,
    crop=0.4,
    translate=0.1,
)


def draws_of(n: int, seed: int = 0, epoch: int = 0) -> Draws:
    return make_draws(row_keys(f"row{i}" for i in range(n)), seed, epoch)


def still(**moves) -> AugmentConfig:
    return AugmentConfig(**{"translate": 0} | moves)


def allows_of(field: FieldBase, values: np.ndarray):
    return lambda maps: field.allows(values, maps)


def as_often_as(hits: np.ndarray, chance: float) -> bool:
    """No rarer and no more often than in all but 2 of a million such counts."""
    low, high = binom.ppf([1e-6, 1 - 1e-6], len(hits), chance)
    return bool(low <= hits.sum() <= high)


# ---- the same row, the same map ----


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.permutations(range(12)), st.integers(1, 12))
def test_a_rows_map_depends_on_the_row_alone(seed, order, n_taken):
    names = [f"row{i}" for i in range(12)]
    values = np.array([f"class{i % 3}" for i in range(12)], dtype=object)
    field = LabelField(mirror={"class0": "never"}, turn={"class1": "class2", "class2": "class1"})
    whole = draw_maps(EVERYTHING, SIZE, make_draws(row_keys(names), seed, 3), allows_of(field, values))
    taken = list(order)[:n_taken]
    part_keys = row_keys([names[i] for i in taken])
    part = draw_maps(EVERYTHING, SIZE, make_draws(part_keys, seed, 3), allows_of(field, values[taken]))
    np.testing.assert_array_equal(part.matrix, whole.matrix[taken])


def test_threads_draw_what_one_thread_draws():
    one = draw_maps(EVERYTHING, SIZE, draws_of(400)).matrix
    keys = row_keys(f"row{i}" for i in range(400))
    parts = np.array_split(np.arange(400), 37)
    with ThreadPoolExecutor(4) as pool:
        many = list(pool.map(lambda part: draw_maps(EVERYTHING, SIZE, make_draws(keys[part], 0, 0)).matrix, parts))
    np.testing.assert_array_equal(np.concatenate(many), one)


def test_seeds_and_epochs_draw_anew():
    one = draw_maps(EVERYTHING, SIZE, draws_of(50)).matrix
    np.testing.assert_array_equal(one, draw_maps(EVERYTHING, SIZE, draws_of(50)).matrix)
    for other in (draws_of(50, seed=1), draws_of(50, epoch=1)):
        assert (draw_maps(EVERYTHING, SIZE, other).matrix != one).any(axis=(1, 2)).all()


def test_another_setting_leaves_the_other_draws_as_they_are():
    """Arms that differ in one magnitude see the same mirrors and shifts."""
    plain = draw_maps(still(mirror=0.5, translate=0.1), SIZE, draws_of(200))
    more = draw_maps(still(mirror=0.5, translate=0.1, scale=0.2), SIZE, draws_of(200))
    np.testing.assert_array_equal(plain.mirrored, more.mirrored)


# ---- as asked for ----


def test_the_default_is_a_shift_by_whole_pixels():
    """Reference: the formula, by hand; what released studies were trained with."""
    size = (30, 50)
    draws = draws_of(300)
    maps = draw_maps(AugmentConfig(), size, draws)
    expected = np.broadcast_to(np.eye(3), (300, 3, 3)).copy()
    expected[:, 0, 2] = np.rint(draws.uniform("translate_x", -1, 1) * 0.08 * 50)
    expected[:, 1, 2] = np.rint(draws.uniform("translate_y", -1, 1) * 0.08 * 30)
    np.testing.assert_array_equal(maps.matrix, expected)
    assert maps.is_whole_pixel
    assert np.ptp(maps.matrix[:, 0, 2]) == 8


def test_nothing_asked_for_is_nothing_moved():
    maps = draw_maps(still(), SIZE, draws_of(9))
    np.testing.assert_array_equal(maps.matrix, np.broadcast_to(np.eye(3), (9, 3, 3)))
    assert len(draw_maps(EVERYTHING, SIZE, draws_of(0))) == 0


@pytest.mark.parametrize(("name", "chance"), [("mirror", 0.5), ("mirror", 0.1), ("flip", 0.25), ("turn", 0.4)])
def test_chances_are_as_asked(name, chance):
    maps = draw_maps(still(**{name: chance}), SIZE, draws_of(5000))
    assert as_often_as(maps.elements != 0, chance)
    assert set(maps.elements) == {"mirror": {0, 4}, "flip": {0, 6}, "turn": {0, 1, 2, 3}}[name]
    assert maps.is_whole_pixel
    if name == "turn":
        for turns in (1, 2, 3):
            assert as_often_as(maps.elements == turns, chance / 3)


def test_never_and_always():
    assert not draw_maps(still(mirror=0.0), SIZE, draws_of(500)).mirrored.any()
    assert draw_maps(still(mirror=1.0), SIZE, draws_of(500)).mirrored.all()


def test_a_flip_changes_up_and_down():
    maps = draw_maps(still(flip=1.0), (5, 9), draws_of(1))
    np.testing.assert_allclose(move_points(np.array([[[2.0, 0.0]]]), maps), [[[2, 4]]])


@pytest.mark.parametrize(
    ("amount", "low", "high"),
    [(20.0, -20, 20), ((10.0, 30.0), 10, 30), ((-5.0, 0.0), -5, 0), (Sometimes(range=20, chance=1), -20, 20)],
)
def test_rotations_are_even_over_their_range(amount, low, high):
    angles = np.rad2deg(draw_maps(still(rotate_deg=amount), SIZE, draws_of(3000)).angle_rad)
    assert low <= angles.min()
    assert angles.max() <= high
    assert kstest(angles, "uniform", args=(low, high - low)).pvalue > 1e-4


@pytest.mark.parametrize("fixed", [30.0, -170.0])
def test_a_fixed_value_is_exact(fixed):
    maps = draw_maps(still(rotate_deg=(fixed, fixed)), SIZE, draws_of(40))
    np.testing.assert_allclose(np.rad2deg(maps.angle_rad), fixed, atol=1e-12)
    np.testing.assert_array_equal(drawn(draws_of(40), "any", (0.3, 0.3)), 0.3)
    scaled = draw_maps(still(scale=(1.25, 1.25)), SIZE, draws_of(40))
    np.testing.assert_array_equal(scaled.matrix[:, :2, :2], np.broadcast_to(1.25 * np.eye(2), (40, 2, 2)))


def test_scale_and_aspect_are_factors_of_area_and_shape():
    maps = draw_maps(still(scale=0.2), SIZE, draws_of(2000)).matrix
    assert 0.8 <= maps[:, 0, 0].min() < 0.81
    assert 1.19 < maps[:, 0, 0].max() <= 1.2
    np.testing.assert_array_equal(maps[:, 0, 0], maps[:, 1, 1])
    maps = draw_maps(still(aspect=0.2), SIZE, draws_of(2000)).matrix
    ratio = maps[:, 0, 0] / maps[:, 1, 1]
    assert 0.8 <= ratio.min() < 0.81
    assert 1.19 < ratio.max() <= 1.2 + 1e-12
    np.testing.assert_allclose(maps[:, 0, 0] * maps[:, 1, 1], 1)


def test_not_in_every_picture():
    maps = draw_maps(still(rotate_deg=Sometimes(range=(5, 20), chance=0.3)), SIZE, draws_of(4000))
    assert as_often_as(maps.angle_rad != 0, 0.3)


@pytest.mark.parametrize("extra", [{}, {"aspect": 0.3}, {"scale": 0.2}, {"aspect": (1.0, 1.6), "mirror": 0.5}])
@pytest.mark.parametrize("size", [(24, 24), (20, 50)])
def test_a_crop_is_a_window_inside_the_picture(extra, size):
    maps = draw_maps(still(crop=0.5, **extra), size, draws_of(600))
    h, w = size
    frame = np.array([[-0.5, -0.5], [w - 0.5, h - 0.5]])
    window = move_points(np.broadcast_to(frame, (600, 2, 2)), maps.inverse)
    low, high = window.min(axis=1), window.max(axis=1)
    side = high - low
    fits = side <= np.array([w, h]) + 1e-9  # scale and aspect may ask for more than there is
    edge = np.maximum(-0.5 - low, high - (np.array([w, h]) - 0.5))
    assert edge[fits].max() < 1e-9
    np.testing.assert_allclose(low[~fits] + high[~fits], np.broadcast_to([w - 1, h - 1], low.shape)[~fits], atol=1e-9)
    if not extra:
        share = side.prod(axis=1) / (w * h)
        assert kstest(share, "uniform", args=(0.5, 0.5)).pvalue > 1e-4
        room = np.array([w, h]) - side
        assert kstest(((low + 0.5) / room)[:, 0], "uniform").pvalue > 1e-4  # wherever it fits


def test_a_crop_that_is_not_drawn_moves_nothing():
    maps = draw_maps(still(crop=Sometimes(range=(0.3, 0.3), chance=0.4)), SIZE, draws_of(1000))
    nothing = (maps.matrix == np.eye(3)).all(axis=(1, 2))
    assert as_often_as(~nothing, 0.4)


def test_stronger_rows_are_varied_more():
    draws, strength = draws_of(500), np.repeat([1.0, 2.0], 250)
    plain = draw_maps(still(rotate_deg=10), SIZE, draws)
    strong = draw_maps(still(rotate_deg=10), SIZE, draws, strength=strength)
    np.testing.assert_allclose(strong.angle_rad, plain.angle_rad * strength, atol=1e-12)
    chances = hit(draws_of(6000), "shadow", 0.3, np.repeat([1.0, 2.0], 3000))
    assert as_often_as(chances[:3000], 0.3)
    assert as_often_as(chances[3000:], 0.6)
    assert draw_maps(still(scale=0.9), SIZE, draws, strength=np.full(500, 9.0)).matrix[:, 0, 0].min() > 0


@pytest.mark.parametrize(
    ("amount", "around", "one_sided", "expected"),
    [
        (0.2, 0, False, (-0.2, 0.2)),
        (0.2, 1, False, (0.8, 1.2)),
        (0.2, 0, True, (0, 0.2)),
        ((0.1, 0.3), 1, True, (0.1, 0.3)),
        (Sometimes(range=0.5, chance=0.1), 1, False, (0.5, 1.5)),
    ],
)
def test_how_a_magnitude_is_read(amount, around, one_sided, expected):
    assert limits(amount, around, one_sided=one_sided) == pytest.approx(expected)
    values = drawn(draws_of(2000), "any", amount, around, one_sided=one_sided)
    asked = values[values != around]
    assert expected[0] <= asked.min()
    assert asked.max() <= expected[1]
    assert as_often_as(values != around, chance_of(amount))
    assert not is_off(amount, around)


@pytest.mark.parametrize(("amount", "around"), [(0.0, 0), (0.0, 1), ((1.0, 1.0), 1), (Sometimes(range=0.3, chance=0), 0)])
def test_what_is_off(amount, around):
    assert is_off(amount, around)
    np.testing.assert_array_equal(drawn(draws_of(5), "any", amount, around), around)


# ---- what targets forbid ----


def test_rows_whose_class_is_never_mirrored_are_not():
    values = np.array([("stays", "swaps", "other")[i % 3] for i in range(3000)], dtype=object)
    field = LabelField(mirror={"stays": "never", "swaps": "other"})
    maps = draw_maps(still(mirror=0.5), SIZE, draws_of(3000), allows_of(field, values))
    assert not maps.mirrored[values == "stays"].any()
    assert as_often_as(maps.mirrored[values == "swaps"], 0.5)
    always = draw_maps(still(mirror=1.0), SIZE, draws_of(3000), allows_of(field, values))
    np.testing.assert_array_equal(always.mirrored, values != "stays")


def test_rows_that_allow_nothing_stay_upright_and_are_still_shifted():
    config = AugmentConfig(rotate_deg=(90, 90), mirror=1.0)
    maps = draw_maps(config, SIZE, draws_of(60), allows_of(NumberField(), np.zeros(60)))
    assert (maps.elements == 0).all()
    assert maps.is_whole_pixel
    assert maps.matrix[:, 0, 2].any()


@pytest.mark.parametrize("moves", [{"rotate_deg": 180}, {"rotate_deg": 180, "mirror": 0.5}, {"turn": 0.5, "rotate_deg": 40}])
def test_directions_are_never_drawn_between_classes(moves):
    field = DirectionField(angles={"right": 0, "up": 90, "left": 180, "down": 270})
    values = np.array([[*field.angles, "none"][i % 5] for i in range(1000)], dtype=object)
    seen: list[Maps] = []
    maps = draw_maps(still(**moves), SIZE, draws_of(1000), lambda one: seen.append(one) or field.allows(values, one))
    assert field.allows(values, maps).all()
    assert not field.allows(values, seen[0]).all()  # the first draw alone would have
    arrows = values != "none"
    off = np.abs(maps.tilt_rad[arrows])
    assert np.rad2deg(off.max()) <= 15 + 1e-6
    assert len(set(maps.turns[arrows])) == 4
    assert np.rad2deg(np.abs(maps.tilt_rad[~arrows])).max() > 30  # what has no direction turns freely


def test_what_is_drawn_does_not_shift_the_odds_of_what_is_allowed():
    """Rows that forbid mirrors are rotated like the others."""
    values = np.array(["stays"] * 3000, dtype=object)
    field = LabelField(mirror={"stays": "never"}, turn="same")
    maps = draw_maps(still(mirror=0.7, rotate_deg=30), SIZE, draws_of(3000), allows_of(field, values))
    assert kstest(np.rad2deg(maps.angle_rad), "uniform", args=(-30, 60)).pvalue > 1e-4


@pytest.mark.parametrize("moves", [{"shear_deg": 15, "aspect": 0.2}, {"shear_deg": 10, "scale": 0.3, "crop": 0.3}])
def test_leaning_and_stretching_do_not_change_what_a_picture_says(moves):
    """The class is taken from the whole map: shear and aspect must not push an arrow over to the next class."""
    field = DirectionField(
        angles={"e": 0, "ne": 45, "n": 90, "nw": 135, "w": 180, "sw": 225, "s": 270, "se": 315}, tolerance_deg=10
    )
    values = np.array([list(field.angles)[i % 8] for i in range(800)], dtype=object)
    turned = draw_maps(still(rotate_deg=180, mirror=0.5), SIZE, draws_of(800), allows_of(field, values))
    whole = draw_maps(still(rotate_deg=180, mirror=0.5, **moves), SIZE, draws_of(800), allows_of(field, values))
    np.testing.assert_array_equal(field.act(values, whole), field.act(values, turned))
