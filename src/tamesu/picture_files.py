"""Looks at every picture file once: is it whole, how large is it, what does it hold.

What was found is kept in a small index in the cache folder, so that a folder that did not change starts quickly.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tamesu.array_files import ARRAY_SUFFIXES
from tamesu.decode import IMAGE_SUFFIXES, PictureInfo, UnreadableError, inspect
from tamesu.texts import say

INDEX_VERSION = 2
SETTLED_S = 2.0  # a file younger than this may change again within its time stamp: not trusted from the index
CHUNK = 64  # files a thread takes at once
Progress = Callable[[int, int], None]
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class FileScan:
    """What the files hold, in the order asked for; a file that is not whole has no info but a reason."""

    infos: list[PictureInfo | None]
    digests: list[str]
    missing: list[int]
    reasons: dict[int, str]


def scan_files(paths: Sequence[str | Path], index_file: Path | None, progress: Progress | None = None) -> FileScan:
    """Looks at each file; those that `index_file` knows by path, size and time are not opened.

    Args:
        paths: Files, which may be missing or named twice.
        index_file: Where findings are kept; None: nowhere.
        progress: Called with (done, total).
    """
    known = _read_index(index_file)
    names = [str(path) for path in paths]
    unique = sorted(set(names))
    found: dict[str, tuple[list[Any], PictureInfo | None, str, str]] = {}
    fresh: dict[str, list[Any]] = {}
    for name, (entry, info, digest, reason) in zip(
        unique, in_threads(lambda name: _look(name, known), unique, progress), strict=True
    ):
        found[name] = (entry, info, digest, reason)
        if info is not None and time.time() - entry[1] / 1e9 > SETTLED_S:
            fresh[name] = [*entry, digest, *info]
    if index_file is not None and any(known.get(name) != entry for name, entry in fresh.items()):
        _write_index(index_file, known | fresh)
    rows = [found[name] for name in names]
    return FileScan(
        infos=[info for _, info, _, _ in rows],
        digests=[digest for _, _, digest, _ in rows],
        missing=[i for i, (entry, _, _, _) in enumerate(rows) if not entry],
        reasons={i: reason for i, (entry, info, _, reason) in enumerate(rows) if entry and info is None},
    )


def in_threads(work: Callable[[T], R], items: Sequence[T], progress: Progress | None = None) -> Iterator[R]:
    """Results in order, a bounded number of items under way at a time."""
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    if len(chunks) <= 1:
        yield from map(work, items)
        return
    n_threads = min(16, os.cpu_count() or 1)
    with ThreadPoolExecutor(n_threads) as pool:
        waiting = []
        done = 0
        ahead = iter(chunks)
        for chunk in ahead:
            waiting.append(pool.submit(lambda part: [work(item) for item in part], chunk))
            if len(waiting) < 2 * n_threads:
                continue
            yield from (results := waiting.pop(0).result())
            done += len(results)
            if progress is not None:
                progress(done, len(items))
        for future in waiting:
            yield from (results := future.result())
            done += len(results)
            if progress is not None:
                progress(done, len(items))


def add_suffix(root: Path, names: Sequence[str]) -> str:
    """The suffix that all names lack, as in tables that list `0a1b` for `0a1b.png`; else the empty text."""
    first = next(iter(names), "")
    if not first or (root / first).exists() or Path(first).suffix.lower() in IMAGE_SUFFIXES | ARRAY_SUFFIXES:
        return ""
    known = IMAGE_SUFFIXES | ARRAY_SUFFIXES
    for suffix in sorted(known | {suffix.upper() for suffix in known}):
        if (root / (first + suffix)).exists():
            return suffix
    return ""


def list_pictures(folder: Path) -> tuple[list[str], list[str]]:
    """Pictures under a folder, and the other files, as names relative to it with /; hidden ones are left out of both."""
    pictures: list[str] = []
    others: list[str] = []
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for file in files:
            if file.startswith(".") or file in ("Thumbs.db", "desktop.ini"):
                continue
            name = (Path(parent) / file).relative_to(folder).as_posix()
            (pictures if Path(file).suffix.lower() in IMAGE_SUFFIXES else others).append(name)
    return sorted(pictures), sorted(others)


def content_digest(digests: Iterable[str]) -> str:
    """One digest of the digests of the rows, in their order."""
    return hashlib.blake2b("\n".join(digests).encode(), digest_size=16).hexdigest()


def _look(name: str, known: dict[str, list[Any]]) -> tuple[list[Any], PictureInfo | None, str, str]:
    """([size, mtime_ns] or [] when missing, info, digest, reason)."""
    try:
        state = os.stat(name)
        entry = [state.st_size, state.st_mtime_ns]
        kept = known.get(name)
        if kept is not None and kept[:2] == entry:
            return entry, PictureInfo(*kept[3:]), kept[2], ""
        with open(name, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return [], None, "", ""
    except OSError as error:
        return [0, 0], None, "", say("a file that cannot be read: {error}", error=error.strerror or error)
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    try:
        return entry, inspect(data), digest, ""
    except UnreadableError as error:
        return entry, None, digest, str(error)


def _read_index(index_file: Path | None) -> dict[str, list[Any]]:
    if index_file is None or not index_file.exists():
        return {}
    try:
        index = json.loads(index_file.read_text(encoding="utf-8"))
    except ValueError:  # only a shortcut: damaged, it is written anew
        return {}
    return index["files"] if isinstance(index, dict) and index.get("version") == INDEX_VERSION else {}


def _write_index(index_file: Path, files: dict[str, list[Any]]) -> None:
    index_file.parent.mkdir(parents=True, exist_ok=True)
    part = index_file.with_name(f"{index_file.name}.{os.getpid()}.tmp")
    part.write_text(json.dumps({"version": INDEX_VERSION, "files": files}, ensure_ascii=True), encoding="utf-8")
    os.replace(part, index_file)
