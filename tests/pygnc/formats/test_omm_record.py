"""Record of mean elements for a beacon."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.common.mean_elements import MeanElements
from pygnc.formats import omm_record

ELEMENTS = MeanElements(1_400_000_000_123, 15.2, 0.001, 97.5, 10.0, 20.0, 30.0, 0.0001220703125, 25544)
VALUES = {
    "error_6h_m": 500.0,
    "error_12h_m": 800.0,
    "error_18h_m": 1000.0,
    "error_24h_m": 1500.0,
    "fit_rms_m": 400.0,
    "fix_age_s": 60.0,
    "fixes_accepted": 300,
    "run_number": 7,
}


def test_a_record_fits_a_beacon_and_is_read_back() -> None:
    record = omm_record.encode(ELEMENTS, VALUES)
    assert len(record) == omm_record.SIZE <= 120
    elements, values = omm_record.decode(record)
    assert elements == ELEMENTS
    assert {name: values[name] for name in VALUES} == VALUES


def test_a_missing_field_is_named() -> None:
    with pytest.raises(KeyError, match="run_number"):
        omm_record.encode(ELEMENTS, {name: value for name, value in VALUES.items() if name != "run_number"})


@given(st.integers(0, omm_record.SIZE - 1), st.integers(1, 255))
def test_every_damaged_byte_is_found(place: int, change: int) -> None:
    record = bytearray(omm_record.encode(ELEMENTS, VALUES))
    record[place] ^= change
    with pytest.raises(omm_record.OmmRecordError):
        omm_record.decode(bytes(record))


@given(st.binary(max_size=2 * omm_record.SIZE))
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(omm_record.OmmRecordError, match="not mean elements"):
        omm_record.decode(content)


def test_elements_out_of_range_are_refused() -> None:
    wrong = MeanElements(1_400_000_000_123, 15.2, 0.001, 200.0, 10.0, 20.0, 30.0, 0.0)
    with pytest.raises(omm_record.OmmRecordError, match="inclination_deg is 200, outside 0 to 180"):
        omm_record.decode(omm_record.encode(wrong, VALUES))


def test_an_epoch_before_all_gps_weeks_is_refused() -> None:
    wrong = MeanElements(5, 15.2, 0.001, 97.0, 10.0, 20.0, 30.0, 0.0)
    with pytest.raises(omm_record.OmmRecordError, match="the epoch is not a GPS time"):
        omm_record.decode(omm_record.encode(wrong, VALUES))
