"""Mirrors and maps on real data: faces that look left, brackets drawn by hand, a depth camera, traffic signs."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from tamesu.config import AugmentConfig
from tamesu.draws import make_draws, row_keys
from tamesu.fields import LabelField, SeriesField
from tamesu.geometry import camera_matrix, move_camera, move_points
from tamesu.map_draws import draw_maps
from tamesu.maps import make_maps, whole_frames
from tamesu.symmetry import Symmetry, name_mistakes, symmetry_mistakes

DATA = Path(os.environ.get("TAMESU_DATA", Path(__file__).parents[2] / "shared" / "data"))
BRACKETS = {"left_sq_bracket": "right_sq_bracket", "left_curly_brace": "right_curly_brace"}
INTRINSICS = camera_matrix(476.007, 476.007, 313.683, 242.755)
DEPTH_UNIT_M = 0.000125


def folder_of(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"no {name} under TAMESU_DATA")
    return DATA / name


# ---- faces: the pose is a label that a mirror changes ----


@pytest.fixture(scope="module")
def faces() -> tuple[pd.DataFrame, np.ndarray]:
    folder = folder_of("cmu_faces32")
    table = pd.read_csv(folder / "labels.csv")
    return table, np.stack([cv2.imread(str(folder / file), cv2.IMREAD_GRAYSCALE) for file in table["file"]]).astype(float)


def test_a_mirrored_face_is_more_like_the_faces_that_look_the_other_way(faces):
    table, pictures = faces
    flat = pictures[:, :, ::-1].reshape(len(pictures), -1), pictures.reshape(len(pictures), -1)
    mirrored, plain = (one - one.mean(axis=1, keepdims=True) for one in flat)
    pose, person = table["pose"].to_numpy(dtype=object), table["person"].to_numpy()
    field = LabelField(mirror={"left": "right"})
    seen = field.act(pose, make_maps((30, 32), mirrored=np.ones(len(pose), bool)))
    swapped = kept = total = 0
    for i in np.flatnonzero(np.isin(pose, ["left", "right"])):
        others = person != person[i]  # the mean face of everybody else, for each pose
        to = {one: plain[others & (pose == one)].mean(axis=0) for one in ("left", "right")}
        nearest = min(to, key=lambda one: float(np.sum((mirrored[i] - to[one]) ** 2)))
        swapped, kept, total = swapped + (nearest == seen[i]), kept + (nearest == pose[i]), total + 1
    assert total > 300
    assert swapped / total > 0.85
    assert kept / total < 0.15


def test_poses_that_a_mirror_leaves_are_left(faces):
    pose = faces[0]["pose"].to_numpy(dtype=object)
    maps = draw_maps(AugmentConfig(mirror=0.5), (30, 32), make_draws(row_keys(range(len(pose))), 0, 0))
    field = LabelField(mirror={"left": "right"})
    seen = field.act(pose, maps)
    ahead = np.isin(pose, ["up", "straight"])
    np.testing.assert_array_equal(seen[ahead], pose[ahead])
    assert (seen[~ahead] == pose[~ahead]).tolist() == (~maps.mirrored[~ahead]).tolist()
    assert field.allows(pose, maps).all()


# ---- pen strokes: places over time, and pairs of classes ----


def resampled(track: np.ndarray, n: int = 32) -> np.ndarray:
    """A stroke as n places at equal lengths along it, about its middle and as large as 1.  (n, 2)"""
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(track, axis=0).T))])
    even = np.linspace(0, along[-1], n)
    places = np.stack([np.interp(even, along, track[:, k]) for k in range(2)], axis=1)
    places -= places.mean(axis=0)
    return places / np.abs(places).max()


def test_a_mirrored_bracket_is_the_other_bracket():
    folder = folder_of("unistroke_gestures")
    gestures, points = pd.read_csv(folder / "gestures.csv"), pd.read_csv(folder / "points.csv")
    gestures = gestures[gestures["class"].isin([*BRACKETS, *BRACKETS.values()])].reset_index(drop=True)
    by_id = dict(tuple(points[points["gesture_id"].isin(gestures["gesture_id"])].groupby("gesture_id")))
    column = pd.Series([by_id[one][["x", "y"]].to_numpy() for one in gestures["gesture_id"]])
    series = SeriesField(names=("x", "y"), vectors=(("x", "y"),))
    tracks = series.read(column, gestures["gesture_id"].to_numpy(), "points.csv")
    label = LabelField(mirror=BRACKETS)
    classes, subjects = gestures["class"].to_numpy(dtype=object), gestures["subject"].to_numpy()
    mirror = make_maps((400, 400), mirrored=np.ones(len(classes), bool))
    mirrored = np.stack([resampled(one) for one in series.act(tracks, mirror)])
    plain = np.stack([resampled(one) for one in tracks])
    # brackets are drawn from the top in either hand's version: the nearest stroke of another person tells the class
    distance = ((mirrored[:, None] - plain[None]) ** 2).sum(axis=(2, 3))
    distance[subjects[:, None] == subjects[None]] = np.inf
    nearest = classes[distance.argmin(axis=1)]
    expected = label.act(classes, mirror)
    assert len(classes) == 440
    for name in [*BRACKETS, *BRACKETS.values()]:
        rows = classes == name
        assert (nearest[rows] == expected[rows]).mean() > 0.9, name
        assert (nearest[rows] == classes[rows]).mean() < 0.05, name


# ---- a depth camera: pixels, distances and intrinsics move together ----


@pytest.mark.parametrize(
    ("resize", "augment"),
    [
        ("stretch", {"mirror": 1.0}),
        ("crop", {"mirror": 0.5, "crop": 0.5}),
        ("pad", {"mirror": 0.5, "turn": 0.7}),
        ("stretch", {"mirror": 0.5, "rotate_deg": 30, "scale": 0.2, "aspect": 0.2}),
    ],
)
def test_the_hand_is_where_the_moved_camera_says(resize, augment):
    folder = folder_of("sr305_hand_depth")
    table = pd.read_csv(folder / "labels.csv")
    inner = draw_maps(AugmentConfig(**augment), (96, 96), make_draws(row_keys(table["depth"]), 0, 0))
    for i, file in enumerate(table["depth"][:6]):
        stored = cv2.imread(str(folder / file), cv2.IMREAD_UNCHANGED)
        v, u = np.nonzero(stored)
        chosen = np.random.default_rng(i).choice(len(v), 500, replace=False)
        pixels, depth_m = np.stack([u, v], axis=1)[chosen].astype(float), stored[v, u][chosen] * DEPTH_UNIT_M
        maps = whole_frames([stored.shape], (96, 96), resize).then(inner[i : i + 1])
        camera = move_camera(INTRINSICS, maps)[0]
        before = np.linalg.solve(INTRINSICS, np.c_[pixels, np.ones(500)].T) * depth_m
        moved = np.linalg.solve(camera, np.c_[move_points(pixels[None], maps)[0], np.ones(500)].T) * depth_m
        expected = np.concatenate([maps.orthogonal[0] @ before[:2], before[2:]])
        np.testing.assert_allclose(moved, expected, atol=1e-9)  # metres
        assert 0.05 < depth_m.min() < depth_m.max() < 1.6


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_depth_map_moved_as_a_picture_gives_the_moved_hand(mirrored):
    """From the pixels themselves: the mirrored, cropped and enlarged map, unprojected, is the moved cloud of points."""
    folder = folder_of("sr305_hand_depth")
    stored = cv2.imread(str(folder / pd.read_csv(folder / "labels.csv")["depth"][0]), cv2.IMREAD_UNCHANGED)
    maps = make_maps((480, 640), mirrored=mirrored, shift_x=-40, shift_y=25)
    seen = cv2.warpAffine(stored, maps.matrix[0, :2], (640, 480), flags=cv2.INTER_NEAREST)
    camera = move_camera(INTRINSICS, maps)[0]

    def cloud(picture: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
        v, u = np.nonzero(picture)
        return (np.linalg.solve(intrinsics, np.stack([u, v, np.ones(len(u))])) * picture[v, u] * DEPTH_UNIT_M).T

    before, after = cloud(stored, INTRINSICS), cloud(seen, camera)
    stays = move_points(np.argwhere(stored)[None, :, ::-1].astype(float), maps)[0]
    inside = (stays >= -0.5).all(axis=1) & (stays < (639.5, 479.5)).all(axis=1)
    expected = before[inside] * ((-1 if mirrored else 1), 1, 1)
    assert len(after) == len(expected) > 10_000
    order, other = np.lexsort(np.rint(after.T * 1e6)), np.lexsort(np.rint(expected.T * 1e6))
    np.testing.assert_allclose(after[order], expected[other], atol=1e-6)


# ---- traffic signs: what the data set itself says a mirror does ----


def test_declared_pairs_are_what_the_data_set_says():
    table = pd.read_csv(folder_of("gtsrb_directions") / "labels.csv")
    names = dict(zip(table["class_id"], table["class_name"], strict=True))
    pairs = table.drop_duplicates("class_id").set_index("class_name")["class_id_if_mirrored"].map(names)
    mirror = {left: right for left, right in pairs.items() if left < right}
    assert list(symmetry_mistakes(mirror, None)) == []
    assert list(name_mistakes(mirror, names.values())) == []
    classes = tuple(sorted(names.values()))
    codes = Symmetry(mirror).codes(classes)[4]
    assert {name: classes[code] for name, code in zip(classes, codes, strict=True)} == dict(pairs)
    assert (codes != np.arange(len(classes))).sum() == 8  # of nine; only `ahead` is its own image
    field = LabelField(mirror=mirror)
    values = table["class_name"].to_numpy(dtype=object)
    seen = field.act(values, make_maps((32, 32), mirrored=np.ones(len(values), bool)))
    np.testing.assert_array_equal(seen, table["class_id_if_mirrored"].map(names))
