"""The verdict table for the terminal, in the same words as the report."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tamesu.report import words
from tamesu.report.summary import summarise
from tamesu.report.words import Amounts, half_width
from tamesu.texts import say

if TYPE_CHECKING:
    from tamesu.results import StudyResult

PLAIN_WIDTH = 100
SIGNS = {"helps": "▲", "hurts": "▼", "same": "=", "undecided": "?", "waiting": "…", "failed": "!"}
STYLES = {
    "helps": "bold green",
    "hurts": "bold red",
    "same": "bold",
    "undecided": "yellow",
    "waiting": "dim",
    "failed": "bold magenta",
}


def verdict_table(summary: Mapping[str, Any]) -> Table:
    """One line an idea, in the study's order; for `fit`, the baseline alone."""
    base, metric = summary["baseline"], summary["metric"]
    amounts = Amounts(metric, half_width(base["interval"]))
    low, high = base["interval"]
    title = f"{words.metric_name(metric)} {amounts.score(base['score'])} ({amounts.bare(low)}–{amounts.score(high)})"
    if "ideas" not in summary:
        return _fold_table(summary, title, amounts)
    table = Table(title=say("baseline: {score}", score=title), title_justify="left", title_style="")
    table.add_column(say("idea"), overflow="fold")
    table.add_column(say("verdict"), no_wrap=True)
    table.add_column(say("gain in {metric}", metric=words.metric_name(summary["judged_metric"])))
    table.add_column(say("trainings"), justify="right")
    table.add_column(say("next"))
    for idea in summary["ideas"]:
        state = words.state_of(idea)
        word = Text(f"{SIGNS[state]} {words.state_word(state)}", style=STYLES[state])
        if state == "helps":
            word.append("\n  " + (say("confirmed") if idea["confirmed"] else say("suggestive")), style="dim")
        name = Text(idea["arm"])
        if made_of := words.made_of(idea):
            name.append(f"\n  {made_of}", style="dim")
        table.add_row(name, word, _gain(idea, summary), words.count(idea["n_trainings"]), Text(words.advice(idea)))
    return table


def plain_table(result: StudyResult) -> str:
    """The same as text, for a notebook."""
    return as_text(verdict_table(summarise(result)))


def as_text(table: Table) -> str:
    """A table as text, for a notebook."""
    console = Console(file=io.StringIO(), width=PLAIN_WIDTH)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip()


def _gain(idea: Mapping[str, Any], summary: Mapping[str, Any]) -> Text:
    width = half_width(idea["interval"])
    if width is None:
        return Text(idea["note"] or "—", style="dim")
    amounts = Amounts(summary["judged_metric"], width)
    text = Text(amounts.gain(idea["gain"]))
    text.append(f"  {amounts.between(idea['interval'])}", style="dim")
    return text


def _fold_table(summary: Mapping[str, Any], title: str, amounts: Amounts) -> Table:
    table = Table(title=title, title_justify="left", title_style="")
    table.add_column(say("repeat"), justify="right")
    n_folds = 1 + max((one["fold"] for one in summary["baseline"]["folds"]), default=-1)
    for fold in range(n_folds):
        table.add_column(say("fold {n}", n=fold + 1), justify="right")
    scores = {(one["repeat"], one["fold"]): one["score"] for one in summary["baseline"]["folds"]}
    for repeat in sorted({key[0] for key in scores}):
        cells = [amounts.score(scores.get((repeat, fold))) for fold in range(n_folds)]
        table.add_row(str(repeat + 1), *cells)
    return table
