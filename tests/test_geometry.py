"""What maps do to places, boxes, arrows, angles and cameras; hand-made cases beside the laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.geometry import camera_matrix, move_angles, move_boxes, move_camera, move_points, move_vectors
from tamesu.maps import make_maps, whole_frames

ANGLES = st.floats(-np.pi, np.pi)


def unproject(intrinsics: np.ndarray, pixels: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
    """Places in front of the camera, x right, y down, z away.  (m, 3)"""
    rays = np.linalg.solve(intrinsics, np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1).T).T
    return rays * depth_m[:, None]


def in_space(orthogonal: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A mirror and turn of the picture plane, of places in space.  (m, 3)"""
    return np.concatenate([places[:, :2] @ orthogonal.T, places[:, 2:]], axis=1)


def test_points_by_hand():
    places = np.array([[[0.0, 0.0], [2.0, 1.0], [np.nan, np.nan]]])
    mirrored = move_points(places, make_maps((3, 5), mirrored=True))
    np.testing.assert_array_equal(mirrored, [[[4, 0], [2, 1], [np.nan, np.nan]]])
    turned = move_points(places[:, :2], make_maps((5, 5), turns=1))
    np.testing.assert_array_equal(turned, [[[0, 4], [1, 2]]])


def test_a_point_in_the_middle_of_a_pixel_follows_it_through_a_resize():
    """Twice as many pixels: pixel 3 becomes pixels 6 and 7, and its centre lies between theirs."""
    np.testing.assert_allclose(move_points(np.array([[[3.0, 0.0]]]), whole_frames([(4, 8)], (8, 16))), [[[6.5, 0.5]]])


def test_boxes_by_hand():
    edges = np.array([[0.0, 0, 5, 3], [1, 1, 3, 2]])
    moved, kept = move_boxes(edges, make_maps((3, 5), mirrored=True))
    np.testing.assert_allclose(moved, [[0, 0, 5, 3], [2, 1, 4, 2]], atol=1e-12)
    assert kept.all()
    turned, _ = move_boxes(edges[1:], make_maps((5, 5), turns=1))
    np.testing.assert_allclose(turned, [[1, 2, 2, 4]], atol=1e-12)


def test_boxes_are_cut_at_the_frame_and_gone_when_too_little_is_left():
    edges = np.array([[0.0, 0, 4, 4], [6, 0, 10, 4]])
    shifted = make_maps((10, 10), shift_x=3)
    moved, kept = move_boxes(edges, shifted, keep=0.25)
    np.testing.assert_allclose(moved, [[3, 0, 7, 4], [9, 0, 10, 4]])
    assert kept.tolist() == [True, True]  # a quarter is left: enough
    assert move_boxes(edges, shifted, keep=0.26)[1].tolist() == [True, False]
    assert move_boxes(edges, make_maps((10, 10), shift_x=4), keep=0)[1].tolist() == [True, False]  # touching is not inside
    assert move_boxes(edges[:0], shifted)[0].shape == (0, 4)


@settings(max_examples=50, deadline=None)
@given(ANGLES, st.booleans(), st.lists(st.floats(1, 19), min_size=4, max_size=4))
def test_a_moved_box_holds_what_was_in_the_box(angle_rad, mirrored, numbers):
    (x0, x1), (y0, y1) = sorted(numbers[:2]), sorted(numbers[2:])
    maps = make_maps((80, 80), mirrored=mirrored, rotate_rad=angle_rad)
    edges = np.array([[x0, y0, x1, y1]]) + 30
    inside = np.random.default_rng(0).uniform(edges[0, :2], edges[0, 2:] + 1e-12, (40, 2))
    moved, _ = move_boxes(edges, maps)
    places = move_points(inside[None] - 0.5, maps)[0] + 0.5
    assert (places >= moved[0, :2] - 1e-9).all()
    assert (places <= moved[0, 2:] + 1e-9).all()


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ({"mirrored": True}, [-1, 2]),
        ({"turns": 1}, [2, -1]),
        ({"turns": 2}, [-1, -2]),
        ({"mirrored": True, "turns": 1}, [2, 1]),
        ({"scale_x": 3, "scale_y": 3, "shift_x": 4}, [1, 2]),
    ],
)
def test_arrows_by_hand(moves, expected):
    """(1, 2) points right and down."""
    maps = make_maps((9, 9), **moves)
    np.testing.assert_allclose(move_vectors(np.array([[1.0, 2.0]]), maps), [expected], atol=1e-12)
    np.testing.assert_allclose(move_vectors(np.array([[1.0, 2.0, 7.0]]), maps), [[*expected, 7]], atol=1e-12)
    up = move_vectors(np.array([[1.0, -2.0]]), maps, y_up=True)
    np.testing.assert_allclose(up, [[expected[0], -expected[1]]], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(ANGLES, ANGLES, st.booleans(), st.floats(0.3, 3))
def test_arrows_angles_and_pairs_of_points_move_alike(arrow_rad, turn_rad, mirrored, factor):
    maps = make_maps((40, 40), mirrored=mirrored, rotate_rad=turn_rad, scale_x=factor, scale_y=factor, shift_y=3)
    arrow = np.array([[np.cos(arrow_rad), -np.sin(arrow_rad)]])  # y down
    moved = move_vectors(arrow, maps)
    np.testing.assert_allclose(np.hypot(*moved[0]), 1, atol=1e-9)
    angle = move_angles(np.array([arrow_rad]), maps)
    np.testing.assert_allclose(moved, np.stack([np.cos(angle), -np.sin(angle)], axis=1), atol=1e-7)
    ends = move_points(np.stack([np.full((1, 2), 20.0), 20 + arrow], axis=1), maps)
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], moved * factor, atol=1e-6)


def test_cameras_by_hand():
    before = camera_matrix(400, 410, 30, 20)  # of a picture of 48 by 64
    expected = {
        "mirror": (make_maps((48, 64), mirrored=True), (400, 410, 33, 20)),
        "half turn": (make_maps((48, 64), turns=2), (400, 410, 33, 27)),
        "crop": (make_maps((48, 64), shift_x=-10, shift_y=-4), (400, 410, 20, 16)),
        "twice as large": (whole_frames([(48, 64)], (96, 128)), (800, 820, 60.5, 40.5)),
        "stretched": (whole_frames([(48, 64)], (48, 32)), (200, 410, 14.75, 20)),
    }
    for name, (maps, numbers) in expected.items():
        np.testing.assert_allclose(move_camera(before, maps)[0], camera_matrix(*numbers), atol=1e-9, err_msg=name)
    square = move_camera(camera_matrix(400, 410, 30, 20), make_maps((61, 61), turns=1))
    np.testing.assert_allclose(square[0], camera_matrix(410, 400, 20, 30), atol=1e-9)  # (x, y) goes to (y, 60 - x)


@settings(max_examples=80, deadline=None)
@given(
    st.booleans(),
    ANGLES,
    st.floats(0.4, 2.5),
    st.floats(-0.5, 0.5),
    st.floats(0.7, 1.4),
    st.sampled_from(["stretch", "pad", "crop"]),
)
def test_places_in_space_follow_the_camera(mirrored, turn_rad, factor, shear_rad, aspect, resize):
    """Seen through the moved camera, moved pixels are where the mirrored and turned scene is; whatever the map."""
    inner = make_maps(
        (32, 32),
        mirrored=mirrored,
        rotate_rad=turn_rad,
        shear_rad=shear_rad,
        scale_x=factor * aspect,
        scale_y=factor,
        shift_x=5,
    )
    maps = whole_frames([(48, 64)], (32, 32), resize).then(inner)
    before = camera_matrix(400, 410, 30, 20)
    rng = np.random.default_rng(0)
    pixels, depth_m = rng.uniform(0, 48, (9, 2)), rng.uniform(0.2, 4, 9)
    after = move_camera(before, maps)[0]
    moved = unproject(after, move_points(pixels[None], maps)[0], depth_m)
    np.testing.assert_allclose(moved, in_space(maps.orthogonal[0], unproject(before, pixels, depth_m)), atol=1e-7)
    assert after[0, 0] > 0
    assert after[1, 1] > 0
    np.testing.assert_allclose(after[2], [0, 0, 1])
    back = move_camera(move_camera(before, maps), maps.inverse)[0]
    np.testing.assert_allclose(back, before, atol=1e-6)


def test_a_camera_with_square_pixels_stays_one_when_turned():
    maps = make_maps((48, 48), mirrored=[False, True], rotate_rad=[0.5, -2.0], scale_x=1.5, scale_y=1.5)
    after = move_camera(camera_matrix(400, 400, 30, 20), maps)
    np.testing.assert_allclose(after[:, :2, :2], np.broadcast_to(np.diag([600.0, 600.0]), (2, 2, 2)), atol=1e-9)
