"""`~/pygnc_info.txt`: summary of the run in ASCII, below 200 bytes, for people and for a beacon."""

import math
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from pygnc.formats.status import PARTNERS, AttitudeMode, OrbitMode, Phase, Value

SIZE_MAX: Final = 199
_DEGREES: Final = 180.0 / math.pi

Fields: TypeAlias = dict[str, int | float]


def compose(status: dict[str, Value], causes: Iterable[str] = ()) -> bytes:
    """Return the text for the fields of a status record (see `pygnc.formats.status`).

    Lines are in order of importance; a line that does not fit in 199 bytes is left out. `causes` are the code words of
    causes that limit the results (see `pygnc.formats.causes`).
    """
    text = ""
    fields = {name: value for name, value in status.items() if not isinstance(value, bytes)}
    for line in _lines(fields, " ".join(causes)):
        if len(text) + len(line) < SIZE_MAX:
            text += line + "\n"
    return text.encode("ascii")


def _lines(status: Fields, causes: str) -> Iterator[str]:
    orbit, attitude = OrbitMode(int(status["orbit_mode"])), AttitudeMode(int(status["attitude_mode"]))
    partners = [*_partner_lines(status)]
    velocity = [] if orbit is OrbitMode.NONE else [f"V {_vector(status, 'velocity_ecef_mps', 1e-3, 5)}"]
    yield f"PyGNC run {status['run_number']} {Phase(int(status['phase'])).name} SC {status['spacecraft_time_s']}"
    if causes:
        yield f"WARN {causes}"
    if orbit is OrbitMode.NONE:
        yield "ORBIT unknown"
    else:
        time = f"GPS {status['orbit_gps_week']} {status['orbit_gps_tow_ms'] / 1e3:.0f}"
        origin = "ELEMENTS " if orbit is OrbitMode.ELEMENTS else ""
        yield f"{time} {origin}AGE {status['orbit_age_s']:.0f} SIG {_largest(status, 'position_sigma_m'):.1f}"
        yield f"R {_vector(status, 'position_ecef_m', 1e-3, 2)}"
    fixes = f"FIX {status['fixes_accepted']}/{status['fixes_received']}"
    damage = f"DMG {status['damaged_bytes']}B"
    if partners:
        yield f"{fixes} {damage}"
        yield from partners
    else:
        yield from velocity
    light = "SUN" if status["in_sun"] else "ECL"
    if attitude is AttitudeMode.SEARCHING:
        yield f"Q unknown {light}"
    elif attitude is not AttitudeMode.NONE:
        quaternion = " ".join(f"{status[f'quaternion_{part}']:.3f}" for part in "wxyz")
        yield f"Q {quaternion} {attitude.name} {light}"
    if partners:
        yield from velocity
    if attitude is not AttitudeMode.NONE:
        yield f"GY {_vector(status, 'rate_body_rad_s', _DEGREES, 2)}"
        yield f"MG {_vector(status, 'mag_body_ut', 1.0, 0)}"
    if not partners:
        yield f"EV {status['events']} {damage}"
        yield fixes


def _partner_lines(status: Fields) -> Iterator[str]:
    for partner in (f"partner{k}" for k in range(PARTNERS)):
        satellite, sigma_m = status[f"{partner}_id"], _largest(status, f"{partner}_sigma_m")
        doubt = "?" if status[f"{partner}_ambiguous"] else ""
        if satellite and math.isnan(sigma_m):
            yield f"P{satellite} unknown"
        elif satellite:
            yield f"P{satellite} {_vector(status, f'{partner}_rtn_m', 1.0, 0)} S{sigma_m:.0f}{doubt}"


def _largest(status: Fields, name: str) -> float:
    return max(status[f"{name}_{axis}"] for axis in "xyz")


def _vector(status: Fields, name: str, factor: float, decimals: int) -> str:
    return " ".join(f"{factor * status[f'{name}_{axis}']:.{decimals}f}" for axis in "xyz")
