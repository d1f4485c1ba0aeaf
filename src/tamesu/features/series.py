"""What is measured in one series without a network: level, course and change of each channel, and how fast it swings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tamesu.features.pictures import QUANTILES
from tamesu.series_channels import derivative

Array = NDArray[np.float64]
OF_SERIES = ("length", "duration")
OF_CHANNEL = (
    *("known_fraction", "mean", "spread", *(f"quantile{q}" for q in QUANTILES)),
    *("first", "last", "slope", "change_mean", "change_spread", "change_most"),
)
BAND_ENDS = (0.0, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)  # waves a step: octaves up to the fastest that steps can show
N_BANDS = len(BAND_ENDS) - 1
OF_SPECTRUM = ("energy", "pitch", *(f"band{i + 1}_fraction" for i in range(N_BANDS)))


def statistics_names(channels: Sequence[str]) -> tuple[str, ...]:
    """What `statistics` gives."""
    return (*OF_SERIES, *(f"{name}_{one}" for name in channels for one in OF_CHANNEL))


def statistics(values: Array, times: Array) -> Array:
    """Steps and time from first to last; of each channel level, spread, ends, slope, and how fast it changes.

    Slopes and changes are by unit of time. NaN where a channel has no readings.

    Args:
        values: NaN where there is no reading.  (t, c)
        times: Ascending, in any unit.  (t,)
    """
    length = float(len(values))
    duration = float(times[-1] - times[0]) if len(times) else np.nan
    change = derivative(values, times) if len(values) else values
    columns = [_channel(values[:, c], change[:, c], times) for c in range(values.shape[1])]
    return np.concatenate([[length, duration], *columns])


def spectrum_names(channels: Sequence[str]) -> tuple[str, ...]:
    """What `spectrum_energies` gives."""
    return tuple(f"{name}_{one}" for name in channels for one in OF_SPECTRUM)


def spectrum_energies(values: Array, times: Array) -> Array:
    """Log of the mean energy of each channel about its mean, its mean frequency, and what share of it each octave has.

    Steps are taken as even: with uneven ones, give the field a `step`. Frequencies are in waves a step. NaN where a channel
    has no two readings, 0 shares where it does not change.

    Args:
        values: NaN, no reading, counts as the mean.  (t, c)
        times: Of the steps.  (t,)

    Source:
        The periodogram of the whole series under a Hann window (Welch 1967, with one segment).
    """
    return np.concatenate([np.zeros(0), *(_spectrum(values[:, c]) for c in range(values.shape[1]))])


def _channel(values: Array, change: Array, times: Array) -> Array:
    known = np.isfinite(values)
    there, at = values[known], times[known]
    if not len(there):
        return np.concatenate([[0.0], np.full(len(OF_CHANNEL) - 1, np.nan)])
    speed = change[np.isfinite(change)]
    speed = speed if len(speed) else np.zeros(1)
    off = at - at.mean()
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near 1e308
        slope = float((off * (there - there.mean())).sum() / np.square(off).sum()) if np.ptp(at) > 0 else 0.0
        own = [known.mean(), there.mean(), there.std(), *np.percentile(there, QUANTILES), there[0], there[-1], slope]
        return np.array([*own, speed.mean(), speed.std(), np.abs(speed).max()])


def _spectrum(values: Array) -> Array:
    known = np.isfinite(values)
    if known.sum() < 2:
        return np.full(len(OF_SPECTRUM), np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.where(known, values - values[known].mean(), 0.0)
        n = len(off)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(n) + 0.5) / n)
        power = np.square(np.abs(np.fft.rfft(off * hann)))[1:]
        waves = np.fft.rfftfreq(n)[1:]
        total = float(power.sum())
        energy = float(np.log(np.square(off).mean() + np.finfo(np.float64).tiny))
    if not 0 < total < np.inf:
        return np.array([energy, 0.0, *np.zeros(N_BANDS)])
    band = np.clip(np.searchsorted(BAND_ENDS, waves, side="left") - 1, 0, N_BANDS - 1)
    shares = np.bincount(band, weights=power / total, minlength=N_BANDS)
    return np.array([energy, float((waves * power).sum()) / total, *shares])
