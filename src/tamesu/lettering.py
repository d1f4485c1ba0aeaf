"""Letters for drawings: a font that has the reader's characters, and numbers in place of names that it has not."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import ImageFont

FONT_FILES = (".ttf", ".otf", ".ttc", ".otc")
# Files by how well they are read at 12 pixels, those with Japanese first; a name is the start of the file's.
PREFERRED = (
    "notosanscjk-regular",
    "notosanscjkjp-regular",
    "notosansjp-regular",
    "notosansjp",
    "sourcehansans-regular",
    "sourcehansansjp-regular",
    "hiraginosans-w3",
    "ヒラギノ角ゴシック w3",
    "hiragino sans w3",
    "yugothr",
    "yugothic-medium",
    "meiryo",
    "biz-udgothicr",
    "ipaexg",
    "ipag",
    "takaogothic",
    "vl-gothic-regular",
    "msgothic",
    "droidsansfallbackfull",
    "notoserifcjk-regular",
    "wqy-zenhei",
    "arial unicode",
    "dejavusans",
    "notosans-regular",
    "liberationsans-regular",
    "helvetica",
    "arial",
)
PLAINER = str.maketrans({"−": "-", "—": "-", "×": "x", "→": ">", "↔": "=", "…": "~", "°": "º"})  # where the font has no better
NOT_A_CHARACTER = "\U0010ffff"  # no font has it: what is drawn for it is drawn for every character that is missing


class Lettering:
    """One font at one size, and the numbers it gives to names that it cannot write.

    Args:
        size: Height of the letters in pixels.
        folders: Where fonts are looked for; None: where the system keeps them.
    """

    def __init__(self, size: int = 12, folders: Sequence[Path] | None = None):
        self.font = load_font(size, tuple(font_folders() if folders is None else folders))
        self.height = sum(self.font.getmetrics()) if isinstance(self.font, ImageFont.FreeTypeFont) else size + 4
        self.numbers: dict[str, int] = {}
        self._missing = self._shape(NOT_A_CHARACTER)

    def can_write(self, text: str) -> bool:
        """Whether the font has every character."""
        return all(one.isspace() or self._shape(one) != self._missing for one in set(text))

    def spelled(self, name: str) -> str:
        """The name on one line, or `#3` where the font lacks a character; `numbers` then says what 3 is."""
        name = self.plain(" ".join(name.split()))
        if self.can_write(name):
            return name
        return f"#{self.numbers.setdefault(name, len(self.numbers) + 1)}"

    def plain(self, text: str) -> str:
        """The text with simpler signs for those that the font lacks."""
        return "".join(one if self.can_write(one) else one.translate(PLAINER) for one in text)

    def width(self, text: str) -> float:
        """Pixels from the first letter to the end of the last."""
        return float(self.font.getlength(text))

    def lines(self, text: str, width: float, at_most: int = 3) -> list[str]:
        """The text cut into lines that fit, after blanks where there are any; the last ends in `…` where it is too long."""
        lines, ending = [""], self.plain("…")
        for word in _words(self.plain(text)):
            if self.width((lines[-1] + word).rstrip()) <= width:
                lines[-1] += word
                continue
            if lines[-1].strip():
                lines.append("")
            lines[-1] = word
            while self.width(lines[-1].rstrip()) > width and len(lines) < at_most:
                n = self._fitting(lines[-1], width)
                lines[-1:] = [lines[-1][:n], lines[-1][n:]]
        kept = [one.rstrip() for one in lines[:at_most]]
        if len(lines) > at_most or self.width(kept[-1]) > width:
            kept[-1] = kept[-1][: self._fitting(kept[-1], width - self.width(ending))].rstrip() + ending
        return kept

    def _fitting(self, text: str, width: float) -> int:
        """How many of the first letters fit; at least one."""
        n = len(text)
        while n > 1 and self.width(text[:n]) > width:
            n -= 1
        return n

    @functools.lru_cache(maxsize=4096)  # noqa: B019 - a lettering lives as long as its sheet
    def _shape(self, character: str) -> tuple[tuple[int, int], bytes]:
        mask = self.font.getmask(character)
        return mask.size, bytes(mask)


def _words(text: str) -> Iterable[str]:
    """Pieces a line may end after, their blanks with them."""
    start = 0
    for i, one in enumerate(text):
        if one == " ":
            yield text[start : i + 1]
            start = i + 1
    if start < len(text):
        yield text[start:]


def font_folders() -> tuple[Path, ...]:
    """Where this kind of system keeps fonts."""
    home = Path.home()
    if sys.platform == "darwin":
        return (Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts")
    if sys.platform == "win32":
        return (Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts", home / "AppData/Local/Microsoft/Windows/Fonts")
    return (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".local/share/fonts", home / ".fonts")


@functools.cache
def load_font(size: int, folders: tuple[Path, ...]) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The best known font in these folders; Pillow's own, which has Latin letters, where there is none."""
    for path in _ranked(folders):
        try:
            return ImageFont.truetype(str(path), size)
        except OSError:  # a damaged file, or a kind that this FreeType cannot read: the next will do
            continue
    return ImageFont.load_default(size)


@functools.cache
def _ranked(folders: tuple[Path, ...]) -> tuple[Path, ...]:
    found: dict[int, Path] = {}
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in sorted(names):
                stem, ending = os.path.splitext(name.lower())
                if ending in FONT_FILES:
                    rank = next((i for i, start in enumerate(PREFERRED) if stem.startswith(start)), None)
                    if rank is not None:
                        found.setdefault(rank, Path(parent) / name)
    return tuple(path for _, path in sorted(found.items()))
