"""Simulated device made from its declaration: each field has a different, slowly changing value."""

import math
from collections.abc import Callable, Iterable
from typing import Final

from pygnc_devices.declaration import Field, Record, Value
from pygnc_instruments.simulators.unit import SimulatedUnit

PERIOD_S: Final = 60.0
_INTEGERS: Final = "bBhHiIqQuid"


class DeclaredSimulator(SimulatedUnit):
    """Simulated unit of a declared family, which sends its readings periodically or on request.

    Args:
        records: the device's records.
        make_frame: function that returns a frame from its kind and payload.
        baud: baud rate, bits per second.
        question: request to which it responds; b"" if it sends periodically.
        period_s: time between periodic readings, s.
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
        super().__init__()
        self.baud = baud
        self._make_frame = make_frame
        self._records = [record for record in records if record.is_reading]
        self._question = question
        self._period_s = period_s
        self._restart(0.0)

    def _take(self, now_s: float) -> bool:
        if not self._question:
            return super()._take(now_s)
        _, found, rest = self._input.partition(self._question)
        if found:
            self._input = rest
            self._send(self._frames(now_s), now_s)
        return bool(found)

    def _tick_s(self) -> float:
        return self._next_s

    def _tick(self) -> bytes:
        at_s = self._next_s
        self._next_s += self._period_s
        return self._frames(at_s)

    def _restart(self, now_s: float) -> None:
        self._next_s = math.inf if self._question else now_s

    def _frames(self, t_s: float) -> bytes:
        return b"".join(
            self._make_frame(record.name, record.encode(values_at(record, t_s))) for record in self._records
        )


def values_at(record: Record, t_s: float) -> dict[str, Value | None]:
    """Return the values at a time in seconds, by field name; each field oscillates with a phase of its own."""
    return {field.name: _value(field, number, t_s) for number, field in enumerate(record.fields)}


def _value(field: Field, number: int, t_s: float) -> Value | None:
    if field.code.startswith("t"):
        return f"text {number}"
    if field.code.endswith("s") or field.code.startswith("h"):
        return None
    word = 20.0 + number + 5.0 * math.sin(2 * math.pi * (t_s / PERIOD_S + number / 10))
    if field.scale is not None:
        return field.to_value(round(word))
    return round(word) if field.code[:1] in _INTEGERS and field.code != "d" else round(word, 3)
