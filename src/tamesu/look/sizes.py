"""Sizes of pictures and of the things in them, as they are and as the network is given them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.config import StudyConfig
from tamesu.look.finding import ROWS_SHOWN, Finding, Part, Suggestion
from tamesu.look.material import Material, PictureFacts
from tamesu.look.object_sizes import find_object_sizes
from tamesu.look.receptive import Reach, UnknownFieldError, receptive_field
from tamesu.plan import AUTO_SIZE_LIMIT
from tamesu.texts import say

MAX_DEFORMED = 1.5  # times in one direction: a circle becomes an ellipse of 3 to 2
DEFORMED_FRACTION = 0.2
USUAL_FRACTION = 0.8  # of pictures that share one size, for others to be odd
ODD_FACTOR = 1.5  # in side or aspect
ENLARGED_FACTOR = 1.25
MUCH_ENLARGED_FACTOR = 2.0
SPREAD_FACTOR = 4.0  # between the 5th and the 95th percentile of the side
MIN_MAP_PX = 1.5  # of the last map: on fewer the network decides at one place
SIZES_SHOWN = 10


@dataclass(frozen=True, eq=False)
class Frame:
    """How pictures come to the network.

    Attributes:
        size: Height and width in pixels.
        resize: stretch, pad or crop.
        is_auto: The size follows from the pictures.
    """

    size: tuple[int, int]
    resize: str
    is_auto: bool

    def scales(self, heights: NDArray[Any], widths: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixels of the frame for one of the picture, down and across.  (n,), (n,)"""
        down = self.size[0] / np.maximum(np.asarray(heights, dtype=np.float64), 1)
        across = self.size[1] / np.maximum(np.asarray(widths, dtype=np.float64), 1)
        if self.resize == "pad":
            down = across = np.minimum(down, across)
        elif self.resize == "crop":
            down = across = np.maximum(down, across)
        return down, across


def find_sizes(material: Material, progress: Callable[[str, int, int], None] | None = None) -> Part:
    """Picture sizes, object sizes and the network's receptive field, against the study's `size`.

    Args:
        material: What was read.
        progress: Not told anything: this takes no time.
    """
    pictures = [one for one in material.pictures.values() if one.kind == "image" and one.whole.any()]
    first = material.first_picture
    if not pictures and first is not None and first.whole.any():
        pictures = [first]
    if not pictures:
        return Part(figures={"pictures": {}, "objects": {}})
    frame = make_frame(material.config, pictures[0])
    findings: list[Finding] = []
    figures: dict[str, Any] = {"size": list(frame.size), "resize": frame.resize, "pictures": {}, "objects": {}}
    warnings: list[str] = []
    for one in pictures:
        figures["pictures"][one.field] = _picture_figures(one)
        findings += _odd(material, one)
        findings += _deformed(material, one, frame)
        findings += _enlarged(one, frame)
    for objects in material.objects.values():
        facts = material.pictures.get(objects.picture, pictures[0])
        part = find_object_sizes(material, objects, facts, frame.scales(facts.heights, facts.widths), frame.size)
        findings += part.findings
        warnings += part.warnings
        figures["objects"][objects.field] = part.figures
    part = _reach(material, frame, figures["objects"].values())
    return Part((*findings, *part.findings), figures | {"receptive_field": dict(part.figures)}, (*warnings, *part.warnings))


def make_frame(config: StudyConfig | None, facts: PictureFacts) -> Frame:
    """The size that the study brings these pictures to."""
    wanted = "auto" if config is None else config.size
    resize = "stretch" if config is None else config.resize
    if isinstance(wanted, int):
        return Frame((wanted, wanted), resize, is_auto=False)
    if not isinstance(wanted, str):
        return Frame(wanted, resize, is_auto=False)
    usual = np.array([np.median(facts.heights[facts.whole]), np.median(facts.widths[facts.whole])])
    height, width = np.maximum(1, np.round(usual * min(1.0, AUTO_SIZE_LIMIT / usual.max()))).astype(int)
    return Frame((int(height), int(width)), resize, is_auto=True)


def _picture_figures(facts: PictureFacts) -> dict[str, Any]:
    sizes, counts = _sizes(facts)
    order = np.argsort(-counts, kind="stable")[:SIZES_SHOWN]
    side = np.sqrt(facts.heights[facts.whole].astype(np.float64) * facts.widths[facts.whole])
    percentiles = np.percentile(side, [0, 5, 25, 50, 75, 95, 100])
    return {
        "n": int(facts.whole.sum()),
        "n_sizes": len(sizes),
        "sizes": [[int(sizes[i, 0]), int(sizes[i, 1]), int(counts[i])] for i in order],
        "side_px": [round(float(one), 1) for one in percentiles],
        "median_px": [float(np.median(facts.heights[facts.whole])), float(np.median(facts.widths[facts.whole]))],
    }


def _sizes(facts: PictureFacts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Different heights and widths, and how many pictures have each.  (s, 2), (s,)"""
    both = facts.heights[facts.whole].astype(np.int64) << 32 | facts.widths[facts.whole].astype(np.int64)
    found, counts = np.unique(both, return_counts=True)
    return np.stack([found >> 32, found & 0xFFFFFFFF], axis=1), counts


def _odd(material: Material, facts: PictureFacts) -> list[Finding]:
    """Few pictures of another size or aspect than all others, or sizes that differ by a lot."""
    sizes, counts = _sizes(facts)
    if len(sizes) < 2:
        return []
    h, w = sizes[counts.argmax()]
    rows = np.flatnonzero(facts.whole)
    heights, widths = facts.heights[rows].astype(np.float64), facts.widths[rows].astype(np.float64)
    side = np.sqrt(heights * widths)
    if counts.max() >= USUAL_FRACTION * counts.sum():
        larger = np.exp(np.abs(np.log(side / np.sqrt(h * w))))
        longer = np.exp(np.abs(np.log((widths / heights) / (w / h))))
        odd = rows[(larger >= ODD_FACTOR) | (longer >= ODD_FACTOR)]
        if len(odd) == 0:
            return []
        return [
            Finding(
                "size",
                say(
                    "`{field}`: {n} of {total} pictures have another size or shape than the others ({h} × {w} px).",
                    field=facts.field,
                    n=f"{len(odd):,}",
                    total=f"{len(rows):,}",
                    h=h,
                    w=w,
                ),
                strength=0.35,
                fields=(facts.field,),
                rows=material.shown(odd[:ROWS_SHOWN]),
                suggestion=Suggestion(note=say("Look at these pictures: thumbnails, other cameras or turned ones?")),
                evidence={
                    "table": {
                        "head": [say("id"), say("height in px"), say("width in px")],
                        "rows": [
                            [one, int(facts.heights[r]), int(facts.widths[r])]
                            for one, r in zip(material.shown(odd[:ROWS_SHOWN]), odd[:ROWS_SHOWN], strict=True)
                        ],
                    }
                },
            )
        ]
    low, high = np.percentile(side, [5, 95])
    if high < SPREAD_FACTOR * low:
        return []
    return [
        Finding(
            "size",
            say(
                "`{field}`: picture sizes differ by a factor of {factor}: 5 % are below {low} px, 5 % above {high} px.",
                field=facts.field,
                factor=f"{high / low:.1f}",
                low=f"{low:.0f}",
                high=f"{high:.0f}",
            ),
            strength=0.25,
            fields=(facts.field,),
            rows=material.shown(rows[np.argsort(side, kind="stable")[:ROWS_SHOWN]]),
            suggestion=Suggestion(
                note=say(
                    "At one `size` the small ones are blurred and the large ones lose detail: see whether labels differ in it."
                )
            ),
        )
    ]


def _deformed(material: Material, facts: PictureFacts, frame: Frame) -> list[Finding]:
    """Pictures whose shape `stretch` changes much."""
    if frame.resize != "stretch":
        return []
    rows = np.flatnonzero(facts.whole)
    down, across = frame.scales(facts.heights[rows], facts.widths[rows])
    factor = np.maximum(down / across, across / down)
    much = factor > MAX_DEFORMED
    share = float(much.mean())
    if share < DEFORMED_FRACTION:
        return []
    worst = rows[np.argsort(-factor, kind="stable")[: min(ROWS_SHOWN, int(much.sum()))]]
    return [
        Finding(
            "size",
            say(
                "`{field}`: `resize: stretch` to {h} × {w} px deforms {share} % of the pictures by more than {factor} times, "
                "at most {most} times.",
                field=facts.field,
                h=frame.size[0],
                w=frame.size[1],
                share=f"{100 * share:.0f}",
                factor=MAX_DEFORMED,
                most=f"{factor.max():.1f}",
            ),
            strength=0.25 + 0.25 * share,
            fields=(facts.field,),
            rows=material.shown(worst),
            suggestion=Suggestion(
                {"resize": "pad"}, "keep_shape", say("It costs no time; what is looked for becomes smaller in the frame.")
            ),
        )
    ]


def _enlarged(facts: PictureFacts, frame: Frame) -> list[Finding]:
    """A `size` above that of the pictures."""
    heights, widths = np.median(facts.heights[facts.whole]), np.median(facts.widths[facts.whole])
    factor = min(frame.size[0] / heights, frame.size[1] / widths)
    if frame.is_auto or factor < ENLARGED_FACTOR:
        return []
    own = size_setting(round(float(heights)), round(float(widths)), square=frame.size[0] == frame.size[1])
    return [
        Finding(
            "size",
            say(
                "`{field}`: `size` {h} × {w} px enlarges the usual picture of {own_h} × {own_w} px; that adds no detail.",
                field=facts.field,
                h=frame.size[0],
                w=frame.size[1],
                own_h=f"{heights:.0f}",
                own_w=f"{widths:.0f}",
            ),
            strength=0.4 if factor >= MUCH_ENLARGED_FACTOR else 0.3,
            fields=(facts.field,),
            suggestion=Suggestion({"size": own}, "own_size", cost(frame.size, own)),
        )
    ]


def size_setting(height: int, width: int, *, square: bool) -> int | list[int]:
    """`size` as the study writes it."""
    return max(height, width) if square or height == width else [height, width]


def cost(now: tuple[int, int], other: int | list[int]) -> str:
    """What another size costs: the time and memory of a convolution grow with its pixels."""
    h, w = (other, other) if isinstance(other, int) else other
    factor = h * w / (now[0] * now[1])
    return say(
        "{h} × {w} px: about {factor} times the time and memory of {now_h} × {now_w} px for each picture.",
        h=h,
        w=w,
        factor=f"{factor:.1f}" if factor >= 1 else f"{factor:.2f}",
        now_h=now[0],
        now_w=now[1],
    )


def _reach(material: Material, frame: Frame, of_objects: Iterable[dict[str, Any]]) -> Part:
    """The receptive field against what it is to see."""
    config = material.config
    if config is None or config.learner != "torch":
        return Part()
    name = config.model.backbone
    try:
        reach = receptive_field(config.model, frame.size)
    except UnknownFieldError as error:
        text = say(
            "sizes: the receptive field of {backbone} was not worked out: {reason}.",
            backbone=name,
            reason=str(error).rstrip("."),
        )
        return Part(figures={"backbone": name}, warnings=(text,))
    largest = max((one["p90_at_size_px"] for one in of_objects if one.get("p90_at_size_px")), default=None)
    figures = {"backbone": name, "whole": reach.whole, "px": None if reach.whole else reach.px, "stride_px": reach.stride_px}
    figures["largest_objects_px"] = largest
    return Part(tuple(_reach_findings(config, frame, reach, largest)), figures)


def _reach_findings(config: StudyConfig, frame: Frame, reach: Reach, largest: float | None) -> Iterable[Finding]:
    if reach.whole:
        return
    name = config.model.backbone
    wanted = min(frame.size) / 2 if largest is None else largest
    if reach.px < wanted:
        deeper = config.model.depth + 1
        if name == "tiny":
            note = say("Its blocks take about {factor} times as long.", factor=f"{deeper / config.model.depth:.1f}")
            suggestion = Suggestion({"model": {"depth": deeper}}, "deeper", note)
        else:
            smaller = [max(8, int(side * reach.px / wanted)) for side in frame.size]
            own = size_setting(*smaller, square=frame.size[0] == frame.size[1])
            suggestion = Suggestion({"size": own}, "smaller", cost(frame.size, own))
        text = (
            say(
                "{backbone} sees {px} px at once; half the picture is {wanted} px.",
                backbone=name,
                px=reach.px,
                wanted=f"{wanted:.0f}",
            )
            if largest is None
            else say(
                "{backbone} sees {px} px at once; one in ten objects is larger than {wanted} px.",
                backbone=name,
                px=reach.px,
                wanted=f"{wanted:.0f}",
            )
        )
        yield Finding("size", text, strength=0.4, suggestion=suggestion)
    if min(frame.size) < MIN_MAP_PX * reach.stride_px:
        factor = 2 * reach.stride_px / min(frame.size)
        own = size_setting(*(int(np.ceil(side * factor)) for side in frame.size), square=frame.size[0] == frame.size[1])
        yield Finding(
            "size",
            say(
                "{backbone} halves {h} × {w} px down to steps of {stride} px: its last map has hardly more than one place.",
                backbone=name,
                h=frame.size[0],
                w=frame.size[1],
                stride=reach.stride_px,
            ),
            strength=0.4,
            suggestion=Suggestion({"size": own}, "larger", cost(frame.size, own)),
        )
