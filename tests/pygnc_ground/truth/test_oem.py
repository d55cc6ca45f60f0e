"""Meaning of messages, whatever their notation; the notations have their own tests."""

from datetime import datetime

import numpy as np
import pytest
from brahe import ccsds

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc_ground.truth.ephemeris import Ephemeris
from pygnc_ground.truth.oem import ephemeris_from_oem, read_kvn, read_xml
from pygnc_ground.truth.orbit_truth import FloatArray
from tests.pygnc_ground.truth import orbits
from tests.pygnc_ground.truth.writers import Epochs, every, kvn, kvn_segment, oem_metadata, xml

BEGIN = datetime(2025, 3, 20)  # noqa: DTZ001 - in the file's time system, whichever it is
BEGIN_GPS_MS = gps_ms_from_utc_iso("2025-03-20T00:00:00Z") - 18_000
"""GPS time at which a GPS clock reads the date and time of `BEGIN`."""
T_S = 60.0 * np.arange(31)
EPOCHS = every(BEGIN, 60.0, 31)
STATES = orbits.circular(T_S)


def read(text: str, object_id: str | None = None) -> Ephemeris:
    return ephemeris_from_oem(read_kvn(text), object_id)


def message(metadata: dict[str, str], states: FloatArray = STATES, epochs: Epochs = EPOCHS) -> str:
    """Return a message of one segment with some metadata changed."""
    return kvn(kvn_segment(epochs, states, oem_metadata(epochs) | metadata))


@pytest.mark.parametrize("notation", ["kvn", "xml"])
def test_written_files_are_read(notation: str) -> None:
    metadata = oem_metadata(EPOCHS)
    segments = read_kvn(message({})) if notation == "kvn" else read_xml(xml(EPOCHS, STATES, metadata).encode())
    ephemeris = ephemeris_from_oem(segments, None)
    assert ephemeris.span_gps_ms == (BEGIN_GPS_MS, BEGIN_GPS_MS + 1_800_000)
    t_ms = np.arange(0, 1_800_001, 7000)
    found = ephemeris.at(BEGIN_GPS_MS + t_ms)
    expected = orbits.circular(t_ms * 1e-3)
    np.testing.assert_allclose(found.position_ecef_m, expected[:, :3], atol=1e-4)
    np.testing.assert_allclose(found.velocity_ecef_mps, expected[:, 3:], atol=1e-6)
    assert ephemeris.description.startswith("OEM, object 2025-001A TEST SAT, ITRF2020, 2025-03-19T23:59:42.000Z")


@pytest.mark.parametrize("notation", ["KVN", "XML"])
@pytest.mark.parametrize(("frame", "time_system"), [("ITRF2014", "GPS"), ("EME2000", "UTC"), ("GCRF", "TAI")])
def test_files_written_by_brahe_are_read(notation: str, frame: str, time_system: str) -> None:
    oem = ccsds.OEM(originator="TEST")
    t_s = np.arange(0.0, 3001.0, 60.0)
    start = orbits.brahe.Epoch.from_date(2025, 3, 20, getattr(orbits.brahe.TimeSystem, time_system))
    states = orbits.states_itrf(t_s) if frame == "ITRF2014" else orbits.states_gcrf(t_s)
    names = ("TEST SAT", "2025-001A", "EARTH", frame, time_system)
    oem.add_segment(*names, start, start + 3000.0, "HERMITE", 7, None, None)
    segment = next(iter(oem.segments))
    for seconds, state in zip(t_s, states, strict=True):
        segment.add_state(start + float(seconds), state[:3].tolist(), state[3:].tolist(), None)
    text = oem.to_string(notation)
    ephemeris = ephemeris_from_oem(read_kvn(text) if notation == "KVN" else read_xml(text.encode()), None)
    assert ephemeris.span_gps_ms[1] - ephemeris.span_gps_ms[0] == 3_000_000
    begin_ms = {"GPS": BEGIN_GPS_MS, "UTC": BEGIN_GPS_MS + 18_000, "TAI": BEGIN_GPS_MS - 19_000}[time_system]
    assert ephemeris.span_gps_ms[0] == begin_ms
    found = ephemeris.at(begin_ms + 60_000 * np.arange(51))
    if frame == "ITRF2014":
        np.testing.assert_allclose(found.position_ecef_m, states[:, :3], atol=1e-3)
        np.testing.assert_allclose(found.velocity_ecef_mps, states[:, 3:], atol=1e-6)
    else:
        radius_m = np.linalg.norm(states[:, :3], axis=1)
        np.testing.assert_allclose(np.linalg.norm(found.position_ecef_m, axis=1), radius_m, atol=1e-3)


@pytest.mark.parametrize("spacing_s", [60.0, 300.0])
def test_a_real_orbit_in_gcrf_equals_that_in_itrf(spacing_s: float) -> None:
    t_s = np.arange(0.0, 7000.0, spacing_s)
    utc = every(BEGIN, spacing_s, len(t_s))
    text = kvn(kvn_segment(utc, orbits.states_gcrf(t_s), oem_metadata(utc, frame="GCRF", time_system="UTC")))
    asked_s = orbits.between(spacing_s)
    found = read(text).at_ns(orbits.gps_ns(asked_s))
    error_m = np.linalg.norm(found.position_ecef_m - orbits.states_itrf(asked_s)[:, :3], axis=1)
    assert error_m.max() < (2e-4 if spacing_s == 60.0 else 0.13)


@pytest.mark.parametrize(
    ("time_system", "ahead_of_gps_s"), [("GPS", 0.0), ("TAI", 19.0), ("TT", 51.184), ("UTC", -18.0), ("utc", -18.0)]
)
def test_times_are_in_the_system_that_the_segment_names(time_system: str, ahead_of_gps_s: float) -> None:
    begin_ms, _ = read(message({"TIME_SYSTEM": time_system})).span_gps_ms
    assert begin_ms == round(BEGIN_GPS_MS - 1000 * ahead_of_gps_s)


def test_utc_runs_through_a_leap_second() -> None:
    utc = [f"2016-12-31T23:59:{second:02d}.000" for second in range(50, 61)]
    utc += [f"2017-001T00:00:{second:02d}.000" for second in range(10)]
    ephemeris = read(message({"TIME_SYSTEM": "UTC"}, orbits.circular(np.arange(21.0)), utc))
    begin_ms = gps_ms_from_utc_iso("2016-12-31T23:59:50Z")
    assert ephemeris.span_gps_ms == (begin_ms, begin_ms + 20_000)
    found = ephemeris.at(begin_ms + np.arange(0, 20_001, 250))
    np.testing.assert_allclose(found.position_ecef_m, orbits.circular(np.arange(0.0, 20.1, 0.25))[:, :3], atol=1e-3)


@pytest.mark.parametrize(
    "frame", ["ITRF", "ITRF-93", "ITRF93", "ITRF2000", "itrf2020", "IGS20", "IGb14", "WGS84", "ECEF"]
)
def test_earth_fixed_frames_go_by_several_names(frame: str) -> None:
    np.testing.assert_array_equal(
        read(message({"REF_FRAME": frame})).at(np.array([BEGIN_GPS_MS])).position_ecef_m, STATES[:1, :3]
    )


@pytest.mark.parametrize(("name", "same"), [("J2000", "EME2000"), ("ICRF", "GCRF")])
def test_inertial_frames_go_by_two_names(name: str, same: str) -> None:
    states = orbits.states_gcrf(T_S)
    asked = BEGIN_GPS_MS + np.array([0, 77_000])
    found, expected = (read(message({"REF_FRAME": frame}, states)).at(asked) for frame in (name, same))
    np.testing.assert_array_equal(found.position_ecef_m, expected.position_ecef_m)
    other = read(message({"REF_FRAME": "GCRF" if same == "EME2000" else "EME2000"}, states)).at(asked)
    assert 0.05 < np.abs(found.position_ecef_m - other.position_ecef_m).max() < 1.0


def test_states_outside_the_useable_time_are_used_for_interpolation_only() -> None:
    times = {"USEABLE_START_TIME": "2025-03-20T00:02:30", "USEABLE_STOP_TIME": "2025-03-20T00:27:30"}
    assert read(message(times)).span_gps_ms == (BEGIN_GPS_MS + 150_000, BEGIN_GPS_MS + 1_650_000)


def test_segments_are_arcs() -> None:
    later = every(datetime(2025, 3, 20, 1), 60.0, 31)  # noqa: DTZ001
    text = kvn(
        kvn_segment(EPOCHS, STATES, oem_metadata(EPOCHS)),
        kvn_segment(later, STATES, oem_metadata(later, frame="WGS84")),
    )
    ephemeris = read(text)
    assert "ITRF2020, WGS84" in ephemeris.description
    assert ephemeris.description.endswith("62 samples in 2 arcs")
    found = ephemeris.at(BEGIN_GPS_MS + 1000 * np.array([1800, 1801, 3599, 3600]))
    np.testing.assert_array_equal(np.isfinite(found.position_ecef_m[:, 0]), [True, False, False, True])


def test_the_object_is_chosen_by_identifier_and_the_error_lists_them() -> None:
    other = oem_metadata(EPOCHS) | {"OBJECT_ID": "2025-001B"}
    text = kvn(kvn_segment(EPOCHS, STATES, oem_metadata(EPOCHS)), kvn_segment(EPOCHS, 1.01 * STATES, other))
    found = read(text, "2025-001B").at(np.array([BEGIN_GPS_MS]))
    assert np.linalg.norm(found.position_ecef_m) == pytest.approx(7.07e6)
    for wanted, complaint in ((None, "several objects"), ("2025-001C", "unknown object '2025-001C'")):
        with pytest.raises(ValueError, match=complaint + ".*2025-001A, 2025-001B"):
            read(text, wanted)


@pytest.mark.parametrize(
    ("degree", "samples"), [("3", 2), ("4", 3), ("7", 4), ("8", 5), ("15", 8), ("99", 8), ("0", 2)]
)
def test_a_recommended_hermite_degree_is_followed(degree: str, samples: int) -> None:
    # Between the third and fourth sample, only the samples of the window may have an effect: corrupt them one by one.
    further = {"INTERPOLATION": "HERMITE", "INTERPOLATION_DEGREE": degree}
    asked = np.array([BEGIN_GPS_MS + 10 * 60_000 + 30_000])
    clean = read(message(further)).at(asked).position_ecef_m
    taken = 0
    for row in range(31):
        spoilt = STATES.copy()
        spoilt[row, 0] += 1000.0
        taken += bool(np.abs(read(message(further, spoilt)).at(asked).position_ecef_m - clean).max() > 1e-6)
    assert taken == samples


def test_hermite_of_the_default_degree_replaces_lagrange() -> None:
    further = {"INTERPOLATION": "LAGRANGE", "INTERPOLATION_DEGREE": "3"}
    asked = np.array([BEGIN_GPS_MS + 30_000])
    found, expected = read(message(further)).at(asked), read(message({})).at(asked)
    np.testing.assert_array_equal(found.position_ecef_m, expected.position_ecef_m)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"CENTER_NAME": "MARS"}, r"line 9: the centre is MARS"),
        ({"REF_FRAME": "TOD"}, r"line 10: .*'TOD'.*ITRFyyyy.*convert"),
        ({"REF_FRAME": "GTOD"}, r"line 10: .*'GTOD'"),
        ({"TIME_SYSTEM": "UT1"}, r"line 11: .*'UT1'.*GPS, TAI, TT, UTC"),
        ({"OBJECT_ID": ""}, r"line 6: OBJECT_ID is missing"),
        ({"REF_FRAME": ""}, r"line 6: REF_FRAME is missing"),
        ({"USEABLE_START_TIME": "tomorrow"}, r"line 14: 'tomorrow' is not a time"),
        ({"USEABLE_START_TIME": "2025-03-21T00:00:00"}, r"line 6: all states of this segment"),
        ({"INTERPOLATION": "HERMITE", "INTERPOLATION_DEGREE": "seven"}, r"line 15: .*degree 'seven'"),
    ],
)
def test_invalid_metadata_are_reported_with_their_line(change: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read(message(change))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("2025-03-20T00:00:00.000000 4200", "2025-13-20T00:00:00.000000 4200", r"line 16: 2025-13-20 is not a date"),
        ("2025-03-20T00:01:00", "2025-03-20T00:00:00", r"line 17: .* is not later than the state before"),
        ("T00:00:00.000000 4200.000000000000", "T00:00:00.000000 4200.0x", r"line 16: .*not a number.*'4200.0x'"),
        ("T00:00:00.000000 4200.000000000000", "T00:00:00.000000 nan", r"line 16: .*not finite"),
        ("T00:00:00.000000 4200.000000000000", "T00:00:00.000000 1e999", r"line 16: .*not finite"),
    ],
)
def test_invalid_states_are_reported_with_their_line(old: str, new: str, complaint: str) -> None:
    text = message({})
    assert old in text
    with pytest.raises(ValueError, match=complaint):
        read(text.replace(old, new, 1))


def test_a_message_without_states_is_rejected() -> None:
    with pytest.raises(ValueError, match="no states"):
        read(kvn(kvn_segment([], STATES[:0], oem_metadata(EPOCHS))))
