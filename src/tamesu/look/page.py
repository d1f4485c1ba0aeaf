"""The page of `look`: one HTML file that needs no network, from the document and small pictures alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

import jinja2

from tamesu import __version__
from tamesu.files import write_atomically
from tamesu.look.figures_view import bounds_view, cells_view, doubts_view, pair_ids, pairs_view
from tamesu.look.finding_view import CARDS_OPEN, counts_of_kinds, finding_views, shown_ids
from tamesu.look.material import Material
from tamesu.look.pictures_view import pictures_view
from tamesu.look.profile_view import labels_view, profile_view
from tamesu.look.thumbnails import ClassPicture, make_class_pictures, make_thumbnails
from tamesu.report.html import make_environment
from tamesu.report.words import count, duration
from tamesu.texts import LANGUAGES, language, say, use_language

MAX_THUMBNAILS = 600  # about 3 MB
MAX_BYTES = 5_800_000
EXAMPLES_SHOWN = 4


def write_page(document: Mapping[str, Any], path: str | Path, material: Material | None = None) -> Path:
    """Write the page whole or not at all, and return where it is.

    Args:
        document: Of schema `tamesu/look/1`.
        path: The file to write; its folder is made if need be.
        material: What was looked at, for its pictures; None: rows are shown by their ids.

    Raises:
        StoreError: The file cannot be written.
    """
    path = Path(path)
    thumbnails: dict[str, str] = {}
    classes: tuple[ClassPicture, ...] = ()
    if material is not None and material.first_picture is not None:
        classes = make_class_pictures(material)
        thumbnails = make_thumbnails(material, islice(_wanted(document, classes), MAX_THUMBNAILS))
    text = render_page(document, thumbnails, classes)
    while len(text.encode()) > MAX_BYTES and thumbnails:  # those of the weakest findings come last and go first
        thumbnails = dict(islice(thumbnails.items(), len(thumbnails) // 2))
        text = render_page(document, thumbnails, classes)
    write_atomically(path, text)
    return path


def render_page(
    document: Mapping[str, Any], thumbnails: Mapping[str, str] | None = None, mean_pictures: Sequence[ClassPicture] = ()
) -> str:
    """The page as text, in the document's language.

    Args:
        document: Of schema `tamesu/look/1`.
        thumbnails: Data URIs by row id.
        mean_pictures: Of the classes.
    """
    before = language()
    use_language(document.get("lang", "en") if document.get("lang") in LANGUAGES else "en")
    try:
        shown = dict(thumbnails or {})
        parts = document.get("parts") or {}
        profile = parts.get("profile") or {}
        findings = document.get("findings") or []
        cards = finding_views(findings, shown)
        return (
            _environment()
            .get_template("look.html.j2")
            .render(
                d=document,
                lang=language(),
                version=__version__,
                facts=list(_facts(document)),
                kinds=counts_of_kinds(findings),
                n_findings=len(cards),
                cards=cards[:CARDS_OPEN],
                more_cards=cards[CARDS_OPEN:],
                populations=document.get("populations"),
                why_alone=document.get("why_alone") or "",
                profile=profile_view(profile),
                labels=labels_view(parts),
                cells=cells_view(parts),
                label_pairs=pairs_view(parts),
                doubts=doubts_view(parts),
                bounds=bounds_view(parts),
                files=pictures_view(parts),
                classes=mean_pictures,
                warnings=document.get("warnings") or [],
                pictures={one: f"t{i}" for i, one in enumerate(shown)},
                uris=list(shown.values()),
            )
        )
    finally:
        use_language(before)


def _wanted(document: Mapping[str, Any], classes: Sequence[ClassPicture]) -> Iterator[str]:
    """Ids to show, the most telling first, each once."""
    seen: set[str] = set()
    examples = (one for each in classes for one in each.examples[:EXAMPLES_SHOWN])
    parts = document.get("parts") or {}
    for source in (shown_ids(document.get("findings") or []), pair_ids(parts), examples):
        for one in source:
            if one not in seen:
                seen.add(one)
                yield one


def _facts(document: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """What was looked at, in numbers."""
    n_rows = document.get("n_rows") or {}
    yield {"name": say("training rows"), "value": count(n_rows.get("train", 0))}
    if n_rows.get("test"):
        yield {"name": say("test rows"), "value": count(n_rows["test"])}
    columns = (document.get("parts") or {}).get("profile", {}).get("columns", [])
    if columns:
        yield {"name": say("columns"), "value": count(sum(one.get("source") == "table" for one in columns))}
    for name, n in (document.get("n_pictures") or {}).items():
        yield {"name": say("pictures of {name}", name=name), "value": count(n)}
    if document.get("seconds"):
        yield {"name": say("time taken"), "value": duration(document["seconds"])}


def _environment() -> jinja2.Environment:
    environment = make_environment("tamesu.look")
    environment.globals["report_css"] = (
        resources.files("tamesu.report").joinpath("templates/style.css").read_text(encoding="utf-8")
    )
    return environment


__all__ = ["render_page", "write_page"]
