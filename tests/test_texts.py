"""Every sentence a person reads has its Japanese, with the same values put in; and no translation is left over."""

from __future__ import annotations

import ast
import re
import string
import tomllib
from collections import Counter
from pathlib import Path

import pytest

import tamesu
from tamesu.texts import LANGUAGES, language, say, use_language

PACKAGE = Path(tamesu.__file__).parent
CATALOGUES = sorted((PACKAGE / "texts" / "ja").glob("*.toml"))
TEMPLATES = sorted(file for file in PACKAGE.rglob("*") if file.suffix in (".html", ".j2", ".jinja", ".svg"))
IN_TEMPLATE = re.compile(r"""\b(?:say|_)\(\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")


def sources() -> list[tuple[str, str]]:
    """(where, text) of every `say("…")` in the package, in Python and in templates."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say" and node.args:
                where = f"{file.relative_to(PACKAGE)}:{node.lineno}"
                argument = node.args[0]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    found.append((where, argument.value))
                else:
                    found.append((where, ast.unparse(argument)) if isinstance(argument, ast.JoinedStr) else (where, ""))
    for file in TEMPLATES:
        text = file.read_text(encoding="utf-8")
        for match in IN_TEMPLATE.finditer(text):
            where = f"{file.relative_to(PACKAGE)}:{text.count(chr(10), 0, match.start()) + 1}"
            found.append((where, ast.literal_eval(match[1])))
    return found


def placeholders(text: str) -> Counter[str]:
    return Counter(str(name) for _, name, _, _ in string.Formatter().parse(text) if name is not None)


@pytest.fixture(scope="module")
def said() -> list[tuple[str, str]]:
    return sources()


@pytest.fixture(scope="module")
def japanese() -> dict[str, str]:
    pairs: dict[str, str] = {}
    for file in CATALOGUES:
        for entry in tomllib.loads(file.read_text(encoding="utf-8"))["text"]:
            assert set(entry) == {"en", "ja"}, f"{file.name}: {entry}"
            assert pairs.setdefault(entry["en"], entry["ja"]) == entry["ja"], f"{file.name}: {entry['en']!r} twice"
    return pairs


def test_every_text_is_a_literal(said):
    wrong = [where for where, text in said if not text or text.startswith(("f'", 'f"'))]
    assert not wrong, f"say() takes the text itself, not an f-string or a variable: {wrong}"


def test_every_text_has_its_japanese(said, japanese):
    missing = [f"{where}: {text}" for where, text in said if text and text not in japanese]
    assert not missing, "\n".join(missing)


def test_no_translation_is_left_over(said, japanese):
    orphans = sorted(set(japanese) - {text for _, text in said})
    assert not orphans, "\n".join(orphans)


def test_translations_put_in_the_same_values(japanese):
    wrong = [en for en, ja in japanese.items() if set(placeholders(en)) != set(placeholders(ja))]
    assert not wrong, "\n".join(wrong)


def test_translations_are_japanese(japanese):
    """A text that was copied over untranslated; names and numbers alone need no translation."""
    kana = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff、。]")
    wrong = [
        en for en, ja in japanese.items() if not kana.search(ja) and re.search(r"[a-z]{3} [a-z]{3}", re.sub(r"{[^}]*}", "", en))
    ]
    assert not wrong, "\n".join(wrong)


def test_the_language_chosen_is_spoken(monkeypatch):
    before = language()
    try:
        assert use_language("ja") == "ja"
        assert say("a whole number of at least {low}", low=1) == "1 以上の整数"
        monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
        assert use_language("auto") == "ja"
        monkeypatch.setenv("LC_ALL", "C")
        assert use_language("auto") == "en"
        assert set(LANGUAGES) == {"en", "ja"}
    finally:
        use_language(before)
