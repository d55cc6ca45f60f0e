"""Orbits with covariances from OEM files and tables."""

import numpy as np
import pytest

from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, read_earth_orientation
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import OrbitState, covariance_rtn
from pygnc_ground.exports.choices import Notation
from pygnc_ground.exports.orbit_messages import Label, States, oem
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.orbit.uncertain import UncertainOrbit
from pygnc_ground.truth.ephemeris import NS_PER_MS
from pygnc_ground.truth.oem import read_kvn, read_xml
from pygnc_system.files import data_file

FRAMES = EarthFrames(read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE)))
BEGIN_MS = 1_426_500_000_000
TIMES_NS = NS_PER_MS * (BEGIN_MS + np.array((60_000, 95_000, 333_333)))


@pytest.fixture(scope="module")
def states() -> list[OrbitState]:
    """Ten minutes of a predicted orbit."""
    root = np.random.default_rng(1).normal(size=(10, 10)) * np.array((30.0,) * 3 + (0.03,) * 3 + (1e-8,) * 4)[:, None]
    x = np.array((6_900e3, 0.0, 0.0, 0.0, 5_000.0, 5_700.0, 0.0, 0.0, 0.0, 0.0))
    orbit = OrbitFilter(OrbitSettings(), FRAMES.orientation)
    states = [OrbitState(BEGIN_MS, x, root)]
    for _ in range(10):
        states.append(orbit.predict(states[-1].gps_ms + 60_000, states[-1]))
    return states


def text(states: list[OrbitState]) -> str:
    gps_ms, x = np.array([state.gps_ms for state in states]), np.array([state.x[:6] for state in states])
    written = States(gps_ms, x, np.array([covariance_rtn(state) for state in states]), "GCRF")
    return oem(written, Label("", "", BEGIN_MS), ()).text(Notation.KVN)


def in_frame(states: list[OrbitState], frame: str) -> str:
    """Return the message with all covariances in another frame."""
    matrices: list[FloatArray] = []
    for state in states:
        turn = FRAMES.ecef_state_from_gcrf(state.gps_ms) if frame == "ITRF" else np.eye(6)
        matrices.append(1e-6 * turn @ state.covariance[:6, :6] @ turn.T)
    lines, row, number = [], 0, 0
    for line in text(states).splitlines():
        if line.startswith("EPOCH"):
            row, number = (row + 1 if number else 0), 0
        words = line.split()
        if line.startswith("COV_REF_FRAME"):
            lines.append(f"COV_REF_FRAME = {frame}")
        elif "COVARIANCE_START" in lines and len(words) == number + 1 and "=" not in line and number < 6:
            lines.append(" ".join(f"{value:.15e}" for value in matrices[row][number, : number + 1]))
            number += 1
        else:
            lines.append(line)
    return "\n".join(lines)


@pytest.mark.parametrize("frame", ["RTN", "GCRF", "ITRF"])
def test_an_ephemeris_message_has_the_states_and_covariances_that_were_written(
    frame: str, states: list[OrbitState]
) -> None:
    content = text(states) if frame == "RTN" else in_frame(states, frame)
    found = UncertainOrbit.from_oem(read_kvn(content), None, FRAMES.orientation)
    expected = UncertainOrbit.from_states(states, FRAMES)
    np.testing.assert_allclose(found.states(TIMES_NS), expected.states(TIMES_NS), atol=0.02)
    np.testing.assert_allclose(found.covariances(TIMES_NS), expected.covariances(TIMES_NS), rtol=1e-3, atol=1e-3)


def test_covariances_at_states_are_those_of_the_filter(states: list[OrbitState]) -> None:
    found = UncertainOrbit.from_states(states, FRAMES).covariances(TIMES_NS[:1])[0]
    turn = FRAMES.ecef_state_from_gcrf(states[1].gps_ms)
    np.testing.assert_allclose(found, turn @ states[1].covariance[:6, :6] @ turn.T, rtol=1e-6, atol=1e-5)


def test_a_message_without_covariances_has_none(states: list[OrbitState]) -> None:
    content = text(states).partition("COVARIANCE_START")[0]
    found = UncertainOrbit.from_oem(read_kvn(content), None, FRAMES.orientation)
    assert np.isnan(found.covariances(TIMES_NS)).all()


@pytest.mark.parametrize("wrong", ["x", "1e400", "-5.0"])
def test_numbers_that_are_not_a_covariance_are_named_with_their_line(wrong: str, states: list[OrbitState]) -> None:
    lines = text(states).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("COV_REF_FRAME")) + 1
    lines[at] = wrong
    with pytest.raises(ValueError, match=f"line {at - 1}: .*begin"):
        UncertainOrbit.from_oem(read_kvn("\n".join(lines)), None, FRAMES.orientation)


def test_covariances_in_xml_are_read() -> None:
    names = [f"C{a}_{b}" for n, a in enumerate(AXES) for b in AXES[: n + 1]]
    values = "".join(f"<{name}>{number}</{name}>" for number, name in enumerate(names))
    content = f"""<oem><body><segment><metadata><REF_FRAME>GCRF</REF_FRAME></metadata><data><covarianceMatrix>
        <EPOCH>2025-03-20T00:00:00</EPOCH><COV_REF_FRAME>RSW</COV_REF_FRAME>{values}
        </covarianceMatrix></data></segment></body></oem>"""
    ((covariance,),) = (segment.covariances for segment in read_xml(content.encode()))
    assert covariance.keywords == {"EPOCH": "2025-03-20T00:00:00", "COV_REF_FRAME": "RSW"}
    assert covariance.numbers == [str(number) for number in range(21)]


AXES = ("X", "Y", "Z", "X_DOT", "Y_DOT", "Z_DOT")
