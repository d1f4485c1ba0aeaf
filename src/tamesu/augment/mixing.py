"""Mixing between the samples of a batch: mixup and cutmix, and what a study may not mix.

Pictures are mixed, and the loss is: `share` times that of the row's own target, the rest that of its partner's (see
`losses.mixed_loss`). Labels themselves are never blended, so every loss stays what it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from tamesu.augment.paste import next_rows, paste_mistakes
from tamesu.balance import balance_mistakes
from tamesu.config import AugmentConfig, StudyConfig
from tamesu.draws import Draws
from tamesu.mistakes import Mistake, must_be
from tamesu.texts import say


@dataclass(frozen=True, eq=False)
class Mixed:
    """A batch in which rows were mixed with one another.

    Attributes:
        pictures: By field, each of its own type.  (b, h, w, c)
        partner: Which row of the batch each was mixed with; itself where it was not.  (b,)
        share: Of the row's own target in the loss; 1 where it was not mixed.  (b,)
    """

    pictures: dict[str, NDArray[Any]]
    partner: NDArray[np.int64]
    share: NDArray[np.float32]

    def table(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Numbers of the table by the same shares, however the pictures were mixed.  (b, f)

        Categories cannot be blended: rows keep their own.
        """
        mixed = values[self.partner] + self.share[:, None] * (values - values[self.partner])
        return np.where(self.share[:, None] < 1, mixed, values)

    def padded(self, length: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """`partner` and `share` of a batch with this many places; padding is its own partner.  (length,), (length,)"""
        partner, share = np.arange(length), np.ones(length, dtype=np.float32)
        partner[: len(self.partner)], share[: len(self.share)] = self.partner, self.share
        return partner, share


def mix(pictures: Mapping[str, NDArray[Any]], kinds: Mapping[str, str], config: AugmentConfig, draws: Draws) -> Mixed:
    """Every row mixed with another: blended (mixup), or with a rectangle of it cut in (cutmix).

    Where both are asked for, each row draws which.

    Args:
        pictures: The real rows of a batch by field, all of one height and width, no padding; left as they are.  (b, h, w, c)
        kinds: image, mask or depth, by field. The same rectangle is cut into all; only images are blended.
        draws: One key for each row.

    Raises:
        ValueError: mixup with a mask or a depth (see `mixing_mistakes`).

    Source:
        Zhang et al. (2018), mixup: Beyond Empirical Risk Minimization, ICLR; Yun et al. (2019), CutMix, ICCV.
    """
    b = len(draws.keys)
    if b < 2 or not (config.mixup or config.cutmix):
        return Mixed(dict(pictures), np.arange(b), np.ones(b, dtype=np.float32))
    partner = next_rows(draws, "mix_order")
    is_cut = draws.uniform("mix_how") < 0.5 if config.mixup and config.cutmix else np.full(b, config.cutmix > 0)
    alpha = np.where(is_cut, config.cutmix, config.mixup)
    share = betaincinv(alpha, alpha, draws.uniform("mix_share")).astype(np.float32)
    out = {name: values.copy() for name, values in pictures.items()}
    if is_cut.any():
        h, w = next(iter(pictures.values())).shape[1:3]
        tops, bottoms, lefts, rights = _rectangles(share, (h, w), draws)
        for i in np.flatnonzero(is_cut):
            place = slice(tops[i], bottoms[i]), slice(lefts[i], rights[i])
            for name, values in pictures.items():
                out[name][i][place] = values[partner[i]][place]
        area = (bottoms - tops) * (rights - lefts) / (h * w)
        share = np.where(is_cut, 1 - area, share).astype(np.float32)
    for name, values in pictures.items():
        if kinds[name] != "image" and not is_cut.all():
            raise ValueError(f"mixup blends images, and {name!r} is a {kinds[name]}")
        for i in np.flatnonzero(~is_cut & (share < 1)):
            out[name][i] = blend(values[i], values[partner[i]], share[i])
    return Mixed(out, np.where(share < 1, partner, np.arange(b)), share)


def blend(own: NDArray[Any], other: NDArray[Any], share: NDArray[np.float32] | np.float32) -> NDArray[Any]:
    """`share` of one picture and the rest of the other, of their type; whole numbers are rounded.  (h, w, c)"""
    start = other.astype(np.float32)
    values = start + share * (own.astype(np.float32) - start)
    return values if own.dtype.kind == "f" else np.rint(values).astype(own.dtype)


def _rectangles(share: NDArray[np.float32], size: tuple[int, int], draws: Draws) -> tuple[NDArray[np.int64], ...]:
    """Top, bottom, left and right of rectangles with 1 - share of the area, about any pixel, cut off at the frame.  4 × (b,)"""
    edges = []
    for side, name in zip(size, ("mix_y", "mix_x"), strict=True):
        length = side * np.sqrt(1 - share.astype(np.float64))
        middle = draws.uniform(name, 0, side)
        edges += [np.rint(np.clip(end, 0, side)).astype(np.int64) for end in (middle - length / 2, middle + length / 2)]
    return tuple(edges)


# ---- what may not be mixed


def mixing_mistakes(config: StudyConfig) -> Iterator[Mistake]:
    """What mixup, cutmix, paste and balance cannot honour in this study."""
    for name in ("mixup", "cutmix"):
        value = getattr(config.augment, name)
        if value:
            yield from _mixed_mistakes(config, name, value)
    if config.augment.paste:
        yield from paste_mistakes(config)
    if config.augment.balance:
        yield from balance_mistakes(config)


def _mixed_mistakes(config: StudyConfig, name: str, value: float) -> Iterator[Mistake]:
    path = ("augment", name)
    inputs = {one: field for one, field in config.fields.items() if field.is_given}
    if not any(field.kind == "image" for field in inputs.values()):
        yield must_be(path, say("0 without an image among the inputs: pictures are what is mixed"), value)
        return
    for one, field in inputs.items():
        if field.kind == "series":
            yield must_be(path, say("0 where a series is an input ({name}): two series cannot be blended", name=one), value)
        elif name == "mixup" and field.kind in ("mask", "depth"):
            rule = say("0 where a {kind} is an input ({name}): its values cannot be blended", kind=field.kind, name=one)
            yield must_be(path, rule, value, say(" Take cutmix, which cuts the same rectangle out of all pictures."))
    for one, field in config.fields.items():
        if field.is_predicted and field.is_placed:
            rule = say("0 where the target {name!r} is of kind {kind}: places cannot be mixed", name=one, kind=field.kind)
            yield must_be(path, rule, value)
