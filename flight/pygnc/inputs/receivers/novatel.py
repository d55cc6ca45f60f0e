"""Epochs of NovAtel's logs."""

import math
from typing import Final

import numpy as np

from pygnc.formats.gps_packet import solution_name, time_sigma_s
from pygnc.inputs.receivers.parts import (
    COMPUTED,
    Part,
    Position,
    Spread,
    Values,
    Velocity,
    ecef_from_geodetic,
    numbers,
)

_NO_STATUS: Final = 255
"""Status of the time of logs with a short header, which have none."""
_UNMEASURED: Final = {0: "none", 1: "fixedpos", 2: "fixedheight", 19: "propagated"}
"""Types of positions and velocities that no measurement of the epoch stands behind."""


def _solution(values: Values, prefix: str) -> str:
    """Return the name of a solution, by its type if nothing was measured."""
    status = values[f"{prefix}status"]
    name = solution_name(status) if isinstance(status, int) else str(status).lower()
    return _UNMEASURED.get(values[f"{prefix}type"], name) if name == COMPUTED else name


def _dated(values: Values) -> Part:
    status = values["time_status"]
    sigma_s = None if status == _NO_STATUS else time_sigma_s(status)
    return Part(round(1e3 * values["tow_s"]), values["week"], time_sigma_s=sigma_s)


def _bestxyz(values: Values) -> Part:
    return _dated(values)._replace(
        position=Position(
            _solution(values, "position_"), numbers(values, "ecef", "m"), Spread.of(numbers(values, "ecef_sigma", "m"))
        ),
        velocity=Velocity(
            _solution(values, "velocity_"),
            numbers(values, "velocity", "mps"),
            Spread.of(numbers(values, "velocity_sigma", "mps")),
            values["latency_s"],
        ),
        satellites=(values["satellites_tracked"], values["satellites"]),
        differential_age_s=values["differential_age_s"],
        solution_age_s=values["solution_age_s"],
    )


def _bestpos(values: Values) -> Part:
    height_m = values["height_msl_m"] + values["undulation_m"]
    return _dated(values)._replace(
        position=Position(
            _solution(values, "position_"),
            ecef_from_geodetic(values["latitude_rad"], values["longitude_rad"], height_m),
            Spread.of((values["sigma_east_m"], values["sigma_north_m"], values["sigma_up_m"]), is_local=True),
        ),
        satellites=(values["satellites_tracked"], values["satellites"]),
        differential_age_s=values["differential_age_s"],
        solution_age_s=values["solution_age_s"],
    )


def _bestvel(values: Values) -> Part:
    track, speed_mps = values["track_rad"], values["speed_mps"]
    velocity = np.array((speed_mps * math.sin(track), speed_mps * math.cos(track), values["velocity_up_mps"]))
    return _dated(values)._replace(
        velocity=Velocity(_solution(values, "velocity_"), velocity, None, values["latency_s"], is_local=True)
    )


def _time(values: Values) -> Part:
    """Return the offset of the receiver's clock, which a clock that is not steered leaves in the times of fixes."""
    offset_s = values["clock_offset_s"]
    if values["clock_status"] != 0 or not math.isfinite(offset_s):
        return _dated(values)
    return _dated(values)._replace(late_s=-offset_s, time_sigma_s=values["clock_sigma_s"])


PARTS: Final = {"TIME": _time, "BESTXYZ": _bestxyz, "BESTPOS": _bestpos, "BESTVEL": _bestvel}
