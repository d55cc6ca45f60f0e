"""Made-up runs of GPS packets over one or more boots, with the truth about them."""

import random
from dataclasses import dataclass

from hypothesis import strategies as st

from pygnc.common.clock import SPACECRAFT_RESTART_S, gps_ms_from_week

CADENCE_S = 25


@dataclass
class Packets:
    """Packets in the order they happened; lists of equal length, and the truth: boot, true GPS time, damage."""

    t_spacecraft_s: list[int]
    gps_ms: list[int | None]
    boot: list[int]
    true_gps_ms: list[int]
    damaged: list[bool]
    offset_ms: list[int]
    """Per boot."""


@st.composite
def packets(draw: st.DrawFn, *, max_boots: int = 3, damage: bool = True) -> Packets:
    """Return boots of 8 to 30 packets, the first few without GPS time, jitter of 3 s, one packet in ten damaged."""
    lengths = draw(st.lists(st.integers(8, 30), min_size=1, max_size=max_boots))
    rng = random.Random(draw(st.integers(0, 2**32)))  # noqa: S311 (no secret: a seed that reproduces a failure)
    made = Packets([], [], [], [], [], [])
    gps_now_ms = rng.randint(2000, 2500) * 604_800_000
    latest_start_s = 3000
    for boot, length in enumerate(lengths):
        gps_now_ms += rng.randint(60_000, 10_000_000)
        start_s = SPACECRAFT_RESTART_S + rng.randint(3, latest_start_s)
        # Without GPS time a restart shows only in a clock that falls back by a few packets.
        latest_start_s = min(3000, start_s - SPACECRAFT_RESTART_S + CADENCE_S * (length - 7))
        made.offset_ms.append(gps_now_ms - 1000 * start_s)
        cold = rng.randint(0, 4)
        for index in range(length):
            made.t_spacecraft_s.append(start_s + CADENCE_S * index + rng.randint(-3, 3))
            made.gps_ms.append(None if index < cold or rng.random() < 0.1 else gps_now_ms)
            made.boot.append(boot)
            made.true_gps_ms.append(gps_now_ms)
            made.damaged.append(False)
            gps_now_ms += 1000 * CADENCE_S
    if damage:
        for index in range(rng.randint(0, 9), len(made.boot), 10):
            _damage(rng, made, index)
    return made


def _damage(rng: random.Random, made: Packets, index: int) -> None:
    """Flip one bit, too heavy to pass for jitter or for two swapped records, in one of the packet's times."""
    gps_ms = made.gps_ms[index]
    made.damaged[index] = True
    if gps_ms is None or rng.random() < 0.5:
        made.t_spacecraft_s[index] ^= 1 << rng.randint(7, 31)
        return
    week, tow_ms = divmod(gps_ms, 604_800_000)
    if rng.random() < 0.5:
        made.gps_ms[index] = gps_ms_from_week(week ^ (1 << rng.randint(0, 15)), tow_ms)
    else:
        made.gps_ms[index] = gps_ms_from_week(week, tow_ms ^ (1 << rng.randint(15, 31)))
