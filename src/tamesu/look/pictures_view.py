"""Files and sizes of the pictures as small tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tamesu.look.figures_view import small_table
from tamesu.look.profile_view import percent, short
from tamesu.report.words import count
from tamesu.texts import say

Figures = Mapping[str, Any]
SIZES_SHOWN = 4


def pictures_view(parts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Facts by picture field, and of what is marked in them; None where there are no pictures."""
    files, sizes = parts.get("files") or {}, parts.get("sizes") or {}
    by_field = sizes.get("pictures") or {}
    fields = [
        {"name": name, "facts": [*_of_files(files.get(name) or {}), *_of_sizes(by_field.get(name) or {})]}
        for name in dict.fromkeys([*files, *by_field])
    ]
    fields = [one for one in fields if one["facts"]]
    if not fields:
        return None
    frame = sizes.get("size")
    return {
        "fields": fields,
        "frame": say("{h} × {w} px", h=frame[0], w=frame[1]) if frame else "",
        "reach": _reach(sizes.get("receptive_field") or {}),
        "objects": [_of_objects(name, one) for name, one in (sizes.get("objects") or {}).items() if "median_px" in one],
    }


def _reach(figures: Figures) -> str:
    """What the network sees at once."""
    if figures.get("whole"):
        return say("`{name}` sees the whole picture at once.", name=figures["backbone"])
    if not figures.get("px"):
        return ""
    text = say(
        "`{name}` sees {px} px at once, in steps of {stride} px.",
        name=figures["backbone"],
        px=figures["px"],
        stride=figures["stride_px"],
    )
    largest = figures.get("largest_objects_px")
    more = say("One in ten objects is larger than {px} px at this size.", px=short(largest)) if largest else ""
    return f"{text} {more}".strip()


def _of_objects(name: str, one: Figures) -> dict[str, Any]:
    """Sizes of what is marked: of all and of each class, as they are and as training sees them, and what other sizes show."""
    entries = [(say("all"), one, one["n"]), *((label, each, each["n"]) for label, each in (one.get("classes") or {}).items())]
    rows = [
        [label, count(n), short(each["median_px"]), short(each["median_at_size_px"]), *_shares(each["under_at_size"])]
        for label, each, n in entries
    ]
    limits = [say("under {px} px", px=limit) for limit in one["under_at_size"]]
    head = [say("label"), say("objects"), say("median side in px"), say("at the size trained on"), *limits]
    tries = [
        [_size(each["size"]), say("{factor} times", factor=short(each["cost_factor"])), *_shares_of_try(each, one)]
        for each in one.get("tries") or []
    ]
    return {
        "name": name,
        "bars": [
            {"name": limit, "now": _bar(one["under_at_size"][px]), "own": _bar(one["under"][px])}
            for px, limit in zip(one["under_at_size"], limits, strict=True)
        ],
        "table": small_table(head, rows, len(head) - 1),
        "tries": small_table([say("size"), say("time and memory"), *limits], tries, 1 + len(limits)),
    }


def _bar(share: float) -> dict[str, Any]:
    return {"to": round(100 * share, 2), "text": percent(share)}


def _shares(under: Figures) -> list[str]:
    return [percent(share) for share in under.values()]


def _shares_of_try(each: Figures, one: Figures) -> list[str]:
    return [percent(each[f"under_{px}"]) for px in one["under_at_size"]]


def _size(size: int | list[int]) -> str:
    h, w = (size, size) if isinstance(size, int) else size
    return say("{h} × {w} px", h=h, w=w)


def _of_files(one: Figures) -> Iterator[tuple[str, str]]:
    if "n" in one:
        yield say("whole files"), say("{k} of {n}", k=count(one.get("whole", 0)), n=count(one["n"]))
    if one.get("formats"):
        yield say("formats"), ", ".join(f"{name} {count(n)}" for name, n in one["formats"].items())
    if one.get("flags"):
        yield say("properties"), ", ".join(f"{_flag_word(name)} {count(n)}" for name, n in one["flags"].items())
    if one.get("n_unused"):
        yield say("files that no row names"), count(one["n_unused"])


def _flag_word(flag: str) -> str:
    """A property of a file in words."""
    return {
        "animated": say("animated"),
        "cmyk": say("CMYK"),
        "exif_rotated": say("turned by EXIF"),
        "palette": say("palette"),
        "sixteen_bit": say("16 bits"),
        "wrong_extension": say("wrong extension"),
        "has_alpha": say("transparent"),
    }[flag]


def _of_sizes(one: Figures) -> Iterator[tuple[str, str]]:
    if one.get("sizes"):
        rest = one["n_sizes"] - SIZES_SHOWN
        text = ", ".join(f"{h} × {w} ({count(n)})" for h, w, n in one["sizes"][:SIZES_SHOWN])
        yield say("height × width in pixels"), text + (f", {say('{n} more sizes', n=count(rest))}" if rest > 0 else "")


__all__ = ["pictures_view"]
