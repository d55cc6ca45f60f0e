from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_ground.truth.oem import Entry, StateLine, ephemeris_from_oem, read_kvn

# Written by hand after the layout of the published examples (CCSDS 502.0-B-3, annex G).
SAMPLE = """\
CCSDS_OEM_VERS = 3.0
COMMENT an orbit made up = for a test
CLASSIFICATION = public, test only
CREATION_DATE = 2025-04-01T12:00:00
ORIGINATOR = TEST

META_START
OBJECT_NAME          = TEST SAT
OBJECT_ID            = 2025-001A
CENTER_NAME          = EARTH
REF_FRAME            = EME2000
TIME_SYSTEM          = UTC
START_TIME           = 2025-03-20T12:00:00.331
USEABLE_START_TIME   = 2025-079T12:01:00.331
STOP_TIME            = 2025-03-20T12:03:00.331
INTERPOLATION        = HERMITE
INTERPOLATION_DEGREE = 7
META_STOP

COMMENT
COMMENT Produced by nobody
2025-03-20T12:00:00.331  7000.0      0.0   0.0   0.0      7.5   0.0
2025-03-20T12:01:00.331\t 6985.4   449.3   0.0  -0.484    7.484 0.0   1.0E-3 2.0E-3 -3e-3
2025-079T12:02:00.331Z   6942.0   896.7   0.0  -0.967    7.437 0.0

COVARIANCE_START
EPOCH = 2025-03-20T12:00:00.331
COV_REF_FRAME = EME2000
 3.3313494e-04
 4.6189273e-04  6.7824216e-04
-3.0700078e-04 -4.2212341e-04  3.2319319e-04
COVARIANCE_STOP

META_START
OBJECT_ID = 2025-001B
META_STOP
"""


def test_a_file_written_by_hand_is_read() -> None:
    first, second = read_kvn(SAMPLE)
    assert (first.line, second.line) == (7, 34)
    assert first.metadata["OBJECT_NAME"] == Entry("TEST SAT", 8)
    assert first.metadata["INTERPOLATION_DEGREE"] == Entry("7", 17)
    assert len(first.metadata) == 10
    assert first.states[0] == StateLine("2025-03-20T12:00:00.331", ("7000.0", "0.0", "0.0", "0.0", "7.5", "0.0"), 22)
    assert first.states[1].components == ("6985.4", "449.3", "0.0", "-0.484", "7.484", "0.0")
    assert first.states[2].epoch == "2025-079T12:02:00.331Z"
    assert len(first.states) == 3
    assert (second.metadata, second.states) == ({"OBJECT_ID": Entry("2025-001B", 35)}, [])


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_newline_ends_a_line(newline: str) -> None:
    assert read_kvn(SAMPLE.replace("\n", newline)) == read_kvn(SAMPLE)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("META_STOP\n\nCOMMENT", "\n\nCOMMENT", r"line 22: '2025-03-20T12:00:00.331 .* is not KEYWORD = value"),
        ("META_START", "META_STOP", r"line 7: META_STOP .*header"),
        ("COVARIANCE_STOP", "", r"line 34: META_START .*covariance"),
        ("ORIGINATOR = TEST", "ORIGINATOR TEST", r"line 5: 'ORIGINATOR TEST' is not KEYWORD = value"),
        (" 0.0      7.5   0.0", " 0.0      7.5", r"line 22: .* 5 numbers"),
        ("1.0E-3 2.0E-3 -3e-3", "1.0E-3 2.0E-3", r"line 23: .* 8 numbers"),
        ("2025-001B\nMETA_STOP\n", "2025-001B\n", r"line 35: the message ends in its metadata"),
    ],
)
def test_damage_is_reported_with_its_line(old: str, new: str, complaint: str) -> None:
    assert old in SAMPLE
    with pytest.raises(ValueError, match=complaint):
        read_kvn(SAMPLE.replace(old, new, 1))


def test_an_empty_message_is_rejected() -> None:
    with pytest.raises(ValueError, match="ends in its header"):
        read_kvn("")


@given(st.integers(0, len(SAMPLE) - 1), st.text(max_size=3), st.integers(0, 200))
def test_a_damaged_message_is_read_or_rejected(place: int, inserted: str, removed: int) -> None:
    damaged = SAMPLE[:place] + inserted + SAMPLE[place + removed :]
    with suppress(ValueError):
        assert ephemeris_from_oem(read_kvn(damaged), "2025-001A").span_gps_ms[0] > 0
