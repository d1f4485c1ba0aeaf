"""Milliseconds a frame for channels from depth and from position, on one core, against plain NumPy as a user writes it.

    python bench/channels.py [--size 480 640] [--rounds 41]

`same map`: every frame is seen through one map, as scored pictures are. `own map`: each through another, as in training; then
the rays are worked out anew for each. Plain NumPy takes normals as cross products of neighbouring places. Rounds are
interleaved, medians of processor time compared; the aim is 10 ms for all channels from depth of a frame of 480 x 640.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from tamesu.channels import channel_names, make_channels, position_channels, position_names
from tamesu.config import ChannelsConfig
from tamesu.fields import DepthField
from tamesu.maps import Maps, identity_maps, make_maps

EVERY = ("metres", "valid", "log", "inverse", "clipped", "xyz", "normals", "gradient")
POSITIONS = ChannelsConfig(coords="frame", fourier=4, border=True)
CLIP_M = (0.2, 4.0)
N_MAPS = 16


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description="Milliseconds a frame.")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640))
    parser.add_argument("--rounds", type=int, default=41)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    h, w = options.size
    camera = (0.8 * w, 0.8 * w, (w - 1) / 2, (h - 1) / 2)
    depth = some_depth(h, w)
    timed: dict[str, Callable[[], object]] = {}
    for resample in ("nearest", "linear"):
        field = DepthField(camera=camera, clip_m=CLIP_M, resample=resample)
        for name, maps in some_maps((h, w)).items():
            own = itertools.cycle(range(len(maps)))
            timed[f"depth, {resample}, {name}"] = lambda f=field, m=maps, o=own: make_channels(  # type: ignore[misc]
                depth, one(m, next(o)), f, EVERY
            )
    timed["depth, plain NumPy"] = lambda: plain_depth(depth[0, :, :, 0], camera)
    turned = some_maps((h, w))["own map, turned"]
    timed["position, own map"] = lambda: position_channels(turned[:1], (h, w), POSITIONS)
    timed["position, plain NumPy"] = lambda: plain_position(turned[:1], h, w)
    print(f"{len(channel_names(EVERY))} channels from depth, {len(position_names(POSITIONS))} of position, {h} x {w}, one core")
    for name, milliseconds in medians(timed, options.rounds).items():
        print(f"{name:36s} {milliseconds:8.2f} ms")


def some_depth(h: int, w: int) -> np.ndarray:
    """Waves with a box before them, and holes in blobs as a sensor leaves them.  (1, h, w, 1)"""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:h, :w]
    depth = 2 + 0.4 * np.sin(x / 60) + 0.3 * np.cos(y / 45)
    depth[h // 3 : h // 2, w // 3 : w // 2] = 1
    blobs = cv2.resize(rng.normal(size=(12, 16)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    depth[blobs > 1] = 0
    return depth[None, :, :, None].astype(np.float32)


def some_maps(size: tuple[int, int]) -> dict[str, Maps]:
    """Maps of the frame onto itself."""
    rng = np.random.default_rng(1)
    crops = {name: rng.uniform(*ends, N_MAPS) for name, ends in {"shift_x": (-9, 9), "shift_y": (-9, 9)}.items()}
    factor = rng.uniform(1, 1.5, N_MAPS)
    angle = rng.uniform(-0.3, 0.3, N_MAPS)
    return {
        "same map": identity_maps([size]),
        "own map": make_maps(size, scale_x=factor, scale_y=factor, **crops),
        "own map, turned": make_maps(size, rotate_rad=angle, scale_x=factor, scale_y=factor, **crops),
    }


def one(maps: Maps, i: int) -> Maps:
    """The map of one frame."""
    return maps[i : i + 1]


def medians(timed: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds of processor time, each the median of interleaved rounds."""
    taken: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(rounds):
        for name, run in timed.items():
            run()  # what the one before it left in the caches is not its fault
            start = time.process_time()
            run()
            taken[name].append(1e3 * (time.process_time() - start))
    return {name: statistics.median(all_of_it) for name, all_of_it in taken.items()}


def plain_depth(depth: np.ndarray, camera: tuple[float, float, float, float]) -> np.ndarray:
    """The same channels, of a frame that was not moved."""
    fx, fy, cx, cy = camera
    valid = depth > 0
    z = np.where(valid, depth, np.nan)
    u, v = np.meshgrid(np.arange(depth.shape[1]), np.arange(depth.shape[0]))
    xyz = np.stack([(u - cx) / fx * z, (v - cy) / fy * z, z], axis=2)
    right, down = np.full_like(xyz, np.nan), np.full_like(xyz, np.nan)
    right[:, 1:-1], down[1:-1] = xyz[:, 2:] - xyz[:, :-2], xyz[2:] - xyz[:-2]
    normals = np.cross(down, right)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    gradient = np.stack([right[:, :, 2], down[:, :, 2]], axis=2) / 2
    single = np.stack([z, valid, np.log(z), 1 / z, np.clip(z, *CLIP_M)], axis=2)
    return np.concatenate([single, xyz, normals, gradient], axis=2).astype(np.float32)


def plain_position(maps: Maps, h: int, w: int) -> np.ndarray:
    """The same channels of position."""
    u, v = np.meshgrid(np.arange(w), np.arange(h))
    x, y, _ = np.einsum("ij,jhw->ihw", np.linalg.inv(maps.matrix[0]), np.stack([u, v, np.ones_like(u)]))
    x, y = (2 * x + 1) / w - 1, (2 * y + 1) / h - 1
    waves = [wave(np.pi * 2**k * place) for k in range(POSITIONS.fourier) for place in (x, y) for wave in (np.sin, np.cos)]
    border = np.minimum((1 - np.abs(x)) * w / min(h, w), (1 - np.abs(y)) * h / min(h, w))
    return np.stack([x, y, *waves, border], axis=2).astype(np.float32)


if __name__ == "__main__":
    main()
