"""Files of raw measurements and of GPS orbits, recognised by content."""

from pathlib import Path

import pytest

from pygnc_ground.gnss.broadcast import BroadcastOrbits
from pygnc_ground.receivers.raw_files import read_measurements, read_orbits
from tests.fakes.gnss_measurements import measurements
from tests.fakes.raw_logs import epochs, range_text
from tests.pygnc_ground.gnss.broadcast_tables import NAVIGATION_FILE
from tests.pygnc_ground.gnss.test_rinex2 import EPOCH, HEADER

SP3 = b"#cP2015 10  7  0  0  0.00000000       1 ORBIT IGS08 HLM  IGS\nEOF\n"


@pytest.fixture
def navigation(tmp_path: Path) -> Path:
    path = tmp_path / "brdc"
    path.write_bytes(NAVIGATION_FILE)
    return path


def test_an_observation_file_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "observations"
    path.write_text(HEADER + EPOCH)
    assert len(read_measurements(path)) == 2


def test_messages_in_text_are_not_taken_for_sp3(tmp_path: Path) -> None:
    """Both begin with a number sign."""
    path = tmp_path / "receiver.log"
    made = measurements(4)
    path.write_bytes(b"".join(map(range_text, epochs(made))))
    assert len(read_measurements(path)) == len(made)
    with pytest.raises(ValueError, match="the log has no ephemeris"):
        read_orbits([path])


def test_ephemerides_of_several_files_are_used_once(navigation: Path) -> None:
    (once, _), (twice, _) = read_orbits([navigation]), read_orbits([navigation, navigation])
    assert isinstance(once, BroadcastOrbits)
    assert isinstance(twice, BroadcastOrbits)
    assert len(once.table) == len(twice.table) > 0


def test_precise_and_broadcast_orbits_are_not_mixed(navigation: Path, tmp_path: Path) -> None:
    precise = tmp_path / "precise"
    precise.write_bytes(SP3)
    with pytest.raises(ValueError, match="give one kind"):
        read_orbits([precise, navigation])


@pytest.mark.parametrize("content", [b"some notes\n", bytes(range(256)) * 20])
def test_a_file_of_another_kind_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"notes: neither RINEX nor a log .*; switch on RXM-RAWX"):
        read_measurements(path)
    with pytest.raises(ValueError, match="notes: neither SP3, nor a RINEX navigation file"):
        read_orbits([path])
