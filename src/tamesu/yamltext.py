"""YAML text with a memory of where everything stands: values, line numbers, and edits that leave the rest as it was."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tamesu.mistakes import Path
from tamesu.texts import say

MAX_VALUES = 100_000  # a study has hundreds; aliases of aliases can unfold to billions
PLAIN_TAGS = tuple(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge")
)
LAST_KEY = "ideas"  # new settings of the study go before it
MERGE = "tag:yaml.org,2002:merge"
UNLIMITED_WIDTH = 1_000_000


class YamlError(Exception):
    """The text is not YAML that can be read as plain values: `problems` has (line, sentence) for each, lines from 1."""

    def __init__(self, problems: list[tuple[int, str]]):
        self.problems = problems
        super().__init__("\n".join(f"{line}: {sentence}" for line, sentence in problems))


class YamlText:
    """One YAML document.

    Args:
        text: Lines ended by `\\n`.

    Raises:
        YamlError: It is not YAML, or has duplicate keys, tags, or cycles.
    """

    def __init__(self, text: str):
        self.text = text
        self.root = _compose(text)
        problems = list(_problems(self.root))
        if problems:
            raise YamlError(sorted(problems))
        self.values: Any = _plain(self.root, YAML(typ="safe", pure=True).constructor) if self.root is not None else None

    def line(self, path: Path) -> int:
        """The line (from 1) of the key or list item at `path`, or of the nearest thing above it that is there."""
        node, line = self.root, 1 if self.root is None else self.root.start_mark.line + 1
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            at, node = found
            line = at.start_mark.line + 1
        return line

    def with_value(self, path: Path, value: Any) -> str:
        """The text with `value` at `path`, in place of what is there or as a new entry. `path` is of keys only."""
        parents = [self.root]
        for key in path[:-1]:
            found = _child(parents[-1], key)
            if found is None or not isinstance(found[1], MappingNode):
                break
            parents.append(found[1])
        depth = len(parents) - 1
        for key in reversed(path[depth + 1 :]):
            value = {key: value}
        entry = _child(parents[-1], path[depth])
        if entry is None:
            return self._insert(parents[-1], path[depth], value)
        key_node, old = entry
        start = self._colon(key_node)
        gap = self.text[start : old.start_mark.index]
        gap = gap if gap.strip(" ") == "" and gap and self._end(old) else " "  # columns stay aligned
        return self.text[:start] + gap + flow(value) + self.text[max(start, self._end(old)) :]

    def without(self, path: Path) -> str:
        """The text without the entry at `path`; comments on lines of their own stay."""
        parent = self.root
        for key in path[:-1]:
            found = _child(parent, key)
            parent = found[1] if found else None
        entry = _child(parent, path[-1])
        if entry is None or not isinstance(parent, MappingNode):
            raise KeyError(path)
        start, end = entry[0].start_mark.index, max(self._colon(entry[0]), self._end(entry[1]))
        if parent.flow_style:
            after = self.text[end:]
            blank = len(after) - len(after.lstrip())
            if after.lstrip().startswith(","):
                rest = after.lstrip()[1:]
                end += blank + 1 + len(rest) - len(rest.lstrip(" "))
            else:
                before = self.text[:start].rstrip()
                start = len(before) - 1 if before.endswith(",") else start
            return self.text[:start] + self.text[end:]
        start = self.text.rfind("\n", 0, start) + 1
        return self.text[:start] + self.text[self._line_end(end) :]

    def _insert(self, parent: Any, key: str | int, value: Any) -> str:
        entry = f"{flow(key)}: {flow(value)}"
        if not isinstance(parent, MappingNode):
            raise TypeError("only a mapping takes a new entry")
        if parent.flow_style:
            if not parent.value:
                at = self.text.index("{", parent.start_mark.index) + 1
                return self.text[:at] + entry + self.text[at:]
            last_key, last = parent.value[-1]
            at = max(self._colon(last_key), self._end(last))
            return self.text[:at] + ", " + entry + self.text[at:]
        entries = [entry for entry in parent.value if parent is not self.root or _key(entry[0]) != LAST_KEY] or parent.value
        last_key, last = entries[-1]
        at = self._line_end(max(self._colon(last_key), self._end(last)))
        indent = " " * parent.value[0][0].start_mark.column
        before = self.text[:at] if self.text[:at].endswith("\n") else self.text[:at] + "\n"
        return before + indent + entry + "\n" + self.text[at:]

    def _colon(self, key: Node) -> int:
        """Just after the colon that follows a key."""
        at = key.end_mark.index
        blank = len(self.text[at:]) - len(self.text[at:].lstrip(" \t"))
        if not self.text.startswith(":", at + blank):
            raise ValueError("a key without its colon")
        return at + blank + 1

    def _end(self, node: Any) -> int:
        """Where what is written of a value ends: without the comments and blank lines behind it; 0 where nothing is written."""
        if isinstance(node, ScalarNode):
            written = self.text[node.start_mark.index : node.end_mark.index].rstrip()
            return node.start_mark.index + len(written) if written else 0
        if node.flow_style:
            return int(node.end_mark.index)
        return max([self._end(leaf) for leaf in _leaves(node)] + [self._colon(key) for key, _ in _entries(node)], default=0)

    def _line_end(self, at: int) -> int:
        newline = self.text.find("\n", at)
        return len(self.text) if newline < 0 else newline + 1


def round_trip() -> YAML:
    """A reader and writer that keeps comments, quotes, anchors and the order of keys."""
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = UNLIMITED_WIDTH
    return yaml


def written(values: Mapping[str, Any]) -> str:
    """Plain values as YAML text, nested mappings on lines of their own and lists on one."""
    lines: list[str] = []
    _write_block(values, "", lines)
    return "\n".join(lines) + "\n"


def _write_block(values: Mapping[str, Any], indent: str, lines: list[str]) -> None:
    for key, value in values.items():
        nested = isinstance(value, Mapping) and bool(value)
        lines.append(f"{indent}{flow(key)}:" + ("" if nested else f" {flow(value)}"))
        if nested:
            _write_block(value, indent + "  ", lines)


def flow(value: Any) -> str:
    """A value on one line, as inside `{}`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str) and not value.isprintable():
        return '"' + "".join(map(_escaped, value)) + '"'
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.allow_unicode, yaml.width = True, True, UNLIMITED_WIDTH
    out = io.StringIO()
    yaml.dump([value], out)  # inside a list, so that what needs quotes in `{}` gets them
    return out.getvalue().strip()[1:-1]


def _escaped(character: str) -> str:
    """A character inside double quotes; JSON's escapes differ from YAML's beyond 16 bits."""
    named = {"\n": "\\n", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
    return named.get(character) or (character if character.isprintable() else f"\\U{ord(character):08x}")


def _compose(text: str) -> Node | None:
    yaml = YAML(typ="rt")
    try:
        return yaml.compose(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise YamlError([(line, _syntax_sentence(str(error.problem or error.context or ""), text, line))]) from error
    except YAMLError as error:  # a control character: the reader has no mark, only a position
        line = text.count("\n", 0, getattr(error, "position", 0) or 0) + 1
        raise YamlError([(line, say("must be text; got a control character that YAML does not allow."))]) from error
    except RecursionError as error:
        raise YamlError([(1, say("must be a study; got brackets nested too deeply."))]) from error


def _syntax_sentence(problem: str, text: str, line: int) -> str:
    lines = text.split("\n")
    found = lines[line - 1] if line <= len(lines) else ""
    if "\t" in found[: len(found) - len(found.lstrip())] or "'\\t'" in problem:
        return say("must be indented with blanks; got a tab.")
    if "another document" in problem:
        return say("must be one YAML document; got a second one after `---`.")
    if "undefined alias" in problem:
        return say("must not use an alias (*name) before its anchor (&name); got {line!r}.", line=found.strip())
    if "mapping values are not allowed" in problem:
        return say(
            "must be `key: value`; got {line!r}. "
            "A text with a colon goes in quotes, and keys of one mapping start in one column.",
            line=found.strip(),
        )
    if "end of stream" in problem or "expected ',' or" in problem:
        return say("must be YAML; a bracket or quote opened here or above is not closed; got {line!r}.", line=found.strip())
    return say("must be YAML (`key: value`, nested by indentation); got {line!r}.", line=found.strip())


def _problems(root: Node | None) -> Iterator[tuple[int, str]]:
    """Duplicate keys, tags, keys that are no text, cycles, and more values than any study has."""
    n_values = 0
    stack: list[tuple[Node, tuple[int, ...]]] = [(root, ())] if root is not None else []
    seen: set[tuple[int, str]] = set()
    while stack:
        node, above = stack.pop()
        n_values += 1
        line = node.start_mark.line + 1
        if n_values > MAX_VALUES or id(node) in above:
            yield line, say("must be a study; got an anchor that contains itself, or over {n} values.", n=MAX_VALUES)
            return
        if str(node.tag) not in PLAIN_TAGS and (line, str(node.tag)) not in seen:
            seen.add((line, str(node.tag)))
            yield line, say("must be plain YAML; got the tag {tag}.", tag=str(node.tag).removeprefix("tag:yaml.org,2002:"))
        if isinstance(node, MappingNode):
            first: dict[str, int] = {}
            for key, value in node.value:
                at = key.start_mark.line + 1
                if not isinstance(key, ScalarNode):
                    yield at, say("must be a name; got a list or mapping as a key.")
                elif str(key.tag) != MERGE:
                    if key.value in first and (at, key.value) not in seen:
                        seen.add((at, key.value))
                        yield (
                            at,
                            say(
                                "must be given once; got {key!r} here and in line {line}.", key=key.value, line=first[key.value]
                            ),
                        )
                    first.setdefault(key.value, at)
                stack.append((value, (*above, id(node))))
        elif isinstance(node, SequenceNode):
            stack += [(item, (*above, id(node))) for item in node.value]


def _plain(node: Node, scalars: Any) -> Any:
    if isinstance(node, MappingNode):
        return {_key(key): _plain(value, scalars) for key, value in _entries(node)}
    if isinstance(node, SequenceNode):
        return [_plain(item, scalars) for item in node.value]
    return scalars.construct_object(node, deep=True)


def _key(node: Any) -> str:
    """A key as text: `1` and `"1"` are the same key here, as in `as_settings`."""
    return str(node.value)


def _entries(node: Any) -> list[tuple[Node, Node]]:
    """A mapping's own entries, then those that `<<` brings in and are not among them."""
    own = [(key, value) for key, value in node.value if str(key.tag) != MERGE]
    names = {_key(key) for key, _ in own}
    for key, value in node.value:
        if str(key.tag) == MERGE:
            for source in value.value if isinstance(value, SequenceNode) else [value]:
                for entry in _entries(source) if isinstance(source, MappingNode) else []:
                    if _key(entry[0]) not in names:
                        names.add(_key(entry[0]))
                        own.append(entry)
    return own


def _child(node: Any, part: str | int) -> tuple[Node, Node] | None:
    """The key's node and its value's; a list item twice."""
    if isinstance(node, MappingNode):
        return next((entry for entry in _entries(node) if _key(entry[0]) == part), None)
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _leaves(node: Any) -> Iterator[Any]:
    """What is written last on its own: scalars and flow collections."""
    if isinstance(node, ScalarNode) or node.flow_style:
        yield node
    elif isinstance(node, MappingNode):
        for _, value in node.value:
            yield from _leaves(value)
    else:
        for item in node.value:
            yield from _leaves(item)


def plain_equal(left: Any, right: Any) -> bool:
    """Whether two plain values are the same apart from lists being tuples."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(plain_equal(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(plain_equal, left, right))
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)
