"""Pictures: what is decoded is what is in the file, at the level asked for, and a broken file never passes for a whole one."""

from __future__ import annotations

import io
import os
import pickle
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tamesu import decode as decode_module
from tamesu import picture_files
from tamesu import pictures as pictures_module
from tamesu.decode import UnreadableError, decode, inspect, orient, reduce, reduced
from tamesu.errors import DataError
from tamesu.picture_files import scan_files
from tamesu.picture_sets import PictureColumn, read_arrays, read_files


def smooth(h: int, w: int, c: int = 3, seed: int = 0) -> np.ndarray:
    """A picture without sharp edges, so that JPEG and area means stay close to it."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((w, h), Image.Resampling.BICUBIC)
    return np.asarray(small)[:, :, :c].reshape(h, w, c)


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def files(tmp_path: Path, shapes: list[tuple[int, int]], kind: str = "PNG", channels: str = "auto") -> PictureColumn:
    root = tmp_path / "images"
    root.mkdir(exist_ok=True)
    names = []
    for i, (h, w) in enumerate(shapes):
        names.append(f"{i}.{kind.lower()}")
        (root / names[-1]).write_bytes(encoded(smooth(h, w, seed=i), kind))
    return read_column(names, root, tmp_path / "cache", channels)


def read_column(names: list[str], root: Path, cache: Path, channels: str = "auto") -> PictureColumn:
    return read_files(
        pd.Series(names), np.array(names, dtype=object), where="t file", root=root, channels=channels, cache=cache
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF"])
def test_decodes_like_pillow(kind: str) -> None:
    data = encoded(smooth(37, 53), kind)
    info = inspect(data)
    assert (info.height, info.width, info.channels, info.dtype) == (37, 53, 3, "uint8")
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decode(data, info, 3, "uint8").astype(int) - expected).max() <= 2  # two JPEG decoders round differently
    assert decode(data, info, 1, "uint8").shape == (37, 53, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_is_honoured(orientation: int, kind: str) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(smooth(24, 40), kind, exif=exif)
    info = inspect(data)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert (info.height, info.width) == expected.shape[:2]
    assert np.abs(decode(data, info, 3, "uint8").astype(int) - expected).max() <= 2
    assert decode(data, info, 3, "uint8", level=1).shape == (-(-expected.shape[0] // 2), -(-expected.shape[1] // 2), 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_modes(mode: str) -> None:
    image = Image.fromarray(smooth(20, 30)).convert("L").point(lambda v: v * 256, "I") if mode == "I;16" else None
    image = Image.fromarray(np.asarray(image).astype(np.uint16)) if image else Image.fromarray(smooth(20, 30)).convert(mode)
    data = encoded(image, "JPEG" if mode == "CMYK" else "PNG")
    info = inspect(data)
    assert info.channels == (1 if mode in ("1", "L", "LA", "I;16") else 4 if mode == "RGBA" else 3)
    assert info.dtype == ("uint16" if mode == "I;16" else "uint8")
    pixels = decode(data, info, info.channels, info.dtype)
    if mode == "I;16":
        assert np.array_equal(pixels[:, :, 0], np.asarray(image))
    else:
        expected = np.asarray(Image.open(io.BytesIO(data)).convert({1: "L", 3: "RGB", 4: "RGBA"}[info.channels])).astype(int)
        assert np.abs(pixels.astype(int) - expected.reshape(pixels.shape)).max() <= 2


def test_16_bit_colour_keeps_its_depth() -> None:
    import cv2

    pixels = smooth(10, 12).astype(np.uint16) * 200
    data = cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes()
    info = inspect(data)
    assert info.dtype == "uint16"
    assert np.array_equal(decode(data, info, 3, "uint16"), pixels)


def test_transparent_lies_over_white() -> None:
    pixels = np.zeros((8, 8, 4), dtype=np.uint8)
    pixels[:4, :, 3] = 255
    data = encoded(Image.fromarray(pixels), "PNG")
    over = decode(data, inspect(data), 3, "uint8")
    assert (over[:4] == 0).all()
    assert (over[4:] == 255).all()


def test_eight_bit_among_sixteen_fills_the_same_range(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 255, dtype=np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((8, 8), 65535, dtype=np.uint16)).save(tmp_path / "b.png")
    found = read_column(["a.png", "b.png"], tmp_path, tmp_path / "cache")
    assert found.pictures is not None
    assert found.pictures.dtype == np.uint16
    assert np.array_equal(found.pictures.original(0), found.pictures.original(1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_cut_off_files_are_found(kind: str, share: float) -> None:
    rng = np.random.default_rng(0)
    data = encoded(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), kind)
    with pytest.raises(UnreadableError):
        inspect(data[: int(len(data) * share)])


def test_progressive_and_zero_filled_jpeg() -> None:
    data = encoded(smooth(64, 64), "JPEG", progressive=True)
    assert inspect(data).height == 64
    assert inspect(data + b"trailer of a phone").height == 64
    for end in (len(data) // 2, len(data) - 40):
        with pytest.raises(UnreadableError):
            inspect(data[:end])
        with pytest.raises(UnreadableError):
            inspect(data[:end] + bytes(len(data) - end))


def test_a_thumbnail_does_not_hide_the_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module, "_decode_jpeg", lambda *_, **__: None)  # as OpenCV 4 does, which says nothing
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + encoded(smooth(8, 8), "JPEG")
    data = encoded(smooth(64, 64), "JPEG", exif=exif)
    assert inspect(data).width == 64
    with pytest.raises(UnreadableError):
        inspect(data[: len(data) - 200])


def test_a_flipped_bit_in_a_png_is_found() -> None:
    data = bytearray(encoded(smooth(64, 64), "PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(UnreadableError, match="cut off or damaged"):
        inspect(bytes(data))


@pytest.mark.parametrize(
    "data", [b"", b"no picture at all", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8" + b"\xff" * 50]
)
def test_no_pictures(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        inspect(data)


@given(st.integers(1, 300), st.integers(0, 8))
def test_reduced_is_the_rounded_up_half(side: int, level: int) -> None:
    expected = side
    for _ in range(level):
        expected = (expected + 1) // 2
    assert reduced(side, level) == expected


@given(st.integers(1, 8))
def test_orientation_has_an_inverse(orientation: int) -> None:
    pixels = np.arange(2 * 3 * 1).reshape(2, 3, 1)
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    assert np.array_equal(orient(orient(pixels, orientation), inverse), pixels)


def test_reduce_is_the_area_mean_for_any_channels() -> None:
    pixels = np.random.default_rng(0).random((16, 8, 7)).astype(np.float32)
    expected = pixels.reshape(8, 2, 4, 2, 7).mean(axis=(1, 3))
    assert np.allclose(reduce(pixels, 8, 4), expected, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.tuples(st.integers(1, 100), st.integers(1, 100)), st.booleans())
def test_level_is_the_smallest_that_fills(
    tmp_path_factory: pytest.TempPathFactory, h: int, w: int, size: tuple[int, int], prepare: bool
) -> None:
    array = np.zeros((1, h, w), dtype=np.uint8)
    found = read_arrays(
        array, np.array(["a"], dtype=object), where="t", channels="auto", cache=tmp_path_factory.getbasetemp() / "c"
    )
    assert found.pictures is not None
    if prepare:
        found.pictures.prepare(size)
    got = found.pictures.read(0, size).shape[:2]
    if (h, w) != got:
        assert got[0] >= size[0]
        assert got[1] >= size[1]
    half = (got[0] + 1) // 2, (got[1] + 1) // 2
    assert got == (1, 1) or half == got or half[0] < size[0] or half[1] < size[1]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("small", [True, False])
def test_prepared_equals_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, small: bool) -> None:
    if not small:
        monkeypatch.setattr(pictures_module, "SMALL_BYTES", 10)
    found = files(tmp_path, [(64, 48), (33, 100), (64, 48), (16, 16)], kind)
    pictures = found.pictures
    assert pictures is not None
    assert pictures.shapes.tolist() == [[64, 48], [33, 100], [64, 48], [16, 16]]
    before = [pictures.read(i, (16, 16)) for i in range(4)]
    assert [one.shape for one in before] == [(32, 24, 3), (17, 50, 3), (32, 24, 3), (16, 16, 3)]
    assert pictures.read_many([0, 2], (16, 16)) is None
    calls: list[tuple[int, int]] = []
    pictures.prepare((16, 16), lambda done, total: calls.append((done, total)))
    for i in range(4):
        assert np.array_equal(pictures.read(i, (16, 16)), before[i])
    many = pictures.read_many([2, 0], (16, 16))
    assert many is not None
    assert np.array_equal(many, np.stack([before[2], before[0]]))
    assert pictures.read_many([0, 1], (16, 16)) is None
    taken = pictures.take(np.array([False, True, True, False])).take([1])
    assert np.array_equal(taken.read(0, (16, 16)), before[2])
    assert np.array_equal(pickle.loads(pickle.dumps(taken)).read(0, (16, 16)), before[2])


def test_area_mean_of_files(tmp_path: Path) -> None:
    found = files(tmp_path, [(64, 64)])
    assert found.pictures is not None
    pixels = found.pictures.original(0).astype(float)
    expected = pixels.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(found.pictures.read(0, (16, 16)) - expected).max() <= 1


def test_take_of_nothing(tmp_path: Path) -> None:
    found = files(tmp_path, [(8, 8), (8, 8)])
    assert found.pictures is not None
    assert len(found.pictures.take([])) == 0
    assert len(found.pictures.take(slice(1, None))) == 1


def test_pickles_small_and_holds_no_pixels(tmp_path: Path) -> None:
    arrays = np.random.default_rng(0).integers(0, 255, (500, 32, 32, 3), dtype=np.uint8)
    found = read_arrays(arrays, np.arange(500).astype(str).astype(object), where="t", channels="auto", cache=tmp_path)
    assert found.pictures is not None
    assert len(pickle.dumps(found.pictures)) < 1000
    assert np.array_equal(found.pictures.read_many(np.array([3, 499]), (32, 32)), arrays[[3, 499]])
    assert np.array_equal(found.pictures.original(7), arrays[7])


def test_array_kinds(tmp_path: Path) -> None:
    ids = np.array(["a", "b"], dtype=object)

    def read(arrays: object) -> PictureColumn:
        return read_arrays(arrays, ids, where="t x", channels="auto", cache=tmp_path)

    kinds = {np.uint8: "uint8", np.uint16: "uint16", np.float64: "float32", np.int64: "uint8", np.bool_: "uint8"}
    for given_dtype, expected in kinds.items():
        found = read(np.ones((2, 5, 6), dtype=given_dtype))
        assert found.pictures is not None
        assert (str(found.pictures.dtype), found.pictures.channels) == (expected, 1)
    assert read([np.zeros((4, 4, 3), np.uint8), np.zeros((6, 5, 3), np.uint8)]).pictures is not None
    assert read(np.full((2, 4, 4), np.nan)).mistakes == (
        "t x: rows 'a', 'b' must hold finite numbers; got NaN or an infinite one.",
    )
    assert "channels last" in read(np.zeros((2, 3, 32, 32), np.uint8)).mistakes[0]
    assert "must have pixels" in read([np.zeros((0, 4), np.uint8), np.zeros((4, 4), np.uint8)]).mistakes[0]
    assert "row 'b'" in read([np.zeros((4, 4), np.uint8), None]).mistakes[0]


def test_unicode_names(tmp_path: Path) -> None:
    root = tmp_path / "画像"
    root.mkdir()
    (root / "左手 ①.jpg").write_bytes(encoded(smooth(20, 20), "JPEG"))
    found = read_column(["左手 ①.jpg"], root, tmp_path / "cache")
    assert found.mistakes == ()
    assert found.pictures is not None
    found.pictures.prepare((10, 10))
    assert found.pictures.read(0, (10, 10)).shape == (10, 10, 3)


def test_missing_and_broken_are_told_together(tmp_path: Path) -> None:
    good = encoded(smooth(32, 32), "JPEG")
    (tmp_path / "good.jpg").write_bytes(good)
    (tmp_path / "half.jpg").write_bytes(good[: len(good) // 2])
    (tmp_path / "text.png").write_bytes(b"hello")
    found = read_column(["good.jpg", "half.jpg", "text.png", "god.jpg"], tmp_path, tmp_path / "cache")
    assert found.pictures is None
    assert found.mistakes == (
        f"t file: row 'god.jpg' must name files that exist; got 'god.jpg'. Names start at {tmp_path}. Did you mean 'good.jpg'?",
        "t file: row 'half.jpg' must be whole pictures; got a JPEG file that is cut off or damaged ('half.jpg').",
        found.mistakes[2],
    )
    assert "'text.png'" in found.mistakes[2]


def test_mixed_channels_are_read_as_colour_with_a_word(tmp_path: Path) -> None:
    Image.fromarray(smooth(8, 8)[:, :, 0]).save(tmp_path / "gray.png")
    Image.fromarray(smooth(8, 8)).save(tmp_path / "rgb.png")
    found = read_column(["gray.png", "rgb.png"], tmp_path, tmp_path / "cache")
    assert found.pictures is not None
    assert found.pictures.channels == 3
    assert len(found.warnings) == 1
    gray = read_column(["gray.png"], tmp_path, tmp_path / "cache")
    assert gray.pictures is not None
    assert gray.pictures.channels == 1
    forced = read_column(["gray.png", "rgb.png"], tmp_path, tmp_path / "cache", "rgba")
    assert forced.pictures is not None
    assert (forced.pictures.original(0)[:, :, 3] == 255).all()


def test_poison_one_file(tmp_path: Path) -> None:
    found = files(tmp_path, [(16, 16)] * 3)
    assert found.pictures is not None
    found.pictures.prepare((16, 16))
    before = [found.pictures.read(i, (16, 16)).copy() for i in range(3)]
    (tmp_path / "images" / "1.png").write_bytes(encoded(255 - smooth(16, 16, seed=9), "PNG"))
    after = read_column(["0.png", "1.png", "2.png"], tmp_path / "images", tmp_path / "cache")
    assert after.pictures is not None
    assert after.digest != found.digest
    after.pictures.prepare((16, 16))
    assert [np.array_equal(after.pictures.read(i, (16, 16)), before[i]) for i in range(3)] == [True, False, True]
    swapped = read_column(["1.png", "0.png", "2.png"], tmp_path / "images", tmp_path / "cache")
    assert swapped.digest != after.digest


def test_known_files_are_not_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = files(tmp_path, [(16, 16)] * 3)
    for file in (tmp_path / "images").iterdir():
        os.utime(file, (1e9, 1e9))
    paths = [tmp_path / "images" / f"{i}.png" for i in range(3)]
    index = tmp_path / "index.json"
    first = scan_files(paths, index)
    looked: list[int] = []
    monkeypatch.setattr(picture_files, "inspect", lambda data: looked.append(1) or inspect(data))
    assert scan_files(paths, index) == first
    assert not looked
    os.utime(paths[1], (1e9, 1e9 + 1))
    assert scan_files(paths, index).digests == first.digests
    assert len(looked) == 1
    index.write_text("{ half")
    assert scan_files(paths, index) == first
    assert found.digest


def test_two_at_once_and_half_written(tmp_path: Path) -> None:
    found = files(tmp_path, [(40, 40)] * 20)
    pictures = found.pictures
    assert pictures is not None
    folder = Path(pictures.folder)
    (folder / "pixels-original.bin.other.1.1.tmp").write_bytes(b"half")
    threads = [threading.Thread(target=pictures.prepare, args=((40, 40),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (folder / "pixels-original.bin").stat().st_size == 20 * 40 * 40 * 3
    assert np.abs(pictures.read(3, (40, 40)).astype(int) - smooth(40, 40, seed=3)).max() == 0
    assert [file.name for file in folder.glob("*.tmp")] == ["pixels-original.bin.other.1.1.tmp"]


def test_a_full_disk_means_decoding_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = files(tmp_path, [(40, 40)])
    assert found.pictures is not None
    monkeypatch.setattr(pictures_module, "DISK_FRACTION", 0.0)
    with pytest.warns(RuntimeWarning, match="decoded again"):
        found.pictures.prepare((40, 40))
    assert found.pictures.read_many([0], (40, 40)) is None
    assert found.pictures.read(0, (40, 40)).shape == (40, 40, 3)


def test_a_file_that_goes_or_changes_while_running(tmp_path: Path) -> None:
    found = files(tmp_path, [(40, 40), (40, 40)])
    assert found.pictures is not None
    (tmp_path / "images" / "0.png").unlink()
    (tmp_path / "images" / "1.png").write_bytes(encoded(smooth(12, 13), "PNG"))
    for i in range(2):
        with pytest.raises(DataError, match="must stay as it is"):
            found.pictures.read(i, (40, 40))


def test_names_without_suffix(tmp_path: Path) -> None:
    files(tmp_path, [(8, 8), (8, 8)])
    found = read_column(["0", "1"], tmp_path / "images", tmp_path / "cache")
    assert found.pictures is not None
    assert found.warnings == ("t file: file names lack '.png'; it was added.",)


def test_reading_is_quick(tmp_path: Path) -> None:
    import time

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = files(tmp_path, [(32, 32)] * 200).pictures
        large = files(tmp_path / "images", [(160, 160)] * 60, "JPEG").pictures
    assert small is not None
    assert large is not None
    small.prepare((32, 32))
    large.prepare((160, 160))
    rows = np.random.default_rng(0).integers(0, 200, 32)

    def best(work: object, n: int) -> float:
        assert callable(work)
        times = []
        for _ in range(20):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        return min(times) / n * 1e6

    assert best(lambda: small.read_many(rows, (32, 32)), 32) < 20  # microseconds a row
    assert best(lambda: [large.read(i, (160, 160)) for i in range(60)], 60) < 60
