"""One picture file: what it says of itself, whether it is whole, and its pixels at a reduced size.

OpenCV decodes quickly and without Python's lock, but hands back half a picture for a file that was cut off and says
nothing; so `inspect` looks at the file's own structure first. Pillow reads what OpenCV reads wrongly or not at all
(CMYK, palettes, GIF, TIFF …).
"""

from __future__ import annotations

import io
import zlib
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamesu.array_files import NPY_START, read_npy, unpack, unreadable_exr
from tamesu.texts import say

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".jp2", ".avif"})
PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
NOT_A_FRAME = frozenset({0xC4, 0xC8, 0xCC})  # JPEG markers among C0…CF that do not describe the picture
EXIF_ORIENTATION = 0x0112


class UnreadableError(ValueError):
    """A file that holds no whole picture; the message is the reason, for a person."""


class Reading(NamedTuple):
    """What the numbers in a field's pictures are, which says how they may become fewer.

    image: light, averaged over areas; mask: ids, of which every second one is kept; depth: distances, averaged over what was
    measured, so that a hole never bleeds into its neighbours nor they into it.
    """

    kind: Literal["image", "mask", "depth"] = "image"
    missing: float = 0.0  # in a depth map: no reading
    swap_bytes: bool = False  # how a depth map's whole numbers are packed: see `fields.Encoding`
    rotate_bits: int = 0

    @property
    def is_packed(self) -> bool:
        """The bits of its numbers are not in order."""
        return self.swap_bytes or self.rotate_bits != 0

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from others; what every picture has by default is left out."""
        packed = (str(int(self.swap_bytes)), str(self.rotate_bits)) if self.is_packed else ()
        return (self.kind, str(self.missing), *packed)


IMAGE = Reading()


class PictureInfo(NamedTuple):
    """What is known of a picture file without keeping its pixels."""

    height: int  # as seen, after the EXIF orientation
    width: int
    channels: int  # 1 grey, 3 colour, 4 colour with transparency
    dtype: str  # uint8, uint16 or float32
    reader: Literal["jpeg", "opencv", "pillow", "numpy"]
    orientation: int  # EXIF 1…8
    indexed: bool = False  # its pixels are places in a palette, which are a mask's ids


def inspect(data: bytes) -> PictureInfo:
    """What the file holds.

    Raises:
        UnreadableError: It is empty, cut off, damaged, or no picture.
    """
    if not data:
        raise UnreadableError(say("an empty file"))
    if data.startswith(JPEG_START):
        info = _inspect_jpeg(data)
    elif data.startswith(PNG_START):
        info = _inspect_png(data)
    elif data.startswith(NPY_START):
        pixels = _decode_npy(data)
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        info = PictureInfo(pixels.shape[0], pixels.shape[1], channels, str(pixels.dtype), "numpy", 1)
    else:
        info = _inspect_other(data)
    if info.height < 1 or info.width < 1:
        raise UnreadableError(say("a picture of {h} × {w} pixels", h=info.height, w=info.width))
    if info.orientation >= 5:  # stored lying on its side
        info = info._replace(height=info.width, width=info.height)
    return info


def decode(data: bytes, info: PictureInfo, channels: int, dtype: str, level: int = 0, reading: Reading = IMAGE) -> NDArray[Any]:
    """Pixels, each side 2^level times smaller (rounded up), reduced as `reduce` says.  (h, w, c)

    Raises:
        UnreadableError: The file does not decode.
    """
    done = 0  # halvings that the decoder does itself
    if reading.kind != "image":
        pixels = orient(_stored_values(data, info, dtype, reading), info.orientation)
        if pixels.shape[:2] != (info.height, info.width):
            raise UnreadableError(say("a picture that has another size than before"))
        return reduce(pixels, reduced(info.height, level), reduced(info.width, level), reading)
    if info.reader == "jpeg":
        done = min(level, 3)
        pixels = _decode_jpeg(data, gray=channels == 1, level=done)
    elif info.reader == "opencv":
        pixels = _decode_opencv(data)
    else:
        pixels = _decode_npy(data) if info.reader == "numpy" else _decode_pillow(data)
    pixels = orient(to_channels(to_dtype(pixels, dtype), channels), info.orientation)
    if pixels.shape[:2] != (reduced(info.height, done), reduced(info.width, done)):
        raise UnreadableError(say("a picture that has another size than before"))
    return reduce(pixels, reduced(info.height, level), reduced(info.width, level))


def reduced(side: int, level: int) -> int:
    """Length of a side after `level` halvings, rounded up as JPEG decoders do."""
    return -(-side >> level) if level else side


def reduce(pixels: NDArray[Any], height: int, width: int, reading: Reading = IMAGE) -> NDArray[Any]:
    """Down to this size; the same array if it has it already.  (h, w, c) → (height, width, c)

    Of an image every new pixel is the mean of the area it covers, of a mask the id in the middle of that area, and of a depth
    map the mean of the area's readings if they fill half of it, else no reading.
    """
    import cv2

    if pixels.shape[:2] == (height, width):
        return np.ascontiguousarray(pixels)
    if reading.kind == "mask":
        return pixels[np.ix_(_middles(pixels.shape[0], height), _middles(pixels.shape[1], width))]
    if reading.kind == "depth":
        return _reduce_distances(pixels, height, width, reading.missing)
    parts = [  # OpenCV resizes at most four channels at once
        cv2.resize(np.ascontiguousarray(pixels[:, :, c : c + 4]), (width, height), interpolation=cv2.INTER_AREA)
        for c in range(0, pixels.shape[2], 4)
    ]
    return (
        np.concatenate([part.reshape(height, width, -1) for part in parts], axis=2)
        if len(parts) > 1
        else parts[0].reshape(height, width, -1)
    )


def _middles(side: int, new: int) -> NDArray[np.int64]:
    """The pixel in the middle of each of `new` equal parts of a side."""
    return (2 * np.arange(new) + 1) * side // (2 * new)


def _reduce_distances(pixels: NDArray[Any], height: int, width: int, missing: float) -> NDArray[Any]:
    import cv2

    seen = (pixels[:, :, 0] != missing).astype(np.float32)
    share = cv2.resize(seen, (width, height), interpolation=cv2.INTER_AREA)
    total = cv2.resize(pixels[:, :, 0] * seen, (width, height), interpolation=cv2.INTER_AREA)
    is_seen = share >= 0.5 - 1e-5  # what rounding takes from a half
    means = np.divide(total, share, out=np.full_like(total, missing), where=is_seen)
    if pixels.dtype.kind != "f":
        means = np.rint(means)
    return means.astype(pixels.dtype)[:, :, None]


def orient(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turned and flipped as the EXIF orientation asks.

    Source:
        Exif 2.3, tag 0x0112 (CIPA DC-008-2012, 4.6.4).
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def to_channels(pixels: NDArray[Any], channels: int) -> NDArray[Any]:
    """Grey, colour or colour with opacity; what is transparent is laid over white where opacity is not kept.  (h, w, c)"""
    import cv2

    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    have = pixels.shape[2]
    if have == channels:
        return pixels
    full = opaque(pixels.dtype)
    if have == 4 and channels in (1, 3):
        share = pixels[:, :, 3:].astype(np.float32) / full
        over = pixels[:, :, :3] * share + full * (1 - share)
        pixels = over.astype(pixels.dtype) if pixels.dtype.kind == "f" else np.rint(over).astype(pixels.dtype)
        return to_channels(pixels, channels)
    if have == 1 and channels in (3, 4):
        pixels = np.repeat(pixels, 3, axis=2)
    if channels == 1 and have == 3:
        return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)[:, :, None]
    if channels == 4 and pixels.shape[2] == 3:
        return np.concatenate([pixels, np.full_like(pixels[:, :, :1], full)], axis=2)
    if pixels.shape[2] != channels:
        raise UnreadableError(say("a picture of {have} channels where {channels} are needed", have=have, channels=channels))
    return pixels


def to_dtype(pixels: NDArray[Any], dtype: str) -> NDArray[Any]:
    """8-bit pixels among 16-bit ones are stretched to the same full range; numbers in float pictures stay what they are."""
    if pixels.dtype == dtype:
        return pixels
    if pixels.dtype == np.uint8 and dtype == "uint16":
        return pixels.astype(np.uint16) * np.uint16(257)
    return pixels.astype(dtype)


def opaque(dtype: np.dtype[Any]) -> float:
    """The value of full opacity, and of white."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def _inspect_jpeg(data: bytes) -> PictureInfo:
    at, frame, has_exif = 2, b"", False
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xDA:
            break
        if 0xC0 <= marker <= 0xCF and marker not in NOT_A_FRAME:
            frame = data[at + 4 : at + 10]
        has_exif = has_exif or (marker == 0xE1 and data[at + 4 : at + 8] == b"Exif")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    if len(frame) < 6:
        raise UnreadableError(say("a JPEG file that is cut off or damaged"))
    if data.rfind(JPEG_END, at) < 0:  # looked for behind the header, where a thumbnail may have an end marker of its own
        raise UnreadableError(say("a JPEG file that is cut off or damaged"))
    height, width, parts = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big"), frame[5]
    orientation = _exif_orientation(data) if has_exif else 1
    if parts not in (1, 3):  # CMYK, which OpenCV does not invert as Photoshop's files need
        _decode_pillow(data)
        return PictureInfo(height, width, 3, "uint8", "pillow", orientation)
    _decode_jpeg(data, gray=True, level=3)
    return PictureInfo(height, width, parts, "uint8", "jpeg", orientation)


def _inspect_png(data: bytes) -> PictureInfo:
    """Walks the chunks: their checksums and the end chunk say whether the file is whole, quicker than decoding it."""
    at, names, header = len(PNG_START), set(), b""
    view = memoryview(data)
    while b"IEND" not in names:
        length = int.from_bytes(view[at : at + 4], "big")
        name, end = bytes(view[at + 4 : at + 8]), at + 12 + length
        if end > len(data) or (zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big")):
            raise UnreadableError(say("a PNG file that is cut off or damaged"))
        header = bytes(view[at + 8 : end - 4]) if name == b"IHDR" else header
        names.add(name)
        at = end
    if len(header) < 13 or b"IDAT" not in names:
        raise UnreadableError(say("a PNG file that is cut off or damaged"))
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    depth, color = header[8], header[9]
    orientation = _exif_orientation(data) if b"eXIf" in names else 1
    if color == 3:
        return _inspect_other(data)
    channels = {0: 1, 4: 1, 2: 3, 6: 4}.get(color, 3)
    return PictureInfo(height, width, channels, "uint16" if depth == 16 else "uint8", "opencv", orientation)


def _inspect_other(data: bytes) -> PictureInfo:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            pixels = _pillow_pixels(image)
            orientation = int(image.getexif().get(EXIF_ORIENTATION, 1))
            reader: Literal["opencv", "pillow"] = "pillow"
            indexed = image.mode == "P"
    except Image.DecompressionBombError as error:
        raise UnreadableError(say("a picture too large to be one: {error}", error=error)) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        pixels = _decode_opencv(data, reason=str(error))  # 16-bit colour TIFF and the like
        orientation, reader, indexed = 1, "opencv", False
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    orientation = orientation if 1 <= orientation <= 8 else 1
    return PictureInfo(pixels.shape[0], pixels.shape[1], channels, str(pixels.dtype), reader, orientation, indexed)


def _exif_orientation(data: bytes) -> int:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            orientation = int(image.getexif().get(EXIF_ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError, TypeError):  # a damaged EXIF block says nothing about how to turn the picture
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def _decode_jpeg(data: bytes, gray: bool, level: int) -> NDArray[Any]:
    import cv2

    flags = {
        False: (cv2.IMREAD_COLOR, cv2.IMREAD_REDUCED_COLOR_2, cv2.IMREAD_REDUCED_COLOR_4, cv2.IMREAD_REDUCED_COLOR_8),
        True: (
            cv2.IMREAD_GRAYSCALE,
            cv2.IMREAD_REDUCED_GRAYSCALE_2,
            cv2.IMREAD_REDUCED_GRAYSCALE_4,
            cv2.IMREAD_REDUCED_GRAYSCALE_8,
        ),
    }[gray]
    pixels = _imdecode(data, flags[level] | cv2.IMREAD_IGNORE_ORIENTATION)
    return pixels if gray else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _decode_opencv(data: bytes, reason: str = "") -> NDArray[Any]:
    import cv2

    pixels = _imdecode(data, cv2.IMREAD_UNCHANGED, reason)
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    elif pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA)
    return pixels if pixels.dtype in (np.uint8, np.uint16, np.float32) else pixels.astype(np.float32)


def _decode_npy(data: bytes) -> NDArray[Any]:
    try:
        return read_npy(data)
    except ValueError as error:
        raise UnreadableError(str(error)) from error


def _imdecode(data: bytes, flags: int, reason: str = "") -> NDArray[Any]:
    import cv2

    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:
        raise UnreadableError(
            unreadable_exr(data) or say("a file that is no picture: {error}", error=error.err or reason)
        ) from error
    if pixels is None:
        why = unreadable_exr(data) or say(
            "a file that is no picture: {error}", error=reason or say("its data cannot be decoded")
        )
        raise UnreadableError(why)
    return pixels


def _decode_pillow(data: bytes) -> NDArray[Any]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return _pillow_pixels(image)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UnreadableError(say("a file that is no picture: {error}", error=error)) from error


def _stored_values(data: bytes, info: PictureInfo, dtype: str, reading: Reading) -> NDArray[Any]:
    """The numbers as the file holds them, neither stretched to a full range nor seen through a palette.  (h, w, 1)"""
    if reading.kind == "mask" and info.indexed:
        from PIL import Image

        try:
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                pixels = np.asarray(image)
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise UnreadableError(say("a file that is no picture: {error}", error=error)) from error
    elif info.reader == "numpy":
        pixels = _decode_npy(data)
    else:
        pixels = _decode_opencv(data) if info.reader == "opencv" else _decode_pillow(data)
    pixels = (pixels if pixels.ndim == 2 else pixels[:, :, 0])[:, :, None].astype(dtype)  # the rest is opacity
    return distances(pixels, reading) if reading.kind == "depth" else pixels


def distances(pixels: NDArray[Any], reading: Reading) -> NDArray[Any]:
    """Stored distances with their bits in order, and "no reading" for all that is no number, as in float pictures."""
    if pixels.dtype.kind != "f":
        return unpack(pixels, reading.swap_bytes, reading.rotate_bits)
    return np.where(np.isfinite(pixels), pixels, np.float32(reading.missing)).astype(pixels.dtype)


def _pillow_pixels(image: Any) -> NDArray[Any]:
    """(h, w) or (h, w, c) of uint8, uint16 or float32."""
    mode = image.mode
    if mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if mode in ("I", "F"):
        return np.asarray(image).astype(np.float32)
    if mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return np.asarray(image.convert("RGBA"))
    pixels = np.asarray(image.convert("RGB"))
    if mode == "P":
        palette = np.array(image.getpalette("RGB")).reshape(-1, 3)
        if (palette == palette[:, :1]).all():
            return pixels[:, :, 0]
    return pixels
