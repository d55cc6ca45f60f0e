"""Spectra of the newest readings, and their history for a waterfall.

Source: Welch, The Use of Fast Fourier Transform for the Estimation of Power Spectra, IEEE AU-15, 1967.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
MIN_POINTS: Final = 32
BINS: Final = 128
"""Frequencies of a row of a waterfall, from 0 to half the sample rate."""
ROWS: Final = 60
ROW_S: Final = 0.5
"""Time between two rows of a waterfall, s."""
_SEGMENTS_OF_LOWEST: Final = 4
"""Length of the readings relative to that of a segment."""


def amplitude_density(points: Sequence[tuple[float, float]]) -> tuple[FloatArray, FloatArray] | None:
    """Return frequencies, Hz, and one-sided amplitude spectral density, unit/√Hz, of readings without their mean.

    Four lengths of a segment give seven overlapping Hann windows, whose powers are averaged.

    Args:
        points: time, s, and value of each reading, at a steady rate; jitter of the times is averaged.

    Returns:
        None if there are fewer than `MIN_POINTS` readings, or if they have no duration.
    """
    count = len(points)
    if count < MIN_POINTS or points[-1][0] <= points[0][0]:
        return None
    rate_hz = (count - 1) / (points[-1][0] - points[0][0])
    size = count // _SEGMENTS_OF_LOWEST
    values = np.array([value for _, value in points])
    windows = np.lib.stride_tricks.sliding_window_view(values - values.mean(), size)[:: size // 2]
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)
    powers = np.abs(np.fft.rfft(windows * hann, axis=1)) ** 2
    density = 2.0 * powers.mean(axis=0) / (rate_hz * np.sum(hann**2))
    return np.asarray(np.fft.rfftfreq(size, 1.0 / rate_hz)[1:], np.float64), np.sqrt(density[1:])


class Waterfall:
    """Rows of spectra, the newest first: the sum over several curves, such as the axes of a sensor.

    Attributes:
        rows: decimal logarithm of the density at `BINS` frequencies, for each row.
        half_rate_hz: highest frequency of the newest row.
    """

    def __init__(self) -> None:
        self.rows: deque[FloatArray] = deque(maxlen=ROWS)
        self.half_rate_hz = 0.0
        self._due_s = -np.inf

    def add(self, t_s: float, curves: Iterable[Sequence[tuple[float, float]]]) -> bool:
        """Add a row at time `t_s` if it is due and there are enough readings; return True if a row was added."""
        spectra = [found for curve in curves if (found := amplitude_density(curve)) is not None]
        if t_s < self._due_s or not spectra:
            return False
        self._due_s = t_s + ROW_S
        self.half_rate_hz = float(spectra[0][0][-1])
        places = self.half_rate_hz * np.arange(1, BINS + 1) / BINS
        power = sum(np.interp(places, frequencies, density**2) for frequencies, density in spectra)
        self.rows.appendleft(0.5 * np.log10(np.maximum(power, np.finfo(float).tiny)))
        return True

    def colours(self) -> list[list[str]]:
        """Return the colours of all rows: the lowest density is white, the highest is dark."""
        levels = np.array(self.rows)
        span = max(float(np.ptp(levels)), 1e-9)
        shares = np.rint(255.0 * (levels - levels.min()) / span).astype(int)
        return [[COLOURS[share] for share in row] for row in shares]


_STOPS: Final = np.array([[255, 255, 255], [120, 180, 230], [31, 97, 141], [20, 20, 60]], np.float64)
COLOURS: Final = [
    "#{:02x}{:02x}{:02x}".format(*(round(float(np.interp(share, np.linspace(0, 255, 4), stop))) for stop in _STOPS.T))
    for share in range(256)
]
"""Colours of a waterfall, from the lowest to the highest density."""
