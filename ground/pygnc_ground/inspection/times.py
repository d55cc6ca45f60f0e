"""Time span, clocks and cadence of the packets in a file, in constant memory."""

from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.clock import utc_iso_from_gps_ms, week_from_gps_ms
from pygnc_ground.inspection.sections import Listing, Note, Section, Value

CLOCK_NEVER_SET_BEFORE_S: Final = 978_307_200
"""2001-01-01: a spacecraft clock that was never set starts at 2000-01-01 at every boot."""
_STEP_BINS: Final = 3600


class Span:
    """Minimum and maximum of all finite numbers added."""

    def __init__(self) -> None:
        self.least: Any = None
        self.most: Any = None

    def add(self, values: NDArray[Any]) -> None:
        """Add values of any shape."""
        finite = values[np.isfinite(values)]
        if finite.size:
            least, most = finite.min().item(), finite.max().item()
            self.least = least if self.least is None else min(self.least, least)
            self.most = most if self.most is None else max(self.most, most)


def time_sections(spacecraft_s: Span, gps_ms: Span) -> list[Section]:
    """Return the first and last time of each known clock."""
    rows: list[tuple[Value, ...]] = []
    notes: list[Section] = []
    least, most = spacecraft_s.least, spacecraft_s.most
    if least is not None and most is not None:
        rows.append(("SC time [s]", least, most, most - least))
        rows.append(("SC as UTC", format_unix_time(least), format_unix_time(most), most - least))
        if least < CLOCK_NEVER_SET_BEFORE_S:
            notes.append(Note("the spacecraft clock was not set: it counts from 2000-01-01 at boot"))
    least, most = gps_ms.least, gps_ms.most
    if least is not None and most is not None:
        span_s = (most - least) * 1e-3
        rows.append(("GPS week, s", format_gps_time(least), format_gps_time(most), span_s))
        rows.append(("GPS as UTC", utc_iso_from_gps_ms(least), utc_iso_from_gps_ms(most), span_s))
    else:
        notes.append(Note("no GPS packet has a known time"))
    return [Listing("time", ("clock", "earliest", "latest", "span_s"), rows), *notes]


class Cadence:
    """Statistics of the steps between successive times."""

    def __init__(self, packets: str) -> None:
        self._packets = packets
        self._bins = np.zeros(_STEP_BINS, np.int64)
        self._steps_ms = Span()
        self._count = 0
        self._last_ms = np.empty(0, np.int64)

    def add(self, times_ms: NDArray[np.int64]) -> None:
        """Add times in file order."""
        steps_ms = np.diff(np.concatenate([self._last_ms, times_ms]))
        self._last_ms = times_ms[-1:] if len(times_ms) else self._last_ms
        self._steps_ms.add(steps_ms)
        self._count += len(steps_ms)
        rounded_s = (steps_ms + 500) // 1000
        inside = rounded_s[(rounded_s >= 0) & (rounded_s < _STEP_BINS)]
        self._bins += np.bincount(inside, minlength=_STEP_BINS)

    def rows(self) -> list[tuple[Value, ...]]:
        """Return the row for `cadence_listing`; no row for fewer than two times."""
        least, most = self._steps_ms.least, self._steps_ms.most
        if least is None or most is None:
            return []
        usual_s = int(self._bins.argmax())
        share_percent = round(100.0 * float(self._bins[usual_s]) / self._count, 1)
        return [(self._packets, usual_s, share_percent, least * 1e-3, most * 1e-3)]


def cadence_listing(*cadences: Cadence) -> list[Section]:
    """Return a listing of the cadences, or nothing if all are empty."""
    rows = [row for cadence in cadences for row in cadence.rows()]
    return [Listing("cadence", ("packets", "usual_s", "share_percent", "least_s", "most_s"), rows)] if rows else []


def format_gps_time(gps_ms: int) -> str:
    """Return GPS week and seconds of the week, separated by a space, for ms since the GPS epoch."""
    week, tow_ms = week_from_gps_ms(gps_ms)
    return f"{week} {tow_ms / 1000:.3f}"


def format_unix_time(unix_s: float) -> str:
    """Return Unix seconds as date and time in UTC, to the second."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
