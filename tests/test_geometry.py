"""Laws of the affine maps, the draws and the changes of light."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamesu.augment import augment
from tamesu.config import AugmentConfig
from tamesu.draws import Draws, make_draws, row_keys
from tamesu.geometry import draw_maps, resize, resize_matrix, shift_many, warp, warp_read


def draws_of(n: int, seed: int = 0, epoch: int = 0) -> Draws:
    return make_draws(row_keys(f"row{i}" for i in range(n)), seed, epoch)


def smooth_picture(h: int, w: int, c: int = 1) -> np.ndarray:
    y, x = np.mgrid[:h, :w]
    return np.stack([100 + 50 * np.sin(x / w * 3 + k) + 40 * np.cos(y / h * 2) for k in range(c)], axis=2).astype(np.float32)


def test_draws_are_even_and_do_not_hang_together():
    draws = draws_of(20_000)
    one, other = draws.uniform("one"), draws.uniform("other")
    np.testing.assert_allclose(np.histogram(one, bins=20, range=(0, 1))[0] / 1000, 1, atol=0.15)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.03
    assert abs(np.corrcoef(one, draws_of(20_000, epoch=1).uniform("one"))[0, 1]) < 0.03
    assert abs(np.corrcoef(one, draws_of(20_000, seed=1).uniform("one"))[0, 1]) < 0.03


def test_noise_is_standard_normal():
    noise = draws_of(50).normal("noise", 2000)
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert np.mean(noise < -1.645) == pytest.approx(0.05, abs=0.01)


def test_a_rows_draw_does_not_depend_on_its_company():
    whole, part = draws_of(50), make_draws(row_keys(["row7", "row31"]), 0, 0)
    np.testing.assert_array_equal(whole.uniform("mirror")[[7, 31]], part.uniform("mirror"))
    np.testing.assert_array_equal(whole.normal("noise", 9)[[7, 31]], part.normal("noise", 9))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 45), st.floats(0, 0.3), st.floats(0, 0.2))
def test_maps_turn_back(seed, rotate, scale, translate):
    config = AugmentConfig(mirror=0.5, rotate_deg=rotate, scale=scale, translate=translate)
    maps = draw_maps(config, (20, 30), draws_of(4, seed))
    picture = smooth_picture(20, 30)
    for matrix, mirrored in zip(maps.matrix, maps.mirrored, strict=True):
        assert (np.linalg.det(matrix) < 0) == mirrored
        back = warp(warp(picture, matrix, (20, 30)), np.linalg.inv(matrix), (20, 30))
        inside = (
            warp(warp(np.ones_like(picture), matrix, (20, 30), "constant"), np.linalg.inv(matrix), (20, 30), "constant") > 0.999
        )
        inner = cv2.erode(inside[:, :, 0].astype(np.uint8), np.ones((5, 5))) > 0
        np.testing.assert_allclose(back[inner], picture[inner], atol=1.5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_two_maps_are_their_product_acting_once(seed):
    first, second = draw_maps(AugmentConfig(rotate_deg=20, scale=0.1), (40, 40), draws_of(2, seed)).matrix
    picture = smooth_picture(40, 40)
    twice = warp(warp(picture, first, (40, 40)), second, (40, 40))
    once = warp(picture, second @ first, (40, 40))
    np.testing.assert_allclose(twice[12:28, 12:28], once[12:28, 12:28], atol=1.0)


def test_a_map_moves_points_as_it_moves_pictures():
    picture = np.zeros((41, 41, 1), np.float32)
    picture[10, 25] = 1
    maps = draw_maps(AugmentConfig(mirror=0.5, rotate_deg=40, scale=0.2, translate=0.1), (41, 41), draws_of(8))
    for matrix in maps.matrix:
        moved = warp(picture, matrix, (41, 41), "constant")[:, :, 0]
        x, y, _ = matrix @ [25, 10, 1]
        grid_y, grid_x = np.mgrid[:41, :41]
        found = np.array([(moved * grid_x).sum(), (moved * grid_y).sum()]) / moved.sum()
        np.testing.assert_allclose(found, [x, y], atol=0.35)


def test_positive_angles_turn_anticlockwise():
    maps = draw_maps(AugmentConfig(rotate_deg=(90, 90), translate=0), (21, 21), draws_of(1))
    x, y, _ = maps.matrix[0] @ [20, 10, 1]  # from the right …
    np.testing.assert_allclose([x, y], [10, 0], atol=1e-9)  # … to the top


@pytest.mark.parametrize("border", ["reflect", "edge", "constant"])
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize(("dtype", "translate"), [("uint8", 0.2), ("uint16", 0.2), ("float32", 0.2), ("uint8", 0.7)])
def test_shifting_a_batch_is_warping_each(border, channels, dtype, translate):
    pictures = np.random.default_rng(0).integers(0, 255, (30, 9, 12, channels)).astype(dtype)
    maps = draw_maps(AugmentConfig(mirror=0.5, translate=translate), (9, 12), draws_of(30))
    assert maps.is_whole_pixel
    assert maps.mirrored.any()
    assert not maps.mirrored.all()
    each = np.stack([warp(one, matrix, (9, 12), border) for one, matrix in zip(pictures, maps.matrix, strict=True)])
    np.testing.assert_allclose(shift_many(pictures, maps, border), each, atol=1e-3)


def test_resizing_keeps_the_middle_of_the_picture_where_it_is():
    np.testing.assert_allclose(resize_matrix((10, 20), (5, 40)) @ [9.5, 4.5, 1], [19.5, 2, 1])
    picture = smooth_picture(40, 40, 3)
    matrix = resize_matrix((40, 40), (24, 24))
    np.testing.assert_allclose(resize(picture, (24, 24))[2:-2, 2:-2], warp(picture, matrix, (24, 24))[2:-2, 2:-2], atol=0.5)


def test_resizing_to_the_same_size_is_free_and_channels_do_not_matter():
    picture = smooth_picture(12, 12, 7)
    assert resize(picture, (12, 12)) is picture
    alone = np.concatenate([resize(picture[:, :, k : k + 1].copy(), (5, 7)) for k in range(7)], axis=2)
    np.testing.assert_allclose(resize(picture, (5, 7)), alone, rtol=1e-5)


def test_one_interpolation_from_the_picture_as_read():
    picture = smooth_picture(30, 30)
    maps = draw_maps(AugmentConfig(rotate_deg=10), (20, 20), draws_of(1))
    expected = warp(picture, maps.matrix[0] @ resize_matrix((30, 30), (20, 20)), (20, 20))
    np.testing.assert_array_equal(warp_read(picture, maps, 0, "reflect"), expected)


def test_rows_that_may_not_be_mirrored_are_not():
    allowed = np.arange(100) % 2 == 0
    maps = draw_maps(AugmentConfig(mirror=1.0), (8, 8), draws_of(100), allowed)
    np.testing.assert_array_equal(maps.mirrored, allowed)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_light_changes_stay_in_range_and_do_what_they_say(dtype):
    high = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
    pictures = np.full((200, 6, 6, 2), high / 2).astype(dtype)
    brighter = augment(pictures, AugmentConfig(brightness=0.2), draws_of(200), 0, high)
    assert brighter.dtype == pictures.dtype
    shift = (brighter.astype(float) - pictures)[:, 0, 0, 0] / high
    assert np.abs(shift).max() == pytest.approx(0.2, abs=0.02)
    assert (brighter == brighter[:, :1, :1, :1]).all()
    noisy = augment(pictures, AugmentConfig(noise=0.1), draws_of(200), 0, high)
    assert (noisy.astype(float) / high).std() == pytest.approx(0.1, abs=0.01)
    wild = augment(pictures, AugmentConfig(brightness=3, contrast=0.9, noise=1), draws_of(200), 0, high)
    assert wild.min() >= 0
    assert wild.max() <= high


def test_contrast_scales_about_the_mean():
    pictures = np.stack([smooth_picture(8, 8)] * 50)
    changed = augment(pictures, AugmentConfig(contrast=0.5), draws_of(50), 0, 255)
    ratio = changed.std(axis=(1, 2, 3)) / pictures.std(axis=(1, 2, 3))
    assert 0.5 <= ratio.min() < 0.6
    assert 1.4 < ratio.max() <= 1.5001
    np.testing.assert_allclose(changed.mean(axis=(1, 2, 3)), pictures.mean(), rtol=1e-4)


def test_erasing_greys_out_one_rectangle_in_that_share_of_pictures():
    pictures = np.zeros((400, 16, 16, 1), np.uint8)
    erased = augment(pictures, AugmentConfig(erase=0.4), draws_of(400), 0, 255)
    assert set(np.unique(erased)) == {0, 127}
    hit = (erased > 0).any(axis=(1, 2, 3))
    assert hit.mean() == pytest.approx(0.4, abs=0.08)
    for picture in erased[hit][:20, :, :, 0]:
        rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
        assert (picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] > 0).all()


def test_nothing_asked_for_is_nothing_done():
    pictures = np.zeros((2, 4, 4, 1), np.uint8)
    assert augment(pictures, AugmentConfig(), draws_of(2), 0, 255) is pictures
