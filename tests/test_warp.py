"""Laws of pictures seen through maps: images, masks and depths, in batches and one by one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tamesu.config import AugmentConfig
from tamesu.draws import Draws, make_draws, row_keys
from tamesu.fields import DepthField, ImageField, LabelField, MaskField
from tamesu.geometry import move_points
from tamesu.map_draws import draw_maps
from tamesu.maps import Maps, identity_maps, make_maps, whole_frames
from tamesu.picture_sets import read_arrays, read_files
from tamesu.pictures import Pictures
from tamesu.testing import ArrayPictures
from tamesu.warp import read_size, resize_picture, view, view_back, warp_depth, warp_ids, warp_picture

IMAGE, MASK, DEPTH = ImageField(), MaskField(outside=9), DepthField(unit_m=0.5)
PAD = {"reflect": "reflect", "edge": "edge", "wrap": "wrap", "constant": "constant"}
DTYPES = ["uint8", "uint16", "float32"]
SEEDS = st.integers(0, 10_000)


def draws_of(n: int, seed: int = 0, epoch: int = 0) -> Draws:
    return make_draws(row_keys(f"row{i}" for i in range(n)), seed, epoch)


def free_maps(size: tuple[int, int], n: int, seed: int, **settings: object) -> Maps:
    chosen = {"mirror": 0.5, "turn": 0.5, "rotate_deg": 30, "scale": 0.15, "aspect": 0.1, "shear_deg": 8, "translate": 0.05}
    return draw_maps(AugmentConfig(**(chosen | settings)), size, draws_of(n, seed))


def waves(h: int, w: int, places: np.ndarray | None = None, c: int = 1) -> np.ndarray:
    """A smooth drawing at the pixels of an h × w picture, or at `places` (h', w', 2) of it.  (h', w', c)"""
    if places is None:
        places = np.stack(np.meshgrid(np.arange(w), np.arange(h)), axis=2)
    x, y = (places[:, :, 0] + 0.5) / w, (places[:, :, 1] + 0.5) / h
    return np.stack([120 + 50 * np.sin(4 * x + k) + 40 * np.cos(5 * y - x + k) for k in range(c)], axis=2).astype(np.float32)


def sources(matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where each pixel of a frame comes from.  (h, w, 2)"""
    grid = np.stack(np.meshgrid(np.arange(size[1]), np.arange(size[0])), axis=2)
    back = np.linalg.inv(matrix)
    return grid @ back[:2, :2].T + back[:2, 2]


def inside(places: np.ndarray, h: int, w: int, margin: float = 1.0) -> np.ndarray:
    x, y = places[:, :, 0], places[:, :, 1]
    return (x >= margin) & (y >= margin) & (x <= w - 1 - margin) & (y <= h - 1 - margin)


def array_set(folder: Path, arrays: object) -> Pictures:
    rows = np.arange(len(arrays)).astype(object)  # type: ignore[arg-type]
    pictures = read_arrays(arrays, rows, where="t", channels="auto", cache=folder).pictures
    assert pictures is not None
    return pictures


# ---- one picture


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("c", [1, 2, 3, 4, 5])
def test_the_identity_changes_nothing(dtype, c):
    picture = np.random.default_rng(0).integers(0, 255, (9, 14, c)).astype(dtype)
    for border in PAD:
        np.testing.assert_array_equal(warp_picture(picture, np.eye(3), (9, 14), border), picture)
    np.testing.assert_array_equal(warp_ids(picture, np.eye(3), (9, 14)), picture)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from([1, 2, 3, 4, 6]))
def test_a_warped_picture_is_the_drawing_seen_through_the_map(seed, c):
    h, w, size = 60, 80, (50, 70)
    matrix = (whole_frames([(h, w)], size).then(free_maps(size, 1, seed))).matrix[0]
    places = sources(matrix, size)
    drawn, warped = waves(h, w, places, c), warp_picture(waves(h, w, c=c), matrix, size)
    seen = inside(places, h, w)
    assert seen.mean() > 0.2
    np.testing.assert_allclose(warped[seen], drawn[seen], atol=0.5)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_there_and_back_is_where_it_was(seed):
    h, w = 60, 60
    matrix = free_maps((h, w), 1, seed).matrix[0]
    picture = waves(h, w)
    back = warp_picture(warp_picture(picture, matrix, (h, w)), np.linalg.inv(matrix), (h, w))
    seen = inside(sources(np.linalg.inv(matrix), (h, w)), h, w, margin=2) & inside(sources(np.eye(3), (h, w)), h, w, 2)
    np.testing.assert_allclose(back[seen], picture[seen], atol=0.7)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_two_maps_are_their_product_acting_once(seed):
    first, second = free_maps((70, 70), 2, seed, scale=0.05).matrix
    picture = waves(70, 70)
    twice = warp_picture(warp_picture(picture, first, (70, 70)), second, (70, 70))
    once = warp_picture(picture, second @ first, (70, 70))
    halfway = sources(second, (70, 70))
    seen = inside(halfway, 70, 70, 2) & inside(sources(second @ first, (70, 70)), 70, 70, 2)
    np.testing.assert_allclose(twice[seen], once[seen], atol=0.7)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.floats(8, 50), st.floats(8, 40))
def test_a_dot_lands_where_points_land(seed, x, y):
    h, w, size = 50, 60, (72, 64)
    full = whole_frames([(h, w)], size).then(free_maps(size, 1, seed, scale=0.1))
    x, y = np.rint(x), np.rint(y)
    picture = np.zeros((h, w, 1), np.float32)
    picture[int(y), int(x)] = 1
    picture = cv2.GaussianBlur(picture, (0, 0), 1.5)[:, :, None]
    where = move_points(np.array([[[x, y]]]), full)[0, 0]
    if not (1 <= where[0] <= size[1] - 2 and 1 <= where[1] <= size[0] - 2):
        return
    moved = warp_picture(picture, full.matrix[0], size, "constant")[:, :, 0]
    top, left = np.unravel_index(moved.argmax(), moved.shape)
    assert np.hypot(left - where[0], top - where[1]) <= 1


@pytest.mark.parametrize("border", list(PAD))
@pytest.mark.parametrize("shift", [(3, 2), (-4, 5), (0, -6)])
def test_borders_are_those_of_their_names(border, shift):
    picture = np.random.default_rng(0).integers(0, 255, (12, 15, 3)).astype(np.uint8)
    x, y = shift
    around = np.pad(picture, ((9, 9), (9, 9), (0, 0)), mode=PAD[border])
    expected = around[9 - y : 21 - y, 9 - x : 24 - x]
    matrix = np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])
    np.testing.assert_array_equal(warp_picture(picture, matrix, (12, 15), border), expected)


@pytest.mark.parametrize("angle_deg", [0.0, 17.0])
def test_a_fine_checkerboard_shrunk_to_a_quarter_is_grey(angle_deg):
    board = ((np.indices((128, 128)).sum(axis=0) % 2) * 200).astype(np.uint8)[:, :, None]
    frame = whole_frames([(128, 128)], (32, 32)).then(make_maps((32, 32), rotate_rad=np.deg2rad(angle_deg)))
    for shrunk in (
        warp_picture(board, frame.matrix[0], (32, 32)),
        view(ArrayPictures((board,)), [0], make_maps((32, 32), rotate_rad=np.deg2rad(angle_deg)), IMAGE, (32, 32))[0],
        view(ArrayPictures((board[:64, :64],)), [0], make_maps((64, 64), scale_x=0.25, scale_y=0.3), IMAGE, (64, 64))[0],
    ):
        assert np.abs(shrunk.astype(float) - 100).max() <= 2


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from(["uint8", "uint16"]))
def test_a_mask_never_gains_an_id(seed, dtype):
    ids = np.random.default_rng(seed).choice([0, 3, 50, 200], (30, 40, 1)).astype(dtype)
    full = whole_frames([(30, 40)], (33, 25)).then(free_maps((33, 25), 1, seed, scale=0.5))
    moved = warp_ids(ids, full.matrix[0], (33, 25), outside=7)
    assert moved.dtype == ids.dtype
    assert set(np.unique(moved)) <= {0, 3, 50, 200, 7}
    exact = sources(full.matrix[0], (33, 25))
    is_tie = (np.abs(exact % 1 - 0.5) < 1e-3).any(axis=2)
    places = np.rint(exact).astype(int)
    is_inside = inside(places, 30, 40, 0)
    expected = np.where(is_inside, ids[places[:, :, 1].clip(0, 29), places[:, :, 0].clip(0, 39), 0], 7)
    assert (is_tie | (moved[:, :, 0] == expected)).all()


# ---- depth


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from(["nearest", "linear"]))
def test_depth_stays_between_its_readings_and_holes_stay_holes(seed, resample):
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.7, 3, (30, 40, 1)).astype(np.float32)
    depth[rng.uniform(size=depth.shape) < 0.3] = 0
    full = whole_frames([(30, 40)], (45, 50)).then(free_maps((45, 50), 1, seed))
    moved = warp_depth(depth, full.matrix[0], (45, 50), resample)
    readings = depth[depth > 0]
    assert moved.dtype == np.float32
    assert ((moved == 0) | ((moved >= readings.min()) & (moved <= readings.max()))).all()
    nearest = warp_ids(depth, full.matrix[0], (45, 50))
    assert ((moved == 0) == (nearest == 0)).mean() > 0.999
    if resample == "nearest":
        np.testing.assert_array_equal(moved, nearest)


def test_a_hole_does_not_bleed_into_its_neighbours():
    depth = np.full((20, 20, 1), 2, np.float32)
    depth[8:11, 8:11] = 0
    for angle in (0.0, 0.4):
        matrix = make_maps((40, 40), rotate_rad=angle).matrix[0] @ whole_frames([(20, 20)], (40, 40)).matrix[0]
        moved = warp_depth(depth, matrix, (40, 40))
        assert set(np.unique(moved)) == {0, 2}
        assert (moved[12:26, 12:26] == 0).sum() == pytest.approx(36, abs=6)  # 9 pixels, each now four


def test_linear_depth_of_a_slope_is_the_slope():
    x = np.arange(40, dtype=np.float32)
    depth = np.broadcast_to(1 + 0.1 * x, (40, 40))[:, :, None].copy()
    depth[::7, ::5] = 0
    matrix = make_maps((40, 40), scale_x=1.7, scale_y=1.3).matrix[0]
    moved = warp_depth(depth, matrix, (40, 40))[:, :, 0]
    expected = 1 + 0.1 * sources(matrix, (40, 40))[:, :, 0]
    seen = moved > 0
    assert seen.mean() > 0.9
    np.testing.assert_allclose(moved[seen], expected[seen], atol=0.051)  # at a hole's edge by half a pixel of slope


@pytest.mark.parametrize(("missing", "dtype"), [(0, "uint16"), (65535, "uint16"), (-1, "float32"), (0, "float32")])
def test_depth_comes_in_metres_with_zero_for_no_reading(missing, dtype):
    stored = np.full((6, 8, 1), 20).astype(dtype)
    stored[2, 3] = missing
    if dtype == "float32":
        stored[4, 4] = np.nan
    field = DepthField(unit_m=0.1, missing=missing)
    seen = view(ArrayPictures((stored,)), [0], None, field, (6, 8))
    expected = np.full((6, 8), 2.0)
    expected[2, 3] = 0
    if dtype == "float32":
        expected[4, 4] = 0
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen[0, :, :, 0], expected, rtol=1e-6)


# ---- batches


@pytest.mark.parametrize("border", list(PAD))
@pytest.mark.parametrize("c", [1, 3, 5])
@pytest.mark.parametrize(("dtype", "translate"), [("uint8", 0.2), ("uint16", 0.2), ("float32", 0.2), ("uint8", 0.7)])
def test_whole_pixel_maps_are_plain_array_operations(border, c, dtype, translate):
    arrays = np.random.default_rng(0).integers(0, 255, (30, 11, 11, c)).astype(dtype)
    maps = draw_maps(AugmentConfig(mirror=0.5, turn=0.7, translate=translate), (11, 11), draws_of(30))
    seen = view(ArrayPictures(tuple(arrays)), np.arange(30), maps, IMAGE, (11, 11), border=border)
    assert set(maps.elements) == set(range(8))
    for i, (matrix, mirrored, turns) in enumerate(zip(maps.matrix, maps.mirrored, maps.turns, strict=True)):
        turned = np.rot90(np.fliplr(arrays[i]) if mirrored else arrays[i], turns)
        x, y = (matrix[:2, 2] - [5, 5] + matrix[:2, :2] @ [5, 5]).astype(int)
        around = np.pad(turned, ((11, 11), (11, 11), (0, 0)), mode=PAD[border])
        np.testing.assert_array_equal(seen[i], around[11 - y : 22 - y, 11 - x : 22 - x])


def test_upside_down_is_flipud_and_a_turn_is_rot90():
    picture = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    for maps, expected in (
        (make_maps((8, 8), mirrored=True), np.fliplr(picture)),
        (make_maps((8, 8), mirrored=True, turns=2), np.flipud(picture)),
        (make_maps((8, 8), turns=1), np.rot90(picture)),
        (make_maps((8, 8), turns=3), np.rot90(picture, 3)),
    ):
        for field in (IMAGE, MASK):
            np.testing.assert_array_equal(view(ArrayPictures((picture,)), [0], maps, field, (8, 8))[0], expected)
        np.testing.assert_array_equal(warp_picture(picture, maps.matrix[0], (8, 8)), expected)


@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize("shapes", [[(40, 60)] * 3, [(40, 60), (24, 24), (90, 31)]])
def test_scored_pictures_are_resized_and_shifts_move_what_was_resized(tmp_path, shapes, c):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 255, (*shape, c)).astype(np.uint8) for shape in shapes]
    pictures, size = array_set(tmp_path, arrays), (20, 22)
    pictures.prepare(size)
    scored = view(pictures, [2, 0, 1], None, IMAGE, size)
    for one, row in zip(scored, [2, 0, 1], strict=True):
        np.testing.assert_array_equal(one, resize_picture(pictures.read(row, size), size))
    maps = draw_maps(AugmentConfig(mirror=0.5, translate=0.2), size, draws_of(3))
    moved = view(pictures, [2, 0, 1], maps, IMAGE, size)
    each = np.stack([warp_picture(one, matrix, size) for one, matrix in zip(scored, maps.matrix, strict=True)])
    np.testing.assert_array_equal(moved, each)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from(["stretch", "pad", "crop"]), st.sampled_from([1, 3]), st.sampled_from(list(PAD)))
def test_a_batch_shows_the_originals_through_the_whole_map(tmp_path_factory, seed, resize, c, border):
    shapes = [(70, 90), (200, 130), (33, 41), (64, 64), (31, 300)]
    size = (32, 36)
    pictures = ArrayPictures(tuple(waves(*shape, c=c) for shape in shapes))
    inner = free_maps(size, 5, seed, scale=(0.4, 2.0))
    seen = view(pictures, np.arange(5), inner, IMAGE, size, resize, border)
    full = whole_frames(shapes, size, resize).then(inner)
    for one, matrix, (h, w) in zip(seen, full.matrix, shapes, strict=True):
        places = sources(matrix, size)
        step = np.abs(np.linalg.inv(matrix)[:2, :2]).max()
        known = inside(places, h, w, margin=2 + 2 * step)
        np.testing.assert_allclose(one[known], waves(h, w, places, c)[known], atol=1 + 0.6 * step)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.sampled_from(list(PAD)))
def test_only_the_part_that_is_seen_is_drawn_and_nobody_sees_it(seed, border):
    picture = np.random.default_rng(seed).uniform(0, 255, (40, 44, 3)).astype(np.float32)
    inner = free_maps((30, 30), 6, seed, scale=(0.6, 1.9), translate=0.8)
    seen = view(ArrayPictures((picture,)), [0] * 6, inner, IMAGE, (30, 30), border=border)
    frame = whole_frames([(40, 44)], (30, 30)).matrix[0]
    for one, matrix in zip(seen, inner.matrix, strict=True):
        whole = warp_picture(picture, matrix @ frame, (30, 30), border)
        assert np.quantile(np.abs(one - whole), 0.999) < 0.1


def test_a_row_is_the_same_whatever_rows_stand_beside_it(tmp_path):
    rng = np.random.default_rng(0)
    pictures = array_set(tmp_path, [rng.integers(0, 255, (50 + i, 70 - i, 3)).astype(np.uint8) for i in range(8)])
    augment = AugmentConfig(mirror=0.5, rotate_deg={"range": 30, "chance": 0.4}, translate=0.1)
    maps = draw_maps(augment, (24, 24), draws_of(8))
    together = view(pictures, np.arange(8), maps, IMAGE, (24, 24))
    pictures.prepare((24, 24))
    for i in range(8):
        np.testing.assert_array_equal(view(pictures, [i], maps[i : i + 1], IMAGE, (24, 24))[0], together[i])
    again = view(pictures, np.arange(8)[::-1], maps[::-1], IMAGE, (24, 24))
    np.testing.assert_array_equal(again[::-1], together)


def test_enlarging_reads_a_larger_level(tmp_path):
    """A window of a large JPEG file is as sharp as the file, not as the level that the whole frame needs."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.integers(0, 255, (256, 256), dtype=np.uint8), (0, 0), 3)
    stripes = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)
    Image.fromarray(np.repeat(stripes[:, :, None], 3, axis=2)).save(tmp_path / "a.jpg", quality=95)
    column = read_files(
        pd.Series(["a.jpg"]), np.array(["a"], dtype=object), where="t", root=tmp_path, channels="auto", cache=tmp_path / "cache"
    )
    assert column.pictures is not None
    inner = make_maps((32, 32), scale_x=8.0, scale_y=8.0, rotate_rad=0.02)
    full = whole_frames([(256, 256)], (32, 32)).then(inner).matrix[0]
    expected = warp_picture(np.asarray(Image.open(tmp_path / "a.jpg")), full, (32, 32))
    seen = view(column.pictures, [0], inner, IMAGE, (32, 32))[0]
    assert np.abs(seen.astype(float) - expected).mean() < 2
    blurred = warp_picture(column.pictures.read(0, (32, 32)), full @ whole_frames([(32, 32)], (256, 256)).matrix[0], (32, 32))
    assert np.abs(blurred.astype(float) - expected).mean() > 10


def test_bars_of_a_padded_picture_are_black_unless_a_border_is_named():
    picture = np.full((20, 40, 3), 200, np.uint8)
    pictures = ArrayPictures((picture,))
    for inner in (None, identity_maps([(16, 16)])):
        seen = view(pictures, [0], inner, IMAGE, (16, 16), "pad")[0]
        assert (seen[:3] == 0).all()
        assert (seen[-3:] == 0).all()
        assert (seen[5:11] == 200).all()
        assert (view(pictures, [0], inner, IMAGE, (16, 16), "pad", "edge") == 200).all()
        assert (view(pictures, [0], inner, IMAGE, (16, 16), "crop") == 200).all()


def test_beyond_a_mask_is_outside_and_beyond_a_depth_is_no_reading():
    pictures = ArrayPictures((np.full((10, 10, 1), 4, np.uint16),))
    maps = make_maps((10, 10), shift_x=3)
    expected = np.full((10, 10), 4)
    expected[:, :3] = 9
    np.testing.assert_array_equal(view(pictures, [0], maps, MASK, (10, 10))[0, :, :, 0], expected)
    expected = np.full((10, 10), 2.0)
    expected[:, :3] = 0
    np.testing.assert_array_equal(view(pictures, [0], maps, DEPTH, (10, 10))[0, :, :, 0], expected)


def test_masks_and_depths_are_read_whole(tmp_path):
    """Ids of a mask that is four times the frame are never those of a mean."""
    ids = np.random.default_rng(0).choice([0, 10, 255], (64, 64, 1)).astype(np.uint8)
    pictures = array_set(tmp_path, [ids])
    for field, size in ((MASK, read_size(MASK, (16, 16))), (IMAGE, read_size(IMAGE, (16, 16)))):
        pictures.prepare(size)
        seen = view(pictures, [0], None, field, (16, 16))
        assert (set(np.unique(seen)) <= {0, 10, 255}) == (field is MASK)


def test_what_is_no_picture_is_refused():
    with pytest.raises(TypeError, match="label"):
        view(ArrayPictures((np.zeros((4, 4, 1), np.uint8),)), [0], None, LabelField(), (4, 4))


def test_no_rows_are_no_pictures():
    pictures = ArrayPictures((np.zeros((4, 4, 1), np.uint8),))
    for field in (MASK, DEPTH):
        assert view(pictures, np.arange(0), None, field, (3, 3)).shape == (0, 3, 3, 1)


# ---- back


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from(["stretch", "pad", "crop"]))
def test_predictions_come_back_to_the_pictures_pixels(seed, resize):
    shapes, size = [(80, 60), (64, 90)], (128, 128)
    full = whole_frames(shapes, size, resize).then(free_maps(size, 2, seed, scale=0.1))
    drawn = np.stack([waves(h, w, sources(matrix, size), 2) for (h, w), matrix in zip(shapes, full.matrix, strict=True)])
    for back, (h, w), matrix in zip(view_back(drawn, full), shapes, full.matrix, strict=True):
        assert back.shape == (h, w, 2)
        places = sources(np.linalg.inv(matrix), (h, w))
        seen, lost = inside(places, *size, 1), ~inside(places, *size, -1)
        np.testing.assert_allclose(back[seen], waves(h, w, c=2)[seen], atol=1.5)
        assert np.isnan(back[lost]).all()
    bands = (drawn[:, :, :, 0] // 20).astype(np.uint8)
    for ids, (h, w), matrix in zip(view_back(bands, full, kind="mask", outside=99), shapes, full.matrix, strict=True):
        assert ids.shape == (h, w)
        assert ids.dtype == np.uint8
        places = sources(np.linalg.inv(matrix), (h, w))
        assert (ids[~inside(places, *size, -1)] == 99).all()
        seen = inside(places, *size, 1)
        assert (ids == waves(h, w)[:, :, 0] // 20)[seen].mean() > 0.85  # but at the bands' edges
        assert set(np.unique(ids)) <= {*np.unique(bands), 99}
