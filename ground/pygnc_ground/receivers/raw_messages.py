"""Messages with raw measurements and navigation subframes: u-blox, NovAtel, Septentrio.

Sources: u-blox F9 HPG 1.32 interface description, UBX-22008968, RXM-RAWX and RXM-SFRBX; NovAtel, OEM7 Commands and Logs
Reference Manual, RANGE, RANGECMP and RAWEPHEM; Septentrio, mosaic-X5 reference guide, MeasEpoch and GPSRawCA.
"""

import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.clock import MS_PER_WEEK
from pygnc_devices.framing import Frame
from pygnc_ground.gnss.lnav import WORDS, Subframe, words_of
from pygnc_ground.gnss.measurements import L1_WAVELENGTH_M, L2_WAVELENGTH_M

_PRN_MAX: Final = 32
_LATEST_WEEK: Final = 10_000
_NOWHERE: Final = -1


class Signal(IntEnum):
    """Signal of GPS."""

    L1_CA = 0
    L1_P = 1
    L2_P = 2
    L2_C = 3


WAVELENGTHS_M: Final = np.array([L1_WAVELENGTH_M, L1_WAVELENGTH_M, L2_WAVELENGTH_M, L2_WAVELENGTH_M])
"""Wavelength of each signal."""
SIGNALS: Final = np.dtype(
    [
        ("prn", np.int64),
        ("signal", np.int64),
        ("code_m", np.float64),
        ("phase_m", np.float64),
        ("signal_to_noise_db_hz", np.float64),
        ("lock_s", np.float64),
        ("is_half_cycle", np.bool_),
    ]
)
"""Measurement of one signal; NaN where a value is missing. `lock_s` is the time since lock was acquired."""
Signals = npt.NDArray[np.void]


class Epoch(NamedTuple):
    """Signals of one epoch, shape (n,), of type `SIGNALS`."""

    gps_ms: int
    fraction_s: float
    signals: Signals


class NavigationWords(NamedTuple):
    """Subframes of one satellite with a right parity."""

    prn: int
    subframes: tuple[Subframe, ...]


Content = Epoch | NavigationWords


def content(protocol: str, frame: Frame) -> Content | None:
    """Return the measurements or subframes in a message; None for another message.

    Raises:
        ValueError: The message is one of these, but its content is not possible; the text is the reason.
    """
    decode = _MESSAGES.get((protocol, frame.kind))
    if decode is None:
        return None
    try:
        return decode(frame.payload)
    except struct.error:
        raise ValueError("the message is too short") from None


def _epoch(week: int, tow_s: float, **columns: npt.ArrayLike) -> Epoch:
    """Return an epoch without signals of other systems, which have satellite 0."""
    if not (0 <= week < _LATEST_WEEK and 0.0 <= tow_s < 604_800.0):
        raise ValueError(f"GPS week {week}, {tow_s} s: the receiver does not know the time")
    prn = np.asarray(columns["prn"])
    is_known = (prn >= 1) & (prn <= _PRN_MAX) & (np.asarray(columns["signal"]) >= 0)
    found = np.empty(int(is_known.sum()), SIGNALS)
    for name, values in columns.items():
        found[name] = np.asarray(values)[is_known]
    for name in ("code_m", "phase_m"):
        is_absurd = ~(np.abs(found[name]) < _LARGEST_M)
        found[name][is_absurd] = np.nan
    tow_ms = round(tow_s * 1000.0)
    return Epoch(week * MS_PER_WEEK + tow_ms, tow_s - 1e-3 * tow_ms, found)


_LARGEST_M: Final = 1e10


def _mapped(numbers: npt.NDArray[np.int64], known: Mapping[int, Signal], size: int) -> npt.NDArray[np.int64]:
    table = np.full(size, _NOWHERE, dtype=np.int64)
    for number, signal in known.items():
        table[number] = signal
    return table[numbers]


def _rows(payload: bytes, at: int, count: int, layout: np.dtype[Any]) -> npt.NDArray[Any]:
    if at + count * layout.itemsize > len(payload):
        raise ValueError(f"the message states {count} measurements but is too short for them")
    return np.frombuffer(payload, layout, count, at)


# --- u-blox ---------------------------------------------------------------------------------------------------------

_RAWX_HEAD: Final = struct.Struct("<dHbBBB2x")
_UBX_RAWX: Final = np.dtype(
    [
        ("code_m", "<f8"),
        ("phase_cycles", "<f8"),
        ("doppler_hz", "<f4"),
        ("system", "u1"),
        ("number", "u1"),
        ("signal", "u1"),
        ("frequency", "u1"),
        ("lock_ms", "<u2"),
        ("cn0", "u1"),
        ("deviations", "u1", 3),
        ("state", "u1"),
        ("reserved", "u1"),
    ]
)
_UBX_SIGNALS: Final = {0: Signal.L1_CA, 3: Signal.L2_C, 4: Signal.L2_C}
_CODE_VALID, _PHASE_VALID, _HALF_CYCLE_KNOWN = 1, 2, 4


def _rawx(payload: bytes) -> Epoch:
    tow_s, week, _leap_s, count, _status, version = _RAWX_HEAD.unpack_from(payload)
    rows = _rows(payload, _RAWX_HEAD.size, count, _UBX_RAWX)
    # Version 0 has no number of the signal: single-frequency receivers.
    kinds = rows["signal"].astype(np.int64) if version else np.zeros(count, dtype=np.int64)
    signal = _mapped(kinds, _UBX_SIGNALS, 256)
    state = rows["state"]
    wavelength_m = WAVELENGTHS_M[np.maximum(signal, 0)]
    return _epoch(
        week,
        tow_s,
        prn=np.where(rows["system"] == 0, rows["number"], 0),
        signal=signal,
        code_m=np.where(state & _CODE_VALID, rows["code_m"], np.nan),
        phase_m=np.where(state & _PHASE_VALID, rows["phase_cycles"] * wavelength_m, np.nan),
        signal_to_noise_db_hz=rows["cn0"].astype(np.float64),
        lock_s=1e-3 * rows["lock_ms"],
        is_half_cycle=state & _HALF_CYCLE_KNOWN == 0,
    )


def _sfrbx(payload: bytes) -> NavigationWords | None:
    system, prn, _signal, _frequency, count = struct.unpack_from("<5B", payload)
    if system != 0 or count != WORDS:
        return None
    words = struct.unpack_from(f"<{WORDS}I", payload, 8)
    return _navigation(prn, [word & 0x3FFFFFFF for word in words])


def _navigation(prn: int, words: list[int]) -> NavigationWords:
    data = words_of(words)
    if data is None:
        raise ValueError("the parity of the navigation subframe is wrong")
    return _subframes(prn, [data])


def _subframes(prn: int, frames: list[tuple[int, ...]]) -> NavigationWords:
    if not 1 <= prn <= _PRN_MAX:
        raise ValueError(f"{prn} is not a satellite of GPS")
    found = [Subframe.of(words) for words in frames]
    return NavigationWords(prn, tuple(subframe for subframe in found if subframe is not None))


# --- NovAtel --------------------------------------------------------------------------------------------------------

_TIMES: Final = struct.Struct("<BHI")
"""Time status, week, and time of the week in ms, which the framing puts at the beginning."""
_NOVATEL_RANGE: Final = np.dtype(
    [
        ("prn", "<u2"),
        ("frequency", "<u2"),
        ("code_m", "<f8"),
        ("code_std_m", "<f4"),
        ("phase_cycles", "<f8"),
        ("phase_std", "<f4"),
        ("doppler_hz", "<f4"),
        ("cn0", "<f4"),
        ("lock_s", "<f4"),
        ("state", "<u4"),
    ]
)
_NOVATEL_SIGNALS: Final = {0: Signal.L1_CA, 5: Signal.L2_P, 9: Signal.L2_P, 17: Signal.L2_C}
_PHASE_LOCK, _PARITY_KNOWN, _CODE_LOCK = 1 << 10, 1 << 11, 1 << 12
_TEXT_WORDS: Final = 10
_COMPRESSED_BYTES: Final = 24
_ADR_PERIOD_CYCLES: Final = 8_388_608.0


def _times(payload: bytes) -> tuple[int, float, bytes]:
    _status, week, tow_ms = _TIMES.unpack_from(payload)
    return week, 1e-3 * tow_ms, payload[_TIMES.size :]


def _tracked(week: int, tow_s: float, state: npt.NDArray[np.int64], **columns: npt.NDArray[np.float64]) -> Epoch:
    """Return an epoch of NovAtel: `state` is the channel tracking status, the sign of phases is that of the Doppler."""
    signal = _mapped(state >> 21 & 0x1F, _NOVATEL_SIGNALS, 32)
    prn = np.where(state >> 16 & 7 == 0, columns.pop("prn"), 0)
    phase_m = -columns.pop("phase_cycles") * WAVELENGTHS_M[np.maximum(signal, 0)]
    columns["code_m"] = np.where(state & _CODE_LOCK, columns["code_m"], np.nan)
    phase_m = np.where(state & _PHASE_LOCK, phase_m, np.nan)
    half = state & _PARITY_KNOWN == 0
    return _epoch(week, tow_s, prn=prn, signal=signal, phase_m=phase_m, is_half_cycle=half, **columns)


def _range(payload: bytes) -> Epoch:
    week, tow_s, data = _times(payload)
    (count,) = struct.unpack_from("<I", data)
    rows = _rows(data, 4, count, _NOVATEL_RANGE)
    return _range_epoch(week, tow_s, rows)


def _range_epoch(week: int, tow_s: float, rows: npt.NDArray[Any]) -> Epoch:
    columns = {name: rows[name].astype(np.float64) for name in ("code_m", "phase_cycles", "lock_s")}
    state, prn, cn0 = rows["state"].astype(np.int64), rows["prn"].astype(np.float64), rows["cn0"].astype(np.float64)
    return _tracked(week, tow_s, state, prn=prn, signal_to_noise_db_hz=cn0, **columns)


def _range_text(payload: bytes) -> Epoch:
    head, _, data = payload.decode("ascii", "replace").partition(";")
    try:
        words, (count, *values) = head.split(","), data.split(",")
        if len(values) < _TEXT_WORDS * int(count):
            raise ValueError("the message is too short")
        rows = [
            (*map(int, row[:2]), *map(float, row[2:9]), int(row[9], 16))
            for row in (values[at : at + _TEXT_WORDS] for at in range(0, _TEXT_WORDS * int(count), _TEXT_WORDS))
        ]
        return _range_epoch(int(words[5]), float(words[6]), np.array(rows, _NOVATEL_RANGE))
    except (IndexError, OverflowError):
        raise ValueError("the message lacks words") from None


def _compressed(payload: bytes) -> Epoch:
    week, tow_s, data = _times(payload)
    (count,) = struct.unpack_from("<I", data)
    octets = _rows(data, 4, count, np.dtype((np.uint8, _COMPRESSED_BYTES))).astype(np.int64)

    def bits(first: int, width: int) -> npt.NDArray[np.int64]:
        begin, end = first // 8, -(-(first + width) // 8)
        value = sum(octets[:, at] << 8 * (at - begin) for at in range(begin, end))
        return np.asarray(value, dtype=np.int64) >> first % 8 & ((1 << width) - 1)

    state, code_m = bits(0, 32), bits(60, 36) / 128.0
    phase = bits(96, 32)
    phase_cycles = (phase - (phase >> 31 << 32)) / 256.0
    signal = _mapped(state >> 21 & 0x1F, _NOVATEL_SIGNALS, 32)
    in_cycles = code_m / WAVELENGTHS_M[np.maximum(signal, 0)]
    phase_cycles -= _ADR_PERIOD_CYCLES * np.rint((in_cycles + phase_cycles) / _ADR_PERIOD_CYCLES)
    return _tracked(
        week,
        tow_s,
        state,
        prn=bits(136, 8).astype(np.float64),
        code_m=code_m,
        phase_cycles=phase_cycles,
        lock_s=bits(144, 21) / 32.0,
        signal_to_noise_db_hz=bits(165, 5).astype(np.float64) + 20.0,
    )


def _raw_ephemeris(payload: bytes) -> NavigationWords:
    _, _, data = _times(payload)
    prn, *_, octets = struct.unpack_from("<3I90s", data)
    words = [int.from_bytes(octets[at : at + 3], "big") for at in range(0, 90, 3)]
    return _subframes(prn, [tuple(words[at : at + WORDS]) for at in range(0, 3 * WORDS, WORDS)])


# --- Septentrio -----------------------------------------------------------------------------------------------------

_MEAS_HEAD: Final = struct.Struct("<IH6B")
_MEAS_FIRST: Final = struct.Struct("<4BIiHbBHBB")
_MEAS_SECOND: Final = struct.Struct("<4BbB3H")
_SBF_SIGNALS: Final = {0: Signal.L1_CA, 1: Signal.L1_P, 2: Signal.L2_P, 3: Signal.L2_C}
_SBF_PRN_MAX: Final = 37
_UNKNOWN_TOW: Final = 0xFFFF_FFFF
_SBF_HALF_CYCLE: Final = 4
_NO_P_OFFSET: Final = (1, 2)
"""Numbers of the P(Y) signals, of which C/N0 has no offset of 10 dB."""


def _carrier_m(code_m: float, high: int, low: int, wavelength_m: float) -> float:
    is_unknown = (high, low) == (-128, 0)
    return float("nan") if is_unknown else code_m + (high * 65_536 + low) * 1e-3 * wavelength_m


def _cn0(raw: int, signal: int) -> float:
    return float("nan") if raw == 255 else 0.25 * raw + (0.0 if signal in _NO_P_OFFSET else 10.0)


def _meas_epoch(payload: bytes) -> Epoch:
    tow_ms, week, count, first_bytes, second_bytes, *_ = _MEAS_HEAD.unpack_from(payload)
    if first_bytes < _MEAS_FIRST.size or second_bytes < _MEAS_SECOND.size:
        raise ValueError(f"sub-blocks of {first_bytes} and {second_bytes} bytes are shorter than defined")
    rows, at = list[tuple[Any, ...]](), _MEAS_HEAD.size
    for _ in range(count):
        (_, kind, number, misc, low, _, carrier_low, carrier, cn0, lock_s, info, seconds) = _MEAS_FIRST.unpack_from(
            payload, at
        )
        at += first_bytes
        base_m = ((misc & 15) * 4_294_967_296 + low) * 1e-3
        prn = number if number <= _SBF_PRN_MAX else 0
        channel = _Channel(kind, carrier, carrier_low, cn0, _lock_s(lock_s, 65_535), info)
        rows.append(channel.row(prn, base_m or float("nan")))
        for _ in range(seconds):
            kind, lock_s, cn0, offsets, carrier, info, code_low, carrier_low, _ = _MEAS_SECOND.unpack_from(payload, at)
            at += second_bytes
            high = (offsets & 7) - (8 if offsets & 4 else 0)
            code_m = float("nan") if (high, code_low) == (-4, 0) else base_m + (high * 65_536 + code_low) * 1e-3
            channel = _Channel(kind, carrier, carrier_low, cn0, _lock_s(lock_s, 255), info)
            rows.append(channel.row(prn, code_m))
    found = np.array(rows, SIGNALS)
    if tow_ms == _UNKNOWN_TOW:
        raise ValueError("the receiver does not know the time")
    return _epoch(week, 1e-3 * tow_ms, **{name: found[name] for name in SIGNALS.names or ()})


class _Channel(NamedTuple):
    """Words that both kinds of sub-blocks have."""

    kind: int
    carrier: int
    carrier_low: int
    cn0: int
    lock_s: float
    info: int

    def row(self, prn: int, code_m: float) -> tuple[Any, ...]:
        """Return the values of `SIGNALS`."""
        number = self.kind & 31
        signal = _SBF_SIGNALS.get(number, _NOWHERE)
        phase_m = _carrier_m(code_m, self.carrier, self.carrier_low, float(WAVELENGTHS_M[max(signal, 0)]))
        is_half = bool(self.info & _SBF_HALF_CYCLE)
        return prn, signal, code_m, phase_m, _cn0(self.cn0, number), self.lock_s, is_half


def _lock_s(stated: int, unknown: int) -> float:
    return float("nan") if stated == unknown else float(stated)


def _raw_ca(payload: bytes) -> NavigationWords:
    prn, is_right = struct.unpack_from("<BB", payload, 6)
    octets = b"".join(word.to_bytes(4, "big") for word in struct.unpack_from(f"<{WORDS}I", payload, 12))
    if not is_right:
        raise ValueError("the receiver found an error in the navigation subframe")
    bits = int.from_bytes(octets, "big") >> 20
    return _navigation(prn, [bits >> 30 * (WORDS - 1 - number) & 0x3FFFFFFF for number in range(WORDS)])


_MESSAGES: Final[Mapping[tuple[str, str], Callable[[bytes], Content | None]]] = {
    ("ublox", "02-15"): _rawx,
    ("ublox", "02-13"): _sfrbx,
    ("novatel", "43B"): _range,
    ("novatel", "RANGEA"): _range_text,
    ("novatel", "140B"): _compressed,
    ("novatel", "41B"): _raw_ephemeris,
    ("septentrio", "4027"): _meas_epoch,
    ("septentrio", "4017"): _raw_ca,
}
"""Decoders by protocol and kind of frame."""
