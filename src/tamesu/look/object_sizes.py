"""Sizes of the things marked in pictures: wrong ones, ones too small at the study's `size`, and classes that differ in size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamesu.look.finding import ROWS_SHOWN, Finding, Part, Suggestion
from tamesu.look.material import Material, Objects, PictureFacts
from tamesu.texts import say

LIMITS_PX = (8, 16, 32)
TOO_SMALL_PX = 8  # a few pixels have no form
WELL_SEEN_PX = 16
SMALL_FRACTION = 0.25  # of the objects of a class
CLEAR_FACTOR = 2.0  # between the medians of two classes
MIN_OF_A_CLASS = 10
MAX_CLASSES = 12  # in a sentence and in the figures
OUTSIDE_PX = 1.0  # edges may be counted from 0 or from 1
OUTSIDE_FRACTION = 0.01  # of the side
FACTORS = (1.5, 2.0, 3.0, 4.0)  # sizes that are worth a try


def find_object_sizes(
    material: Material,
    objects: Objects,
    facts: PictureFacts,
    scales: tuple[NDArray[np.float64], NDArray[np.float64]],
    size: tuple[int, int],
) -> Part:
    """What there is to say of the objects of one field.

    Args:
        material: What was read.
        objects: Of one field.
        facts: Of the pictures they lie in.
        scales: Pixels the network is given for one of the picture, by row, down and across.  (n,), (n,)
        size: Height and width that it is given.
    """
    warnings = []
    if len(objects.unread):
        n = f"{len(objects.unread):,}"
        warnings.append(say("`{field}`: cells that cannot be read, left out here: {n}.", field=objects.field, n=n))
    known = np.isfinite(objects.heights) & np.isfinite(objects.widths)
    right = known & (objects.heights > 0) & (objects.widths > 0)
    if objects.is_extent:
        right = known & (np.maximum(objects.heights, objects.widths) > 0)
    right &= facts.whole[objects.rows]
    findings = _wrong(material, objects, facts)
    if not right.any():
        return Part(tuple(findings), {"n": len(objects.rows)}, tuple(warnings))
    side = _side(objects.heights[right], objects.widths[right], objects.is_extent)
    rows = objects.rows[right]
    shown = _side(objects.heights[right] * scales[0][rows], objects.widths[right] * scales[1][rows], objects.is_extent)
    codes = objects.codes[right]
    tries = _tries(shown, facts, size)
    figures = {
        "n": len(objects.rows),
        "median_px": _round(np.median(side)),
        "median_at_size_px": _round(np.median(shown)),
        "p90_at_size_px": _round(np.percentile(shown, 90)),
        "under": _under(side),
        "under_at_size": _under(shown),
        "classes": _by_class(objects.classes, codes, side, shown),
        "tries": tries,
    }
    findings += _too_small(material, objects, rows, codes, side, shown, tries, size)
    findings += _classes_differ(objects, codes, side)
    return Part(tuple(findings), figures, tuple(warnings))


def _side(heights: NDArray[np.float64], widths: NDArray[np.float64], is_extent: bool) -> NDArray[np.float64]:
    """The side of the square of the same area; of points, which may lie on a line, the longer side."""
    return np.maximum(heights, widths) if is_extent else np.sqrt(heights * widths)


def _wrong(material: Material, objects: Objects, facts: PictureFacts) -> list[Finding]:
    """Boxes that are none."""
    edges, found = objects.edges, []
    if not objects.is_extent:
        swapped = (objects.heights < 0) | (objects.widths < 0)
        flat = ~swapped & ((objects.heights == 0) | (objects.widths == 0))
        if flat.any():
            text = say("`{field}`: boxes without an area: {n} of {total}.", **_counts(objects, flat))
            found.append(_boxes_finding(material, objects, flat, text, 0.6, _drop_empty(material, objects)))
        if swapped.any():
            text = say("`{field}`: boxes that end before they start: {n} of {total}.", **_counts(objects, swapped))
            note = say("Look whether `format` is right; else swap these corners in the table.")
            found.append(_boxes_finding(material, objects, swapped, text, 0.6, Suggestion(note=note)))
    if edges is None or len(edges) == 0:
        return found
    heights, widths = facts.heights[objects.rows], facts.widths[objects.rows]
    limits = np.stack([widths, heights, widths, heights], axis=1).astype(np.float64)
    slack = np.maximum(OUTSIDE_PX, OUTSIDE_FRACTION * limits)
    outside = ((edges < -slack) | (edges > limits + slack)).any(axis=1) & facts.whole[objects.rows]
    if outside.any():
        text = (
            say("`{field}`: points that lie outside their picture: in {n} of {total} rows.", **_counts(objects, outside))
            if objects.is_extent
            else say("`{field}`: boxes that reach outside their picture: {n} of {total}.", **_counts(objects, outside))
        )
        note = say("Look whether they are in pixels of the original picture, and x before y; else correct the table.")
        strength = 0.4 + 0.4 * float(outside.mean())
        found.append(_boxes_finding(material, objects, outside, text, strength, Suggestion(note=note)))
    return found


def _counts(objects: Objects, mask: NDArray[np.bool_]) -> dict[str, Any]:
    return {"field": objects.field, "n": f"{int(mask.sum()):,}", "total": f"{len(mask):,}"}


def _boxes_finding(
    material: Material, objects: Objects, mask: NDArray[np.bool_], text: str, strength: float, suggestion: Suggestion
) -> Finding:
    at = np.flatnonzero(mask)
    rows = objects.rows[at]
    evidence: dict[str, Any] = {}
    if objects.edges is not None:
        names = [objects.classes[code] if code >= 0 else "" for code in objects.codes[at[:ROWS_SHOWN]]]
        lines = [
            [one, name, *(_round(edge) for edge in objects.edges[i])]
            for i, one, name in zip(at[:ROWS_SHOWN], material.shown(rows[:ROWS_SHOWN]), names, strict=True)
        ]
        head = [say("id"), say("class"), say("left"), say("top"), say("right"), say("bottom")]
        evidence = {"table": {"head": head, "rows": lines}}
    return Finding(
        "size",
        text,
        strength=strength,
        fields=(objects.field,),
        labels=tuple(dict.fromkeys(objects.classes[code] for code in objects.codes[at] if code >= 0)),
        rows=material.shown(np.unique(rows)[:ROWS_SHOWN]),
        suggestion=suggestion,
        evidence=evidence,
    )


def _drop_empty(material: Material, objects: Objects) -> Suggestion:
    """The field's own declaration, with the boxes left out."""
    note = say("Leave boxes without an area out, or correct them in the table.")
    field = material.config.fields.get(objects.field) if material.config is not None else None
    if field is None or field.kind != "boxes":
        return Suggestion(note=note)
    own = {"kind": "boxes", **field.model_dump(mode="json", exclude_defaults=True, exclude_none=True)}
    return Suggestion({"fields": {objects.field: own | {"drop_empty": True}}}, note=note)


def _too_small(
    material: Material,
    objects: Objects,
    rows: NDArray[np.int64],
    codes: NDArray[np.int64],
    side: NDArray[np.float64],
    shown: NDArray[np.float64],
    tries: list[dict[str, Any]],
    size: tuple[int, int],
) -> list[Finding]:
    """Objects of which the network is given a few pixels."""
    small = {
        name: float((shown[codes == code] < TOO_SMALL_PX).mean())
        for code, name in [*enumerate(objects.classes), (-1, "")]
        if (codes == code).sum() >= MIN_OF_A_CLASS
    }
    named = {name: share for name, share in small.items() if share >= SMALL_FRACTION}
    if not named:
        return []
    worst = max(named, key=lambda name: named[name])
    of_worst = codes == (objects.classes.index(worst) if worst else -1)
    better = next((one for one in tries if one["under_8"] <= SMALL_FRACTION / 5), tries[-1] if tries else None)
    suggestion = (
        Suggestion({"size": better["size"]}, "see_small_objects", _what_it_costs(better))
        if better is not None
        else Suggestion(note=say("The pictures themselves hold no more pixels: cut pieces out around what is looked for."))
    )
    known = {
        "field": objects.field,
        "share": f"{100 * named[worst]:.0f}",
        "h": size[0],
        "w": size[1],
        "own": f"{np.median(side[of_worst]):.0f}",
        "shown": f"{np.median(shown[of_worst]):.1f}",
    }
    text = (
        say(
            "`{field}`: at {h} × {w} px {share} % of the objects “{label}” are under 8 px: {shown} px at the median, "
            "{own} px in the original.",
            label=worst,
            **known,
        )
        if worst
        else say(
            "`{field}`: at {h} × {w} px {share} % of the objects are under 8 px: {shown} px at the median, "
            "{own} px in the original.",
            **known,
        )
    )
    smallest = rows[of_worst][np.argsort(shown[of_worst], kind="stable")]
    return [
        Finding(
            "size",
            text,
            strength=0.35 + 0.35 * named[worst],
            fields=(objects.field,),
            labels=tuple(name for name in named if name),
            rows=material.shown(np.array(list(dict.fromkeys(smallest.tolist()))[:ROWS_SHOWN], dtype=np.int64)),
            suggestion=suggestion,
            evidence={"bars": {name or objects.field: round(share, 4) for name, share in list(small.items())[:MAX_CLASSES]}},
        )
    ]


def _what_it_costs(better: dict[str, Any]) -> str:
    h, w = (better["size"],) * 2 if isinstance(better["size"], int) else better["size"]
    return say(
        "{h} × {w} px: about {factor} times the time and memory for each picture; {share} % of the objects stay under 8 px.",
        h=h,
        w=w,
        factor=f"{better['cost_factor']:.1f}",
        share=f"{100 * better['under_8']:.0f}",
    )


def _tries(shown: NDArray[np.float64], facts: PictureFacts, size: tuple[int, int]) -> list[dict[str, Any]]:
    """Larger sizes, up to that of the pictures, with what each costs and shows."""
    own = min(np.median(facts.heights[facts.whole]) / size[0], np.median(facts.widths[facts.whole]) / size[1])
    out = []
    for factor in FACTORS:
        if factor > own * 1.01:
            break
        height, width = (round(side * factor) for side in size)
        under = _under(shown * factor)
        out.append(
            {
                "size": height if height == width else [height, width],
                "cost_factor": round(factor**2, 2),
                **{f"under_{limit}": under[str(limit)] for limit in LIMITS_PX},
            }
        )
    return out


def _classes_differ(objects: Objects, codes: NDArray[np.int64], side: NDArray[np.float64]) -> list[Finding]:
    """Classes that size alone tells apart."""
    medians = {
        name: float(np.median(side[codes == code]))
        for code, name in enumerate(objects.classes)
        if (codes == code).sum() >= MIN_OF_A_CLASS
    }
    if len(medians) < 2:
        return []
    ordered = sorted(medians, key=lambda name: medians[name])
    small, large = ordered[0], ordered[-1]
    if medians[large] < CLEAR_FACTOR * medians[small] or not _apart(objects, codes, side, small, large):
        return []
    shown = ordered if len(ordered) <= MAX_CLASSES else [*ordered[: MAX_CLASSES // 2], *ordered[-MAX_CLASSES // 2 :]]
    return [
        Finding(
            "size",
            say(
                "`{field}`: classes differ in size; median side in px: {medians}.",
                field=objects.field,
                medians=", ".join(f"{name} {medians[name]:.0f}" for name in shown),
            ),
            strength=0.3,
            fields=(objects.field,),
            labels=tuple(shown),
            suggestion=Suggestion(
                note=say(
                    "Size tells them apart: keep `augment.scale` well below {factor}, and choose `size` by the smallest.",
                    factor=f"{medians[large] / medians[small] - 1:.1f}",
                )
            ),
            evidence={"bars": {name: _round(medians[name]) for name in shown}},
        )
    ]


def _apart(objects: Objects, codes: NDArray[np.int64], side: NDArray[np.float64], small: str, large: str) -> bool:
    """The middle halves of both do not meet."""
    first, second = (side[codes == objects.classes.index(name)] for name in (small, large))
    return bool(np.percentile(first, 75) < np.percentile(second, 25))


def _by_class(
    classes: tuple[str, ...], codes: NDArray[np.int64], side: NDArray[np.float64], shown: NDArray[np.float64]
) -> dict[str, Any]:
    counts = np.bincount(codes[codes >= 0], minlength=len(classes))
    return {
        classes[code]: {
            "n": int(counts[code]),
            "median_px": _round(np.median(side[codes == code])),
            "median_at_size_px": _round(np.median(shown[codes == code])),
            "under_at_size": _under(shown[codes == code]),
        }
        for code in np.argsort(-counts, kind="stable")[:MAX_CLASSES]
        if counts[code]
    }


def _under(side: NDArray[np.float64]) -> dict[str, float]:
    """Share of objects below each limit."""
    return {str(limit): round(float((side < limit).mean()), 4) for limit in LIMITS_PX}


def _round(value: Any) -> float | None:
    return round(float(value), 2) if np.isfinite(value) else None
