"""Channels: normals of rendered surfaces, what becomes of them in moved pictures, holes, positions, and files of distances."""

from __future__ import annotations

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tamesu.array_files import unpack
from tamesu.channels import channel_names, make_channels, position_channels, position_names
from tamesu.check_depth import check_camera
from tamesu.config import ChannelsConfig
from tamesu.decode import Reading, UnreadableError, decode, inspect
from tamesu.document import config_from_mapping
from tamesu.errors import ConfigError, DataError
from tamesu.fields import DepthField
from tamesu.findings import Findings
from tamesu.maps import Maps, identity_maps, make_maps, whole_frames
from tamesu.picture_sets import read_files
from tamesu.study import Study
from tamesu.warp import warp_depth, warp_ids

SIZE = (60, 80)
CAMERA = (90.0, 80.0, 41.0, 28.5)
EVERY = ("metres", "valid", "log", "inverse", "clipped", "xyz", "normals", "gradient")
FIELD = DepthField(camera=CAMERA, clip_m=(0.8, 2.0))
LINEAR = DepthField(camera=CAMERA, clip_m=(0.8, 2.0), resample="linear")


def rays(size: tuple[int, int] = SIZE, camera: tuple[float, float, float, float] = CAMERA) -> np.ndarray:
    """(h, w, 3), 1 ahead."""
    fx, fy, cx, cy = camera
    x, y = np.meshgrid((np.arange(size[1]) - cx) / fx, (np.arange(size[0]) - cy) / fy)
    return np.stack([x, y, np.ones_like(x)], axis=2)


def plane(tilt_deg: float, towards_deg: float, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Distances of a tilted wall 1.5 m ahead (1, h, w, 1), and its normal towards the camera (3,)."""
    tilt, towards = np.deg2rad([tilt_deg, towards_deg])
    normal = np.array([np.sin(tilt) * np.cos(towards), np.sin(tilt) * np.sin(towards), -np.cos(tilt)])
    along = rays(size) @ normal
    depth = 1.5 * normal[2] / along
    is_seen = (along < -0.12) & (depth < 6)  # what is not seen too flatly to be measured
    return np.where(is_seen, depth, 0)[None, :, :, None].astype(np.float32), normal


def sphere(size: tuple[int, int] = (480, 640)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances of a ball (1, h, w, 1), its normals (h, w, 3) and the cosine to the ray they are seen at (h, w)."""
    camera = (525.0, 525.0, 319.5, 239.5)
    r, centre, radius = rays(size, camera), np.array([0.05, -0.03, 1.2]), 0.4
    a, b, c = (r * r).sum(axis=2), r @ centre, centre @ centre - radius**2
    inside = b * b - a * c
    z = np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, 0)
    normals = (r * z[:, :, None] - centre) / radius
    cosine = -(normals * r).sum(axis=2) / np.sqrt(a)
    return z[None, :, :, None].astype(np.float32), normals, np.where(inside > 0, cosine, 0)


def angles_deg(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.rad2deg(2 * np.arcsin(np.clip(np.linalg.norm(one - other, axis=-1) / 2, 0, 1)))


def scene(seed: int = 0) -> np.ndarray:
    """Waves with a box before them and holes.  (1, h, w, 1)"""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    depth = 1.5 + 0.2 * np.sin(x / 9) + 0.1 * np.cos(y / 7)
    depth[20:40, 30:50] = 0.9
    depth[rng.random(SIZE) < 0.02] = 0
    return depth[None, :, :, None].astype(np.float32)


def seen(depth: np.ndarray, maps: Maps, field: DepthField) -> np.ndarray:
    size = (int(maps.target[0, 0]), int(maps.target[0, 1]))
    return warp_depth(depth[0], maps.matrix[0], size, field.resample)[None]


def moved(channels: np.ndarray, maps: Maps) -> np.ndarray:
    """Channels of the original, seen through the map by copying pixels; vectors mirrored and turned.  (h, w, c)"""
    size = (int(maps.target[0, 0]), int(maps.target[0, 1]))
    layers = [np.ascontiguousarray(channels[0, :, :, k : k + 1]) for k in range(channels.shape[3])]
    out = np.concatenate([warp_ids(layer, maps.matrix[0], size, np.nan) for layer in layers], axis=2)
    names = channel_names(EVERY)
    for x, y in (("x", "y"), ("normal_x", "normal_y"), ("gradient_x", "gradient_y")):
        i, j = names.index(x), names.index(y)
        out[:, :, [i, j]] = out[:, :, [i, j]] @ maps.orthogonal[0].T
    out[:, :, names.index("valid")] = np.nan_to_num(out[:, :, names.index("valid")])
    return out


def part(channels: np.ndarray, *names: str) -> np.ndarray:
    return channels[..., [channel_names(EVERY).index(name) for name in names]]


NORMAL = ("normal_x", "normal_y", "normal_z")


# ---- what the channels are


def test_values_by_hand():
    depth = np.array([[0.5, 0.0], [1.0, 4.0]], dtype=np.float32)[None, :, :, None]
    field = DepthField(camera=(2, 4, 0.5, 0.5), clip_m=(0.8, 2.0))
    out = make_channels(depth, identity_maps([[2, 2]]), field, EVERY)[0]
    assert out.shape == (2, 2, len(channel_names(EVERY)))
    assert out.dtype == np.float32
    by_name = dict(zip(channel_names(EVERY), np.moveaxis(out, 2, 0), strict=True))
    nan = np.nan
    np.testing.assert_allclose(by_name["metres"], [[0.5, nan], [1, 4]])
    np.testing.assert_array_equal(by_name["valid"], [[1, 0], [1, 1]])
    np.testing.assert_allclose(by_name["log"], np.log([[0.5, nan], [1, 4]]), atol=1e-6)
    np.testing.assert_allclose(by_name["inverse"], [[2, nan], [1, 0.25]])
    np.testing.assert_allclose(by_name["clipped"], [[0.8, nan], [1, 2]], atol=1e-6)
    np.testing.assert_allclose(by_name["x"], [[-0.125, nan], [-0.25, 1]])
    np.testing.assert_allclose(by_name["y"], [[-0.0625, nan], [0.125, 0.5]])
    np.testing.assert_allclose(by_name["z"], by_name["metres"])
    assert np.isnan(by_name["normal_x"]).all()
    assert np.isnan(by_name["gradient_y"]).all()


def test_the_order_is_the_one_asked_for():
    depth, maps = scene(), identity_maps([SIZE])
    both = make_channels(depth, maps, FIELD, ("inverse", "xyz"))
    every = make_channels(depth, maps, FIELD, EVERY)
    np.testing.assert_array_equal(both, part(every, "inverse", "x", "y", "z"))


@pytest.mark.parametrize(("tilt", "towards"), [(0, 0), (20, 0), (45, 130), (60, -75), (70, 200)])
def test_normals_of_a_plane(tilt, towards):
    depth, normal = plane(tilt, towards)
    out = part(make_channels(depth, identity_maps([SIZE]), FIELD, EVERY), *NORMAL)[0]
    known = ~np.isnan(out[:, :, 0])
    assert known.sum() > 500
    assert angles_deg(out[known], normal).max() < 0.1
    np.testing.assert_allclose(np.linalg.norm(out[known], axis=1), 1, atol=1e-5)


def test_normals_of_a_sphere():
    depth, normals, cosine = sphere()
    field = DepthField(camera=(525.0, 525.0, 319.5, 239.5))
    out = make_channels(depth, identity_maps([depth.shape[1:3]]), field, ("normals",))[0]
    known = ~np.isnan(out[:, :, 0])
    wrong = np.where(known, angles_deg(out, normals), 0)
    assert known[cosine > np.cos(np.deg2rad(70))].mean() > 0.999
    assert wrong[cosine > np.cos(np.deg2rad(75))].max() < 1
    assert np.median(wrong[known]) < 0.02


def test_the_edge_of_an_object_is_no_surface():
    depth = np.full((1, *SIZE, 1), 2.0, dtype=np.float32)
    depth[:, :, 40:] = 1.0
    out = part(make_channels(depth, identity_maps([SIZE]), FIELD, EVERY), "normal_z", "gradient_x")[0, 1:-1, 1:-1]
    is_edge = np.zeros(SIZE[1] - 2, dtype=bool)
    is_edge[38:40] = True
    assert np.isnan(out[:, is_edge, 0]).all()
    assert np.all(out[:, ~is_edge, 0] == -1)
    assert np.all(out[:, is_edge, 1] == -0.5)  # which the gradient tells


# ---- holes


@pytest.mark.parametrize("field", [FIELD, LINEAR], ids=["nearest", "linear"])
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**31), kind=st.sampled_from(["identity", "mirror", "larger", "turned"]))
def test_a_hole_next_door_makes_a_hole_and_never_a_wrong_normal(field, seed, kind):
    rng = np.random.default_rng(seed)
    depth, normal = plane(40, float(rng.uniform(0, 360)))
    depth[0, rng.integers(0, SIZE[0], 25), rng.integers(0, SIZE[1], 25)] = 0
    maps = {
        "identity": identity_maps([SIZE]),
        "mirror": make_maps(SIZE, mirrored=True),
        "larger": whole_frames([SIZE], (110, 150)),
        "turned": make_maps(SIZE, rotate_rad=0.3, scale_x=1.3, scale_y=1.3),
    }[kind]
    out = make_channels(seen(depth, maps, field), maps, field, EVERY)[0]
    hole = part(out, "valid")[:, :, 0] == 0
    assert np.isnan(part(out, *(name for name in channel_names(EVERY) if name != "valid"))[hole]).all()
    near = hole.copy()
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        near |= np.roll(hole, step, axis)
    assert np.isnan(part(out, *NORMAL, "gradient_x", "gradient_y")[near]).all()
    known = ~np.isnan(part(out, *NORMAL)[:, :, 0])
    truth = normal.copy()
    truth[:2] = maps.orthogonal[0] @ truth[:2]
    # Where distances are interpolated, a hole so small that it vanishes shifts its neighbours by up to half a pixel.
    limit = 0.1 if field.resample == "nearest" or kind in ("identity", "mirror") else 5.0
    assert known.sum() > 300
    assert angles_deg(part(out, *NORMAL)[known], truth).max() < limit


def test_nothing_but_holes_gives_nothing_but_holes():
    out = make_channels(np.zeros((2, *SIZE, 1), np.float32), identity_maps([SIZE] * 2), FIELD, EVERY)
    assert np.all(part(out, "valid") == 0)
    assert np.isnan(part(out, *(name for name in channel_names(EVERY) if name != "valid"))).all()


# ---- moved pictures

MOVES = {
    "mirror": make_maps(SIZE, mirrored=True),
    "flip": make_maps(SIZE, mirrored=True, turns=2),
    "half turn": make_maps(SIZE, turns=2),
    "quarter turn": make_maps(SIZE, turns=1),
    "crop": make_maps(SIZE, scale_x=1.5, scale_y=1.5, shift_x=7.3),
    "mirrored crop": make_maps(SIZE, mirrored=True, scale_x=1.4, scale_y=1.1, shift_y=-5),
    "smaller": whole_frames([SIZE], (31, 35)),
    "larger": whole_frames([SIZE], (140, 200)),
    "padded": whole_frames([SIZE], (96, 96), "pad"),
    "turned and squeezed": make_maps(SIZE, turns=3, scale_x=1.3, mirrored=True),
    "rotated": make_maps(SIZE, rotate_rad=0.35, shear_rad=0.1, mirrored=True),
}


@pytest.mark.parametrize("name", MOVES)
def test_channels_of_the_moved_picture_are_the_moved_channels(name):
    maps, depth = MOVES[name], scene()
    after = make_channels(seen(depth, maps, FIELD), maps, FIELD, EVERY)[0]
    before = moved(make_channels(depth, identity_maps([SIZE]), FIELD, EVERY), maps)
    exact = ("metres", "valid", "log", "inverse", "clipped", "x", "y", "z")
    np.testing.assert_allclose(part(after, *exact), part(before, *exact), atol=2e-6)
    if maps.is_whole_pixel:
        shown = ~np.isnan(part(after, *NORMAL)).any(axis=2)
        np.testing.assert_allclose(part(after, *NORMAL)[shown], part(before, *NORMAL)[shown], atol=2e-4)
        slope = part(after, "gradient_x", "gradient_y")
        shown = ~np.isnan(slope).any(axis=2)
        assert shown.sum() > 1500
        np.testing.assert_allclose(slope[shown], part(before, "gradient_x", "gradient_y")[shown], atol=1e-5)


@pytest.mark.parametrize("field", [FIELD, LINEAR], ids=["nearest", "linear"])
@pytest.mark.parametrize("name", MOVES)
def test_normals_and_slopes_of_a_moved_wall(name, field):
    maps, (depth, normal) = MOVES[name], plane(50, 25)
    out = make_channels(seen(depth, maps, field), maps, field, EVERY)[0]
    truth = normal.copy()
    truth[:2] = maps.orthogonal[0] @ truth[:2]
    known = ~np.isnan(part(out, *NORMAL)[:, :, 0])
    assert known.sum() > 300
    wrong = angles_deg(part(out, *NORMAL)[known], truth)
    assert wrong.max() < (0.1 if field.resample == "nearest" or maps.is_whole_pixel else 1.0)
    slope = part(out, "gradient_x", "gradient_y")
    whole = part(make_channels(depth, identity_maps([SIZE]), field, EVERY), "gradient_x", "gradient_y")
    expected = np.nanmean(whole, axis=(0, 1, 2)) @ maps.orthogonal[0].T
    assert np.linalg.norm(np.nanmean(slope, axis=(0, 1)) - expected) < 0.35 * np.linalg.norm(expected)  # parts are nearer


@settings(deadline=None, max_examples=20)
@given(
    mirrored=st.booleans(), angle=st.floats(-3.1, 3.1), factor=st.floats(0.7, 1.8), shear=st.floats(-0.2, 0.2),
    resample=st.sampled_from(["nearest", "linear"]),
)  # fmt: skip
def test_places_lie_on_the_moved_wall(mirrored, angle, factor, shear, resample):
    """Whatever the map: n · X = d, of the wall mirrored and turned as the map does to directions."""
    field = FIELD.model_copy(update={"resample": resample})
    maps = make_maps(SIZE, mirrored=mirrored, rotate_rad=angle, scale_x=factor, scale_y=factor, shear_rad=shear)
    depth, normal = plane(40, 100)
    out = make_channels(seen(depth, maps, field), maps, field, EVERY)[0]
    truth = normal.copy()
    truth[:2] = maps.orthogonal[0] @ truth[:2]
    distance = part(out, "x", "y", "z") @ truth
    valid = part(out, "valid")[:, :, 0] == 1
    atol = 1e-5 if resample == "nearest" else 0.03  # beside the border, a distance is that of the nearest pixel
    np.testing.assert_allclose(distance[valid], 1.5 * normal[2], atol=atol)
    known = ~np.isnan(part(out, "normal_z")[:, :, 0])
    assert np.all((part(out, *NORMAL)[known] * part(out, "x", "y", "z")[known]).sum(axis=1) < 0)


def test_each_row_has_its_own_map():
    depth = np.concatenate([scene(k) for k in range(3)])
    maps = make_maps(SIZE, mirrored=[True, False, True], rotate_rad=[0.1, 0, -0.2], scale_x=[1, 1.2, 1])
    together = make_channels(depth, maps, FIELD, EVERY)
    for i in range(3):
        np.testing.assert_array_equal(together[i], make_channels(depth[i : i + 1], maps[i : i + 1], FIELD, EVERY)[0])


@pytest.mark.parametrize("field", [FIELD, LINEAR], ids=["nearest", "linear"])
@pytest.mark.parametrize("name", MOVES)
def test_rows_computed_a_few_at_a_time_are_those_of_the_whole(name, field, monkeypatch):
    maps = MOVES[name]
    depth = seen(scene(), maps, field)
    monkeypatch.setattr("tamesu.channels.depth.STRIP_PIXELS", 10**9)
    whole = make_channels(depth, maps, field, EVERY)
    monkeypatch.setattr("tamesu.channels.depth.STRIP_PIXELS", 7 * depth.shape[2])
    np.testing.assert_array_equal(make_channels(depth, maps, field, EVERY), whole)


# ---- where the pixels are


def test_positions_by_hand():
    settings = ChannelsConfig(coords="frame", fourier=2, border=True)
    out = position_channels(identity_maps([[2, 4]]), (2, 4), settings)
    assert out.shape == (1, 2, 4, 11)
    assert position_names(settings)[:3] == ("x", "y", "sin_x1")
    assert position_names(settings)[-1] == "border"
    np.testing.assert_allclose(out[0, 0, :, 0], [-0.75, -0.25, 0.25, 0.75])
    np.testing.assert_allclose(out[0, :, 0, 1], [-0.5, 0.5])
    np.testing.assert_allclose(out[0, 0, :, 2], np.sin(np.pi * out[0, 0, :, 0]), atol=1e-6)
    np.testing.assert_allclose(
        out[0, :, :, position_names(settings).index("cos_y2")], np.cos(2 * np.pi * out[0, :, :, 1]), atol=1e-6
    )
    np.testing.assert_allclose(out[0, :, :, 10], [[0.5, 0.5, 0.5, 0.5]] * 2)


@settings(deadline=None, max_examples=25)
@given(
    mirrored=st.booleans(), turn=st.integers(0, 3), angle=st.floats(-0.5, 0.5), factor=st.floats(0.5, 2), right=st.floats(-9, 9)
)
def test_a_pixel_is_told_where_in_the_original_it_lies(mirrored, turn, angle, factor, right):
    size = (24, 40)
    inner = make_maps(size, mirrored=mirrored, turns=turn, rotate_rad=angle, scale_x=factor, scale_y=factor, shift_x=right)
    maps = whole_frames([[30, 70]], size, "pad").then(inner)
    settings = ChannelsConfig(coords="frame", fourier=3, border=True)
    out = dict(zip(position_names(settings), np.moveaxis(position_channels(maps, size, settings)[0], 2, 0), strict=True))
    y, x = np.mgrid[: size[0], : size[1]]
    place = np.linalg.inv(maps.matrix[0]) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    left, up = place[0].reshape(size) + 0.5, place[1].reshape(size) + 0.5
    np.testing.assert_allclose(out["x"], 2 * left / 70 - 1, atol=1e-5)
    np.testing.assert_allclose(out["y"], 2 * up / 30 - 1, atol=1e-5)
    np.testing.assert_allclose(out["border"], np.min([left, 70 - left, up, 30 - up], axis=0) / 15, atol=1e-4)
    for octave in range(3):
        angle_x, angle_y = np.pi * 2**octave * out["x"], np.pi * 2**octave * out["y"]
        np.testing.assert_allclose(out[f"sin_x{2**octave}"], np.sin(angle_x), atol=1e-4)
        np.testing.assert_allclose(out[f"cos_y{2**octave}"], np.cos(angle_y), atol=1e-4)


def test_positions_of_the_crop_do_not_depend_on_the_map():
    settings = ChannelsConfig(coords="crop")
    out = position_channels(make_maps((8, 8), mirrored=[True, False], rotate_rad=[1, 0]), (8, 8), settings)
    np.testing.assert_array_equal(out[0], out[1])
    np.testing.assert_allclose(out[0, 0, :, 0], np.linspace(-0.875, 0.875, 8))
    np.testing.assert_allclose(out[0, :, 0, 1], np.linspace(-0.875, 0.875, 8))


# ---- files of distances

STORED = (np.arange(6, dtype=np.uint16).reshape(2, 3) * 1111).astype(np.uint16)
PACKED = ((STORED << 3) | (STORED >> 13)).astype(np.uint16)
DEPTH = Reading("depth", 0.0)


def file_bytes(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "npy":
        np.save(buffer, pixels)
    else:
        Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def read(data: bytes, reading: Reading) -> np.ndarray:
    info = inspect(data)
    return decode(data, info, 1, info.dtype, reading=reading)[:, :, 0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "npy"])
@pytest.mark.parametrize(
    ("stored", "reading"),
    [
        (STORED, DEPTH),
        (PACKED, Reading("depth", 0.0, rotate_bits=3)),
        (STORED.byteswap(), Reading("depth", 0.0, swap_bytes=True)),
        (PACKED.byteswap(), Reading("depth", 0.0, swap_bytes=True, rotate_bits=3)),
    ],
    ids=["plain", "rotated", "swapped", "both"],
)  # fmt: skip
def test_packed_numbers(kind, stored, reading):
    np.testing.assert_array_equal(read(file_bytes(stored, kind), reading), STORED)


@pytest.mark.parametrize("kind", ["TIFF", "npy"])
def test_decimals_keep_their_value_and_nan_is_no_reading(kind):
    stored = np.array([[0.5, np.nan, 2.25], [np.inf, 4, 0]], dtype=np.float32)
    np.testing.assert_array_equal(read(file_bytes(stored, kind), DEPTH), [[0.5, 0, 2.25], [0, 4, 0]])


@pytest.mark.parametrize("dtype", ["uint16", "int32", "int64", "float64", "float16"])
def test_numbers_of_other_types(dtype):
    found = read(file_bytes(STORED.astype(dtype), "npy"), DEPTH)
    assert found.dtype in (np.uint16, np.float32)
    np.testing.assert_allclose(found, STORED, rtol=1e-3)


@given(st.integers(0, 65535), st.integers(0, 15), st.booleans())
def test_unpacking_undoes_packing(number, bits, swap):
    one = np.array([number], dtype=np.uint16)
    packed = (one << np.uint16(bits)) | (one >> np.uint16(16 - bits)) if bits else one
    assert unpack(packed.byteswap() if swap else packed, swap, bits) == number


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x76\x2f\x31\x01" + bytes(60), "an OpenEXR file, which this OpenCV does not read"),
        (file_bytes(STORED, "npy")[:-3], "an .npy file that is damaged"),
        (file_bytes(np.zeros(5), "npy"), r"an .npy file of shape \(5,\) in place of \(h, w\)"),
        (file_bytes(np.array([["a"]]), "npy"), "an .npy file of <U1, which are no pixels"),
    ],
)
def test_unreadable_arrays_say_why(data, reason):
    with pytest.raises(UnreadableError, match=reason):
        inspect(data)


def test_exr_where_opencv_reads_it():
    has_none = [line for line in cv2.getBuildInformation().splitlines() if "OpenEXR" in line and line.endswith("NO")]
    if has_none or os.environ.get("OPENCV_IO_ENABLE_OPENEXR") != "1":
        pytest.skip("this OpenCV reads no OpenEXR; set OPENCV_IO_ENABLE_OPENEXR=1 where it was built with it")
    stored = np.array([[0.5, np.nan, 2.25], [np.inf, 4, 0]], dtype=np.float32)
    _, coded = cv2.imencode(".exr", stored)
    np.testing.assert_array_equal(read(coded.tobytes(), DEPTH), [[0.5, 0, 2.25], [0, 4, 0]])


def test_files_with_declared_bits(tmp_path: Path):
    for i, stored in enumerate((PACKED, PACKED[::-1])):
        (tmp_path / f"{i}.npy").write_bytes(file_bytes(stored, "npy"))
    reading = Reading("depth", 0.0, rotate_bits=3)
    ids = np.array(["a", "b"], dtype=object)
    column = pd.Series(["0", "1"])
    given = {"where": "t d", "root": tmp_path, "channels": "gray", "cache": tmp_path / "cache"}
    found = read_files(column, ids, **given, reading=reading)
    assert found.mistakes == ()
    assert found.warnings == ("t d: file names lack '.npy'; it was added.",)
    np.testing.assert_array_equal(found.pictures.original(1)[:, :, 0], STORED[::-1])
    plain = read_files(column, ids, **given, reading=DEPTH)
    np.testing.assert_array_equal(plain.pictures.original(0)[:, :, 0], PACKED)  # one cache does not serve the other
    (tmp_path / "1.npy").write_bytes(file_bytes(STORED.astype(np.float32), "npy"))
    (tmp_path / "0.npy").write_bytes(file_bytes(STORED.astype(np.float32), "npy"))
    wrong = read_files(column, ids, **given, reading=reading)
    assert "whole numbers of 16 bits" in wrong.mistakes[0]


# ---- what check says


def study(channels: list[str], **depth: object) -> dict[str, object]:
    fields = {"d": {"kind": "depth", **depth}, "y": {"kind": "number", "target": True}}
    return {"fields": fields, "channels": {"depth": channels}}


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (study(["xyz", "normals"]), "channels.depth: must be left without xyz, normals unless fields.d says camera:"),
        (study(["clipped"]), "channels.depth: must be left without clipped unless fields.d says clip_m: [nearest, farthest]"),
        (study([], clip_m=[4, 0.2]), "fields.d.clip_m: must be [nearest, farthest] in metres, nearest below farthest"),
        (study([], encoding={"rotate_bits": 17}), "fields.d.encoding.rotate_bits: must be"),
    ],
)  # fmt: skip
def test_what_channels_need(raw, sentence):
    with pytest.raises(ConfigError) as caught:
        config_from_mapping(raw)
    assert any(sentence in one for one in caught.value.mistakes), caught.value.mistakes


def test_without_a_camera_there_are_no_places():
    with pytest.raises(ConfigError, match="xyz need the camera"):
        make_channels(scene(), identity_maps([SIZE]), DepthField(), ("xyz",))
    with pytest.raises(ConfigError, match="clipped needs clip_m"):
        make_channels(scene(), identity_maps([SIZE]), DepthField(), ("clipped",))
    assert make_channels(scene(), identity_maps([SIZE]), DepthField(), ("gradient", "valid")).shape == (1, *SIZE, 3)


@pytest.mark.parametrize(
    ("camera", "shapes", "mistake", "warning"),
    [
        ((525, 525, 319.5, 239.5), [(480, 640)], None, None),
        ((525, 525, 319.5, 239.5), [(240, 320)], "which lies outside row 'a' of 240 × 320 pixels", None),
        ((260, 260, 160, 120), [(480, 640)], None, "far off the middle of row 'a' of 480 × 640 pixels"),
        ((3.6, 3.6, 319.5, 239.5), [(480, 640)], None, "which no depth camera does. Are fx and fy in pixels?"),
        ((525, 525, 319.5, 239.5), [(480, 640), (470, 630)], None, "pictures of several sizes have one `camera`"),
    ],
)
def test_a_camera_fits_its_pictures(camera, shapes, mistake, warning):
    found = Findings()
    check_camera(found, "train d", camera, np.array(shapes), np.array(["a", "b"][: len(shapes)], dtype=object))
    assert len(found.mistakes) == (mistake is not None)
    assert len(found.warnings) == (warning is not None)
    assert (mistake or "") in "".join(found.mistakes)
    assert (warning or "") in "".join(found.warnings)


def test_depth_without_any_reading_and_a_camera_of_another_size_are_told(tmp_path: Path):
    rows = {"d": np.zeros((12, 30, 40), dtype=np.uint16), "y": np.arange(12.0)}
    fields = {"d": {"kind": "depth"}, "y": {"kind": "number", "target": True}}
    checked = Study(train=rows, fields=fields, runs=tmp_path).check()
    assert "no picture holds a reading; all pixels are 0. Is `missing` right?" in str(checked)
    fields["d"]["camera"] = [525, 525, 319.5, 239.5]
    with pytest.raises(DataError, match="Is it of another size"):
        Study(train=rows, fields=fields, runs=tmp_path).check()
