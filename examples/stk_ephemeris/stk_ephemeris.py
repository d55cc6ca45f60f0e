"""A reader of true orbits: ephemeris files of STK (`.e`) with positions and velocities in Earth-fixed axes.

    stk.v.11.0
    BEGIN Ephemeris
    NumberOfEphemerisPoints 2
    ScenarioEpoch 20 Mar 2025 00:00:00.000
    CoordinateSystem Fixed
    EphemerisTimePosVel
    0.0   -337509.4  841412.3 -6826000.0  6500.0 3900.0  160.0
    25.0  ...
    END Ephemeris

Times are seconds after the epoch (UTC), positions metres, velocities metres per second.
"""

from datetime import datetime

import numpy as np

from pygnc_ground.truth.ephemeris import HERMITE_WINDOW, Arc, Ephemeris
from pygnc_ground.truth.epochs import gps_ns_from_ccsds
from pygnc_ground.truth.frames import Frame
from pygnc_ground.truth.reader import TruthReader

_NS_PER_S = 1_000_000_000
_TABLE = "EphemerisTimePosVel"


def read(content: bytes, _object_id: str | None = None) -> Ephemeris:
    """Return the orbit in a file, which has one object.

    Raises:
        ValueError: The file is not of the form above; the message names the line.
    """
    keys: dict[str, str] = {}
    rows: list[list[float]] = []
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), 1):
        words = line.split()
        if _TABLE not in keys:
            key, value = words[0] if words else "", " ".join(words[1:])
            keys[key] = value
        elif words[:1] == ["END"]:
            break
        elif words:
            rows.append(_row(words, number))
    if keys.get("CoordinateSystem") != "Fixed":
        raise ValueError("CoordinateSystem is not Fixed; export the ephemeris in Earth-fixed axes")
    if not rows:
        raise ValueError(f"the file has no table {_TABLE}; export positions and velocities")
    values = np.array(rows)
    gps_ns = _epoch_ns(keys.get("ScenarioEpoch", "")) + np.rint(_NS_PER_S * values[:, 0]).astype(np.int64)
    arc = Arc(
        gps_ns=gps_ns,
        position_m=values[:, 1:4],
        velocity_mps=values[:, 4:7],
        frame=Frame.ITRF,
        window=HERMITE_WINDOW,
        usable_ns=(int(gps_ns[0]), int(gps_ns[-1])),
    )
    return Ephemeris([arc], "STK ephemeris")


def _row(words: list[str], number: int) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != 7:
        raise ValueError(f"line {number}: not a time, a position and a velocity; copy the file again")
    return values


def _epoch_ns(text: str) -> int:
    try:
        epoch = datetime.strptime(text, "%d %b %Y %H:%M:%S.%f")  # noqa: DTZ007 - UTC, as the next line says
    except ValueError:
        raise ValueError(f"ScenarioEpoch {text!r} is not a time such as 20 Mar 2025 00:00:00.000") from None
    return gps_ns_from_ccsds(epoch.isoformat(timespec="milliseconds"), "UTC")


READER = TruthReader("STK ephemeris", lambda content: content.startswith(b"stk.v."), read)
