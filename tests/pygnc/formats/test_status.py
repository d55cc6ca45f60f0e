"""Status record and info text."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.estimators.attitude.filter import Mode
from pygnc.estimators.attitude.mekf import AttitudeRejectCause as SampleRejectCause
from pygnc.estimators.orbit.measurement import RejectCause
from pygnc.formats import info, status
from pygnc.formats.layout import Field
from pygnc.navigation.attitude import NO_TIME
from pygnc.tasks.table import TASKS
from scripts import read_status


def test_the_record_is_small_and_self_describing() -> None:
    record = status.encode({})
    assert len(record) == status.SIZE < 1000
    assert record[:4] == b"PGST"
    assert status.decode(record)["size"] == len(record)


def test_unknown_quantities_are_nan() -> None:
    decoded = status.decode(status.encode({}))
    unset = [f for f in status.FIELDS if f.code in {"f", "d"}]
    assert unset
    assert all(math.isnan(float(decoded[f.name])) for f in unset)


@given(
    st.fixed_dictionaries(
        {"spacecraft_time_s": st.integers(0, 2**32 - 1), "position_ecef_m_x": st.floats(allow_nan=False)}
    )
)
def test_values_survive_encoding_and_decoding(values: dict[str, status.Value]) -> None:
    decoded = status.decode(status.encode(values))
    assert {name: decoded[name] for name in values} == values


@pytest.mark.parametrize(("version", "size"), [(4, 622), (5, 624), (6, 634)])
def test_recorded_files_of_each_version_are_readable(version: int, size: int) -> None:
    record = (Path(__file__).parent / f"status-{version}.bin").read_bytes()
    assert len(record) == size
    decoded = status.decode(record)
    assert decoded["version"] == version
    assert decoded.keys() == {field.name for field in status.FIELDS}
    assert all(decoded[field.name] == 0 for field in status.FIELDS if field.since > version)
    for name, value in read_status.decode(record).items():
        assert value == decoded[name] or (isinstance(value, float) and math.isnan(value))


def test_a_field_of_a_later_version_is_appended_wherever_it_is_declared() -> None:
    first, *others = status.FIELDS
    inserted = Field("new", "H", "", "a field", status.VERSION + 1)
    assert status.in_order([first, inserted, *others]) == (*status.FIELDS, inserted)


@pytest.mark.parametrize("version", [3, 8])
def test_other_versions_are_refused(version: int) -> None:
    record = status.encode({})
    with pytest.raises(status.StatusError, match="version 7 has 636 bytes"):
        status.decode(record[:4] + bytes([version]) + record[5:])


@given(st.integers(0, 8 * status.SIZE - 1))
def test_a_flipped_bit_is_detected(bit: int) -> None:
    record = bytearray(status.encode({"generation": 7}))
    record[bit // 8] ^= 1 << bit % 8
    with pytest.raises(status.StatusError):
        status.decode(bytes(record))


def test_a_counter_beyond_its_field_stays_at_the_maximum() -> None:
    fields, dropped = status.fill({"not_recorded": 1000, "events": 2**40})
    assert (fields["not_recorded"], fields["events"], dropped) == (255, 2**32 - 1, {})


ANYTHING = st.none() | st.text() | st.integers() | st.floats() | st.binary() | st.lists(st.integers()) | st.booleans()


@given(st.dictionaries(st.sampled_from([field.name for field in status.FIELDS]) | st.text(), ANYTHING))
def test_whatever_is_to_be_filled_in_gives_a_record_that_names_what_it_dropped(values: dict[str, object]) -> None:
    fields, dropped = status.fill(values)
    decoded = status.decode(status.encode(fields))
    assert dropped.keys() <= values.keys()
    assert {name for name in values if name not in decoded} <= dropped.keys()


def test_an_unknown_field_is_rejected() -> None:
    with pytest.raises(KeyError, match="nonsense"):
        status.encode({"nonsense": 1})


def test_every_task_has_its_fields() -> None:
    assert [task.name for task in TASKS] == [*status.TASK_NAMES]


def test_names_are_unique() -> None:
    names = [f.name for f in status.FIELDS]
    assert len(set(names)) == len(names)


def extreme(code: str) -> status.Value:
    values: dict[str, status.Value] = {"f": -1.2345678e9, "d": -123456789.987654321, "4s": b"PGST"}
    return values.get(code, 2**32 - 1)


def test_the_info_text_is_short_ascii_for_extreme_values() -> None:
    values = {f.name: extreme(f.code) for f in status.FIELDS} | {"phase": 1, "orbit_mode": 2, "attitude_mode": 2}
    text = info.compose(values)
    assert len(text) < 200
    assert text.isascii()
    assert text.endswith(b"\n")


def test_the_info_text_contains_the_known_quantities() -> None:
    text = info.compose(status.decode(status.encode({"phase": status.Phase.NO_DATA, "run_number": 3})))
    assert text.decode().splitlines() == [
        "PyGNC run 3 NO_DATA SC 0",
        "ORBIT unknown",
        "EV 0 DMG 0B",
        "FIX 0/0",
    ]


def test_orbit_attitude_and_field_fit_into_the_info_text() -> None:
    orbit: dict[str, status.Value] = {"orbit_mode": 2, "orbit_gps_week": 2358, "orbit_gps_tow_ms": 356_489_000}
    orbit |= {"orbit_age_s": 71.0, "phase": 2, "run_number": 12, "spacecraft_time_s": 1_764_500_801}
    attitude: dict[str, status.Value] = {"attitude_mode": 3, "in_sun": 1}
    attitude |= {"quaternion_w": 0.25, "quaternion_x": -0.5, "quaternion_y": 0.75, "quaternion_z": -0.35}
    vectors: dict[str, tuple[float, float, float]] = {
        "position_ecef_m": (-3_789_160.0, 1_597_200.0, -5_535_740.0),
        "velocity_ecef_mps": (-6259.5, -522.72, 4415.81),
        "position_sigma_m": (1.0, 2.5, 1.0),
        "rate_body_rad_s": (math.radians(-0.5), math.radians(0.05), math.radians(12.0)),
        "mag_body_ut": (-35.3, 9.7, -14.6),
    }
    told: dict[str, status.Value] = {
        f"{name}_{axis}": v for name, vector in vectors.items() for axis, v in zip("xyz", vector, strict=True)
    }
    text = info.compose(status.decode(status.encode(orbit | attitude | told)))
    assert text.decode().splitlines()[:7] == [
        "PyGNC run 12 IDLE SC 1764500801",
        "GPS 2358 356489 AGE 71 SIG 2.5",
        "R -3789.16 1597.20 -5535.74",
        "V -6.25950 -0.52272 4.41581",
        "Q 0.250 -0.500 0.750 -0.350 FINE SUN",
        "GY -0.50 0.05 12.00",
        "MG -35 10 -15",
    ]


def test_every_reason_for_rejecting_a_fix_has_a_counter() -> None:
    of_velocities = {"velocity_status", "velocity_not_finite", "speed", "latency", "no_velocity"}
    assert set(status.REJECT_CAUSES) == {cause.value for cause in RejectCause} - of_velocities


def test_every_reason_for_rejecting_a_sample_has_a_counter() -> None:
    assert set(status.SAMPLE_CAUSES) == {cause.value for cause in SampleRejectCause} | {NO_TIME, Mode.SEARCHING}
    assert [mode.name.lower() for mode in status.AttitudeMode][1:] == [mode.value for mode in Mode]
