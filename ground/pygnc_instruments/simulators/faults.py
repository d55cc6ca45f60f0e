"""A bad line: bytes lost, flipped and doubled, and silences, by rate and seed."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class FaultRates:
    """How bad a line is.

    Attributes:
        lost: share of bytes that vanish.
        flipped: share of bytes with a flipped bit.
        doubled: share of bytes that come twice.
        silences_per_s: how often the line falls silent; what is sent meanwhile is lost.
        silence_s: for how long.
    """

    lost: float = 0.0
    flipped: float = 0.0
    doubled: float = 0.0
    silences_per_s: float = 0.0
    silence_s: float = 0.5


class FaultyLine:
    """Applies faults to bytes; the same seed and the same bytes give the same faults.

    Attributes:
        injected: number of faults so far.
    """

    def __init__(self, rates: FaultRates, seed: int = 0) -> None:
        self._rates = rates
        self._random = Random(seed)  # noqa: S311 - faults that can be repeated, no secrets
        self._silent_until_s = 0.0
        self._last_s: float | None = None
        self.injected = 0

    def pass_on(self, octets: bytes, now_s: float) -> bytes:
        """Return what arrives at the other end."""
        if self._is_silent(now_s):
            return b""
        rates = self._rates
        if not rates.lost + rates.flipped + rates.doubled:
            return octets
        arrived = bytearray()
        for octet in octets:
            draw = self._random.random()
            if draw < rates.lost:
                self.injected += 1
            elif draw < rates.lost + rates.flipped:
                self.injected += 1
                arrived.append(octet ^ 1 << self._random.randrange(8))
            elif draw < rates.lost + rates.flipped + rates.doubled:
                self.injected += 1
                arrived += bytes([octet, octet])
            else:
                arrived.append(octet)
        return bytes(arrived)

    def _is_silent(self, now_s: float) -> bool:
        elapsed_s = 0.0 if self._last_s is None else now_s - self._last_s
        self._last_s = now_s
        if now_s >= self._silent_until_s and self._random.random() < self._rates.silences_per_s * elapsed_s:
            self.injected += 1
            self._silent_until_s = now_s + self._rates.silence_s
        return now_s < self._silent_until_s
