"""Logs that receivers would write in a scenario."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pygnc_ground.gnss.measurements import L1_WAVELENGTH_M, L2_WAVELENGTH_M, GnssMeasurements
from tests.fakes import raw_logs as fake
from tests.fakes.lnav import sent_words, subframe_words
from tests.fakes.lnav_values import raw_values
from tests.pygnc_ground.scenario.raw_scenario import Made

Words = list[list[int]]
Navigation = Callable[[int, Words, int], bytes]
_ARRIVAL_MS = 30_000
"""Time until a whole message has arrived."""


def ublox(prn: int, frames: Words, _: int) -> bytes:
    return b"".join(fake.sfrbx(prn, sent_words(words, "turned")) for words in frames)


def septentrio(prn: int, frames: Words, gps_ms: int) -> bytes:
    return b"".join(fake.raw_ca(prn, sent_words(words), gps_ms) for words in frames)


def near_the_codes(seen: GnssMeasurements) -> GnssMeasurements:
    """Return phases without whole cycles of each pass, as receivers begin them near the code."""
    changed = seen.phase_l1_m.copy(), seen.phase_l2_m.copy()
    for name in np.unique(seen.satellite):
        rows = np.flatnonzero(seen.satellite == name)
        for part in np.split(rows, np.flatnonzero(np.diff(seen.gps_ms[rows]) > 10_000) + 1):
            for phase_m, wavelength_m in zip(changed, (L1_WAVELENGTH_M, L2_WAVELENGTH_M), strict=True):
                cycles = np.rint((phase_m[part[0]] - seen.code_l1_m[part[0]]) / wavelength_m)
                phase_m[part] -= wavelength_m * cycles
    return replace(seen, phase_l1_m=changed[0], phase_l2_m=changed[1])


def receiver_log(made: Made, encode: fake.Encoder, navigation: Navigation) -> bytes:
    """Return the messages in the order of their arrival."""
    parts = list[tuple[int, bytes]]()
    for row in made.broadcast.table:
        sent_ms = int(row["sent_gps_ns"]) // 1_000_000
        tow_s = sent_ms // 1000 % 604_800
        if tow_s + 18 < 604_800:
            words = [subframe_words(number, tow_s + 6 * number, raw_values(row)) for number in (1, 2, 3)]
            parts.append((sent_ms + _ARRIVAL_MS, navigation(int(row["prn"]), words, sent_ms)))
    parts += ((int(one.gps_ms[0]), encode(one)) for one in fake.epochs(near_the_codes(made.measurements)))
    return b"".join(octets for _, octets in sorted(parts, key=lambda part: part[0]))
