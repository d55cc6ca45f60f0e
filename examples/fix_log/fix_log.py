"""A reader of logs: one position fix of a GPS receiver per line, for `pygnc inspect` and `pygnc replay`.

    gps_week,gps_tow_s,x_m,y_m,z_m,vx_mps,vy_mps,vz_mps,sigma_m,sigma_mps,satellites
    2358,345638.0,-337509.39,841412.34,-6826000.12,6503.10,3917.20,160.94,5.0,0.05,9

Positions and velocities are Earth-fixed. A line that is not complete is reported as damage.
"""

import math
from collections.abc import Iterator
from pathlib import Path

from pygnc.bus.messages import GnssFix
from pygnc.formats.damage import Damage, DamageReason
from pygnc_ground.inspection.log_reader import LogReader

HEADER = b"gps_week,gps_tow_s,x_m,y_m,z_m,vx_mps,vy_mps,vz_mps,sigma_m,sigma_mps,satellites"
_S_PER_WEEK = 604_800


def read(path: Path) -> Iterator[GnssFix | Damage]:
    """Yield the fixes and the damaged lines of a log."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            begin, offset = offset, offset + len(line)
            if line.strip() == HEADER:
                continue
            try:
                yield _fix(line, begin)
            except ValueError:
                yield Damage(begin, offset, DamageReason.CONTENT)


def _fix(line: bytes, offset: int) -> GnssFix:
    values = [float(word) for word in line.split(b",")]
    if len(values) != HEADER.count(b",") + 1 or not all(map(math.isfinite, values)):
        raise ValueError("not a complete line")
    week, tow_s, x, y, z, vx, vy, vz, sigma_m, sigma_mps, satellites = values
    return GnssFix(
        seq=0,  # the replay sets number and source
        source="",
        offset=offset,
        t_spacecraft_s=int(week) * _S_PER_WEEK + int(tow_s),  # this receiver's computer has GPS time
        kind="line",
        gps_ms=int(week) * 1000 * _S_PER_WEEK + round(1000 * tow_s),
        time_sigma_s=None,
        position_solution="computed",
        position_ecef_m=(x, y, z),
        position_sigma_m=(sigma_m, sigma_m, sigma_m),
        velocity_solution="computed",
        velocity_ecef_mps=(vx, vy, vz),
        velocity_sigma_mps=(sigma_mps, sigma_mps, sigma_mps),
        velocity_latency_s=0.0,
        differential_age_s=0.0,
        solution_age_s=0.0,
        satellites_tracked=int(satellites),
        satellites_used=int(satellites),
        raw=line,
    )


READER = LogReader("fix log", lambda head: head.startswith(HEADER), read)
