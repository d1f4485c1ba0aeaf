"""The study's journal: what was kept, when, and on what evidence; Markdown for people, appended to and never rewritten."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamesu.errors import StoreError
from tamesu.judgement import Outcome
from tamesu.texts import say
from tamesu.yamltext import written

if TYPE_CHECKING:
    from tamesu.arms import Arm


def write_entry(path: Path, arm: Arm, verdict: Mapping[str, Any] | None, *, now: datetime.datetime | None = None) -> Path:
    """Append that an idea was kept; the journal is begun where there is none.

    Args:
        path: The journal.
        arm: What was kept.
        verdict: Its entry in the JSON of `try`; None if it was never tried.
        now: Time of the entry; the clock's where not given.

    Raises:
        StoreError: The journal cannot be written to; what stands in it is untouched.
    """
    text = render_entry(arm, verdict, now or datetime.datetime.now().astimezone())
    try:
        with path.open("ab") as file:  # one write in append mode: two processes cannot overwrite each other
            begun = file.tell() > 0
            head = "\n" if begun else "# " + say("Journal") + "\n\n"
            file.write((head + text).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(say("{path}: must be writable; got {problem}.", path=path, problem=error.strerror)) from error
    return path


def render_entry(arm: Arm, verdict: Mapping[str, Any] | None, now: datetime.datetime) -> str:
    """One entry: date and idea, the verdict in words and numbers, and the patch."""
    lines = [f"## {now:%Y-%m-%d %H:%M} — " + say("kept `{name}`", name=arm.name.replace("`", "'")), ""]
    lines += [f"- {line}" for line in _evidence(verdict)]
    fence = "```"
    while fence in (patch := written(arm.patch)):
        fence += "`"
    return "\n".join([*lines, "", fence + "yaml", patch.rstrip("\n"), fence, ""])


def _evidence(verdict: Mapping[str, Any] | None) -> list[str]:
    if verdict is None:
        return [say("Kept without a verdict: it had not been tried.")]
    lines = [_sentence(verdict)]
    if verdict.get("gain") is not None:
        line = say("Gain {gain}", gain=f"{verdict['gain']:+.4g}")
        if verdict.get("interval") is not None:
            low, high = verdict["interval"]
            line = say(
                "Gain {gain}, interval {low} to {high}", gain=f"{verdict['gain']:+.4g}", low=f"{low:+.4g}", high=f"{high:+.4g}"
            )
        if verdict.get("p_value") is not None:
            line += say(", p = {p}", p=f"{verdict['p_value']:.3g}")
        lines.append(line + say(" (in the judged loss; positive is better)"))
    trainings = verdict.get("n_trainings")
    if trainings is not None:
        lines.append(say("Trainings: {n}", n=trainings))
    return lines


def _sentence(verdict: Mapping[str, Any]) -> str:
    outcome = str(verdict.get("outcome", ""))
    known = {one.value: one for one in Outcome}
    return known[outcome].sentence() if outcome in known else outcome
