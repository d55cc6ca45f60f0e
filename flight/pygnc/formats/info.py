"""`~/pygnc_info.txt`: the run at a glance, ASCII, below 200 bytes, for people and for a beacon."""

from typing import Final

from pygnc.formats.status import OrbitMode, Phase, Value

SIZE_MAX: Final = 199


def compose(status: dict[str, Value]) -> bytes:
    """Return the text for the fields of a status record (see `pygnc.formats.status`)."""
    phase = Phase(int(status["phase"])).name
    fixes = f"FIX {int(status['fixes_accepted'])}/{int(status['fixes_received'])}"
    lines = [
        f"PyGNC run {int(status['run_number'])} {phase} SC {int(status['spacecraft_time_s'])}",
        *_orbit_lines(status),
        f"{fixes} DMG {int(status['damaged_bytes'])}B EV {int(status['events'])}",
    ]
    return ("\n".join(lines) + "\n").encode("ascii")[:SIZE_MAX]


def _orbit_lines(status: dict[str, Value]) -> list[str]:
    mode = OrbitMode(int(status["orbit_mode"]))
    if mode is OrbitMode.NONE:
        return ["ORBIT unknown"]
    position = " ".join(f"{float(status[f'position_ecef_m_{axis}']) / 1e3:.3f}" for axis in "xyz")
    velocity = " ".join(f"{float(status[f'velocity_ecef_mps_{axis}']) / 1e3:.6f}" for axis in "xyz")
    sigma = max(float(status[f"position_sigma_m_{axis}"]) for axis in "xyz")
    return [
        f"GPS {int(status['orbit_gps_week'])} {int(status['orbit_gps_tow_ms']) / 1e3:.0f}",
        f"R {position} km",
        f"V {velocity} km/s",
        f"SIG {sigma:.1f} m AGE {float(status['orbit_age_s']):.0f} s NIS {float(status['nis_mean']):.2f}",
    ]
