"""Epochs of a receiver: messages with one time form a fix."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from pygnc.bus.messages import GnssFix
from pygnc.common.clock import MS_PER_WEEK, gps_ms_from_unix_ms, gps_ms_from_week
from pygnc.inputs.receivers.parts import Part, Place, fix_of
from pygnc_devices.framing import Frame

_MS_PER_DAY: Final = 86_400_000


class TimeScale(NamedTuple):
    """Periods in which a receiver counts its time, and the GPS time in ms of a period and a time in it."""

    period_ms: int
    gps_ms: Callable[[int, int], int | None]


GPS_WEEKS: Final = TimeScale(MS_PER_WEEK, gps_ms_from_week)
UTC_DAYS: Final = TimeScale(_MS_PER_DAY, lambda day, key_ms: gps_ms_from_unix_ms(day * _MS_PER_DAY + key_ms))


class Epochs:
    """Epochs of one receiver: messages with one time form a fix.

    Of several positions or velocities of an epoch, the first message in the order of `preferred` counts.

    Args:
        protocol: Name of the protocol, which begins the `kind` of each fix.
        scale: Time scale of the messages.
        preferred: Names of messages, the most complete first.
    """

    def __init__(self, protocol: str, scale: TimeScale, preferred: Sequence[str]) -> None:
        self._protocol = protocol
        self._scale = scale
        self._rank = {name: rank for rank, name in enumerate(preferred)}
        self._parts: dict[str, tuple[Frame, Part]] = {}
        self._period: int | None = None
        self._last_key_ms = 0
        self._t_spacecraft_ms = 0

    def add(self, frame: Frame, part: Part) -> GnssFix | None:
        """Add a message; return the fix of the epoch that it ends."""
        is_new = any(part.key_ms != other.key_ms for _, other in self._parts.values())
        ended = self.end() if is_new or frame.kind in self._parts else None
        self._parts[frame.kind] = (frame, part)
        return ended

    def end(self) -> GnssFix | None:
        """End the epoch and return its fix; None without a position."""
        ordered = sorted(self._parts.items(), key=lambda item: self._rank.get(item[0], len(self._rank)))
        self._parts = {}
        if not ordered:
            return None
        frames, parts = [frame for _, (frame, _) in ordered], [part for _, (_, part) in ordered]
        gps_ms = self._gps_ms(parts)
        if all(part.position is None for part in parts):
            return None
        # Placed by the time of the receiver, because nothing else dates these records.
        self._t_spacecraft_ms = self._t_spacecraft_ms if gps_ms is None else gps_ms
        kind = f"{self._protocol} {frames[0].kind}"
        frames.sort(key=lambda frame: frame.start)
        raw = b"".join(frame.raw for frame in frames)
        seconds, milliseconds = divmod(self._t_spacecraft_ms, 1000)
        return fix_of(parts, gps_ms, Place(0, "", frames[0].start, kind, seconds, raw, milliseconds))

    def _gps_ms(self, parts: list[Part]) -> int | None:
        """Return the time of an epoch; a period that no message states follows from the epochs before."""
        key_ms, period = parts[0].key_ms, next((part.period for part in parts if part.period is not None), None)
        if period is None and self._period is not None:
            period = self._period + (self._last_key_ms - key_ms > self._scale.period_ms // 2)
        if period is not None:
            self._period, self._last_key_ms = period, key_ms
        return None if period is None else self._scale.gps_ms(period, key_ms)
