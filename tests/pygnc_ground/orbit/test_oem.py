"""Orbits as OEM, read back by our own reader and by brahe."""

from pathlib import Path

import numpy as np
import pytest
from brahe.ccsds import OEM

from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.state import OrbitState
from pygnc_ground.orbit.oem import oem_text, rows_of_states
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.truth.load import load_truth

BEGIN_MS = 2358 * 604_800_000 + 345_638_000
TABLE = EarthOrientationTable("test", np.array([60_000.0, 61_000.0]), np.array([[-0.01, 1e-6, 1e-6, 0.0, 0.0]] * 2))


def states(count: int = 10) -> list[OrbitState]:
    """Return states of a circular orbit that are uncertain by 3, 20 and 2 m along radial, transverse and normal."""
    found = []
    for number in range(count):
        angle = 0.06 * number
        radial = np.array((np.cos(angle), 0.6 * np.sin(angle), 0.8 * np.sin(angle)))
        transverse = np.array((-np.sin(angle), 0.6 * np.cos(angle), 0.8 * np.cos(angle)))
        root = np.zeros((10, 10))
        root[:3, :3] = np.column_stack((3.0 * radial, 20.0 * transverse, 2.0 * np.cross(radial, transverse)))
        root[3:6, 3:6] = 1e-3 * root[:3, :3]
        x = np.concatenate((6.9e6 * radial, 6.9e3 * transverse, np.zeros(4)))
        found.append(OrbitState(BEGIN_MS + 60_000 * number, x, root))
    return found


def text(orientation: EarthOrientationTable) -> str:
    return oem_text(
        rows_of_states(states()),
        EarthFrames(orientation),
        name="A",
        designator="",
        created_gps_ms=BEGIN_MS,
        comment="B",
    )


@pytest.mark.parametrize("orientation", [TABLE, EarthOrientationTable.none()])
def test_both_readers_find_the_states_to_the_last_digit(orientation: EarthOrientationTable, tmp_path: Path) -> None:
    file = tmp_path / "orbit.oem"
    file.write_text(text(orientation))
    frames = EarthFrames(orientation)
    segment = next(iter(OEM.from_file(str(file)).segments))
    assert (segment.num_states, segment.num_covariances, segment.object_name) == (10, 10, "A")
    is_inertial = orientation is TABLE
    assert segment.ref_frame == ("GCRF" if is_inertial else "ITRF")
    for number, state in enumerate(states()):
        expected = state.x[:6] if is_inertial else frames.ecef_state_from_gcrf(state.gps_ms) @ state.x[:6]
        assert segment.states[number].position == pytest.approx(expected[:3], abs=1e-6)
        assert segment.states[number].velocity == pytest.approx(expected[3:], abs=1e-9)
    if not is_inertial:
        times = np.array([state.gps_ms for state in states()])
        itrf = [frames.ecef_state_from_gcrf(state.gps_ms) @ state.x[:6] for state in states()]
        assert load_truth(file).at(times).position_ecef_m == pytest.approx(np.array(itrf)[:, :3], abs=1e-5)


def test_covariances_are_along_radial_transverse_and_normal() -> None:
    lines = text(TABLE).splitlines()
    at = lines.index("COVARIANCE_START")
    assert lines[at + 2] == "COV_REF_FRAME = RTN"
    covariance: FloatArray = np.zeros((6, 6))
    for row, line in enumerate(lines[at + 3 : at + 9]):
        covariance[row, : row + 1] = covariance[: row + 1, row] = [float(word) for word in line.split()]
    assert 1e3 * np.sqrt(np.diagonal(covariance)) == pytest.approx([3.0, 20.0, 2.0, 3e-3, 20e-3, 2e-3])


def test_an_orbit_without_states_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one state"):
        oem_text([], EarthFrames(TABLE), name="", designator="", created_gps_ms=0, comment="")
