"""Simulated device made from its declaration: each field has a different, slowly changing value."""

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Final

from pygnc_devices.declaration import Field, Record, Value

PERIOD_S: Final = 60.0
_INTEGERS: Final = "bBhHiIqQuid"


class DeclaredSimulator:
    """Simulated unit of a declared family; see `SimulatedUnit`. It sends its readings periodically, or on request.

    Args:
        records: the device's records.
        make_frame: function that returns a frame from its kind and payload.
        baud: baud rate.
        question: request to which it answers; b"" if it sends periodically.
        period_s: time between periodic readings.
    """

    def __init__(
        self,
        records: Iterable[Record],
        make_frame: Callable[[str, bytes], bytes],
        *,
        baud: int = 9600,
        question: bytes = b"",
        period_s: float = 1.0,
    ) -> None:
        self.baud = baud
        self._make_frame = make_frame
        self._records = [record for record in records if record.is_reading]
        self._question = question
        self._period_s = period_s
        self._next_s = math.inf if question else 0.0
        self._input = b""
        self._output = b""

    def receive(self, octets: bytes, now_s: float) -> None:
        """Receive requests; a unit that sends periodically ignores them."""
        if not self._question:
            return
        *asked, self._input = (self._input + octets).split(self._question)
        for _ in asked:
            self._output += self.round(now_s)

    def run(self, now_s: float) -> bytes:
        """Return the bytes sent up to now."""
        sent, self._output = self._output, b""
        while self._next_s <= now_s:
            sent += self.round(self._next_s)
            self._next_s += self._period_s
        return sent

    def next_s(self) -> float:
        """Return the time of the next output."""
        return 0.0 if self._output else self._next_s

    def power_cycle(self, now_s: float) -> None:
        """Restart."""
        self._input, self._output = b"", b""
        self._next_s = math.inf if self._question else now_s

    def round(self, t_s: float) -> bytes:
        """Return one frame of each reading."""
        return b"".join(
            self._make_frame(record.name, record.encode(values_at(record, t_s))) for record in self._records
        )


def values_at(record: Record, t_s: float) -> dict[str, Value | None]:
    """Return the values at this time; each field oscillates with its own phase and so differs from all others."""
    return {
        field.name: _value(field, number, t_s) for field, number in zip(record.fields, itertools.count(), strict=False)
    }


def _value(field: Field, number: int, t_s: float) -> Value | None:
    if field.code.startswith("t"):
        return f"text {number}"
    if field.code.endswith("s") or field.code.startswith("h"):
        return None
    word = 20.0 + number + 5.0 * math.sin(2 * math.pi * (t_s / PERIOD_S + number / 10))
    if field.scale is not None:
        return field.to_value(round(word))
    return round(word) if field.code[:1] in _INTEGERS and field.code != "d" else round(word, 3)
