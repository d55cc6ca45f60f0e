"""The declarations are consistent and match the file formats."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.common.constants import PARTNER_IDS
from pygnc.formats import status
from pygnc.formats.gps_packet import RANGE_GPS_PACKET, SENSE_GPS_PACKET
from pygnc.formats.ranges import RANGE_PACKET
from pygnc.formats.sense import SENSOR_PACKET
from pygnc.host.sentence import BODY_MAX, Delivery
from pygnc.host.sentence_types import GPSR, GPSS, PGPS, PRNG, RANG, SENS, STAT, TYPES, BodyError, SentenceType

KINDS = st.sampled_from(list(TYPES.values()))


def size_of(kind: SentenceType) -> int:
    return struct.calcsize("<" + "".join(field.code for field in kind.fields))


def test_packets_have_the_sizes_of_the_files() -> None:
    sizes = {SENS: SENSOR_PACKET, GPSS: SENSE_GPS_PACKET, GPSR: RANGE_GPS_PACKET, RANG: RANGE_PACKET}
    for kind, packet in {**sizes, PGPS: RANGE_GPS_PACKET, PRNG: RANGE_PACKET}.items():
        assert kind.tail_min == kind.tail_max == packet.itemsize
        assert kind.delivery is Delivery.UNORDERED
    assert [field.name for field in PGPS.fields] == [field.name for field in PRNG.fields] == ["radio_id"]
    assert all(f"0x{PARTNER_IDS[k]:X}" in PGPS.fields[0].meaning for k in (0, -1))


def test_a_status_record_fits() -> None:
    assert STAT.tail_max >= status.SIZE


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
def test_every_type_can_be_sent(kind: SentenceType) -> None:
    assert len(kind.name) == 4
    assert kind.name.isupper()
    assert size_of(kind) + kind.tail_max <= BODY_MAX
    assert bool(kind.tail) == bool(kind.tail_max)
    assert kind.tail_min <= kind.tail_max


@given(KINDS, st.data())
def test_a_body_survives_packing_and_unpacking(kind: SentenceType, data: st.DataObject) -> None:
    values = [data.draw(st.integers(0, 256 ** struct.calcsize(field.code) - 1)) for field in kind.fields]
    tail = data.draw(st.binary(min_size=kind.tail_min, max_size=kind.tail_max))
    body = kind.unpack(kind.pack(*values, tail=tail))
    assert (list(body.fields.values()), body.tail) == (values, tail)


@given(KINDS, st.binary(max_size=1200))
def test_arbitrary_bytes_are_unpacked_or_rejected(kind: SentenceType, octets: bytes) -> None:
    length = len(octets) - size_of(kind)
    if kind.tail_min <= length <= kind.tail_max:
        assert kind.unpack(octets).tail == octets[size_of(kind) :]
    else:
        with pytest.raises(BodyError, match=kind.name):
            kind.unpack(octets)


def test_values_that_do_not_fit_are_rejected() -> None:
    with pytest.raises(BodyError, match="PING"):
        TYPES["PING"].pack(1 << 32)
    with pytest.raises(BodyError, match="30"):
        SENS.pack(tail=bytes(31))
