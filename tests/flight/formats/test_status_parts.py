"""Both parts of a status record together are the record; each tells its fields by itself."""

import math

import pytest

from pygnc.formats import status
from pygnc.formats.status import StatusError
from pygnc.formats.status_parts import CUT, LARGEST, PLACES, fields_in, parts_of
from pygnc.host.sentence_types import PART

FILLED: dict[str, status.Value] = {
    field.name: b"abcdefghijkl"[: int(field.code[:-1])] if "s" in field.code else k % 200
    for k, field in enumerate(status.FIELDS)
    if field.name not in {"magic", "version", "size"}
}


def test_the_parts_put_together_are_the_record() -> None:
    record = status.encode(FILLED)
    first, second = parts_of(record)
    assert first.octets + second.octets == record
    assert (first.offset, second.offset) == (0, len(first.octets))
    assert first.generation == second.generation == FILLED["generation"]
    assert first.size == second.size == len(record)


def test_each_part_tells_its_fields_and_together_they_are_all() -> None:
    record = status.encode(FILLED)
    first, second = (fields_in(part.offset, part.octets) for part in parts_of(record))
    assert not first.keys() & second.keys()
    assert first | second == status.decode(record)
    assert {"phase", "position_ecef_m_x", "quaternion_w", "partner2_sigma_m_z"} <= first.keys()
    assert {"task0_state", "fixes_accepted", "events", "ranges_used"} <= second.keys()


def test_the_cut_goes_through_no_field() -> None:
    assert CUT in {place.offset for place in PLACES.values()}


def test_a_sentence_holds_either_part() -> None:
    assert PART.tail_max >= LARGEST


@pytest.mark.parametrize("record", [b"", b"PGST", b"PGSX" + bytes(800), b"PGST" + bytes(CUT - 4)])
def test_what_is_no_record_has_no_parts(record: bytes) -> None:
    with pytest.raises(StatusError, match="no status record"):
        parts_of(record)


def test_the_beginning_of_something_else_tells_nothing() -> None:
    for octets in (b"", b"PGST", b"PGST\x7f" + bytes(400), b"junk" * 80):
        with pytest.raises(StatusError, match="no beginning"):
            fields_in(0, octets)


def test_what_is_not_known_is_not_a_number() -> None:
    first = fields_in(0, parts_of(status.encode({}))[0].octets)
    assert math.isnan(float(first["position_ecef_m_x"]))
