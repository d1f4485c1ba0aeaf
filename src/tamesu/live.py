"""What a person sees while a run goes on: a live table on standard error, or one line an event where that is no terminal."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tamesu.report.words import outcome_word
from tamesu.texts import say

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from tamesu.engines.base import Finished
    from tamesu.tryout import IdeaState, Tryout

COLOURS = {"helps": "green", "hurts": "red", "no difference": "cyan", "undecided": "yellow"}


class Watcher:
    """Told of every event of a run; this one says nothing."""

    @staticmethod
    def for_terminal() -> Watcher:
        """A live table where standard error is a terminal or a notebook, lines elsewhere."""
        from rich.console import Console

        console = Console(stderr=True)
        return LiveTable(console) if console.is_terminal or console.is_jupyter else Lines(console)

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def reading(self, what: str, done: int, total: int) -> None:
        """Rows or pictures are being read."""

    def started(self, tryout: Tryout) -> None:
        """The rows are read; trainings begin."""

    def finished(self, tryout: Tryout, finished: Finished) -> None:
        """One training came back."""

    def ended(self, tryout: Tryout) -> None:
        """The run is over."""


Silent = Watcher


class Clock:
    """Time left, from the trainings that this run has finished so far."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def left_s(self, tryout: Tryout) -> float | None:
        """Seconds until the expected trainings are done; None before the first one is."""
        n_done = tryout.n_known - tryout.n_reused  # an ensemble as one, however many trainings it took
        if n_done <= 0:
            return None
        pace = (time.monotonic() - self.start) / n_done
        return pace * max(0, tryout.n_expected() - tryout.n_known)


def duration(seconds: float) -> str:
    """`1:02:03`, `4:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def state_text(state: IdeaState) -> str:
    """Where an idea stands, in a word or two."""
    if state.error:
        return say("failed")
    if state.settled and state.judgement is not None:
        return outcome_word(state.judgement.outcome.value)
    return say("training") if state.scores.folds else say("waiting")


class Lines(Watcher):
    """One line for each verdict, and one in a while for the trainings."""

    def __init__(self, console: Console):
        self.console, self.clock, self.told, self.last = console, Clock(), set[str](), 0.0

    def started(self, tryout: Tryout) -> None:
        """Start the clock once the rows are read."""
        self.clock = Clock()

    def finished(self, tryout: Tryout, finished: Finished) -> None:
        """Say which ideas are settled now."""
        for state in tryout.ideas:
            name = state.scores.arm.name
            if state.settled and name not in self.told:
                self.told.add(name)
                self.console.print(f"{name}: {state_text(state)}{gain_text(tryout, state)}", highlight=False)
        if time.monotonic() - self.last > 10:
            self.last = time.monotonic()
            self.console.print(progress_text(tryout, self.clock), highlight=False)

    def ended(self, tryout: Tryout) -> None:
        """The last line."""
        self.console.print(progress_text(tryout, self.clock), highlight=False)


def gain_text(tryout: Tryout, state: IdeaState) -> str:
    """` +0.021 (+0.012 … +0.030)`: the gain in the judged loss so far."""
    judged = state.judgement
    return "" if judged is None else f"  {judged.gain:+.4g} ({judged.low:+.4g} … {judged.high:+.4g})"


def progress_text(tryout: Tryout, clock: Clock) -> str:
    """Trainings spent, saved and reused, and the time left."""
    left = clock.left_s(tryout)
    text = say(
        "{known} of about {expected} trainings, {reused} reused, {saved} saved",
        known=tryout.n_known,
        expected=max(tryout.n_expected(), tryout.n_known),
        reused=tryout.n_reused,
        saved=sum(tryout.n_saved(state) for state in tryout.ideas),
    )
    return text if left is None or left < 1 else text + say("; about {time} left", time=duration(left))


class LiveTable(Watcher):
    """A table that is redrawn as results come in, with a bar and the time left."""

    def __init__(self, console: Console):
        from rich.live import Live

        self.console, self.clock = console, Clock()
        self.live = Live(console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> Watcher:
        self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.live.stop()

    def reading(self, what: str, done: int, total: int) -> None:
        """A bar for the pictures that are read."""
        self.live.update(self._bar(what, done, total))

    def started(self, tryout: Tryout) -> None:
        """Show the empty table."""
        self.clock = Clock()
        self.live.update(self._table(tryout))

    def finished(self, tryout: Tryout, finished: Finished) -> None:
        """Redraw."""
        self.live.update(self._table(tryout))

    def ended(self, tryout: Tryout) -> None:
        """Leave the last state on the screen."""
        self.live.update(self._table(tryout))

    def _bar(self, what: str, done: int, total: int) -> RenderableType:
        from rich.columns import Columns
        from rich.progress_bar import ProgressBar

        return Columns([what, ProgressBar(total=max(total, 1), completed=done, width=40), f"{done:,}/{total:,}"])

    def _table(self, tryout: Tryout) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(title=tryout.plan.config.name, title_justify="left", expand=False)
        for heading, style in ((say("arm"), "bold"), (say("verdict"), ""), (say("gain"), ""), (say("trainings"), "dim")):
            table.add_column(heading, style=style or None)
        table.add_row(
            tryout.plan.baseline.name, "", baseline_text(tryout), str(len(tryout.baseline.folds) + len(tryout.reseeded.folds))
        )
        for state in tryout.ideas:
            word = state_text(state)
            colour = COLOURS.get(state.judgement.outcome.value, "") if state.settled and state.judgement else "dim"
            table.add_row(
                state.scores.arm.name,
                Text(word, style=colour),
                gain_text(tryout, state).strip(),
                str(len(state.scores.folds) or ""),
            )
        bar: Any = self._bar("", tryout.n_known, max(tryout.n_expected(), tryout.n_known))
        return Group(table, bar, progress_text(tryout, self.clock))


def baseline_text(tryout: Tryout) -> str:
    """`accuracy 0.8421` over the folds so far."""
    folds = tryout.baseline.folds.values()
    if not folds:
        return ""
    mean = sum(f.score * f.n_test for f in folds) / sum(f.n_test for f in folds)
    return f"{tryout.plan.metric.name} {mean:.4g}"
