"""`~/pygnc_info.txt`: summary of the run in ASCII, below 200 bytes, for people and for a beacon."""

import math
from collections.abc import Iterator
from typing import Final

from pygnc.formats.status import PARTNERS, AttitudeMode, OrbitMode, Phase, Value

SIZE_MAX: Final = 199
_DEGREES: Final = 180.0 / math.pi


def compose(status: dict[str, Value]) -> bytes:
    """Return the text for the fields of a status record (see `pygnc.formats.status`).

    Lines are in order of importance; a line that does not fit any more is left out.
    """
    orbit, attitude = OrbitMode(int(status["orbit_mode"])), AttitudeMode(int(status["attitude_mode"]))
    partners = [*_partner_lines(status)]
    velocity = [] if orbit is OrbitMode.NONE else [f"V {_vector(status, 'velocity_ecef_mps', 1e-3, 5)}"]
    lines = [f"PyGNC run {status['run_number']} {Phase(int(status['phase'])).name} SC {status['spacecraft_time_s']}"]
    if orbit is OrbitMode.NONE:
        lines += ["ORBIT unknown"]
    else:
        time = f"GPS {status['orbit_gps_week']} {int(status['orbit_gps_tow_ms']) / 1e3:.0f}"
        sigma_m = _largest(status, "position_sigma_m")
        lines += [f"{time} AGE {float(status['orbit_age_s']):.0f} SIG {sigma_m:.1f}"]
        lines += [f"R {_vector(status, 'position_ecef_m', 1e-3, 2)}"]
    lines += [] if partners else velocity
    light = "SUN" if status["in_sun"] else "ECL"
    if attitude is AttitudeMode.SEARCHING:
        lines += [f"Q unknown {light}"]
    elif attitude is not AttitudeMode.NONE:
        parts = " ".join(f"{float(status[f'quaternion_{part}']):.3f}" for part in "wxyz")
        lines += [f"Q {parts} {attitude.name} {light}"]
    lines += [*partners, *velocity] if partners else []
    if attitude is not AttitudeMode.NONE:
        lines += [
            f"GY {_vector(status, 'rate_body_rad_s', _DEGREES, 2)}",
            f"MG {_vector(status, 'mag_body_ut', 1.0, 0)}",
        ]
    lines += [f"EV {status['events']} DMG {status['damaged_bytes']}B"]
    lines += [f"FIX {status['fixes_accepted']}/{status['fixes_received']}"]
    text = ""
    for line in lines:
        if len(text) + len(line) < SIZE_MAX:
            text += line + "\n"
    return text.encode("ascii")


def _partner_lines(status: dict[str, Value]) -> Iterator[str]:
    for partner in (f"partner{k}" for k in range(PARTNERS)):
        satellite, sigma_m = status[f"{partner}_id"], _largest(status, f"{partner}_sigma_m")
        doubt = "?" if status[f"{partner}_ambiguous"] else ""
        if satellite and math.isnan(sigma_m):
            yield f"P{satellite} unknown"
        elif satellite:
            yield f"P{satellite} {_vector(status, f'{partner}_rtn_m', 1.0, 0)} S{sigma_m:.0f}{doubt}"


def _largest(status: dict[str, Value], name: str) -> float:
    return max(float(status[f"{name}_{axis}"]) for axis in "xyz")


def _vector(status: dict[str, Value], name: str, factor: float, decimals: int) -> str:
    return " ".join(f"{factor * float(status[f'{name}_{axis}']):.{decimals}f}" for axis in "xyz")
