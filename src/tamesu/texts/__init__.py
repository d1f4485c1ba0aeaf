"""Everything a person reads, in their language.

The English text stands where it is used, `say("{n} rows are missing", n=3)`, and is the key of its translation in
`texts/<lang>/*.toml`. A test walks the source and finds every text that has no translation or other placeholders.
"""

from __future__ import annotations

import functools
import locale
import os
import tomllib
from contextvars import ContextVar
from importlib import resources

LANGUAGES = ("en", "ja")
_language: ContextVar[str] = ContextVar("language", default="en")


def say(text: str, /, **values: object) -> str:
    """`text` in the reader's language with `values` put in; English where no translation exists."""
    return _catalogue(_language.get()).get(text, text).format(**values)


def use_language(lang: str) -> str:
    """Speak `lang` (en, ja, or auto: what the locale asks for) from here on; returns the language chosen."""
    chosen = _from_locale() if lang == "auto" else lang
    _language.set(chosen)
    return chosen


def language() -> str:
    """The language spoken now."""
    return _language.get()


@functools.cache
def _catalogue(lang: str) -> dict[str, str]:
    if lang == "en":
        return {}
    folder = resources.files(__package__) / lang
    pairs: dict[str, str] = {}
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            pairs |= {entry["en"]: entry["ja"] for entry in tomllib.loads(file.read_text(encoding="utf-8"))["text"]}
    return pairs


def _from_locale() -> str:
    named = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or (locale.getlocale()[0] or "")
    return "ja" if named.lower().startswith("ja") else "en"
