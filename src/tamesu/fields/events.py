"""The kind that is things that happen at some moments of a series: events, and the rule they happen under."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field as Setting
from pydantic import PositiveFloat, PositiveInt

from tamesu.errors import DataError
from tamesu.fields.base import FieldBase, Name, SideTable, as_text, some_rows
from tamesu.texts import say


class EventsField(FieldBase):
    """When each of some events happens in the series `of`, in the unit of its times; without times, in steps from 0.

    `once` names those that happen at most once, in the whole series or in each `period`; `in_order` says which comes before
    which. What is predicted obeys both.
    """

    kind: Literal["events"] = "events"
    can_be_target: ClassVar[bool] = True
    of: str  # the series
    table: SideTable  # a row an event: one column, its time; and its name
    names: tuple[Name, ...] = Setting(min_length=1)  # of the events
    once: tuple[Name, ...] = ()
    in_order: tuple[Name, ...] = ()  # of those that happen once
    period: PositiveFloat | None = None  # of `once`, counted from time 0; None: the whole series
    width: PositiveFloat = 3.0  # how far around an event it is looked for in training, in steps: one standard deviation
    most: PositiveInt = 10  # events of one name in a series that a prediction has room for
    tolerances: tuple[PositiveFloat, ...] = (1.0, 3.0, 10.0)  # of the metric, in the unit of the times

    @property
    def side_table(self) -> SideTable | None:  # noqa: D102
        return self.table

    def read(self, column: pd.Series, ids: NDArray[Any], where: str) -> NDArray[np.float64]:
        """Times of each event, ascending, NaN where there are fewer.  (n, k, most)

        Raises:
            DataError: Events of another name, without a time, more than there is room for, or that break the rule.
        """
        out = np.full((len(column), len(self.names), self.most), np.nan)
        wrong: dict[int, str] = {}
        for i, cell in enumerate(column):
            times, names = cell.numbers[:, 0], np.array([as_text(one) for one in cell.names], dtype=object)
            found = self._broken(times, names)
            if found:
                wrong[i] = found
                continue
            for j, name in enumerate(self.names):
                own = np.sort(times[names == name])
                out[i, j, : len(own)] = own
        if wrong:
            mask = np.isin(np.arange(len(column)), list(wrong))
            raise DataError(
                say(
                    "{where}: {rows} must hold {rule}.", where=where, rows=some_rows(ids, mask), rule=next(iter(wrong.values()))
                )
            )
        return out

    def _broken(self, times: NDArray[np.float64], names: NDArray[np.object_]) -> str:
        """What the events of one row are not and must be; empty where all is well."""
        strangers = sorted(set(names) - set(self.names))
        if strangers:
            return say("events that `names` names; got {name!r}", name=strangers[0])
        if np.isnan(times).any():
            return say("a time for each event; got an empty cell")
        period = np.zeros(len(times)) if self.period is None else np.floor(times / self.period)
        for name in self.names:
            own = period[names == name]
            if name in self.once and len(np.unique(own)) < len(own):
                return say("{name!r} at most once, as `once` says; got it again", name=name)
            if len(own) > self.most:
                return say("{name!r} at most {n} times; got {found}. Raise `most`", name=name, n=self.most, found=len(own))
        for one in np.unique(period):
            here = [times[(names == name) & (period == one)] for name in self.in_order]
            there = np.concatenate(here) if here else np.empty(0)
            if (np.diff(there) <= 0).any():
                return say("events in the order {order}, as `in_order` says", order=", ".join(self.in_order))
        return ""
