"""The findings in the terminal: strongest first, a line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tamesu.texts import say

if TYPE_CHECKING:
    from rich.console import RenderableType

SHOWN = 25
MARKED = ((0.7, "red"), (0.4, "yellow"), (0.0, "dim"))


def findings_table(document: Mapping[str, Any]) -> RenderableType:
    """What was found, for a terminal."""
    from rich.table import Table
    from rich.text import Text

    from tamesu.look.words import kind_word

    findings = document["findings"]
    if not findings:
        return Text(say("Nothing stands out in {n} rows.", n=sum(document["n_rows"].values())))
    table = Table(title=document["name"], title_justify="left", expand=False, show_lines=False)
    table.add_column(say("what"), no_wrap=True)
    table.add_column(say("finding"))
    for one in findings[:SHOWN]:
        colour = next(colour for least, colour in MARKED if one["strength"] >= least)
        table.add_row(Text(kind_word(one["kind"]), style=colour), Text(one["sentence"]))
    if len(findings) > SHOWN:
        table.add_row("", Text(say("and {n} more on the page", n=len(findings) - SHOWN), style="dim"))
    return table
