"""Parsers of uploaded mean elements: TLE, and OMM in KVN, XML and JSON."""

import json
import math
from collections.abc import Callable

import msgspec
import pytest
import satkit
from hypothesis import given
from hypothesis import strategies as st

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.common.mean_elements import ELEMENTS_SIZE_MAX, ElementsError, MeanElements
from pygnc.formats.elements import parse_elements
from pygnc.formats.tle import checksum
from pygnc_ground.exports.choices import Notation
from pygnc_ground.exports.orbit_messages import omm
from pygnc_ground.exports.two_lines import losses, tle_text

LINE1 = "1 25544U 98067A   21264.51782528  .00002893  00000-0  58680-4 0  9996"
LINE2 = "2 25544  51.6442 208.5856 0001458  47.2277  50.1624 15.48919419302874"
TLE = f"{LINE1}\n{LINE2}\n"
ISS = MeanElements(
    epoch_gps_ms=gps_ms_from_utc_iso("2021-09-21T12:25:40.104Z"),
    mean_motion_rev_per_day=15.48919419,
    eccentricity=0.0001458,
    inclination_deg=51.6442,
    raan_deg=208.5856,
    argument_of_perigee_deg=47.2277,
    mean_anomaly_deg=50.1624,
    bstar_per_radius=5.868e-5,
    catalogue_number=25544,
    designator="1998-067A",
)
FIELDS = {
    "OBJECT_NAME": "ISS (ZARYA)",
    "OBJECT_ID": "1998-067A",
    "CENTER_NAME": "EARTH",
    "REF_FRAME": "TEME",
    "TIME_SYSTEM": "UTC",
    "MEAN_ELEMENT_THEORY": "SGP4",
    "EPOCH": "2021-09-21T12:25:40.104192",
    "MEAN_MOTION": "15.48919419",
    "ECCENTRICITY": "0.0001458",
    "INCLINATION": "51.6442",
    "RA_OF_ASC_NODE": "208.5856",
    "ARG_OF_PERICENTER": "47.2277",
    "MEAN_ANOMALY": "50.1624",
    "EPHEMERIS_TYPE": "0",
    "NORAD_CAT_ID": "25544",
    "BSTAR": "0.5868E-4",
}


def as_kvn(fields: dict[str, str]) -> bytes:
    lines = [
        "CCSDS_OMM_VERS = 2.0",
        "COMMENT from a test = case",
        *(f"{key} = {value}" for key, value in fields.items()),
    ]
    return "\n".join(lines).encode()


def as_json(fields: dict[str, str]) -> bytes:
    numbers = {key: float(value) if key in {"MEAN_MOTION", "BSTAR"} else value for key, value in fields.items()}
    return json.dumps([numbers], indent=1).encode()


def as_xml(fields: dict[str, str]) -> bytes:
    tags = "\n".join(f"<{key}>{value}</{key}>" for key, value in fields.items())
    return f'<?xml version="1.0"?>\n<ndm><omm><body><segment>\n{tags}\n</segment></body></omm></ndm>'.encode()


FORMATS: list[Callable[[dict[str, str]], bytes]] = [as_kvn, as_json, as_xml]


def fault(content: bytes) -> str:
    with pytest.raises(ElementsError) as caught:
        parse_elements(content)
    return str(caught.value)


@pytest.mark.parametrize("name", ["", "0 ISS (ZARYA)\n", "ISS (ZARYA)\r\n", "\ufeff\n"])
def test_reads_two_lines_with_and_without_a_name(name: str) -> None:
    found = parse_elements((name + TLE).encode()).elements
    assert found == MeanElements(**{**{f: getattr(ISS, f) for f in ISS.__struct_fields__}, "name": found.name})
    assert found.name == ("ISS (ZARYA)" if "ISS" in name else "")


@pytest.mark.parametrize("write", FORMATS)
def test_reads_a_message_in_every_notation(write: Callable[[dict[str, str]], bytes]) -> None:
    found = parse_elements(write(FIELDS)).elements
    assert found.name == "ISS (ZARYA)"
    for field in ISS.__struct_fields__:
        if field != "name":
            assert getattr(found, field) == getattr(ISS, field), field


def test_reads_one_object_in_json_with_other_keywords_and_escaped_ones() -> None:
    content = json.dumps(FIELDS | {"CLASSIFICATION_TYPE": "U", "TLE": ["1", "2"]}).replace("EPOCH", "\\u0045POCH")
    assert parse_elements(content.encode()).elements.epoch_gps_ms == ISS.epoch_gps_ms


def test_reads_units_and_days_of_the_year() -> None:
    fields = FIELDS | {"EPOCH": "2021-264T12:25:40.104192Z", "INCLINATION": "51.6442 [deg]"}
    assert parse_elements(as_kvn(fields)).elements.epoch_gps_ms == ISS.epoch_gps_ms


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TLE.replace("9996", "9995"), "line 1: the checksum is '5', but the line adds up to 6"),
        (TLE.replace("302874", "302877"), "line 2: the checksum is '7', but the line adds up to 4"),
        (f"NAME\n{LINE1}\n{LINE2[:-1]}\n", "line 3: 68 characters instead of 69"),
        (f"{LINE1}\n", "line 1: 1 element lines instead of 2"),
        (f"{LINE2}\n{LINE1}\n", "line 1: begins with '2' instead of '1'"),
        (TLE + TLE, "line 3: 4 element lines"),
        ("", "line 1: the file is empty"),
        ("hello\n", "line 1: 0 element lines"),
    ],
)
def test_a_damaged_tle_is_refused_with_line_and_reason(content: str, expected: str) -> None:
    assert fault(content.encode()).startswith(expected)


def with_checksums(*lines: str) -> bytes:
    return "\n".join(line[:68] + str(checksum(line)) for line in lines).encode()


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (LINE1, LINE2.replace(" 51.6442", "181.6442"), "line 2: inclination_deg is 181.644, outside 0 to 180"),
        (LINE1, LINE2.replace("25544", "25545"), "line 2: catalogue number '25545' differs from '25544'"),
        (LINE1, LINE2.replace("15.48919419", "16.9     19"), "line 2: mean_motion_rev_per_day is"),
        (LINE1, LINE2.replace("15.48919419", "16.99999999"), "line 2: the perigee is 63"),
        (LINE1.replace("21264.5", "21367.5"), LINE2, "line 1: the epoch is '21367.51782528'"),
        (LINE1.replace(" 0  999", " 4  999"), LINE2, "line 1: ephemeris type '4' is not SGP4"),
        (LINE1.replace(" 58680-4", " 58x80-4"), LINE2, "line 1: B* is ' 58x80-4'"),
        (LINE1, LINE2.replace("0001458", "000145 "), "line 2: eccentricity is '000145 ', not seven digits"),
        (LINE1.replace("U 98067A", "U-98067A"), LINE2, "line 1: column 9 is not blank"),
        (LINE1.replace("25544", "I0001"), LINE2.replace("25544", "I0001"), "line 1: catalogue number 'I0001' is not"),
    ],
)
def test_impossible_values_of_a_tle_are_refused(one: str, two: str, expected: str) -> None:
    assert fault(with_checksums(one, two)).startswith(expected)


def test_alpha_5_numbers_and_old_years_are_read() -> None:
    lines = (LINE1.replace("25544", "A0001").replace("98067A", "57001B"), LINE2.replace("25544", "A0001"))
    found = parse_elements(with_checksums(*lines)).elements
    assert (found.catalogue_number, found.designator) == (100_001, "1957-001B")
    assert parse_elements(with_checksums(LINE1.replace("98067A", "98 67A"), LINE2)).elements.designator == "98 67A"
    assert found.is_object("100001")
    assert found.is_object("1957-001b")
    assert not found.is_object("25544")
    assert not found.is_object("\N{SUPERSCRIPT TWO}")


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("REF_FRAME", "GCRF", "REF_FRAME is 'GCRF' instead of TEME"),
        ("MEAN_ELEMENT_THEORY", "DSST", "MEAN_ELEMENT_THEORY is 'DSST'"),
        ("ECCENTRICITY", "0.95", "ECCENTRICITY: eccentricity is 0.95, outside 0 to 0.8"),
        ("INCLINATION", "NaN", "INCLINATION is 'NaN', not a number"),
        ("EPOCH", "yesterday", "EPOCH is 'yesterday', not a time"),
        ("EPOCH", "2021-13-21T12:25:40", "EPOCH: "),
        ("EPOCH", "0016-09-20T12:25:40.104", "EPOCH is '0016-09-20T12:25:40.104', not a time"),
        ("EPOCH", "9999-12-31T23:59:60", "EPOCH is '9999-12-31T23:59:60', not a time"),
        ("NORAD_CAT_ID", "no number", "NORAD_CAT_ID is 'no number'"),
    ],
)
def test_an_unusable_message_is_refused_with_line_and_reason(
    write: Callable[[dict[str, str]], bytes], field: str, value: str, expected: str
) -> None:
    content = write(FIELDS | {field: value})
    line = 1 + content[: content.index(value.encode())].count(b"\n")
    assert fault(content).startswith(f"line {line}: {expected}")


@pytest.mark.parametrize("write", FORMATS)
def test_a_missing_keyword_is_named(write: Callable[[dict[str, str]], bytes]) -> None:
    fields = {key: value for key, value in FIELDS.items() if key != "BSTAR"}
    assert "BSTAR is missing" in fault(write(fields))


def test_xml_may_not_declare_entities_or_a_document_type() -> None:
    entity = (
        b'<?xml version="1.0"?>\n<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>\n<omm><EPOCH>&e;</EPOCH></omm>'
    )
    assert fault(entity).startswith("line 2: document types and entities are not accepted")
    assert "nested" in fault(b"<a>" * 100)
    assert fault(b"<omm>\n<EPOCH>").startswith("line 2: not well-formed XML")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[" * 60_000, "not JSON|nested"),
        (b'[{"EPOCH": 1}, {}]', "2 objects instead of one"),
        (b"[3]", "not an object"),
        (b'{"EPOCH": "2021', "not JSON"),
        (b"x" * (ELEMENTS_SIZE_MAX + 1), "more than 65536 bytes"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a\0b", "not text"),
        (b"CCSDS_OMM_VERS = 2.0\nEPOCH", "line 2: 'EPOCH' is not KEYWORD = value"),
        (as_kvn(FIELDS) + b"\nEPOCH = 2021-09-21T12:25:40", "EPOCH appears twice"),
    ],
)
def test_other_content_is_refused(content: bytes, expected: str) -> None:
    with pytest.raises(ElementsError, match=expected):
        parse_elements(content)


angles = st.floats(0.0, 360.0)


@given(
    motion=st.floats(0.95, 15.9),
    eccentricity=st.floats(0.0, 0.01),
    inclination=st.floats(0.0, 180.0),
    raan=angles,
    perigee=angles,
    anomaly=angles,
    bstar=st.floats(-0.1, 0.1),
    epoch_s=st.integers(1_000_000_000, 1_500_000_000),
)
def test_a_written_message_is_read_back(  # noqa: PLR0917 - hypothesis passes by name
    motion: float,
    eccentricity: float,
    inclination: float,
    raan: float,
    perigee: float,
    anomaly: float,
    bstar: float,
    epoch_s: int,
) -> None:
    elements = MeanElements(
        1000 * epoch_s, motion, eccentricity, inclination, raan, perigee, anomaly, bstar, 7, "", "A B"
    )
    message = omm(elements, (), 1000 * epoch_s, ("a comment",))
    for notation in Notation:
        found = parse_elements(message.text(notation).encode()).elements
        assert (found.epoch_gps_ms, found.name, found.catalogue_number) == (1000 * epoch_s, "A B", 7)
        for field in ("mean_motion_rev_per_day", "eccentricity", "inclination_deg", "raan_deg", "bstar_per_radius"):
            assert math.isclose(getattr(found, field), getattr(elements, field), rel_tol=1e-9, abs_tol=1e-9), field
    rounded = parse_elements(tle_text(elements, (), ("a comment",)).encode()).elements
    assert (rounded.name, rounded.catalogue_number, rounded.designator) == ("A B", 7, "")
    assert abs(rounded.epoch_gps_ms - 1000 * epoch_s) <= 1
    digits = {"mean_motion_rev_per_day": 8, "eccentricity": 7, "inclination_deg": 4}
    for field, places in digits.items():
        assert getattr(rounded, field) == pytest.approx(getattr(elements, field), abs=0.51 * 10**-places), field
    for field in ("raan_deg", "argument_of_perigee_deg", "mean_anomaly_deg"):
        change = (getattr(rounded, field) - getattr(elements, field) + 180.0) % 360.0 - 180.0
        assert abs(change) < 0.51e-4, field
    assert rounded.bstar_per_radius == pytest.approx(bstar, rel=0.51e-4, abs=1e-14)


def test_what_a_tle_cannot_carry_is_said_in_it_and_it_is_valid() -> None:
    elements = msgspec.structs.replace(ISS, name="N" * 30, catalogue_number=800_000, designator="TBA")
    text = tle_text(elements, (100.0, 200.0, 300.0, 400.0))
    assert len(losses(elements)) == 3
    assert all(f"# {sentence}\n" in text for sentence in losses(elements))
    assert "within 24 h after the epoch, exceeded in 5 % of cases: 0.400 km" in text
    found = parse_elements(text.encode()).elements
    assert (found.name, found.catalogue_number, found.designator) == ("N" * 24, 0, "")


def test_a_tle_is_written_as_it_was_read() -> None:
    text = tle_text(msgspec.structs.replace(ISS, catalogue_number=100_001), ())
    assert losses(ISS) == []
    assert text.splitlines()[0].startswith("1 A0001U 98067A   21264.51782528  .00000000  00000-0  58680-4 0    0")
    assert text.splitlines()[1].startswith("2 A0001  51.6442 208.5856 0001458  47.2277  50.1624 15.48919419    0")
    line_1, line_2 = text.splitlines()
    found = satkit.TLE.from_lines([line_1, line_2])
    theirs = found[0] if isinstance(found, list) else found
    assert (theirs.inclination, theirs.bstar, theirs.mean_motion) == pytest.approx((51.6442, 5.868e-5, 15.48919419))


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    refused_or_read(content)


@given(st.sampled_from([TLE.encode(), *(write(FIELDS) for write in FORMATS)]), st.data())
def test_any_damage_is_refused_or_leaves_valid_elements(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    start = data.draw(st.integers(0, 10))
    refused_or_read(bytes(damaged[start:]))


def refused_or_read(content: bytes) -> None:
    reason = ""
    try:
        elements = parse_elements(content).elements
    except ElementsError as error:
        reason = str(error)
    if reason:
        assert reason.startswith("line ")
        assert reason.isprintable()
        return
    assert 0.0 <= elements.eccentricity <= 0.8
    assert 0.9 <= elements.mean_motion_rev_per_day <= 17.0
    assert elements.name.isascii()
    assert elements.name.isprintable()


@given(st.integers(0, 68), st.characters(min_codepoint=32, max_codepoint=126))
def test_every_wrong_digit_of_a_line_is_found(place: int, character: str) -> None:
    damaged = LINE1[:place] + character + LINE1[place + 1 :]
    if damaged == LINE1 or not (character.isdigit() and LINE1[place].isdigit()):
        return
    assert "checksum" in fault(f"{damaged}\n{LINE2}".encode()) or place < 2
