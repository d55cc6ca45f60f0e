"""Readings as lines of a CSV file: the time since the first one, and values with the digits that they have."""

from typing import Final

from pygnc_devices.declaration import Field, Value
from pygnc_devices.reading import Reading

TIME: Final = "time"
"""Name of the first column."""
_LEAST_DECIMALS: Final = 5


class CsvRows:
    """The lines of one file.

    Args:
        first: its first reading; all are of the same packet.
    """

    def __init__(self, first: Reading) -> None:
        self._first = first
        self._digits = [_format(entry) for entry in first.packet.fields]
        self._clock_from: Reading | None = None
        """First reading with a device time; times before it are those of arrival."""

    def row(self, reading: Reading) -> str:
        """Return a reading as a line."""
        cells = [f"{self._elapsed_s(reading):.5f}"]
        for form, value in zip(self._digits, reading.packet.row(reading.values), strict=True):
            cells.append(_cell(form, value))
        return ",".join(cells) + "\n"

    def _elapsed_s(self, reading: Reading) -> float:
        """Return the time since the first reading: of arrival until the device's clock is known, then by that."""
        if self._clock_from is None:
            if reading.t_device_ns is not None:
                self._clock_from = reading
            return (reading.t_mono_ns - self._first.t_mono_ns) / 1e9
        start, now_ns = self._clock_from, reading.t_device_ns
        if start.t_device_ns is None or now_ns is None:
            return (reading.t_mono_ns - self._first.t_mono_ns) / 1e9
        return (start.t_mono_ns - self._first.t_mono_ns + now_ns - start.t_device_ns) / 1e9


def _format(entry: Field) -> str:
    """Return how a value is written: integers as such, scaled words with all their bits, floats as they are."""
    if entry.code in {"f", "d"}:
        return ".9g" if entry.code == "f" else ".15g"
    if entry.scale is None:
        return ""
    decimals = _LEAST_DECIMALS
    while abs(entry.scale * entry.unit.column_per_unit) < 10.0**-decimals:
        decimals += 1
    return f".{decimals}f"


def _cell(form: str, value: Value | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return format(value, form) if isinstance(value, float) else str(value)
