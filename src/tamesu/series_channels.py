"""What is computed from a series and given to a network beside its values: derivatives, and how strong each rhythm is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]
WINDOW = 16  # steps a spectrum is taken over
BANDS = ((1, 2), (2, 3), (3, 5), (5, 9))  # of its frequencies: octaves, in whole waves a window
FLOOR = 1e-4  # power added before the logarithm, when the channel's spread over all rows is 1
KNOWN = "known"


def series_channel_names(names: Sequence[str], wanted: Sequence[str], has_gaps: bool) -> tuple[str, ...]:
    """What `series_channels` gives, in its order; with gaps, `known` says at which steps there is a reading."""
    out: list[str] = []
    for kind in wanted:
        if kind == "spectrum":
            out += [f"{name} spectrum {i + 1}" for name in names for i in range(len(BANDS))]
        else:
            out += list(names) if kind == "values" else [f"{name} {kind}" for name in names]
    return (*out, KNOWN) if has_gaps else tuple(out)


def series_channels(values: Array, times: Array, wanted: Sequence[str], mean: Array, deviation: Array) -> Array:
    """The channels asked for, one after the other.

    Args:
        values: NaN where there is no reading.  (t, c)
        times: Ascending, in any unit.  (t,)
        wanted: Of values, derivative, second, spectrum.
        mean: Of the values in training, for spectra.  (c,)
        deviation: The same.  (c,)

    Returns:
        NaN where a channel cannot be known.  (t, c')
    """
    made = []
    for kind in wanted:
        if kind == "values":
            made.append(values)
        elif kind == "derivative":
            made.append(derivative(values, times))
        elif kind == "second":
            made.append(second_derivative(values, times))
        else:
            made.append(spectrum((values - mean) / np.where(deviation > 0, deviation, 1.0)))
    return np.concatenate(made, axis=1) if made else values


def derivative(values: Array, times: Array) -> Array:
    """Change per unit of time, exact for a parabola within the row; 0 for a single step, and between steps of one time.

    Central differences over steps that may be uneven, one-sided at the ends.  (t, c)
    """
    at, place = np.unique(times, return_inverse=True)
    if len(at) < 2:
        return np.zeros_like(values)
    once = values if len(at) == len(times) else _mean_at(values, place.ravel(), len(at))
    with np.errstate(over="ignore", invalid="ignore"):
        slope: Array = np.gradient(once, at, axis=0, edge_order=2 if len(at) > 2 else 1)
    return slope if len(at) == len(times) else slope[place.ravel()]


def second_derivative(values: Array, times: Array) -> Array:
    """Change of the change, exact for a parabola; ends as their neighbours; 0 for fewer than three steps.  (t, c)"""
    at, place = np.unique(times, return_inverse=True)
    if len(at) < 3:
        return np.zeros_like(values)
    once = values if len(at) == len(times) else _mean_at(values, place.ravel(), len(at))
    width = np.diff(at)[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        slope = np.diff(once, axis=0) / width
        inner = 2 * np.diff(slope, axis=0) / (width[1:] + width[:-1])
    curve = np.concatenate([inner[:1], inner, inner[-1:]])
    return curve if len(at) == len(times) else curve[place.ravel()]


def spectrum(values: Array) -> Array:
    """Log power of a short-time Fourier transform, centred on each step, in bands of an octave each.

    A Hann window over `WINDOW` steps, about its own mean; beyond the ends the series goes on as it ended. Steps are taken as
    even: with uneven ones, give the field a `step`.

    Args:
        values: In units of the channel's spread; a gap (NaN) counts as the mean.  (t, c)

    Returns:
        The bands of one channel after the other, slow to fast.  (t, c * bands)
    """
    if len(values) == 0:
        return np.zeros((0, values.shape[1] * len(BANDS)))
    filled = np.nan_to_num(values)
    padded = np.pad(filled, ((WINDOW // 2, WINDOW - WINDOW // 2 - 1), (0, 0)), mode="edge")
    windows = sliding_window_view(padded, WINDOW, axis=0)  # (t, c, window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)
    waves = np.fft.rfft((windows - windows.mean(axis=2, keepdims=True)) * hann, axis=2)
    power = np.square(np.abs(waves)) / np.square(hann.sum() / 2)
    bands = np.stack([power[:, :, low:high].sum(axis=2) for low, high in BANDS], axis=2)
    return np.log(bands + FLOOR).reshape(len(values), -1)


def _mean_at(values: Array, place: NDArray[np.int64], n: int) -> Array:
    """Mean of the readings of each time.  (m, c) to (n, c)"""
    total = np.zeros((n, values.shape[1]))
    np.add.at(total, place, values)
    return total / np.bincount(place, minlength=n)[:, None]
