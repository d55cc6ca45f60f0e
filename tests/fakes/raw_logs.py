"""Messages of receivers with raw measurements, encoded by the makers' tables without code of the readers."""

import math
import struct
from collections.abc import Callable, Iterator

import numpy as np

from pygnc_ground.gnss.measurements import L1_WAVELENGTH_M, L2_WAVELENGTH_M, GnssMeasurements
from pygnc_instruments.simulators.receiver_units import ubx_frame
from tests.fakes.receiver_logs import Solution, novatel_binary, novatel_text, sbf

Encoder = Callable[[GnssMeasurements], bytes]
_NOWHERE = (0.0, 0.0, 0.0)
LOCK_S = 200.0


def epochs(table: GnssMeasurements) -> Iterator[GnssMeasurements]:
    """Yield the rows of each epoch."""
    for gps_ms in np.unique(table.gps_ms):
        yield table.selected(table.gps_ms == gps_ms)


def _signals(table: GnssMeasurements) -> Iterator[tuple[int, int, float, float, float]]:
    """Yield satellite, band, code in m, phase in cycles and C/N0 of each signal."""
    for row in range(len(table)):
        prn = int(table.satellite[row][1:])
        yield prn, 1, table.code_l1_m[row], table.phase_l1_m[row] / L1_WAVELENGTH_M, table.signal_to_noise_l1_db_hz[row]
        if math.isfinite(table.code_p2_m[row]):
            phase = table.phase_l2_m[row] / L2_WAVELENGTH_M
            yield prn, 2, table.code_p2_m[row], phase, table.signal_to_noise_l2_db_hz[row]


def _when(table: GnssMeasurements) -> Solution:
    return Solution(int(table.gps_ms[0]), _NOWHERE, _NOWHERE)


def rawx(table: GnssMeasurements, *, lock_ms: int = 64_500, state: int = 7, system: int = 0) -> bytes:
    """Return RXM-RAWX of one epoch."""
    rows = [
        struct.pack(
            "<ddf4BH6B", code, phase, -100.0, system, prn, 3 * (band - 1), 0, lock_ms, int(cn0), 3, 2, 5, state, 0
        )
        for prn, band, code, phase, cn0 in _signals(table)
    ]  # fmt: skip
    when = _when(table)
    head = struct.pack("<dHbBBB2x", when.tow_ms / 1000.0, when.week, 18, len(rows), 1, 1)
    return ubx_frame(b"\x02\x15", head + b"".join(rows))


def sfrbx(prn: int, words: list[int]) -> bytes:
    """Return RXM-SFRBX."""
    return ubx_frame(b"\x02\x13", struct.pack("<8B10I", 0, prn, 0, 0, 10, 2, 2, 0, *words))


def _state(band: int) -> int:
    """Return the channel tracking status: phase lock, parity known, code lock, and L1 C/A or L2 P (codeless)."""
    return 4 | 7 << 10 | (0 if band == 1 else 9) << 21


def range_binary(table: GnssMeasurements) -> bytes:
    """Return RANGEB of one epoch."""
    rows = [
        struct.pack("<HHdfdffffI", prn, 0, code, 0.1, -phase, 0.01, -100.0, cn0, LOCK_S, _state(band))
        for prn, band, code, phase, cn0 in _signals(table)
    ]
    return novatel_binary(43, _when(table), struct.pack("<I", len(rows)) + b"".join(rows))


def range_text(table: GnssMeasurements) -> bytes:
    """Return RANGEA of one epoch."""
    rows = [
        f"{prn},0,{code:.3f},0.1,{-phase:.6f},0.01,-100.0,{cn0:.1f},{LOCK_S:.3f},{_state(band):08x}"
        for prn, band, code, phase, cn0 in _signals(table)
    ]
    return novatel_text("RANGE", _when(table), ",".join([str(len(rows)), *rows]))


def range_compressed(table: GnssMeasurements) -> bytes:
    """Return RANGECMPB of one epoch; codes are multiples of 1/128 m, phases of 1/256 cycle."""
    rows = []
    for prn, band, code, phase, cn0 in _signals(table):
        adr = round(-phase * 256.0) % (1 << 32)
        fields = (
            (_state(band), 32), (-25_600 % (1 << 28), 28), (round(code * 128.0), 36), (adr, 32), (1, 4), (3, 4),
            (prn, 8), (round(LOCK_S * 32), 21), (int(cn0) - 20, 5), (0, 22),
        )  # fmt: skip
        value, at = 0, 0
        for field, width in fields:
            value |= field << at
            at += width
        rows.append(value.to_bytes(24, "little"))
    return novatel_binary(140, _when(table), struct.pack("<I", len(rows)) + b"".join(rows))


def meas_epoch(table: GnssMeasurements) -> bytes:
    """Return MeasEpoch of one epoch; L1 C/A is the signal of the first sub-block, P2 that of the second."""
    blocks = b""
    for row in range(len(table)):
        code_mm = round(table.code_l1_m[row] * 1e3)
        carrier = round((table.phase_l1_m[row] - 1e-3 * code_mm) / L1_WAVELENGTH_M * 1e3)
        has_second = bool(np.isfinite(table.code_p2_m[row]))
        blocks += struct.pack(
            "<4BIiHbBHBB", row, 0, int(table.satellite[row][1:]), code_mm >> 32, code_mm & 0xFFFF_FFFF, -1_000_000,
            carrier & 0xFFFF, carrier >> 16, round(4.0 * (table.signal_to_noise_l1_db_hz[row] - 10.0)), int(LOCK_S), 0,
            has_second,
        )  # fmt: skip
        if has_second:
            offset = round(table.code_p2_m[row] * 1e3) - code_mm
            second_m = 1e-3 * (code_mm + offset)
            carrier = round((table.phase_l2_m[row] - second_m) / L2_WAVELENGTH_M * 1e3)
            cn0 = round(4.0 * table.signal_to_noise_l2_db_hz[row])
            offsets = offset >> 16 & 7
            blocks += struct.pack(
                "<4BbB3H", 2, int(LOCK_S), cn0, offsets, carrier >> 16, 0, offset & 0xFFFF, carrier & 0xFFFF, 0
            )
    when = _when(table)
    return sbf(4027, struct.pack("<IH6B", when.tow_ms, when.week, len(table), 20, 12, 0, 0, 0) + blocks)


def raw_ca(prn: int, words: list[int], gps_ms: int) -> bytes:
    """Return GPSRawCA."""
    bits = 0
    for word in words:
        bits = bits << 30 | word
    octets = (bits << 20).to_bytes(40, "big")
    packed = struct.pack("<10I", *(int.from_bytes(octets[at : at + 4], "big") for at in range(0, 40, 4)))
    week, tow_ms = divmod(gps_ms, 604_800_000)
    return sbf(4017, struct.pack("<IH6B", tow_ms, week, prn, 1, 0, 0, 0, 0) + packed)


def raw_ephemeris(prn: int, frames: list[list[int]], gps_ms: int) -> bytes:
    """Return RAWEPHEMB; the frames have ten words of 24 bits."""
    octets = b"".join(word.to_bytes(3, "big") for words in frames for word in words)
    body = struct.pack("<3I", prn, gps_ms // 604_800_000, 0) + octets
    return novatel_binary(41, Solution(gps_ms, _NOWHERE, _NOWHERE), body + bytes(2))
