"""The study as it is written: study.yaml, or a mapping from Python, read with all its mistakes; and written to by `keep`."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from ruamel.yaml.comments import CommentedMap

from tamesu.arms import plan_ideas
from tamesu.check import Examined, examine, raise_mistakes
from tamesu.config import StudyConfig
from tamesu.errors import ConfigError, suggest
from tamesu.fields.derived import with_kind
from tamesu.files import write_atomically
from tamesu.ideas import as_settings, as_written, is_another, merged, params_left, without_left
from tamesu.mistakes import Mistake, Path, dotted, must_be, sections
from tamesu.texts import LANGUAGES, say, use_language
from tamesu.yamltext import YamlError, YamlText, plain_equal, round_trip, written

if TYPE_CHECKING:
    from tamesu.arms import Arm

MAX_BYTES = 4_000_000  # a study has a few kilobytes; a table given by mistake in its place has more
SIZE_TO_COME = (1, 1)  # stands for `size: auto` before the pictures are seen; one pixel is nobody's choice
NOT_THERE = object()
BOM = "\ufeff"
PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")


def read_study(path: str | FilePath) -> tuple[StudyConfig, StudyDocument]:
    """Read study.yaml.

    Returns:
        The settings, and the document that knows their lines.

    Raises:
        ConfigError: Everything that is wrong with it, one sentence each, with line numbers.
    """
    document = StudyDocument(FilePath(path))
    return document.config, document


def read_yaml(path: str | FilePath) -> dict[str, Any]:
    """The settings written in study.yaml, whether or not they can be.

    Raises:
        ConfigError: The file cannot be read, or is no YAML mapping.
    """
    path = FilePath(path)
    try:
        values = YamlText(_decoded(_read_bytes(path), path).removeprefix(BOM).replace("\r\n", "\n").replace("\r", "\n")).values
    except YamlError as error:
        raise ConfigError([f"{path}:{line}: {sentence}" for line, sentence in error.problems]) from error
    if not isinstance(values, dict):
        raise ConfigError(say("{path}:1: must be a mapping such as `fields: …`; got a list or a single value.", path=path))
    return _without_empty_sections(as_settings(values))


def config_from_mapping(mapping: Mapping[str, Any], where: str = "Study") -> StudyConfig:
    """Read a study given from Python.

    Args:
        mapping: The keys of study.yaml.
        where: The start of each sentence about a mistake.

    Raises:
        ConfigError: Everything that is wrong with it, one sentence each.
    """
    raw = as_settings(mapping)
    config, mistakes = _read(raw)
    raise_mistakes(mistakes, where)
    return _sound(config)


def resolved_yaml(config: StudyConfig) -> str:
    """The whole study with every default, as YAML; a password in a database URL is left out."""
    values = as_written(config.model_dump())
    for name in ("train", "test"):
        if isinstance(values["data"][name], dict):
            values["data"][name]["url"] = PASSWORD.sub(r"\1:***@", values["data"][name]["url"])
    return written(values)


class StudyDocument:
    """study.yaml on disk.

    Args:
        path: The file; sentences about it start with the path as it is given here.

    Raises:
        ConfigError: Everything that is wrong with it.
    """

    def __init__(self, path: FilePath):
        self.path = path
        self._bytes = _read_bytes(path)
        text = _decoded(self._bytes, path)
        self._bom = BOM if text.startswith(BOM) else ""
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self.text = text.removeprefix(BOM).replace("\r\n", "\n").replace("\r", "\n")
        self._yaml, self.config = self._parse(self.text)

    def where(self, path: Path) -> str:
        """`study.yaml:14 folds.group`."""
        return _where(self.path, self._yaml, path)

    def locate(self, key: str) -> str:
        """The same for a key as text, `folds.group`; names of fields and ideas may have dots in them."""
        path: list[str] = []
        here: Any = self._yaml.values
        parts = key.split(".")
        while parts:
            names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
            name = next((one for one in names if isinstance(here, Mapping) and one in here), parts[0])
            path.append(name)
            here = here.get(name) if isinstance(here, Mapping) else None
            parts = parts[name.count(".") + 1 :]
        return self.where(tuple(path))

    def keep(self, idea_arm: Arm) -> str:
        """Write an idea into the baseline, take it off the ideas, and leave every other line as it is.

        Args:
            idea_arm: The arm to keep; the other values of the same idea go with it.

        Returns:
            The file's new text.

        Raises:
            ConfigError: The idea is not in the file, the file has changed since it was read, or would not be valid afterwards.
            StoreError: The file cannot be written; it is as before.
        """
        text = self.kept(idea_arm)
        if _read_bytes(self.path) != self._bytes:
            raise ConfigError(
                say(
                    "{path}: must be as it was when it was read; it has changed since. Run `tamesu keep` again.", path=self.path
                )
            )
        try:
            yaml, config = self._parse(text)
        except ConfigError as error:
            start = say(
                "{path}: must be valid once {idea!r} is kept; it would not be, and is left as it was:",
                path=self.path,
                idea=idea_arm.name,
            )
            raise ConfigError([start, *error.mistakes]) from error
        content = self._bom + text.replace("\n", self._newline)
        write_atomically(self.path.resolve(), content)  # resolved, so that a link stays a link
        self.config, self._yaml, self.text, self._bytes = config, yaml, text, content.encode()
        return text

    def kept(self, idea_arm: Arm) -> str:
        """The text that `keep` would write, lines ended by `\\n`."""
        values = self._yaml.values
        ideas = values.get("ideas") or {}
        if idea_arm.idea not in ideas:
            raise ConfigError(
                f"{self.where(('ideas',))}: "
                + say("must hold {idea!r}.{hint}", idea=idea_arm.idea, hint=suggest(idea_arm.idea, ideas))
            )
        rest = values | {"ideas": {name: one for name, one in ideas.items() if name != idea_arm.idea}}
        wanted = _without_empty_sections(as_settings(merged(rest, idea_arm.patch)))
        for attempt in (self._edited, self._rewritten):
            try:
                text = attempt(idea_arm)
                found = YamlText(text).values
            except (YamlError, ValueError, TypeError, LookupError, AttributeError):
                continue  # anchors, aliases, `? key`: the next way may do
            if plain_equal(_without_empty_sections(as_settings(found)), wanted):
                return text
        raise ConfigError(
            say(
                "{path}: must be written in a way that can be changed without losing anything; it uses aliases or merged keys "
                "where {idea!r} goes. Write it there by hand: {patch}",
                path=self.path,
                idea=idea_arm.name,
                patch=written(idea_arm.patch).strip(),
            )
        )

    def _edited(self, arm: Arm) -> str:
        """Edit the text in place: nothing but the settings in question moves."""
        yaml = self._yaml
        for path, value in changes(yaml.values, arm.patch):
            yaml = YamlText(yaml.without(path) if value is NOT_THERE else yaml.with_value(path, value))
        return yaml.without(("ideas", arm.idea))

    def _rewritten(self, arm: Arm) -> str:
        """Edit the tree and write it out: for files with anchors, where what is written once holds in several places."""
        yaml = round_trip()
        tree = _without_merges(yaml.load(self.text))
        shared = _shared(tree)
        for path, value in changes(self._yaml.values, arm.patch):
            here = tree
            for key in path[:-1]:
                inner = here.get(key)
                if not isinstance(inner, CommentedMap):
                    inner = CommentedMap()
                    here[key] = inner
                elif id(inner) in shared:
                    inner = _unshared(inner)
                    here[key] = inner
                here = inner
            if value is NOT_THERE:
                del here[path[-1]]
            else:
                here[path[-1]] = value
        del tree["ideas"][arm.idea]
        out = io.StringIO()
        yaml.dump(tree, out)
        return out.getvalue()

    def _parse(self, text: str) -> tuple[YamlText, StudyConfig]:
        try:
            yaml = YamlText(text)
        except YamlError as error:
            raise ConfigError([f"{self.path}:{line}: {sentence}" for line, sentence in error.problems]) from error
        values = yaml.values
        if values is None:
            raise ConfigError(say("{path}: must declare a study; got an empty file. `tamesu init` writes one.", path=self.path))
        if not isinstance(values, dict):
            raise ConfigError(
                say("{path}:1: must be a mapping such as `fields: …`; got a list or a single value.", path=self.path)
            )
        config, mistakes = _read(as_settings(values))
        if config is not None and config.data.train is None and ("data", "train") not in {one.path for one in mistakes}:
            rule = say(
                "the table to train on: a csv or parquet file, a folder with one folder per class, or {{sql: …, url: …}}"
            )
            mistakes.append(must_be(("data", "train"), rule, None))
        raise_mistakes(sorted(mistakes, key=lambda one: yaml.line(one.path)), lambda path: _where(self.path, yaml, path))
        return yaml, _sound(config)


def changes(old: Mapping[str, Any], patch: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The single settings that a patch sets, with their values; `NOT_THERE` for what its new declaration has no more.

    So it is for the parameters of a learner that another takes the place of.
    """
    left = None if path else params_left(old, patch)
    if left is not None:
        yield left, NOT_THERE
        old = without_left(old, patch)
    for key, new in patch.items():
        before = old.get(key)
        if path == ("fields",) and (isinstance(before, str) or isinstance(new, str)):  # `age: number` holds no settings
            after = merged({key: before}, {key: new}, path)[key]
            if not plain_equal(with_kind(before), after):
                yield (*path, key), as_written(after)
        elif not (isinstance(new, Mapping) and isinstance(before, Mapping)):
            if key not in old or not plain_equal(before, new):
                yield (*path, key), as_written(new)
        elif is_another((*path, key), before, new):
            after = merged({key: before}, {key: new}, path)[key]
            yield from changes(before, after, (*path, key))
            yield from (((*path, key, gone), NOT_THERE) for gone in before if gone not in after)
        else:
            yield from changes(before, new, (*path, key))


def _where(file: FilePath, yaml: YamlText, path: Path) -> str:
    return f"{file}:{yaml.line(path)} {dotted(path)}" if path else str(file)


def _read(raw: Mapping[str, Any]) -> tuple[StudyConfig | None, list[Mistake]]:
    """The study, and the mistakes of its baseline and its ideas; the study is whole where there are none."""
    raw = _without_empty_sections(raw)
    if raw.get("lang") in LANGUAGES:
        use_language(raw["lang"])  # its mistakes are told in it too
    whole = examine(raw)
    ideas = raw.pop("ideas", {})
    base = Examined(whole.config, [one for one in whole.mistakes if one.path[:1] != ("ideas",)])
    plan = plan_ideas(raw, ideas if isinstance(ideas, Mapping) else {}, base, SIZE_TO_COME)
    return whole.config, whole.mistakes + plan.mistakes


def _without_empty_sections(raw: Mapping[str, Any]) -> dict[str, Any]:
    """`ideas:` with nothing below it, or with everything commented out, is no setting."""
    optional = {*sections(), "ideas", "fields"}
    return {key: one for key, one in raw.items() if not (key in optional and (one is None or one == {}))}


def _sound(config: StudyConfig | None) -> StudyConfig:
    if config is None:  # its mistakes would have been raised
        raise AssertionError("a study without mistakes has a config")
    return config


def _read_bytes(path: FilePath) -> bytes:
    try:
        if path.is_dir():
            raise ConfigError(say("{path}: must be a file such as study.yaml; got a folder.", path=path))
        if path.exists() and path.stat().st_size > MAX_BYTES:
            raise ConfigError(
                say(
                    "{path}: must be a study of at most {limit} MB; is this the table?", path=path, limit=MAX_BYTES // 1_000_000
                )
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(
            say("{path}: must be a study; there is no such file. `tamesu init` writes one.", path=path)
        ) from error
    except OSError as error:
        raise ConfigError(say("{path}: must be readable; got {problem}.", path=path, problem=error.strerror)) from error


def _decoded(content: bytes, path: FilePath) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        text = say(
            "{path}:{line}: must be UTF-8 text; got byte {byte}. Save the file as UTF-8.",
            path=path,
            line=line,
            byte=hex(content[error.start]),
        )
        raise ConfigError(text) from error


def _shared(tree: Any) -> set[int]:
    """Mappings that stand in several places, by anchors or merged keys."""
    counts: dict[int, int] = {}
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Mapping | list):
            counts[id(node)] = counts.get(id(node), 0) + 1
            if counts[id(node)] <= 2:  # what a shared mapping holds is shared too
                stack += [node[key] for key in node] if isinstance(node, Mapping) else list(node)
    return {one for one, n in counts.items() if n > 1}


def _without_merges(node: Any) -> Any:
    """The tree with what `<<` brings in written out, so that changing the source changes nothing else."""
    if isinstance(node, CommentedMap):
        for key in list(node):
            inner = node[key]
            if isinstance(inner, CommentedMap):
                node[key] = _without_merges(_unshared(inner) if inner.merge else inner)
    return node


def _unshared(shared: CommentedMap) -> CommentedMap:
    own = CommentedMap((key, shared[key]) for key in shared)
    if shared.fa.flow_style():
        own.fa.set_flow_style()
    return own
