"""Runs every analysis over what was read, and keeps each finished one, so that an interrupted look goes on where it was."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tamesu.files import write_atomically
from tamesu.look.finding import Finding, Part, Suggestion
from tamesu.look.material import Material
from tamesu.texts import language, say

Progress = Callable[[str, int, int], None]
VERSION = 2  # of what an analysis finds in the same rows
# In the order of the page; each is a module of this package and the function that gives its `Part`.
ANALYSES: Mapping[str, str] = {
    "files": "files:find_files",
    "profile": "profile:find_profile",
    "shift": "shift:find_shift",
    "leaks": "leaks:find_leaks",
    "labels": "labels:find_labels",
    "merges": "merges:find_merges",
    "missing": "missing:find_missing",
    "duplicates": "duplicates:find_duplicates",
    "groups": "groups:find_groups",
    "sizes": "sizes:find_sizes",
    "label_errors": "label_errors:find_label_errors",
}


def run_analyses(
    material: Material,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
    out_of_fold: pd.DataFrame | None = None,
    strict: bool = False,
) -> dict[str, Part]:
    """Everything that can be said about the rows, by the analysis' name.

    Args:
        material: What was read.
        cache: Where finished analyses are kept; None: nowhere.
        progress: Told which analysis runs, and how many are done.
        out_of_fold: Predictions of the study's baseline for rows it was not trained on, as `fit` writes them.
        strict: An analysis that fails ends the look; else it becomes a warning, and the others are made.
    """
    kept = None if cache is None else cache / "look" / material_digest(material, out_of_fold)
    parts: dict[str, Part] = {}
    for done, (name, place) in enumerate(ANALYSES.items()):
        if progress is not None:
            progress(analysis_title(name), done, len(ANALYSES))
        part = None if kept is None else _read_part(kept / f"{name}.json")
        if part is None:
            part = _run(name, place, material, out_of_fold, strict)
            if kept is not None:
                write_atomically(kept / f"{name}.json", json.dumps(dataclasses.asdict(part), default=_plain))
        parts[name] = part
    return parts


def analysis_title(name: str) -> str:
    """What an analysis is about, for a person."""
    return {
        "files": say("files"),
        "profile": say("side by side"),
        "shift": say("populations"),
        "leaks": say("leaks"),
        "labels": say("labels"),
        "merges": say("labels that may be one"),
        "missing": say("missing and unknown"),
        "duplicates": say("duplicates"),
        "groups": say("groups"),
        "sizes": say("sizes"),
        "label_errors": say("label errors"),
    }[name]


def material_digest(material: Material, out_of_fold: pd.DataFrame | None = None) -> str:
    """Names the material: what was read, how it is declared, and the language it is told in."""
    total = hashlib.blake2b(digest_size=16)
    total.update(f"{VERSION} {language()} {material.id_column} {material.target} {material.folds_by}".encode())
    if material.config is not None:
        total.update(material.config.model_dump_json().encode())
    total.update("\n".join(map(str, material.ids)).encode())
    for array in (material.table, material.row_digests, material.labels, material.folds, material.groups):
        total.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    if material.populations is not None:
        total.update(repr((material.populations.by, material.populations.names)).encode())
        total.update(material.populations.of.tobytes())
    for name, facts in material.pictures.items():
        total.update(name.encode() + facts.file_digests.tobytes() + facts.pixel_digests.tobytes())
        total.update("\n".join(map(str, facts.status)).encode())
    for name, values in material.properties.items():
        total.update(name.encode() + np.ascontiguousarray(values).tobytes())
    for name, one in material.objects.items():
        total.update(f"{name} {one.unread}".encode())
        for numbers in (one.rows, one.heights, one.widths, one.codes, one.edges):
            total.update(b"-" if numbers is None else np.ascontiguousarray(numbers).tobytes())
    if out_of_fold is not None:
        total.update(pd.util.hash_pandas_object(out_of_fold, index=False).to_numpy().tobytes())
    return total.hexdigest()


def _run(name: str, place: str, material: Material, out_of_fold: pd.DataFrame | None, strict: bool) -> Part:
    module, _, function = place.partition(":")
    options = {"out_of_fold": out_of_fold} if name == "label_errors" else {}
    try:
        find = getattr(importlib.import_module(f"tamesu.look.{module}"), function)
        return find(material, **options)  # type: ignore[no-any-return]
    except Exception as error:
        if strict:
            error.add_note(f"while looking at {name}")
            raise
        # A page with one part missing, and the reason on it, serves a person better than no page.
        kind = type(error).__name__
        return Part(
            warnings=(say("{what}: could not be looked at: {error}", what=analysis_title(name), error=f"{kind}: {error}"),)
        )


def _read_part(path: Path) -> Part | None:
    if not path.exists():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        findings = tuple(_finding(one) for one in kept["findings"])
    except (ValueError, KeyError, TypeError):  # only a shortcut: damaged, it is made anew
        return None
    return Part(findings, kept["figures"], tuple(kept["warnings"]))


def _finding(kept: dict[str, Any]) -> Finding:
    settings: dict[str, Any] = kept | {name: tuple(kept[name]) for name in ("fields", "labels", "rows")}
    settings["suggestion"] = Suggestion(**kept["suggestion"])
    settings["interval"] = None if kept["interval"] is None else tuple(kept["interval"])
    return Finding(**settings)


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no plain value")
