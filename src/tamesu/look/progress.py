"""What a person sees while a look goes on: a bar with the time left, or a line now and then where that is no terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from tamesu.texts import say

LINE_EVERY_S = 10.0


@contextlib.contextmanager
def watched() -> Iterator[Callable[[str, int, int], None]]:
    """A function to call with (what is done, done, total); standard error shows it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        yield _lines(console.print)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                for other in tasks.values():
                    bar.update(other, visible=False)
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield show


def _lines(tell: Callable[..., None]) -> Callable[[str, int, int], None]:
    began: dict[str, float] = {}
    last = [time.monotonic()]

    def show(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        start = began.setdefault(what, now)
        if now - last[0] < LINE_EVERY_S:
            return
        last[0] = now
        left = (now - start) / done * (total - done) if done and total > done else None
        text = say("{what}: {done} of {total}", what=what, done=done, total=total)
        tell(text if left is None else say("{text}, about {n:.0f} s left", text=text, n=left), highlight=False)

    return show
