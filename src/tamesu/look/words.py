"""The kinds of finding, in words."""

from __future__ import annotations

from tamesu.texts import say


def kind_word(kind: str) -> str:
    """A kind of finding as a heading."""
    return {
        "shift": say("Shift"),
        "leak": say("Leak"),
        "merge": say("Labels that may be one"),
        "split": say("A label of two kinds"),
        "missing": say("Missing"),
        "sentinel": say("A number that means missing"),
        "unknown": say("Unknown"),
        "duplicate": say("Duplicates"),
        "group": say("Rows that belong together"),
        "size": say("Sizes"),
        "file": say("Files"),
        "label_error": say("Labels that may be wrong"),
    }[kind]
