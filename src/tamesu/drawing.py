"""A contact sheet as a picture: cells in lines, marks and areas over them, values in words below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tamesu.lettering import Lettering
from tamesu.sheet import Area, Cell, Line, Mark, Note, Sheet, Track
from tamesu.texts import say

Colour = tuple[int, int, int]
Ends = tuple[float, ...]  # x, y
Marked = Mapping[str, Sequence[str]]  # by field, the names of what is drawn of it
# Okabe & Ito (2008), Color Universal Design, told apart with any kind of colour vision; then lighter and darker ones
COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (170, 220, 90),
    (150, 110, 220),
    (255, 170, 170),
    (120, 200, 200),
    (190, 140, 90),
)
PAPER, INK, SOFT, FAINT = (255, 255, 255), (28, 34, 39), (89, 99, 108), (226, 229, 230)
CHANGED = (255, 226, 163)  # behind a value that the map changed
HOLE = (255, 0, 255)  # a pixel of a depth map without a reading
MARGIN, GAP, GUTTER, TRACK_HEIGHT = 12, 8, 96, 72
MAX_NAMED = 6  # up to so many marks of a field are named beside themselves; more are numbered, with a legend
OPACITY = 0.45  # of a mask over its picture


class Layout(NamedTuple):
    """Where things are on a sheet, in pixels."""

    width: int
    height: int
    tops: tuple[int, ...]  # of the lines
    picture_heights: tuple[int, ...]  # of the lines
    legend_top: int


def draw_sheet(sheet: Sheet, size: int = 160, lettering: Lettering | None = None) -> Image.Image:
    """The sheet, every cell `size` pixels wide; names that the font cannot write stand as numbers (`lettering.numbers`)."""
    lettering = Lettering() if lettering is None else lettering
    layout = lay_out(sheet, size, lettering)
    width = layout.width
    remarks = [part for one in _remarks(sheet, lettering) for part in lettering.lines(one, width - 2 * MARGIN, at_most=4)]
    image = Image.new("RGB", (layout.width, layout.height + len(remarks) * lettering.height), PAPER)
    draw = ImageDraw.Draw(image)
    title = lettering.lines(lettering.spelled(sheet.title), width - 2 * MARGIN, at_most=1)[0]
    draw.text((MARGIN, MARGIN), title, INK, font=lettering.font)
    for line, top, picture_height in zip(sheet.lines, layout.tops, layout.picture_heights, strict=True):
        _draw_line(image, draw, line, top, picture_height, size, lettering, sheet.marked)
    y = _draw_legend(draw, sheet.marked, MARGIN, layout.legend_top, width - 2 * MARGIN, lettering)
    for remark in remarks:
        draw.text((MARGIN, y), remark, SOFT, font=lettering.font)
        y += lettering.height
    return image


def lay_out(sheet: Sheet, size: int, lettering: Lettering) -> Layout:
    """How large the sheet is without its remarks, and where its lines are."""
    columns = max((len(line.cells) for line in sheet.lines), default=1)
    width = 2 * MARGIN + GUTTER + columns * (size + GAP) - GAP
    y, tops, heights = MARGIN + lettering.height + GAP, [], []
    for line in sheet.lines:
        tall = max(
            (_fitted(cell.pixels.shape[:2], size)[0] for cell in line.cells if cell.pixels is not None), default=size // 2
        )
        words = max(len(_words(cell, size, lettering)) for cell in line.cells) * lettering.height
        tracks = max(len(cell.tracks) for cell in line.cells) * (TRACK_HEIGHT + 4)
        tops.append(y)
        heights.append(tall)
        y += 2 * lettering.height + 2 + tall + 4 + tracks + words + 2 * GAP
    rows = len(_legend_rows(sheet.marked, width - 2 * MARGIN, lettering))
    return Layout(width, y + rows * lettering.height + MARGIN, tuple(tops), tuple(heights), y)


def draw_cell(cell: Cell, size: int, marked: Marked, lettering: Lettering | None = None) -> Image.Image:
    """One picture with its areas and marks, at most `size` pixels wide and high; marks are named with `lettering` only."""
    if cell.pixels is None:
        return Image.new("RGB", (size, size // 2), FAINT)
    h, w = cell.pixels.shape[:2]
    high, wide = _fitted((h, w), size)
    pixels = _resized(cell.pixels, (high, wide))
    for area in cell.areas:
        pixels = _covered(pixels, area, marked)
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    factor = np.array([wide / w, high / h])
    for mark in cell.marks:
        _draw_mark(draw, mark, factor, marked, lettering)
    return image


def colour_of(marked: Marked, field: str, name: str) -> Colour:
    """The same for a name all over the sheet."""
    before = 0
    for other, names in marked.items():
        if other == field:
            return COLOURS[(before + (list(names).index(name) if name in names else 0)) % len(COLOURS)]
        before += len(names)
    return COLOURS[0]


def colour_depth(depth_m: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Near is red, far is blue, no reading (0) is magenta.  (h, w) to (h, w, 3)"""
    share = np.clip((depth_m - low) / ((high - low) or 1.0), 0, 1)
    coloured = cv2.applyColorMap(np.uint8(255 * (1 - share)), cv2.COLORMAP_TURBO)[:, :, ::-1].copy()  # type: ignore[call-overload]
    coloured[depth_m == 0] = HOLE
    return np.asarray(coloured, dtype=np.uint8)


# ── the parts of a sheet ────────────────────────────────────────────────────────────────────────────────────────────


def _draw_line(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    line: Line,
    top: int,
    picture_height: int,
    size: int,
    lettering: Lettering,
    marked: Marked,
) -> None:
    draw.line((MARGIN, top - GAP, image.width - MARGIN, top - GAP), FAINT)
    named = [line.row] if not line.picture else [line.row, line.picture]
    y = top + 2 * lettering.height
    for name, colour in zip(named, (INK, SOFT), strict=False):
        for part in lettering.lines(lettering.spelled(name), GUTTER - GAP):
            draw.text((MARGIN, y), part, colour, font=lettering.font)
            y += lettering.height
    for i, cell in enumerate(line.cells):
        x, y = MARGIN + GUTTER + i * (size + GAP), top
        for text, colour in ((cell.title, INK), (cell.how, SOFT)):
            draw.text((x, y), lettering.lines(text, size, at_most=1)[0], colour, font=lettering.font)
            y += lettering.height
        y += 2
        if cell.pixels is None:
            draw.rectangle((x, y, x + size - 1, y + picture_height - 1), FAINT)
        else:
            shown = draw_cell(cell, size, marked, lettering)
            image.paste(shown, (x + (size - shown.width) // 2, y))
        y += picture_height + 4
        for track in cell.tracks:
            image.paste(draw_track(track, (size, TRACK_HEIGHT), marked), (x, y))
            y += TRACK_HEIGHT + 4
        for text, is_changed in _words(cell, size, lettering):
            if is_changed:
                draw.rectangle((x - 2, y, x + lettering.width(text) + 2, y + lettering.height - 1), CHANGED)
            draw.text((x, y), text, INK if is_changed else SOFT, font=lettering.font)
            y += lettering.height


def _words(cell: Cell, size: int, lettering: Lettering) -> list[tuple[str, bool]]:
    """What stands under a cell, line by line, and whether the map changed it."""
    with_field = len(cell.notes) > 1 or not any(one.is_target for one in cell.notes)
    found = []
    for note in cell.notes:
        text = _spelled_note(note, lettering)
        text = f"{lettering.spelled(note.field)}: {text}" if with_field else text
        found += [(part, note.is_changed) for part in lettering.lines(text, size)]
    return found


def _spelled_note(note: Note, lettering: Lettering) -> str:
    return (
        f"{lettering.spelled(note.was)} → {lettering.spelled(note.text)}" if note.is_changed else lettering.spelled(note.text)
    )


def _remarks(sheet: Sheet, lettering: Lettering) -> Iterable[str]:
    yield from sheet.remarks
    if lettering.numbers:
        yield say("No font with all characters was found: names shown as # and a number are listed where the command was run.")


def _draw_legend(draw: ImageDraw.ImageDraw, marked: Marked, x: int, y: int, width: int, lettering: Lettering) -> int:
    for row in _legend_rows(marked, width, lettering):
        at = float(x)
        for text, colour in row:
            if colour is not None:
                draw.rectangle((at, y + 3, at + 9, y + 12), colour)
                at += 14
            draw.text((at, y), text, SOFT, font=lettering.font)
            at += lettering.width(text) + 14
        y += lettering.height
    return y


def _legend_rows(marked: Marked, width: int, lettering: Lettering) -> list[list[tuple[str, Colour | None]]]:
    """Each field's name, then its names in their colours, cut into rows that fit; a name without colour is a field's."""
    rows: list[list[tuple[str, Colour | None]]] = [[]]
    used = 0.0
    for field, names in marked.items():
        items: list[tuple[str, Colour | None]] = []
        if list(names) in ([""], [field]):  # there is nothing to tell apart
            items.append((lettering.spelled(field), colour_of(marked, field, names[0])))
        else:
            items.append((f"{lettering.spelled(field)}:", None))
            for i, name in enumerate(names):
                text = lettering.spelled(name) if len(names) <= MAX_NAMED else f"{i + 1} {lettering.spelled(name)}"
                items.append((text, colour_of(marked, field, name)))
        for text, colour in items:
            wide = lettering.width(text) + 28
            if used + wide > width and rows[-1]:
                rows.append([])
                used = 0.0
            rows[-1].append((text, colour))
            used += wide
    return [row for row in rows if row]


# ── on a picture ────────────────────────────────────────────────────────────────────────────────────────────────────


def _fitted(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """Height and width of a picture of this shape that fills a square of `size`."""
    factor = size / max(shape[:2])
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Pixels stay squares where they are enlarged: what training sees, not what a screen makes of it."""
    shrinks = size[0] < pixels.shape[0]
    return np.asarray(
        cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST), dtype=np.uint8
    )


def _covered(pixels: NDArray[np.uint8], area: Area, marked: Marked) -> NDArray[np.uint8]:
    ids = cv2.resize(area.ids.astype(np.int32), pixels.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    out = pixels.astype(np.float32)
    for one in np.unique(ids):
        if one != area.background:
            colour = np.array(colour_of(marked, area.field, area.name(int(one))), dtype=np.float32)
            out[ids == one] = (1 - OPACITY) * out[ids == one] + OPACITY * colour
    return np.uint8(np.rint(out))  # type: ignore[return-value]


def _draw_mark(
    draw: ImageDraw.ImageDraw, mark: Mark, factor: NDArray[np.float64], marked: Marked, lettering: Lettering | None
) -> None:
    is_box = mark.kind == "box"
    # places are counted from the middle of the first pixel, edges of boxes from its corner
    places = [tuple((np.array(one) + (0.0 if is_box else 0.5)) * factor) for one in mark.places]
    colour = colour_of(marked, mark.field, mark.name)
    names = list(marked.get(mark.field, ()))
    x, y = places[0]
    if mark.kind == "dot":
        draw.ellipse((x - 3.5, y - 3.5, x + 3.5, y + 3.5), colour, outline=INK)
        x, y = x + 5, y - 7
    elif is_box:
        corners = (*map(min, zip(*places, strict=True)), *map(max, zip(*places, strict=True)))
        draw.rectangle(corners, outline=INK, width=3)
        draw.rectangle(corners, outline=colour, width=1)
        x, y = corners[0] + 2, corners[1] + 1
    else:
        _draw_arrow(draw, places[0], places[1], colour, has_head=mark.kind == "arrow")
        return
    if lettering is not None and mark.name:
        text = (
            str(names.index(mark.name) + 1) if mark.name in names and len(names) > MAX_NAMED else lettering.spelled(mark.name)
        )
        draw.text((x, y), text, PAPER, font=lettering.font, stroke_width=2, stroke_fill=INK)


def _draw_arrow(draw: ImageDraw.ImageDraw, start: Ends, end: Ends, colour: Colour, *, has_head: bool) -> None:
    tip, tail = np.array(end), np.array(start)
    length = float(np.hypot(*(tip - tail)))
    if length < 1:
        return
    along = (tip - tail) / length
    across = np.array([-along[1], along[0]])
    head = min(10.0, 0.5 * length)
    wings = [tuple(tip - head * along + side * 0.55 * head * across) for side in (-1, 1)]
    for width, ink in ((5, INK), (3, colour)):
        draw.line((*tail, *tip), ink, width=width)
        if has_head:
            draw.line((*wings[0], *tip, *wings[1]), ink, width=width, joint="curve")


def draw_track(track: Track, size: tuple[int, int], marked: Marked) -> Image.Image:
    """A series as lines in a frame.

    Args:
        size: Width and height.
    """
    image = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=FAINT)
    inside = np.array(size) - 7
    if track.in_plane:  # one scale for both directions
        inside = np.minimum(inside, inside.min())
    start = (np.array(size) - inside) / 2
    for name, line in track.lines.items():
        places = [(float(x), float(y)) for x, y in start + line * inside]
        colour = colour_of(marked, track.field, name)
        if len(places) > 1:
            draw.line(places, colour, width=2)
        if places:  # where it starts, so that a mirrored track is told from one drawn backwards
            x, y = places[0]
            draw.ellipse((x - 2.5, y - 2.5, x + 2.5, y + 2.5), INK)
    return image
