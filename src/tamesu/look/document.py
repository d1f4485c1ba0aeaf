"""The look as one JSON document; the page is made from it."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

import tamesu
from tamesu.look.finding import Part
from tamesu.look.material import Material
from tamesu.texts import language

SCHEMA = "tamesu/look/1"


def make_document(material: Material, parts: Mapping[str, Part], *, seconds: float) -> dict[str, Any]:
    """What was found, strongest first, with the figures behind it.

    Args:
        material: What was read.
        parts: What each analysis gave.
        seconds: How long it took.
    """
    findings = [finding.as_dict() for part in parts.values() for finding in part.findings]
    findings.sort(key=lambda one: -one["strength"])
    populations = material.populations
    return _plain(
        {
            "schema": SCHEMA,
            "tamesu": tamesu.__version__,
            "name": material.name,
            "lang": language(),
            "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "seconds": round(seconds, 1),
            "n_rows": {"train": int((material.table == 0).sum()), "test": int((material.table == 1).sum())},
            "n_pictures": {name: int(one.whole.sum()) for name, one in material.pictures.items()},
            "target": material.target,
            "folds_by": material.folds_by,
            "findings": findings,
            "populations": None
            if populations is None
            else {
                "by": populations.by,
                "names": list(populations.names),
                "n": [int((populations.of == i).sum()) for i in range(len(populations.names))],
            },
            "why_alone": material.why_alone,
            "parts": {name: dict(part.figures) for name, part in parts.items()},
            "warnings": list(dict.fromkeys([*material.warnings, *(one for part in parts.values() for one in part.warnings)])),
        }
    )


def as_json(document: Mapping[str, Any]) -> str:
    """The document as text; a number that is none or infinite is null, as JSON has none of them."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
