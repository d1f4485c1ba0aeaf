"""A preview inside the report: pictures as data URIs with what is marked on them, names as text."""

from __future__ import annotations

from typing import Any

import numpy as np

from tamesu.drawing import colour_of, draw_cell, draw_track
from tamesu.report.pictures import MAX_SIDE, NATIVE_SIDE, data_uri
from tamesu.sheet import Cell, Sheet

View = dict[str, Any]


def sheet_view(sheet: Sheet) -> View:
    """Everything the template needs to show a sheet."""
    return {
        "title": sheet.title,
        "lines": [
            {"row": line.row, "picture": line.picture, "cells": [_cell(cell, sheet) for cell in line.cells]}
            for line in sheet.lines
        ],
        "legend": [
            {"field": field, "names": [{"name": name, "colour": _css(sheet, field, name)} for name in names if name]}
            for field, names in sheet.marked.items()
        ],
        "remarks": list(sheet.remarks),
    }


def _cell(cell: Cell, sheet: Sheet) -> View:
    return {
        "title": cell.title,
        "how": cell.how,
        "picture": _picture(cell, sheet),
        "tracks": [data_uri(np.asarray(draw_track(one, (MAX_SIDE, MAX_SIDE // 3), sheet.marked))) for one in cell.tracks],
        "notes": [{"field": one.field, "text": one.change, "is_changed": one.is_changed} for one in cell.notes],
    }


def _picture(cell: Cell, sheet: Sheet) -> View | None:
    """Small pictures with nothing on them stay as small as they are; the reader's screen enlarges them."""
    if cell.pixels is None:
        return None
    if max(cell.pixels.shape[:2]) <= NATIVE_SIDE and not cell.marks and not cell.areas:
        return {"uri": data_uri(cell.pixels), "pixelated": True}
    return {"uri": data_uri(np.asarray(draw_cell(cell, MAX_SIDE, sheet.marked))), "pixelated": False}


def _css(sheet: Sheet, field: str, name: str) -> str:
    return f"rgb{colour_of(sheet.marked, field, name)}"
