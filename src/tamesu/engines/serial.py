"""Trials one after the other in this process: for debugging, where a breakpoint in a learner should be reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from tamesu.engines.base import Finished, NextTrial, OnTrialEpoch, describe_error
from tamesu.engines.machine import count_cores, threads_per_trial
from tamesu.errors import StoreError
from tamesu.trial import run_trial

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.store import Store


class SerialEngine:
    """Runs trials in this process."""

    n_workers = 1

    def __init__(
        self,
        dataset: Dataset,
        store: Store | None = None,
        *,
        device: str = "cpu",
        threads: int | None = None,
        on_epoch: OnTrialEpoch | None = None,
    ):
        self.dataset = dataset
        self.store = store
        self.device = device
        self.threads = threads or threads_per_trial(count_cores())
        self.on_epoch = on_epoch

    def run(self, next_trial: NextTrial) -> Iterator[Finished]:
        """Trials as they finish, in the order they were given.

        Raises:
            StoreError: A result cannot be kept; training on would lose every further one.
        """
        while (trial := next_trial()) is not None:
            report = None
            if self.on_epoch is not None:
                report = lambda epoch, loss, trial=trial: self.on_epoch(trial, epoch, loss)  # noqa: E731
            try:
                with threadpool_limits(self.threads):
                    result, fitted = run_trial(self.dataset, trial, self.device, self.threads, report)
                if self.store is not None:
                    self.store.write(result, fitted if trial.keep_model else None)
            except StoreError:
                raise
            except Exception as error:
                yield Finished(trial, None, *describe_error(error))
            else:
                yield Finished(trial, result)

    def close(self) -> None:
        """Nothing to end."""

    def __enter__(self) -> SerialEngine:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
