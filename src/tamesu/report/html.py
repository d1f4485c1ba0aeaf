"""The report: one HTML file that needs no network, from the summary alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from numpy.typing import NDArray

from tamesu.files import write_atomically
from tamesu.report.importance_view import importance_view
from tamesu.report.pictures import HasOriginals, worst_pictures
from tamesu.report.sheet_view import sheet_view
from tamesu.report.view import make_view
from tamesu.sheet import Sheet
from tamesu.texts import LANGUAGES, language, say, use_language

Sources = HasOriginals | Mapping[str, NDArray[Any]]


def write_report(
    summary: Mapping[str, Any],
    path: str | Path,
    pictures: Sources | None = None,
    sheet: Sheet | None = None,
    importance: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report whole or not at all, and return where it is.

    Args:
        summary: From `summarise`, or read back from its JSON.
        path: The file to write; its folder is made if need be.
        pictures: The scored rows' pictures in their order, or pixels by row id; None: rows are shown as text.
        sheet: A preview of what training sees; None: there is none.
        importance: What the models use, from `Importance.as_dict` or read back; None: it was not measured.

    Raises:
        StoreError: The file cannot be written.
    """
    path = Path(path)
    write_atomically(path, render_report(summary, pictures, sheet, importance))
    return path


def render_report(
    summary: Mapping[str, Any],
    pictures: Sources | None = None,
    sheet: Sheet | None = None,
    importance: Mapping[str, Any] | None = None,
) -> str:
    """The report as text, in the summary's language."""
    before = language()
    use_language(summary["lang"] if summary["lang"] in LANGUAGES else "en")
    try:
        found = summary["mistakes"]
        shown = worst_pictures(found["worst"], pictures) if found and pictures is not None else {}
        template = make_environment("tamesu.report").get_template("report.html.j2")
        preview = None if sheet is None else sheet_view(sheet)
        used = None if importance is None else importance_view(importance)
        view = make_view(summary)
        return template.render(s=summary, v=view, pictures=shown, preview=preview, importance=used, lang=language())
    finally:
        use_language(before)


def make_environment(package: str) -> jinja2.Environment:
    """Jinja for the templates of one of tamesu's packages: escaped, with `say` and `marked`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals["say"] = say
    environment.filters["marked"] = marked
    return environment


def marked(text: str) -> Markup:
    """Escaped, with `code` between backticks."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
