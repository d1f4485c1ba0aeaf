"""What the models use, as a table for the terminal, in the same words as the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from tamesu.report import words
from tamesu.report.importance_view import amount_of, arm_text, effect_word, score_text
from tamesu.texts import say

STYLES = {"worse": "bold", "none": "dim", "constant": "dim"}


def importance_table(document: Mapping[str, Any]) -> Table:
    """One line an input, what matters most first.

    Args:
        document: From `Importance.as_dict`, or read back from its JSON.
    """
    title = Text(f"{arm_text(document)}: {score_text(document)}")
    table = Table(title=title, title_justify="left", title_style="")
    table.add_column(say("input"), overflow="fold")
    table.add_column(say("{metric} worse by", metric=words.metric_name(document["judged_metric"])))
    table.add_column("")
    for one in document["fields"]:
        amount, interval, other = amount_of(one, document)
        name = Text(one["name"], style=STYLES[one["effect"]])
        if one["kind"] == "group":
            name.append(f"\n  {', '.join(one['fields'])}", style="dim")
        found = Text(amount)
        found.append(f"  {interval}", style="dim")
        if other:
            found.append(f"\n{other}", style="dim")
        table.add_row(name, found, Text(effect_word(one["effect"]), style=STYLES[one["effect"]]))
    return table
