"""The status record and the info line."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.estimators.orbit.reject_cause import RejectCause
from pygnc.formats import info, status
from pygnc.tasks.orbit_tracker import TIME_INCONSISTENT


def test_the_record_is_small_and_self_describing() -> None:
    record = status.encode({})
    assert len(record) == status.SIZE < 1000
    assert record[:4] == b"PGST"
    assert status.decode(record)["size"] == len(record)


def test_what_is_not_known_is_not_a_number() -> None:
    decoded = status.decode(status.encode({}))
    unset = [f for f in status.FIELDS if f.code in {"f", "d"}]
    assert unset
    assert all(math.isnan(float(decoded[f.name])) for f in unset)


@given(
    st.fixed_dictionaries(
        {"spacecraft_time_s": st.integers(0, 2**32 - 1), "position_ecef_m_x": st.floats(allow_nan=False)}
    )
)
def test_values_come_back(values: dict[str, status.Value]) -> None:
    decoded = status.decode(status.encode(values))
    assert {name: decoded[name] for name in values} == values


@given(st.integers(0, 8 * status.SIZE - 1))
def test_a_flipped_bit_is_noticed(bit: int) -> None:
    record = bytearray(status.encode({"generation": 7}))
    record[bit // 8] ^= 1 << bit % 8
    with pytest.raises(status.StatusError):
        status.decode(bytes(record))


def test_a_counter_that_outgrew_its_field_stays_at_the_largest_value() -> None:
    assert status.decode(status.encode({"not_recorded": 1000, "events": 2**40}))["events"] == 2**32 - 1


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(KeyError, match="nonsense"):
        status.encode({"nonsense": 1})


def test_names_are_unique() -> None:
    names = [f.name for f in status.FIELDS]
    assert len(set(names)) == len(names)


def extreme(code: str) -> status.Value:
    values: dict[str, status.Value] = {"f": -1.2345678e9, "d": -123456789.987654321, "12s": b"x" * 12, "4s": b"PGST"}
    return values.get(code, 2**32 - 1)


def test_the_info_line_is_short_ascii_in_the_extreme() -> None:
    values = {f.name: extreme(f.code) for f in status.FIELDS} | {"phase": 1, "orbit_mode": 2}
    text = info.compose(values)
    assert len(text) < 200
    assert text.isascii()


def test_the_info_line_says_what_is_known() -> None:
    text = info.compose(status.decode(status.encode({"phase": status.Phase.NO_DATA, "run_number": 3})))
    assert text.decode().splitlines() == ["PyGNC run 3 NO_DATA SC 0", "ORBIT unknown", "FIX 0/0 DMG 0B EV 0"]


def test_every_cause_of_rejection_has_its_counter() -> None:
    of_velocities = {"velocity_status", "velocity_not_finite", "speed", "latency", "no_velocity"}
    assert set(status.REJECT_CAUSES) == {cause.value for cause in RejectCause} - of_velocities | {TIME_INCONSISTENT}
