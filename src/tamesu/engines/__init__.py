"""Where trials run: in this process, in local processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tamesu.dataset import Dataset
    from tamesu.engines.base import Engine
    from tamesu.store import Store


def make_engine(dataset: Dataset, store: Store, n_workers: int | None = None, device: str = "auto") -> Engine:
    """Processes on this machine, on such a device; with `n_workers=0` this process itself, for debugging."""
    if n_workers == 0:
        from tamesu.engines.serial import SerialEngine

        return SerialEngine(dataset, store)
    from tamesu.engines.local import LocalEngine
    from tamesu.engines.machine import devices_for

    return LocalEngine(dataset, store, n_workers=n_workers, devices=devices_for(device))
