"""The contract of an engine: it starts trials as long as it is given some, and hands back each as it finishes."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tamesu.errors import TamesuError

if TYPE_CHECKING:
    from tamesu.trial import Trial, TrialResult

NextTrial = Callable[[], "Trial | None"]
OnTrialEpoch = Callable[["Trial", int, float], None]  # trial, epoch, loss


@dataclass(frozen=True, eq=False)
class Finished:
    """A trial that came to an end: with its result, or with what went wrong."""

    trial: Trial
    result: TrialResult | None
    error: str | None = None  # for people: message and notes
    traceback: str = ""  # for `--debug`


class Engine(Protocol):
    """Runs trials somewhere; used in a `with`, which ends everything it started."""

    n_workers: int

    def run(self, next_trial: NextTrial) -> Iterator[Finished]:
        """Trials as they finish.

        `next_trial` is called whenever a worker is free. None means that nothing can be started now; it is asked again
        after the next trial has finished. The run is over when None came and nothing is running.
        """

    def close(self) -> None:
        """End all workers; what is finished is in the store."""

    def __enter__(self) -> Engine:
        """The engine itself."""

    def __exit__(self, *error: object) -> None:
        """Close."""


def describe_error(error: BaseException) -> tuple[str, str]:
    """Message with notes, and the traceback; tamesu's own errors speak for themselves, others name their type."""
    message = str(error)
    if not isinstance(error, TamesuError):
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    notes = getattr(error, "__notes__", [])
    return "\n".join([message, *notes]), "".join(traceback.format_exception(error))
