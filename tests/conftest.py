"""What holds for all tests."""

from __future__ import annotations

import signal

import pytest

from tamesu.texts import use_language

# A shell that starts a command in the background has it ignore Ctrl-C, and so do all it starts: tests press Ctrl-C.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _english() -> None:
    """A study with `lang: ja` is spoken of in Japanese from there on: each test begins in English again."""
    use_language("en")
