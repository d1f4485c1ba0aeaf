"""Files and sizes of the pictures as small tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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
    return {"fields": fields, "frame": say("{h} × {w} px", h=frame[0], w=frame[1]) if frame else ""}


def _of_files(one: Figures) -> Iterator[tuple[str, str]]:
    if "n" in one:
        yield say("whole files"), say("{k} of {n}", k=count(one.get("whole", 0)), n=count(one["n"]))
    if one.get("formats"):
        yield say("formats"), ", ".join(f"{name} {count(n)}" for name, n in one["formats"].items())
    if one.get("flags"):
        yield say("properties"), ", ".join(f"{name.replace('_', ' ')} {count(n)}" for name, n in one["flags"].items())
    if one.get("n_unused"):
        yield say("files that no row names"), count(one["n_unused"])


def _of_sizes(one: Figures) -> Iterator[tuple[str, str]]:
    if one.get("sizes"):
        rest = one["n_sizes"] - SIZES_SHOWN
        text = ", ".join(f"{h} × {w} ({count(n)})" for h, w, n in one["sizes"][:SIZES_SHOWN])
        yield say("height × width in pixels"), text + (f", {say('{n} more sizes', n=count(rest))}" if rest > 0 else "")


__all__ = ["pictures_view"]
