import numpy as np
import pytest

from pygnc.formats.damage import Anomaly, AnomalyReason
from pygnc.formats.sense_anomalies import DUPLICATE_REACH_RECORDS
from pygnc.formats.sense_scan import scan
from tests.pygnc.formats.streams import sense_records


def named(octets: bytes) -> list[tuple[int, AnomalyReason]]:
    result = scan(octets)
    assert not result.damage
    for anomaly in result.anomalies:
        start = int(result.offsets[anomaly.record])
        assert (anomaly.start, anomaly.stop) == (start, start + 251)
    return [(anomaly.record, anomaly.reason) for anomaly in result.anomalies]


def test_a_clean_file_has_none() -> None:
    assert named(sense_records(200).tobytes()) == []


def test_duplicates_are_delivered_and_named() -> None:
    records = sense_records(10)
    order = [0, 1, 2, 2, 3, 1, 4, 5, 5, 5, 6]
    duplicate = AnomalyReason.DUPLICATE
    assert named(records[order].tobytes()) == [(3, duplicate), (5, duplicate), (8, duplicate), (9, duplicate)]


def test_swapped_records_are_delivered_and_named() -> None:
    records = sense_records(10)
    assert named(records[[0, 1, 3, 2, 4]].tobytes()) == [(3, AnomalyReason.OUT_OF_ORDER)]


def test_a_near_twin_is_no_duplicate() -> None:
    records = sense_records(3)[[0, 1, 1, 2]]
    records["sensors"]["hall"][2, 0] += 1
    assert named(records.tobytes()) == [(2, AnomalyReason.OUT_OF_ORDER)]


@pytest.mark.parametrize(("distance", "found"), [(DUPLICATE_REACH_RECORDS, True), (DUPLICATE_REACH_RECORDS + 1, False)])
def test_duplicates_are_searched_for_nearby(distance: int, *, found: bool) -> None:
    records = sense_records(distance)
    order = [*range(distance), 0]
    reason = AnomalyReason.DUPLICATE if found else AnomalyReason.OUT_OF_ORDER
    assert named(records[order].tobytes()) == [(distance, reason)]


@pytest.mark.parametrize("exponent", [12, 13, 14, 15])
def test_light_words_that_the_sensor_cannot_produce(exponent: int) -> None:
    records = sense_records(4)
    records["sensors"]["lux"][2, 3, 5] = exponent << 12 | 5
    assert named(records.tobytes()) == [(2, AnomalyReason.IMPLAUSIBLE_LIGHT)]


def test_one_record_can_have_several() -> None:
    records = sense_records(4)[[0, 2, 1, 3]]
    records["gps"]["velocity_ecef_mps"][2] = np.nan
    records["sensors"]["lux"][2] = 0xFFFF
    octets = records.tobytes()
    assert named(octets) == [
        (2, AnomalyReason.OUT_OF_ORDER),
        (2, AnomalyReason.IMPLAUSIBLE_LIGHT),
        (2, AnomalyReason.IMPLAUSIBLE_FIX),
    ]
    assert scan(octets, base_offset=7).anomalies[0] == Anomaly(2, 509, 760, AnomalyReason.OUT_OF_ORDER)
