"""Epochs of the messages of u-blox."""

import math
from datetime import UTC, datetime
from typing import Final

import numpy as np

from pygnc.common.clock import MS_PER_WEEK, gps_ms_from_unix_ms
from pygnc.inputs.receivers.parts import (
    COMPUTED,
    Part,
    Position,
    Spread,
    Values,
    Velocity,
    ecef_from_geodetic,
    numbers,
    shared,
)

COVARIANCES: Final = "NAV-COV"
"""Message with the covariances of an epoch; receivers send it after positions and velocities."""
_UNKNOWN_NS: Final = 0xFFFF_FFFF
_UNKNOWN_M: Final = 1e-2 * 0xFFFF_FFFF
"""Accuracies that are stated without a fix."""
_FIX_TYPES: Final = {0: "none", 1: "dead_reckoning", 2: "2d", 3: COMPUTED, 4: COMPUTED, 5: "time_only"}
_DATED: Final = 3
"""Flags of a valid date and time of day."""
_TIMED: Final = 12
"""Flags of a valid week and time of the week."""


def _solution(values: Values) -> str:
    name = _FIX_TYPES.get(values["fix_type"], "none")
    return name if values["status_flags"] & 1 or name != COMPUTED else "invalid"


def _tow_ms(values: Values) -> int:
    tow_s: float = values["tow_s"]
    return round(1e3 * tow_s)


def _pvt(values: Values) -> Part:
    tow_ms, solution, accuracy_ns = _tow_ms(values), _solution(values), values["time_accuracy_ns"]
    level_m = values["horizontal_accuracy_m"] / math.sqrt(2.0)
    north, east, down = (values[f"velocity_{axis}_mps"] for axis in ("north", "east", "down"))
    return Part(
        tow_ms,
        # The date tells the week and need not be right to the leap second.
        _week(values, tow_ms) if values["valid"] & _DATED == _DATED else None,
        late_s=math.remainder(1e-9 * values["nano_ns"] - 1e-3 * (tow_ms % 1000), 1.0),
        time_sigma_s=1e-9 * accuracy_ns if accuracy_ns != _UNKNOWN_NS else math.inf,
        position=Position(
            solution,
            ecef_from_geodetic(values["latitude_rad"], values["longitude_rad"], values["height_m"]),
            Spread.of((level_m, level_m, values["vertical_accuracy_m"]), is_local=True),
        ),
        velocity=Velocity(
            solution, np.array((east, north, -down)), shared(values["speed_accuracy_mps"]), is_local=True
        ),
        satellites=(values["satellites"],) * 2,
    )


def _week(values: Values, tow_ms: int) -> int | None:
    year, month, day, hour, minute = (values[f"utc_{part}"] for part in ("year", "month", "day", "hour", "minute"))
    try:
        moment = datetime(year, month, day, hour, minute, min(values["utc_second"], 59), tzinfo=UTC)
    except ValueError:
        return None
    return round((gps_ms_from_unix_ms(round(1000 * moment.timestamp())) - tow_ms) / MS_PER_WEEK)


def _sol(values: Values) -> Part:
    solution = _solution(values)
    return Part(
        _tow_ms(values),
        values["week"] if values["status_flags"] & _TIMED == _TIMED else None,
        late_s=1e-9 * values["nano_ns"],
        position=Position(solution, numbers(values, "ecef", "m"), shared(values["ecef_accuracy_m"])),
        velocity=Velocity(solution, numbers(values, "velocity", "mps"), shared(values["speed_accuracy_mps"])),
        satellites=(values["satellites"],) * 2,
    )


def _pos_ecef(values: Values) -> Part:
    accuracy_m = values["ecef_accuracy_m"]
    solution = "none" if accuracy_m == _UNKNOWN_M else COMPUTED
    return Part(_tow_ms(values), position=Position(solution, numbers(values, "ecef", "m"), shared(accuracy_m)))


def _vel_ecef(values: Values) -> Part:
    accuracy_mps = values["speed_accuracy_mps"]
    solution = "none" if accuracy_mps == _UNKNOWN_M else COMPUTED
    return Part(_tow_ms(values), velocity=Velocity(solution, numbers(values, "velocity", "mps"), shared(accuracy_mps)))


def _time_gps(values: Values) -> Part:
    is_set = values["valid"] & 3 == 3
    return Part(
        _tow_ms(values),
        values["week"] if is_set else None,
        late_s=1e-9 * values["nano_ns"],
        time_sigma_s=1e-9 * values["time_accuracy_ns"] if is_set else math.inf,
    )


def _cov(values: Values) -> Part:
    return Part(
        _tow_ms(values),
        position_spread=_east_north_up(values, "position") if values["position_valid"] else None,
        velocity_spread=_east_north_up(values, "velocity") if values["velocity_valid"] else None,
    )


def _east_north_up(values: Values, name: str) -> Spread:
    nn, ne, nd, ee, ed, dd = (values[f"{name}_{pair}"] for pair in ("nn", "ne", "nd", "ee", "ed", "dd"))
    return Spread(np.array([[ee, ne, -ed], [ne, nn, -nd], [-ed, -nd, dd]]), is_local=True)


PARTS: Final = {
    "NAV-PVT": _pvt,
    "NAV-SOL": _sol,
    "NAV-POSECEF": _pos_ecef,
    "NAV-VELECEF": _vel_ecef,
    COVARIANCES: _cov,
    "NAV-TIMEGPS": _time_gps,
}
