"""Laws of the maps themselves: products, inverses, and what they say of mirrors and turns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.geometry import move_points
from tamesu.maps import Maps, identity_maps, make_maps, whole_frames

ANGLES = st.floats(-np.pi, np.pi)
FACTORS = st.floats(0.3, 3)


@st.composite
def any_maps(draw, size=(20, 30)) -> Maps:
    """Two maps of anything a study can ask for."""
    two = st.tuples
    return make_maps(
        size,
        mirrored=draw(two(st.booleans(), st.booleans())),
        turns=draw(two(st.integers(0, 3), st.integers(0, 3))),
        rotate_rad=draw(two(ANGLES, ANGLES)),
        shear_rad=draw(two(st.floats(-1, 1), st.floats(-1, 1))),
        scale_x=draw(two(FACTORS, FACTORS)),
        scale_y=draw(two(FACTORS, FACTORS)),
        shift_x=draw(two(st.floats(-9, 9), st.floats(-9, 9))),
        shift_y=draw(two(st.floats(-9, 9), st.floats(-9, 9))),
    )


def turned(angle_rad: float, mirrored: bool = False) -> np.ndarray:
    """What an anticlockwise rotation, after a mirror, does to (x right, y down), written down by hand."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cos, sin], [-sin, cos]]) @ np.diag([-1 if mirrored else 1, 1])


def same_angle(one, other) -> bool:
    return bool(np.all(np.abs(np.exp(1j * np.asarray(one)) - np.exp(1j * np.asarray(other))) < 1e-7))


@settings(max_examples=60, deadline=None)
@given(any_maps(), any_maps())
def test_a_product_acts_as_one_after_the_other(first, second):
    places = np.random.default_rng(0).uniform(-5, 35, (2, 7, 2))
    np.testing.assert_allclose(
        move_points(places, first.then(second)), move_points(move_points(places, first), second), atol=1e-8
    )
    np.testing.assert_array_equal(first.then(second).mirrored, first.mirrored ^ second.mirrored)


@settings(max_examples=60, deadline=None)
@given(any_maps())
def test_an_inverse_undoes(maps):
    there_and_back = maps.then(maps.inverse)
    np.testing.assert_allclose(there_and_back.matrix, identity_maps(maps.source).matrix, atol=1e-8)
    np.testing.assert_array_equal(there_and_back.target, maps.source)
    np.testing.assert_allclose(maps.inverse.orthogonal, np.linalg.inv(maps.orthogonal), atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(ANGLES, st.booleans(), FACTORS, st.floats(-9, 9))
def test_mirror_and_angle_are_read_back(angle_rad, mirrored, factor, shift):
    maps = make_maps((21, 33), mirrored=mirrored, rotate_rad=angle_rad, scale_x=factor, scale_y=factor, shift_x=shift)
    assert maps.mirrored[0] == mirrored
    assert same_angle(maps.angle_rad[0], angle_rad)
    np.testing.assert_allclose(maps.orthogonal[0], turned(angle_rad, mirrored), atol=1e-9)
    np.testing.assert_allclose(maps.matrix[0, :2, :2], factor * turned(angle_rad, mirrored), atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(ANGLES, st.booleans(), ANGLES, st.booleans())
def test_a_mirror_turns_the_turns_before_it_round(first_rad, first_mirrored, second_rad, second_mirrored):
    first = make_maps((24, 24), mirrored=first_mirrored, rotate_rad=first_rad)
    second = make_maps((24, 24), mirrored=second_mirrored, rotate_rad=second_rad)
    expected = second_rad + (-first_rad if second_mirrored else first_rad)
    assert same_angle(first.then(second).angle_rad[0], expected)
    np.testing.assert_allclose(
        first.then(second).orthogonal[0], turned(second_rad, second_mirrored) @ turned(first_rad, first_mirrored), atol=1e-7
    )


@settings(max_examples=60, deadline=None)
@given(any_maps())
def test_what_is_done_to_directions_is_the_nearest_that_keeps_lengths(maps):
    """Reference: the polar factor by singular values, and no rotation a little off is nearer."""
    u, _, vt = np.linalg.svd(maps.matrix[:, :2, :2])
    np.testing.assert_allclose(maps.orthogonal, u @ vt, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 7), st.floats(-0.7, 0.7))
def test_the_nearest_symmetry_of_the_square(element, tilt_rad):
    maps = make_maps((9, 9), mirrored=element >= 4, turns=element % 4, rotate_rad=tilt_rad)
    assert maps.elements[0] == element
    assert maps.tilt_rad[0] == pytest.approx(tilt_rad, abs=1e-9)


def test_laws_of_the_square_hold_to_the_bit():
    mirror, turn = make_maps((8, 8), mirrored=True), make_maps((8, 8), turns=1)
    nothing = identity_maps([(8, 8)]).matrix
    twice = mirror.then(mirror)
    four = turn.then(turn).then(turn).then(turn)
    round_about = mirror.then(turn).then(mirror).then(turn)
    for maps in (twice, four, round_about, mirror.then(mirror.inverse), turn.then(turn.inverse)):
        np.testing.assert_array_equal(maps.matrix, nothing)
        assert maps.is_whole_pixel
    assert mirror.then(turn).elements[0] == 5
    assert turn.then(mirror).elements[0] == 7


def test_a_positive_angle_turns_the_right_to_the_top():
    for maps in (make_maps((21, 21), turns=1), make_maps((21, 21), rotate_rad=np.pi / 2)):
        np.testing.assert_allclose(move_points(np.array([[[20.0, 10.0]]]), maps), [[[10, 0]]], atol=1e-9)


def test_a_shear_leans_columns_and_factors_are_of_width_and_height():
    place = np.array([[[10.0, 0.0]]])  # the middle of the top row of 21 by 21
    np.testing.assert_allclose(move_points(place, make_maps((21, 21), shear_rad=np.pi / 4)), [[[0, 0]]], atol=1e-9)
    corner = np.array([[[20.0, 20.0]]])
    np.testing.assert_allclose(move_points(corner, make_maps((21, 21), scale_x=2, scale_y=0.5)), [[[30, 15]]], atol=1e-9)
    np.testing.assert_allclose(move_points(corner, make_maps((21, 21), shift_x=3, shift_y=-4)), [[[23, 16]]], atol=1e-9)


SIDES = st.integers(1, 300)


@settings(max_examples=100, deadline=None)
@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), st.sampled_from(["stretch", "pad", "crop"]))
def test_whole_pictures_come_to_the_frame(source, target, resize):
    maps = whole_frames([source], target, resize)
    h, w = source
    edges = move_points(np.array([[[-0.5, -0.5], [w - 0.5, h - 0.5]]]), maps)[0] + 0.5  # where the picture's edges are now
    frame = np.array(target[::-1])
    covered = edges[1] - edges[0]
    np.testing.assert_allclose(edges.mean(axis=0), frame / 2, atol=1e-6)  # the middle stays the middle
    factors = covered / (w, h)
    if resize == "stretch":
        np.testing.assert_allclose(edges, [(0, 0), frame], atol=1e-6)
        return
    assert factors[0] == pytest.approx(factors[1])
    short = covered - frame
    if resize == "pad":  # one side fills, none is cut
        assert short.max() == pytest.approx(0, abs=1e-6)
    else:  # one side fills, none is short of the frame
        assert short.min() == pytest.approx(0, abs=1e-6)


def test_a_stretch_turns_nothing():
    """A quarter turn of a stretched picture is a quarter turn of the picture."""
    whole = whole_frames([(100, 40)] * 8, (32, 32))
    inner = make_maps((32, 32), mirrored=np.arange(8) >= 4, turns=np.arange(8) % 4)
    np.testing.assert_array_equal(whole.then(inner).elements, np.arange(8))
    np.testing.assert_allclose(whole.then(inner).tilt_rad, 0, atol=1e-12)


def test_which_maps_move_whole_pixels():
    assert make_maps((8, 8), mirrored=[True, False], turns=[1, 2], shift_x=[3, -2]).is_whole_pixel
    assert not make_maps((8, 8), shift_x=0.5).is_whole_pixel
    assert not make_maps((8, 8), rotate_rad=0.1).is_whole_pixel
    assert not make_maps((8, 9), turns=1).is_whole_pixel  # about the middle of 8 by 9: half a pixel off
    assert not make_maps((8, 8), scale_x=2).is_whole_pixel
    assert not make_maps((8, 8), rotate_rad=np.pi / 4, scale_x=np.sqrt(0.5), scale_y=np.sqrt(0.5)).is_whole_pixel


def test_rows_are_taken_by_position_mask_and_slice():
    maps = make_maps((6, 6), shift_x=np.arange(4.0))
    for index in ([2, 0], np.array([True, False, True, False]), slice(1, 3)):
        np.testing.assert_array_equal(maps[index].matrix[:, 0, 2], np.arange(4.0)[index])
        assert len(maps[index]) == 2
    assert len(make_maps((6, 6), mirrored=np.zeros(0, bool), shift_x=np.zeros(0))) == 0
