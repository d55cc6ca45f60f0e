"""Messages that brahe and our own readers read back to the last printed digit."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from brahe import ccsds

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.common.mean_elements import MeanElements
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import LOWER, OrbitState
from pygnc_ground.exports.aem import Attitudes, aem
from pygnc_ground.exports.cdm import Approach, cdm
from pygnc_ground.exports.choices import Kind, Notation
from pygnc_ground.exports.estimates import Estimates
from pygnc_ground.exports.export import AWS, STARLINK, Options, files
from pygnc_ground.exports.orbit_messages import Label, States, oem, opm
from pygnc_ground.orbit.solution import FloatArray, rtn_axes
from pygnc_ground.truth.load import load_truth

BEGIN_MS = 2358 * 604_800_000 + 345_638_000
TABLE = EarthOrientationTable("test", np.array([60_000.0, 61_000.0]), np.array([[-0.01, 1e-6, 1e-6, 0.0, 0.0]] * 2))
LABEL = Label("A & B", "2025-001A", BEGIN_MS)
BOTH = pytest.mark.parametrize("notation", [Notation.KVN, Notation.XML])


def filter_states(count: int = 10) -> list[OrbitState]:
    """Return states of a circular orbit that are uncertain by 3, 20 and 2 m along radial, transverse and normal."""
    found = []
    for number in range(count):
        angle = 0.06 * number
        radial = np.array((np.cos(angle), 0.6 * np.sin(angle), 0.8 * np.sin(angle)))
        transverse = np.array((-np.sin(angle), 0.6 * np.cos(angle), 0.8 * np.cos(angle)))
        root = np.zeros((10, 10))
        root[:3, :3] = np.column_stack((3.0 * radial, 20.0 * transverse, 2.0 * np.cross(radial, transverse)))
        root[3:6, 3:6] = 1e-3 * root[:3, :3]
        root[3:6, 0] += 1e-3 * radial
        x = np.concatenate((6.9e6 * radial, 6.9e3 * transverse, np.zeros(4)))
        found.append(OrbitState(BEGIN_MS + 60_000 * number, x, root))
    return found


def estimates(orientation: EarthOrientationTable = TABLE) -> Estimates:
    return Estimates({}, filter_states()[0], OrbitFilter(OrbitSettings(), orientation))


def states(*, in_itrf: bool = False) -> States:
    return estimates().of_filter(filter_states(), in_itrf=in_itrf)


@pytest.mark.parametrize("orientation", [TABLE, EarthOrientationTable.none()])
@BOTH
def test_an_oem_is_read_by_brahe_and_by_us(
    orientation: EarthOrientationTable, notation: Notation, tmp_path: Path
) -> None:
    of = estimates(orientation).of_filter(filter_states())
    assert of.frame == ("GCRF" if orientation is TABLE else "ITRF")
    text = oem(of, LABEL, ("B",)).text(notation)
    message = ccsds.OEM.from_str(text)
    segment = next(iter(message.segments))
    assert (segment.num_states, segment.num_covariances, segment.object_name) == (10, 10, "A & B")
    assert segment.ref_frame == of.frame
    for number, state in enumerate(of.states):
        assert segment.states[number].position == pytest.approx(state[:3], abs=0.5e-6)
        assert segment.states[number].velocity == pytest.approx(state[3:], abs=0.5e-9)
    covariances = json.loads(message.to_string("JSON"))["segments"][0]["covariances"]
    assert {one["cov_ref_frame"] for one in covariances} == {"RTN"}
    read = np.array([[value for row in one["values"] for value in row] for one in covariances])
    assert 1e6 * read == pytest.approx(of.covariance_rtn[:, *LOWER], rel=1e-11, abs=1e-12)
    file = tmp_path / "orbit.oem"
    file.write_text(text)
    if of.frame == "ITRF":
        assert load_truth(file).at(of.gps_ms).position_ecef_m == pytest.approx(of.states[:, :3], abs=1e-5)


def test_a_gap_begins_a_segment() -> None:
    early, late = states().rows(slice(0, 5)), states().rows(slice(5, 7))
    times = np.concatenate((early.gps_ms, late.gps_ms + 3_600_000))
    gap = States(times, states().states[:7], states().covariance_rtn[:7], "GCRF")
    found = [*ccsds.OEM.from_str(oem(gap, LABEL, ()).text(Notation.KVN)).segments]
    assert [(segment.num_states, segment.interpolation_degree) for segment in found] == [(5, 7), (2, None)]


def test_an_orbit_without_states_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one state"):
        oem(states().rows(slice(0, 0)), LABEL, ())


@BOTH
def test_an_opm_has_the_newest_state_with_its_covariance(notation: Notation) -> None:
    message = ccsds.OPM.from_str(opm(states(), LABEL, ("B",)).text(notation))
    assert message.position == pytest.approx(states().states[-1, :3], abs=0.5e-6)
    assert message.velocity == pytest.approx(states().states[-1, 3:], abs=0.5e-9)
    found = json.loads(message.to_string("JSON"))["covariance"]
    axes = ("x", "y", "z", "x_dot", "y_dot", "z_dot")
    values = np.array([found[f"c{axes[row]}_{axes[column]}"] for row, column in zip(*LOWER, strict=True)])
    assert found["cov_ref_frame"] == "RTN"
    assert 1e6 * values == pytest.approx(states().covariance_rtn[-1][LOWER], rel=1e-11, abs=1e-12)
    assert 1e3 * np.sqrt(values[[0, 2, 5]]) == pytest.approx((3.0, 20.0, 2.0))


def test_profiles_follow_the_rules_of_their_receivers() -> None:
    of = states(in_itrf=True)
    starlink, aws = (oem(of, LABEL, (), form).text(Notation.KVN) for form in (STARLINK, AWS))
    # docs.space-safety.starlink.com, Trajectories: a covariance at the time of each state.
    assert "\nREF_FRAME = ITRF\n" in starlink
    assert starlink.startswith("CCSDS_OEM_VERS")
    times = re.findall(r"^(\d{4}-\S+) ", starlink, re.MULTILINE)
    assert re.findall(r"^EPOCH = (\S+)$\nCOV_REF_FRAME = RTN$", starlink, re.MULTILINE) == times
    # docs.aws.amazon.com/ground-station, Provide OEM ephemeris data.
    for line in ("CCSDS_OEM_VERS = 2.0", "CENTER_NAME = Earth", "REF_FRAME = ITRF2000", "TIME_SYSTEM = UTC"):
        assert line in aws.splitlines()
    assert "\nINTERPOLATION = LAGRANGE\nINTERPOLATION_DEGREE = 7\n" in aws
    assert "REF_FRAME_EPOCH" not in aws


@BOTH
def test_an_aem_turns_body_components_as_our_quaternion(notation: Notation) -> None:
    quaternion = np.array([[0.5, 0.5, 0.5, -0.5], [0.6, 0.0, 0.8, 0.0], [0.8, 0.0, 0.0, 0.6], [0.0, 1.0, 0.0, 0.0]])
    times = BEGIN_MS + np.array((0, 5_000, 10_000, 100_000))
    attitudes = Attitudes(times, quaternion, np.tile((0.1, -0.2, 1e-9), (4, 1)), np.full((4, 3), 0.01))
    segments = [*ccsds.AEM.from_str(aem(attitudes, LABEL, ()).text(notation)).segments]
    assert [len(segment.states) for segment in segments] == [3, 1]
    assert (segments[0].ref_frame_a, segments[0].ref_frame_b) == ("GCRF", "SC_BODY_1")
    for number, state in enumerate(state for segment in segments for state in segment.states):
        assert state.quaternion.to_vector(scalar_first=True) == pytest.approx(quaternion[number], abs=1e-12)
        assert state.angular_velocity == pytest.approx((0.1, -0.2, 1e-9), abs=1e-14)


def approach(own: OrbitState) -> Approach:
    relative = np.concatenate((rtn_axes(own.x[:6]).T @ (3.0, -40.0, 1.0), rtn_axes(own.x[:6]).T @ (0.0, 0.1, -0.2)))
    return Approach(
        gps_ms=own.gps_ms,
        partner=75,
        orbit="mirror orbit",
        own=own.x[:6],
        own_covariance=own.covariance[:6, :6],
        relative=relative,
        relative_covariance=np.diag(np.repeat((4.0, 1e-6), 3)),
        probability=1.25e-5,
        radius_m=2.0,
    )


def reference_covariance(state: FloatArray, covariance: FloatArray) -> FloatArray:
    both = np.kron(np.eye(2), rtn_axes(state))
    turned: FloatArray = both @ covariance @ both.T
    return turned


@BOTH
def test_a_cdm_has_both_states_and_the_probability(notation: Notation) -> None:
    of = approach(filter_states()[3])
    message = ccsds.CDM.from_str(cdm(of, LABEL).text(notation))
    assert message.tca.to_datetime()[:5] == (2025, 3, 20, 0, 3)
    assert utc_iso_from_gps_ms(of.gps_ms).startswith("2025-03-20T00:03")
    assert message.miss_distance == pytest.approx(np.linalg.norm((3.0, -40.0, 1.0)), abs=1e-6)
    assert message.relative_speed == pytest.approx(np.hypot(0.1, 0.2), abs=1e-9)
    assert (message.collision_probability, message.collision_probability_method) == (1.25e-5, "COPPOLA-2012")
    partner = of.own + of.relative
    assert message.object1_state == pytest.approx(of.own, abs=0.5e-6)
    assert message.object2_state == pytest.approx(partner, abs=0.5e-6)
    assert message.object1_covariance == pytest.approx(
        reference_covariance(of.own, of.own_covariance), rel=1e-11, abs=1e-12
    )
    assert message.object2_covariance == pytest.approx(
        reference_covariance(partner, of.own_covariance + of.relative_covariance), rel=1e-11, abs=1e-12
    )
    assert message.object2_name == "PARTNER 75"


def test_messages_in_inertial_axes_say_that_there_was_no_earth_orientation(monkeypatch: pytest.MonkeyPatch) -> None:
    times = np.array([BEGIN_MS])
    attitudes = Attitudes(times, np.eye(4)[:1], np.zeros((1, 3)), np.full((1, 3), 0.01))
    for orientation, remarked in ((TABLE, False), (EarthOrientationTable.none(), True)):
        of = estimates(orientation)
        monkeypatch.setattr(Estimates, "attitudes", attitudes)
        elements = MeanElements(BEGIN_MS, 15.2, 0.001, 97.5, 10.0, 20.0, 30.0, 1e-4)
        monkeypatch.setattr(Estimates, "fitted", SimpleNamespace(elements=elements, error_m=[1.0] * 4))
        monkeypatch.setattr(Estimates, "approaches", lambda _: iter([approach(filter_states()[0])]))
        for file in files(of, Options([Kind.AEM, Kind.CDM, Kind.OMM, Kind.TLE])):
            assert ("0.004 deg" in file.note) == (b"0.004 deg" in file.content) == remarked, file.name
