from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_ground.truth.oem import Entry, StateLine, ephemeris_from_oem, read_xml

# Written by hand after the layout of the published examples (CCSDS 505.0-B-3, annex G).
SAMPLE = """\
<?xml version="1.0" encoding="UTF-8"?>
<oem xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" id="CCSDS_OEM_VERS" version="3.0">
  <header><COMMENT>an orbit made up</COMMENT><CREATION_DATE>2025-04-01T12:00:00</CREATION_DATE></header>
  <body>
    <segment>
      <metadata>
        <OBJECT_NAME>TEST SAT</OBJECT_NAME>
        <OBJECT_ID> 2025-001A
        </OBJECT_ID>
        <CENTER_NAME>EARTH</CENTER_NAME>
        <REF_FRAME>ITRF2020</REF_FRAME>
        <TIME_SYSTEM>GPS</TIME_SYSTEM>
      </metadata>
      <data>
        <COMMENT>two states</COMMENT>
        <stateVector>
          <EPOCH>2025-03-20T12:00:00.331</EPOCH>
          <X units="km">7000.0</X><Y>0.0</Y><Z>0.0</Z>
          <X_DOT units="km/s">0.0</X_DOT><Y_DOT>7.5</Y_DOT><Z_DOT>0.0</Z_DOT>
          <X_DDOT>0.0</X_DDOT><Y_DDOT>7.5</Y_DDOT><Z_DDOT>0.0</Z_DDOT>
        </stateVector>
        <stateVector>
          <EPOCH>2025-03-20T12:01:00.331</EPOCH>
          <X>6985.4</X><Y>449.3</Y><Z>0.0</Z><X_DOT>-0.484</X_DOT><Y_DOT>7.484</Y_DOT><Z_DOT>0.0</Z_DOT>
        </stateVector>
        <covarianceMatrix><EPOCH>2025-03-20T12:00:00.331</EPOCH><CX_X>0.316</CX_X></covarianceMatrix>
      </data>
    </segment>
  </body>
</oem>
"""


def test_a_file_written_by_hand_is_read() -> None:
    (segment,) = read_xml(SAMPLE.encode())
    assert segment.line == 5
    assert segment.metadata["OBJECT_ID"] == Entry("2025-001A", 9)
    assert segment.metadata["REF_FRAME"] == Entry("ITRF2020", 11)
    assert len(segment.metadata) == 5
    assert segment.states == [
        StateLine("2025-03-20T12:00:00.331", ("7000.0", "0.0", "0.0", "0.0", "7.5", "0.0"), 21),
        StateLine("2025-03-20T12:01:00.331", ("6985.4", "449.3", "0.0", "-0.484", "7.484", "0.0"), 25),
    ]


def test_a_message_within_an_ndm_and_a_namespace_is_the_same() -> None:
    inner = SAMPLE.partition("\n")[2]
    assert read_xml(f'<ndm xmlns="urn:ccsds:schema:ndmxml">{inner}</ndm>'.encode())[0].states[0].line == 20


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("</segment>", "", r"line 29: damaged XML: mismatched tag"),
        ('<?xml version="1.0" encoding="UTF-8"?>', "<!DOCTYPE oem>", r"line 1: .*document type"),
        ("<Z_DOT>0.0</Z_DOT>", "", r"line 21: the state that ends here lacks Z_DOT"),
        ('<X units="km">', '<X units="m">', r"line 18: X is in m instead of km"),
        ("<oem", "<opm", r"line 30: damaged XML"),
        ("<segment>", "<part>", r"line 16: .*outside a segment"),
    ],
)
def test_damage_is_reported_with_its_line(old: str, new: str, complaint: str) -> None:
    assert old in SAMPLE
    with pytest.raises(ValueError, match=complaint):
        read_xml(SAMPLE.replace(old, new, 1).encode())


def test_other_xml_is_rejected() -> None:
    with pytest.raises(ValueError, match="no element 'oem'"):
        read_xml(b"<opm><body/></opm>")


@given(st.integers(0, len(SAMPLE) - 1), st.binary(max_size=3), st.integers(0, 100))
def test_a_damaged_message_is_read_or_rejected(place: int, inserted: bytes, removed: int) -> None:
    content = SAMPLE.encode()
    with suppress(ValueError):
        segments = read_xml(content[:place] + inserted + content[place + removed :])
        assert ephemeris_from_oem(segments, None).span_gps_ms[0] > 0


@given(st.text(alphabet="abcABC0123456789-_", min_size=1, max_size=12))
def test_an_unknown_encoding_is_rejected(encoding: str) -> None:
    content = SAMPLE.replace("UTF-8", encoding)
    with suppress(ValueError):
        assert read_xml(content.encode())
