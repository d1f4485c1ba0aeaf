"""The exceptions tamesu raises, and the words they share.

    TamesuError
    ├── ConfigError    the study asks for something that cannot be (study.yaml, arguments); exit code 2
    ├── DataError      the table or a file is not what the study says it is; exit code 2
    ├── StoreError     results cannot be written or read; nothing finished is lost; exit code 1
    ├── FitError       a training failed; exit code 1
    └── VerdictError   a comparison cannot be judged from what was given; exit code 1

A message reads `{where}: {name} must be {rule}; got {value!r}. {closest match, or what to do}`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from tamesu.texts import say


class TamesuError(Exception):
    """Any error that tamesu explains; `exit_code` is what the command line returns for it."""

    exit_code = 1


class _ManyMistakes(TamesuError):
    """An error that carries every mistake found in one pass, one sentence each."""

    exit_code = 2

    def __init__(self, mistakes: str | Sequence[str]):
        self.mistakes: list[str] = [mistakes] if isinstance(mistakes, str) else list(mistakes)
        super().__init__("\n".join(self.mistakes))

    def __reduce__(self) -> tuple:
        return type(self), (self.mistakes,)


class ConfigError(_ManyMistakes):
    """The study asks for something that cannot be."""


class DataError(_ManyMistakes):
    """The table or a file is not what the study says it is."""


class StoreError(TamesuError):
    """Results cannot be written or read."""


class FitError(TamesuError):
    """A training failed."""


class VerdictError(TamesuError):
    """A comparison cannot be judged from what was given."""


def suggest(name: object, known: Iterable[object]) -> str:
    """What to write instead of `name`: the closest known name, or the list of them; starts with a blank, may be empty."""
    options = sorted({str(option) for option in known})
    close = difflib.get_close_matches(str(name), options, n=1, cutoff=0.6)
    if close:
        return say(" Did you mean {name!r}?", name=close[0])
    if not options:
        return ""
    if len(options) > 12:
        return say(" Known: {names}, … ({n} in all).", names=", ".join(options[:12]), n=len(options))
    return say(" Known: {names}.", names=", ".join(options))
