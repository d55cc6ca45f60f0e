"""Ephemeris files as written by others, from our states."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from pygnc_ground.truth.orbit_truth import FloatArray

Epochs = Sequence[str]
"""Like 2025-03-20T09:01:28.000000; in UTC a leap second has the number 60."""


def sp3(
    epochs: Epochs,
    orbits: dict[str, FloatArray],
    *,
    version: str = "c",
    time_system: str = "GPS",
    interval_s: float = 60.0,
    velocities: bool = True,
    coordinate_system: str = "IGS20",
) -> str:
    """Return an SP3 file of satellites by identifier; positions in m and velocities in m/s, shape (n, 6), NaN if
    missing.
    """
    first, names = epochs[0], list(orbits)
    lines = [
        f"#{version}{'V' if velocities else 'P'}{_calendar(first)} {len(epochs):7d} ORBIT {coordinate_system} FIT  TST",
        f"##    0      0.00000000 {interval_s:14.8f} 00000 0.0000000000000",
    ]
    for begin in range(0, max(len(names), 85), 17):
        count = f"{len(names):4d}" if begin == 0 else "    "
        slots = [*names[begin : begin + 17], *["  0"] * 17][:17]
        lines.append(f"+ {count}   {''.join(slots)}")
    lines += ["++       " + "  0" * 17] * 5
    lines += [f"%c L  cc {time_system} ccc cccc cccc cccc cccc ccccc ccccc ccccc ccccc", "%c cc cc ccc ccc cccc cccc"]
    lines += ["%f  0.0000000  0.000000000  0.00000000000  0.000000000000000"] * 2
    lines += ["%i    0    0    0    0      0      0      0      0         0"] * 2
    lines += ["/* made for a test"] * 4
    for row, epoch in enumerate(epochs):
        lines.append(f"*  {_calendar(epoch)}")
        for name, states in orbits.items():
            lines.append(f"P{name}{_fields(states[row, :3] / 1e3)} 999999.999999")
            if velocities:
                lines.append(f"V{name}{_fields(states[row, 3:] * 10.0)} 999999.999999")
    return "\n".join([*lines, "EOF", ""])


def _calendar(epoch: str) -> str:
    day, _, time = epoch.partition("T")
    (year, month, date), (hour, minute, second) = day.split("-"), time.split(":")
    return f"{year} {int(month):2d} {int(date):2d} {int(hour):2d} {int(minute):2d} {float(second):11.8f}"


def _fields(components: FloatArray) -> str:
    return "".join(f"{component:14.6f}" for component in np.nan_to_num(components).tolist())


def oem_metadata(
    epochs: Epochs, *, frame: str = "ITRF2020", time_system: str = "GPS", **further: str
) -> dict[str, str]:
    """Return the metadata of a segment; `further` keywords override them."""
    return {
        "OBJECT_NAME": "TEST SAT",
        "OBJECT_ID": "2025-001A",
        "CENTER_NAME": "EARTH",
        "REF_FRAME": frame,
        "TIME_SYSTEM": time_system,
        "START_TIME": epochs[0],
        "STOP_TIME": epochs[-1],
    } | further


def kvn_segment(epochs: Epochs, states: FloatArray, metadata: dict[str, str]) -> str:
    """Return a segment in keyword = value notation."""
    lines = ["META_START", *[f"{keyword} = {value}" for keyword, value in metadata.items()], "META_STOP", ""]
    for epoch, state in zip(epochs, states, strict=True):
        lines.append(f"{epoch} " + " ".join(f"{number / 1e3:.12f}" for number in state.tolist()))
    return "\n".join([*lines, ""])


def kvn(*segments: str) -> str:
    """Return a message."""
    header = "CCSDS_OEM_VERS = 2.0\nCOMMENT made for a test\nCREATION_DATE = 2025-04-01T00:00:00\nORIGINATOR = TEST\n\n"
    return header + "\n".join(segments)


def xml(epochs: Epochs, states: FloatArray, metadata: dict[str, str]) -> str:
    """Return a message of one segment in XML."""
    tags = ("X", "Y", "Z", "X_DOT", "Y_DOT", "Z_DOT")
    rows = []
    for epoch, state in zip(epochs, states, strict=True):
        numbers = "".join(
            f"<{tag}>{number / 1e3:.12f}</{tag}>" for tag, number in zip(tags, state.tolist(), strict=True)
        )
        rows.append(f"<stateVector><EPOCH>{epoch}</EPOCH>{numbers}</stateVector>")
    named = "\n".join(f"<{keyword}>{value}</{keyword}>" for keyword, value in metadata.items())
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<oem id="CCSDS_OEM_VERS" version="2.0">
<header><CREATION_DATE>2025-04-01T00:00:00</CREATION_DATE><ORIGINATOR>TEST</ORIGINATOR></header>
<body><segment><metadata>
{named}
</metadata><data>
{chr(10).join(rows)}
</data></segment></body></oem>
"""


def every(begin: datetime, spacing_s: float, count: int) -> Epochs:
    """Return readings of a clock without leap seconds."""
    times = (begin + timedelta(seconds=spacing_s * number) for number in range(count))
    return [time.isoformat(timespec="microseconds") for time in times]
