"""Raw measurements and broadcast ephemerides in logs of receivers, also with other messages and text between them."""

from collections import defaultdict, deque
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.formats.damage import Damage, DamageReason
from pygnc_devices.framing import Frame
from pygnc_ground.gnss.broadcast import EPHEMERIS, BroadcastOrbits
from pygnc_ground.gnss.lnav import Messages
from pygnc_ground.gnss.measurements import HALF_CYCLE, LOST_LOCK, FloatArray, GnssMeasurements, IntArray
from pygnc_ground.receivers import log
from pygnc_ground.receivers.raw_messages import Epoch, NavigationWords, Signal, Signals, content

_NS_PER_MS: Final = 1_000_000
_LOCK_TOLERANCE_S: Final = 0.02
_KEPT: Final = 4
"""Number of ephemerides of a satellite that a stream keeps: those of eight hours."""
_MS_PER_DAY: Final = 86_400_000
_RECENT: Final = 7
"""Number of epochs that a stream keeps, which show whether lock was lost."""
_ENOUGH: Final = 0.5
"""Fraction of the measurements of L2C that those of P2 must reach to be preferred."""


class RawLog(NamedTuple):
    """Raw content of a log."""

    measurements: dict[str, GnssMeasurements]
    """Measurements by protocol: `ublox`, `novatel`, `septentrio`. Logs of two makers' receivers have two."""
    broadcast: BroadcastOrbits
    damage: tuple[Damage, ...]
    """Bytes that belong to no frame, and messages with impossible content."""


def read_raw(path: Path) -> RawLog:
    """Return the raw measurements and the ephemerides in a log.

    Of two messages about one epoch by one protocol, such as those of two equal receivers or RANGE and RANGECMP, the
    second is reported.

    Ephemerides are dated by the raw measurements; without those, both are empty.

    Raises:
        OSError: The file cannot be read.
    """
    epochs: dict[str, dict[tuple[int, int], Epoch]] = defaultdict(dict)
    navigation, damage = Messages(), list[Damage]()
    for part in log.messages(path):
        if isinstance(part, Damage):
            damage.append(part)
            continue
        protocol, frame = part
        try:
            found = content(protocol.name, frame)
            if isinstance(found, Epoch):
                _add(epochs[protocol.name], found)
            elif isinstance(found, NavigationWords):
                for subframe in found.subframes:
                    navigation.add(found.prn, subframe)
        except ValueError as error:
            stop = frame.start + len(frame.raw)
            damage.append(Damage(frame.start, stop, DamageReason.CONTENT, f"{protocol.title} {frame.kind}: {error}"))
    if not any(one.signals.size for found in epochs.values() for one in found.values()):
        return RawLog({}, BroadcastOrbits(np.empty(0, EPHEMERIS)), tuple(damage))
    first_ms = min(gps_ms for found in epochs.values() for gps_ms, _ in found)
    broadcast = BroadcastOrbits(navigation.ephemerides(first_ms * _NS_PER_MS), navigation.klobuchar)
    damage.sort(key=lambda one: one.start)
    tables = {name: _measurements(list(found.values())) for name, found in epochs.items()}
    return RawLog({name: table for name, table in tables.items() if len(table)}, broadcast, tuple(damage))


class RawStream:
    """Raw measurements in the frames of a receiver as they arrive; its memory is bounded.

    Attributes:
        broadcast: Ephemerides received so far.
    """

    def __init__(self) -> None:
        self.broadcast = BroadcastOrbits(np.empty(0, EPHEMERIS))
        self._messages, self._is_complete = Messages(_KEPT), False
        self._recent: deque[Epoch] = deque(maxlen=_RECENT)

    def add(self, frame: Frame) -> GnssMeasurements | None:
        """Return the measurements of an epoch; None for another message, or a second one about the epoch.

        Raises:
            ValueError: The content of the message is not possible.
        """
        protocol = log.protocol_of(frame)
        found = None if protocol is None else content(protocol.name, frame)
        if isinstance(found, NavigationWords):
            for subframe in found.subframes:
                self._is_complete |= self._messages.add(found.prn, subframe)
        if not isinstance(found, Epoch) or not found.signals.size:
            return None
        after_ms = found.gps_ms - self._recent[-1].gps_ms if self._recent else 1
        if not after_ms:
            return None
        if not 0 < after_ms < _MS_PER_DAY:
            # One of both dates is wrong, and so may be the weeks of the ephemerides.
            self._recent.clear()
            self._is_complete = True
        self._recent.append(found)
        if self._is_complete:
            self.broadcast = BroadcastOrbits(self._messages.ephemerides(found.gps_ms * _NS_PER_MS))
            self._is_complete = False
        seen = _measurements(list(self._recent))
        return seen.selected(seen.gps_ms == found.gps_ms)


def _add(epochs: dict[tuple[int, int], Epoch], epoch: Epoch) -> None:
    key = epoch.gps_ms, round(1e9 * epoch.fraction_s)
    if key in epochs:
        raise ValueError("a second message about the same epoch")
    epochs[key] = epoch


def _measurements(epochs: list[Epoch]) -> GnssMeasurements:
    """Return the table of all epochs of a receiver."""
    epochs = sorted(epochs, key=lambda one: (one.gps_ms, one.fraction_s))
    signals = np.concatenate([one.signals for one in epochs])
    counts = [len(one.signals) for one in epochs]
    number = np.repeat(np.arange(len(epochs)), counts)
    time_s = np.repeat([1e-3 * (one.gps_ms - epochs[0].gps_ms) + one.fraction_s for one in epochs], counts)
    keys, row = np.unique(number * 64 + signals["prn"], return_inverse=True)
    flags = _flags(signals, time_s)
    columns = {one: _column(signals, row, len(keys), one) for one in Signal}
    l2 = _l2_signal(keys % 64, columns)
    gps_ms = np.array([one.gps_ms for one in epochs], dtype=np.int64)[keys // 64]
    fraction_s = np.array([one.fraction_s for one in epochs])[keys // 64]
    first = columns[Signal.L1_CA]

    def taken(name: str, index: IntArray) -> FloatArray:
        return np.append(signals[name].astype(np.float64), np.nan)[index]

    def locks(index: IntArray) -> npt.NDArray[np.uint8]:
        return np.asarray(np.append(flags, np.uint8(0))[index], dtype=np.uint8)

    return GnssMeasurements(
        gps_ms=gps_ms,
        fraction_s=fraction_s,
        satellite=np.array([f"G{prn:02d}" for prn in (keys % 64).tolist()], dtype="U3"),
        code_l1_m=taken("code_m", first),
        code_p1_m=taken("code_m", columns[Signal.L1_P]),
        code_p2_m=taken("code_m", l2),
        phase_l1_m=taken("phase_m", first),
        phase_l2_m=taken("phase_m", l2),
        signal_to_noise_l1_db_hz=taken("signal_to_noise_db_hz", first),
        signal_to_noise_l2_db_hz=taken("signal_to_noise_db_hz", l2),
        loss_of_lock_l1=locks(first),
        loss_of_lock_l2=locks(l2),
    )


def _column(signals: Signals, row: IntArray, count: int, signal: Signal) -> IntArray:
    """Return the index of the measurement of a signal for each row of the table, -1 for none."""
    found = np.full(count, -1, dtype=np.int64)
    which = np.flatnonzero(signals["signal"] == signal)
    # In reverse, so that the first of several channels of a receiver counts.
    found[row[which[::-1]]] = which[::-1]
    return found


def _l2_signal(prn: IntArray, columns: dict[Signal, IntArray]) -> IntArray:
    """Return the index of the L2 measurement: of one signal for each satellite, because their ambiguities differ."""
    chosen = columns[Signal.L2_P].copy()
    for one in np.unique(prn):
        rows = prn == one
        of_p, of_c = ((columns[signal][rows] >= 0).sum() for signal in (Signal.L2_P, Signal.L2_C))
        if of_p < _ENOUGH * of_c:
            chosen[rows] = columns[Signal.L2_C][rows]
    return chosen


def _flags(signals: Signals, time_s: FloatArray) -> npt.NDArray[np.uint8]:
    """Return loss-of-lock bits: lock was lost if its time is shorter than that since the measurement before."""
    order = np.lexsort((time_s, signals["signal"], signals["prn"]))
    lock_s, kind = signals["lock_s"][order], signals["prn"][order] * 8 + signals["signal"][order]
    elapsed_s = np.diff(time_s[order], prepend=time_s[order][:1])
    is_same = np.diff(kind, prepend=-1) == 0
    shortest_s = np.maximum(elapsed_s, np.roll(lock_s, 1)) - _LOCK_TOLERANCE_S
    flags = np.zeros(len(signals), dtype=np.uint8)
    flags[order[is_same & (lock_s < shortest_s)]] = LOST_LOCK
    flags[signals["is_half_cycle"]] |= HALF_CYCLE
    return flags
