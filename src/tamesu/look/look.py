"""One look: read, analyse, write the page and the document."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tamesu.check import examine
from tamesu.config import DataConfig, StudyConfig
from tamesu.document import MAX_BYTES, read_yaml
from tamesu.errors import ConfigError, DataError
from tamesu.files import write_atomically
from tamesu.look.document import as_json, make_document
from tamesu.look.reading import read_material
from tamesu.look.run import run_analyses
from tamesu.texts import LANGUAGES, say, use_language

Progress = Callable[[str, int, int], None]
YAML_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Look:
    """What was found.

    Attributes:
        document: All of it, as `--json` prints it.
        page: The HTML page.
        path: The JSON file beside it.
    """

    document: Mapping[str, Any]
    page: Path
    path: Path

    @property
    def findings(self) -> list[Mapping[str, Any]]:
        """Strongest first."""
        return list(self.document["findings"])


def look_at(
    config: StudyConfig,
    folder: Path,
    *,
    base: Path,
    train: Any = None,
    test: Any = None,
    compare: str = "",
    out: Path | None = None,
    warnings: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> Look:
    """Read everything a study names, say what there is to say, and write look.html and look.json.

    Args:
        config: The study; it may lack what training needs.
        folder: The run folder.
        base: Folder that relative paths start from.
        train: Rows from Python in place of `data.train`.
        test: The same in place of `data.test`.
        compare: Which rows are held side by side; see `read_material`.
        out: The page; look.html in the run folder where not given.
        warnings: More to say about what could not be said.
        progress: Told what is being done, how much is done, and of how much.

    Raises:
        DataError: There is nothing to look at.
        ConfigError: `compare` names nothing that is there.
        StoreError: The run folder cannot be written.
    """
    from tamesu.look.page import write_page

    started = time.monotonic()
    cache = folder / "cache"
    material = read_material(config, base=base, cache=cache, train=train, test=test, compare=compare, progress=progress)
    parts = run_analyses(material, cache=cache, progress=progress, out_of_fold=_out_of_fold(folder / "out_of_fold.csv"))
    document = make_document(material, parts, seconds=time.monotonic() - started)
    document["warnings"] = [*warnings, *document["warnings"]]
    page = out or folder / "look.html"
    path = page.with_suffix(".json")
    write_atomically(path, as_json(document))
    write_page(document, page, material)
    return Look(document, page, path)


def open_study(path: Path) -> tuple[StudyConfig, Path, tuple[str, ...]]:
    """What `look` needs to know of a study.yaml, a table or a folder: less than training does.

    Args:
        path: A study that may still have mistakes in it, a csv or parquet file, or a folder of pictures or tables.

    Returns:
        The study, the folder its paths start from, and what is wrong with it as warnings.

    Raises:
        ConfigError: A study that cannot be read at all.
        DataError: There is nothing at `path`.
    """
    if path.suffix.lower() in YAML_SUFFIXES:
        values = read_yaml(path)
        if values.get("lang") in LANGUAGES:
            use_language(values["lang"])  # its mistakes are told in it too
        examined = examine(values)
        mistakes = tuple(f"{path}: {'.'.join(map(str, one.path))} {one.text}" for one in examined.mistakes)
        if examined.config is None:
            raise ConfigError(list(mistakes) or [say("{path}: must declare a study; got an empty file.", path=path)])
        return examined.config, path.parent, mistakes
    return _guessed(path)


def _guessed(path: Path) -> tuple[StudyConfig, Path, tuple[str, ...]]:
    """The study that `init` would write, or one without a target where that cannot be guessed."""
    from tamesu.starter import look
    from tamesu.starter_text import render
    from tamesu.yamltext import YamlText

    if not path.exists():
        raise DataError(say("{path}: must be a folder, a csv or a parquet file; there is no such thing.", path=path))
    base = path if path.is_dir() else path.parent
    try:
        values = YamlText(render(look(path, base / "study.yaml"))).values
        examined = examine(values)
        if examined.config is not None:
            return examined.config, base, ()
    except DataError as error:
        if path.is_dir():
            raise
        reason = error.mistakes
    else:
        reason = [one.text for one in examined.mistakes]
    config = StudyConfig(name=path.stem, data=DataConfig(train=path.name), fields={})
    return config, base, tuple(reason)


def write_ideas(document: Mapping[str, Any], study: Path) -> int:
    """Add what the findings suggest to the end of study.yaml, commented out, and say how many are new.

    Lines that are there already, commented or not, are not added again, nor is an idea whose name is there. Two ideas that
    differ but have one name are numbered.

    Raises:
        ConfigError: The study cannot be read.
        StoreError: The study cannot be written.
    """
    text = study.read_bytes().decode("utf-8")
    newline = "\r\n" if "\r\n" in text else "\n"
    there = f"\n{text}\n".replace("\r\n", "\n")
    ideas = read_yaml(study).get("ideas")
    own = {f"#   {name}:" for name in ideas} if isinstance(ideas, Mapping) else set()
    blocks: dict[str, str] = {}  # what is added: the sentence it comes from
    for finding in document["findings"]:
        lines = [f"# {line}".rstrip() for line in finding["suggestion"].splitlines() if not line.startswith("#")]
        block = "\n".join(lines)
        is_idea = lines[:1] == ["# ideas:"] and len(lines) > 1
        if not lines or f"\n{block}\n" in there or block in blocks:
            continue
        if is_idea and (lines[1].partition(":")[0] + ":" in own or f"\n# ideas:\n{lines[1]}\n" in there):
            continue
        blocks[_numbered(lines, blocks) if is_idea else block] = say(
            "{kind}: {sentence}", kind=finding["kind"], sentence=finding["sentence"]
        )
    if not blocks:
        return 0
    heading = say("What `tamesu look` suggests: take the # off the lines you believe, and put each under the section it names.")
    added = f"\n\n# {heading}\n" + "\n".join(f"#\n# {said}\n{block}" for block, said in blocks.items()) + "\n"
    write_atomically(study.resolve(), (text.rstrip("\r\n") + added.replace("\n", newline)).encode("utf-8"))
    return len(blocks)


def _numbered(lines: list[str], blocks: Mapping[str, str]) -> str:
    """An idea under a name that no idea before it has."""
    names = {block.split("\n")[1] for block in blocks if block.startswith("# ideas:\n")}
    name, _, rest = lines[1].partition(":")
    n = 2
    while lines[1] in names:
        lines = [lines[0], f"{name}-{n}:{rest}", *lines[2:]]
        n += 1
    return "\n".join(lines)


def _out_of_fold(path: Path) -> pd.DataFrame | None:
    """What `fit` left, if it was run."""
    return pd.read_csv(path, dtype=str, keep_default_na=False) if path.exists() else None


__all__ = ["MAX_BYTES", "Look", "look_at", "open_study", "write_ideas"]
