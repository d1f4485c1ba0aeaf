"""Training pictures a second: tamesu against Albumentations and torchvision v2, the same policy and pictures, one thread.

    pip install 'tamesu[timm,albumentations]' && python bench/augment.py [--rounds 7] [--quick]

The policy: a window of half to all of the area, a mirror, a rotation of up to 15 degrees; `full`: also brightness, contrast,
saturation and gamma by up to a fifth; `full + noise`: also noise in every pixel. All bilinear, from uint8 to uint8. Arrays are
1.25 times as large as what comes out; JPEG files are 640 x 480 for 64 and 224 px and 1600 x 1200 for 512 px. The others are
written as their users would: a `Compose` a picture, files by `cv2.imread` or `torchvision.io.decode_jpeg`. Albumentations is
also timed with `cv2.imread` asked by hand for the smallest size that fills every window (`reduced`), which few do.

tamesu decodes JPEG files once, before the first epoch, and trains from that: `20 epochs` counts the decoding in. `decoding` is
what it does where the disk has no room for that: every file in every epoch.

Rounds are interleaved, medians compared, and processor time counted, so that what else a machine does matters little.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import pandas as pd
import torch
from torchvision import __version__ as tv_version
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms import v2

from tamesu.augment import vary
from tamesu.config import AugmentConfig
from tamesu.draws import Draws, make_draws, row_keys
from tamesu.fields import ImageField
from tamesu.map_draws import draw_maps
from tamesu.maps import Maps, whole_frames
from tamesu.picture_sets import read_arrays, read_files
from tamesu.pictures import Pictures
from tamesu.warp import view

BATCH = 32
N_EPOCHS = 20  # of one training by default; a study trains on the same decoded files many times
FROM_ARRAYS, FROM_FILES = 1.5, 2.0  # times the fastest of the others: what the issue asks for
CUT, ROTATE_DEG, LIGHT, NOISE = 0.5, 15.0, 0.2, 0.05
GEOMETRY = {"mirror": 0.5, "crop": CUT, "rotate_deg": ROTATE_DEG, "translate": 0.0}
COLOURS = {"brightness": LIGHT, "contrast": LIGHT, "saturation": LIGHT, "gamma": LIGHT}
POLICIES = {
    "geometry": AugmentConfig(**GEOMETRY),
    "full": AugmentConfig(**GEOMETRY, **COLOURS),
    "full + noise": AugmentConfig(**GEOMETRY, **COLOURS, noise=(NOISE, NOISE)),
}
Loop = Callable[[int], None]  # makes so many training pictures


# ---- ours


@dataclass(frozen=True, eq=False)
class Ours:
    """The functions that a training batch goes through."""

    pictures: Pictures
    augment: AugmentConfig
    size: tuple[int, int]

    def batch(self, index: np.ndarray, epoch: int) -> np.ndarray:
        """Some rows as one epoch sees them.  (b, h, w, c)"""
        draws = self.draws(index, epoch)
        seen = view(self.pictures, index, draw_maps(self.augment, self.size, draws), ImageField(), self.size)
        return vary(seen, ImageField(), self.augment, draws, 0, 255)

    def draws(self, index: np.ndarray, epoch: int) -> Draws:
        """Their random numbers."""
        return Draws(make_draws(KEYS[: len(self.pictures)], 0, epoch).keys[index])

    def run(self, n: int) -> None:
        """Makes n pictures."""
        for epoch, index in batches(n, len(self.pictures)):
            self.batch(index, epoch)

    def run_threads(self, n: int, n_threads: int) -> None:
        """Makes n pictures with several threads, as training does."""
        with ThreadPoolExecutor(n_threads) as pool:
            for _ in pool.map(lambda job: self.batch(job[1], job[0]), batches(n, len(self.pictures))):
                pass


KEYS = row_keys(range(4096))


def batches(n: int, n_rows: int) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, n, BATCH):
        rows = np.arange(start, min(start + BATCH, n))
        yield start // n_rows, rows % n_rows


# ---- the others


def albumentations_policy(policy: str, side: int) -> A.Compose:
    steps: list[A.BasicTransform] = [
        A.RandomResizedCrop((side, side), scale=(1 - CUT, 1), ratio=(1, 1), interpolation=cv2.INTER_LINEAR, p=1),
        A.HorizontalFlip(p=0.5),
        A.Rotate(ROTATE_DEG, interpolation=cv2.INTER_LINEAR, border_mode=cv2.BORDER_REFLECT_101, p=1),
    ]
    if policy != "geometry":
        low, high = 1 - LIGHT, 1 + LIGHT
        steps += [
            A.RandomBrightnessContrast(LIGHT, LIGHT, p=1),  # one table; faster than the same by ColorJitter
            A.ColorJitter(brightness=(1, 1), contrast=(1, 1), saturation=(low, high), hue=(0, 0), p=1),
            A.RandomGamma((100 * low, 100 * high), p=1),
        ]
    if policy == "full + noise":
        steps.append(A.GaussNoise(std_range=(NOISE, NOISE), p=1))
    return A.Compose(steps)


def torchvision_policy(policy: str, side: int) -> v2.Compose:
    steps: list[torch.nn.Module | Callable[[torch.Tensor], torch.Tensor]] = [
        v2.RandomResizedCrop(side, scale=(1 - CUT, 1), ratio=(1, 1), antialias=True),
        v2.RandomHorizontalFlip(0.5),
        v2.RandomRotation(ROTATE_DEG, interpolation=v2.InterpolationMode.BILINEAR),
    ]
    if policy != "geometry":
        low, high = 1 - LIGHT, 1 + LIGHT
        steps.append(v2.ColorJitter(brightness=LIGHT, contrast=LIGHT, saturation=LIGHT))
        steps.append(lambda x: v2.functional.adjust_gamma(x, float(torch.empty(()).uniform_(low, high))))
    if policy == "full + noise":
        steps += [v2.ToDtype(torch.float32, scale=True), v2.GaussianNoise(0, NOISE), v2.ToDtype(torch.uint8, scale=True)]
    return v2.Compose(steps)


def over_arrays(transform: A.Compose, arrays: list[np.ndarray]) -> Loop:
    def run(n: int) -> None:
        for i in range(n):
            transform(image=arrays[i % len(arrays)])

    return run


def over_tensors(transform: v2.Compose, arrays: list[np.ndarray]) -> Loop:
    tensors = [torch.from_numpy(one).permute(2, 0, 1).contiguous() for one in arrays]

    def run(n: int) -> None:
        for i in range(n):
            transform(tensors[i % len(tensors)])

    return run


def over_files_albumentations(transform: A.Compose, paths: list[str], flag: int) -> Loop:
    def run(n: int) -> None:
        for i in range(n):
            transform(image=cv2.cvtColor(cv2.imread(paths[i % len(paths)], flag), cv2.COLOR_BGR2RGB))

    return run


def over_files_torchvision(transform: v2.Compose, paths: list[str]) -> Loop:
    def run(n: int) -> None:
        for i in range(n):
            transform(decode_jpeg(read_file(paths[i % len(paths)]), mode=ImageReadMode.RGB))

    return run


# ---- pictures


def natural(h: int, w: int, seed: int) -> np.ndarray:
    """A picture with detail at every scale, as photographs have: its spectrum falls with the frequency.  (h, w, 3)"""
    rng = np.random.default_rng(seed)
    out = np.zeros((h, w, 3), np.float32)
    side, share = 2, 1.0
    while side < max(h, w):
        coarse = rng.normal(0, share, (side, side, 3)).astype(np.float32)
        out += cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC)
        side, share = side * 2, share * 0.7
    return np.clip(128 + 35 * out, 0, 255).astype(np.uint8)


def array_set(arrays: list[np.ndarray], folder: Path) -> Pictures:
    ids = np.arange(len(arrays)).astype(object)
    pictures = read_arrays(arrays, ids, where="bench", channels="auto", cache=folder).pictures
    assert pictures is not None
    return pictures


def file_set(paths: list[str], folder: Path) -> Pictures:
    names = pd.Series([Path(path).name for path in paths])
    ids, root = names.to_numpy(dtype=object), Path(paths[0]).parent
    pictures = read_files(names, ids, where="bench", root=root, channels="auto", cache=folder).pictures
    assert pictures is not None
    return pictures


def jpeg_files(folder: Path, h: int, w: int, n: int) -> list[str]:
    folder.mkdir()
    paths = [str(folder / f"{i}.jpg") for i in range(n)]
    for i, path in enumerate(paths):
        cv2.imwrite(path, natural(h, w, i), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return paths


# ---- measurements


def interleaved(loops: dict[str, Loop], seconds: float, rounds: int) -> dict[str, float]:
    """Pictures a second of each: medians over rounds in which all take their turn, each time in another order."""
    counts, rates = {}, {name: [] for name in loops}
    for name, loop in loops.items():
        loop(BATCH)
        start = time.process_time()
        loop(BATCH)
        counts[name] = max(1, round(seconds / (time.process_time() - start))) * BATCH
    for turn in range(rounds):
        names = list(loops)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.process_time()
            loops[name](counts[name])
            rates[name].append(counts[name] / (time.process_time() - start))
    return {name: statistics.median(each) for name, each in rates.items()}


def compare_arrays(folder: Path, side: int, policy: str, seconds: float, rounds: int) -> list[str]:
    source = round(side * 1.25)
    arrays = [natural(source, source, i) for i in range(BATCH)]
    ours = Ours(array_set(arrays, folder / f"arrays{side}"), POLICIES[policy], (side, side))
    rates = interleaved(
        {
            "tamesu": ours.run,
            "albumentations": over_arrays(albumentations_policy(policy, side), arrays),
            "torchvision": over_tensors(torchvision_policy(policy, side), arrays),
        },
        seconds,
        rounds,
    )
    fastest = max(rates["albumentations"], rates["torchvision"])
    ratio = rates["tamesu"] / fastest
    cells = [f"{rates[name]:,.0f}" for name in ("tamesu", "albumentations", "torchvision")]
    return [f"{side}", policy, *cells, f"**{ratio:.2f}**", "yes" if ratio >= FROM_ARRAYS else "no"]


def compare_files(folder: Path, side: int, policy: str, seconds: float, rounds: int) -> list[str]:
    h, w = (1200, 1600) if side > 224 else (480, 640)
    where = folder / f"jpeg{h}"
    paths = [str(where / f"{i}.jpg") for i in range(BATCH)] if where.exists() else jpeg_files(where, h, w, BATCH)
    prepared = file_set(paths, folder / f"prepared{side}")
    start = time.process_time()
    prepared.prepare((side, side))
    prepare_s = (time.process_time() - start) / len(paths)
    window = int(h * (1 - CUT) ** 0.5)  # the smallest that is drawn
    halvings = max(k for k in range(4) if window >> k >= side or k == 0)
    reduced = (cv2.IMREAD_COLOR, cv2.IMREAD_REDUCED_COLOR_2, cv2.IMREAD_REDUCED_COLOR_4, cv2.IMREAD_REDUCED_COLOR_8)[halvings]
    transform = albumentations_policy(policy, side)
    rates = interleaved(
        {
            "decoding": Ours(file_set(paths, folder / "decoding"), POLICIES[policy], (side, side)).run,
            "prepared": Ours(prepared, POLICIES[policy], (side, side)).run,
            "albumentations": over_files_albumentations(transform, paths, cv2.IMREAD_COLOR),
            "reduced": over_files_albumentations(transform, paths, reduced),
            "torchvision": over_files_torchvision(torchvision_policy(policy, side), paths),
        },
        seconds,
        rounds,
    )
    fastest = max(rates["albumentations"], rates["torchvision"])
    ratio = N_EPOCHS / (prepare_s + N_EPOCHS / rates["prepared"]) / fastest
    cells = [f"{rates[name]:,.0f}" for name in ("prepared", "decoding", "albumentations", "reduced", "torchvision")]
    ratios = [f"**{ratio:.1f}**", f"{rates['decoding'] / fastest:.2f}", f"{rates['decoding'] / rates['reduced']:.2f}"]
    return [f"{w} × {h} → {side}", policy, *cells, *ratios, "yes" if ratio >= FROM_FILES else "no"]


def quality(folder: Path, h: int, w: int, side: int, n: int = 24) -> tuple[float, float]:
    """Root mean square error against a drawing of 8 x 8 points a pixel: tamesu's, and of a window resized, then rotated."""
    originals = [natural(h, w, i) for i in range(n)]
    pictures, size = array_set(originals, folder / f"quality{h}-{side}"), (side, side)
    rng, ours, theirs = np.random.default_rng(0), [], []
    frame = whole_frames([(h, w)], size).matrix[0]
    for i, original in enumerate(originals):
        share = rng.uniform(1 - CUT, 1) ** 0.5
        ch, cw = round(h * share), round(w * share)
        top, left = int(rng.integers(0, h - ch + 1)), int(rng.integers(0, w - cw + 1))
        to_size = whole_frames([(ch, cw)], size).matrix[0] @ np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1.0]])
        turn = np.eye(3)
        turn[:2] = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), rng.uniform(-ROTATE_DEG, ROTATE_DEG), 1)
        full = turn @ to_size
        fine = whole_frames([size], (8 * side, 8 * side)).matrix[0] @ full
        many = cv2.warpAffine(original, fine[:2], (8 * side, 8 * side), borderMode=cv2.BORDER_REFLECT_101)
        ideal = cv2.resize(many, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        frames = np.array([size])
        seen = view(pictures, [i], Maps((full @ np.linalg.inv(frame))[None], frames, frames), ImageField(), size)[0]
        cut = cv2.resize(original[top : top + ch, left : left + cw], size, interpolation=cv2.INTER_LINEAR)
        twice = cv2.warpAffine(cut, turn[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        middle = cv2.warpAffine(np.ones((side, side), np.uint8), turn[:2], size) > 0  # where a window's border is not reflected
        ours.append(np.square(seen[middle] - ideal[middle]).mean())
        theirs.append(np.square(twice[middle] - ideal[middle]).mean())
    return float(np.sqrt(np.mean(ours))), float(np.sqrt(np.mean(theirs)))


def with_threads(folder: Path, side: int, n: int) -> tuple[float, float]:
    """Pictures a second of wall time, with one thread and with two that make batches."""
    source = round(side * 1.25)
    pictures = array_set([natural(source, source, i) for i in range(BATCH)], folder / f"threads{side}")
    ours, rates = Ours(pictures, POLICIES["full + noise"], (side, side)), {1: [], 2: []}
    for turn in range(6):
        k = 1 + (turn + turn // 2) % 2
        start = time.perf_counter()
        ours.run_threads(n, k)
        rates[k].append(n / (time.perf_counter() - start))
    return statistics.median(rates[1]), statistics.median(rates[2])


def memory(folder: Path, n: int) -> tuple[float, float]:
    """MB at the peak after a tenth of n small pictures, and after all."""
    pictures = array_set([natural(80, 80, i) for i in range(1024)], folder / "memory")
    ours, peaks = Ours(pictures, POLICIES["full + noise"], (64, 64)), []
    for share in (0.1, 0.9):
        ours.run_threads(round(share * n), 2)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return peaks[0], peaks[1]


def table(titles: list[str], rows: Iterator[list[str]]) -> None:
    print("\n| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|", flush=True)
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; figures are then rough")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="albumentations")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    seconds, rounds = (0.05, 3) if options.quick else (0.25, options.rounds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, last = memory(folder, 5_000 if options.quick else 100_000)  # before anything larger sets a peak
        versions = f"Albumentations {A.__version__}, torchvision {tv_version}, OpenCV {cv2.__version__}"
        print(f"{versions}; pictures a second of processor time, one thread")
        cases = [(side, policy) for side in (64, 224, 512) for policy in POLICIES]
        titles = ["px", "policy", "tamesu", "Albumentations", "torchvision", "over the faster", f"≥ {FROM_ARRAYS}"]
        table(titles, (compare_arrays(folder, *case, seconds, rounds) for case in cases))
        titles = [
            "JPEG → px",
            "policy",
            "tamesu, decoded before",
            "tamesu decoding",
            "Albumentations",
            "reduced",
            "torchvision",
        ]
        titles += [f"{N_EPOCHS} epochs over the faster", "decoding over the faster", "decoding over reduced", f"≥ {FROM_FILES}"]
        table(titles, (compare_files(folder, *case, seconds, rounds) for case in cases if case[1] != "geometry"))
        titles = ["from → px", "error of tamesu", "error of crop, resize, rotate"]
        shapes = ((80, 80, 64), (280, 280, 224), (480, 640, 64), (480, 640, 224), (1200, 1600, 512))
        errors = ((shape, quality(folder, *shape, n=4 if options.quick else 24)) for shape in shapes)
        table(titles, ([f"{w} × {h} → {side}", f"{a:.2f}", f"{b:.2f}"] for (h, w, side), (a, b) in errors))
        titles = ["px", "one thread, a second", "two threads"]
        rates = (
            (side, with_threads(folder, side, n // (10 if options.quick else 1))) for side, n in ((64, 20_000), (224, 4_000))
        )
        table(titles, ([f"{side}", f"{one:,.0f}", f"{two:,.0f}"] for side, (one, two) in rates))
        print(f"\npeak memory {first:.0f} MB after a tenth of the small pictures, {last:.0f} MB after all")


if __name__ == "__main__":
    main()
