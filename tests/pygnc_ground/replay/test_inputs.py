"""Inputs of a replay equal those that ingest makes of the files."""

import shutil
from pathlib import Path

import pytest

from pygnc.bus.messages import GnssFix, Message, RangeMeasurement
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc_ground.replay.collect import Collected, collect, make_pipeline
from pygnc_ground.replay.inputs import ReplayError, from_files

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo"
SETTINGS, NONE = Settings(), EarthOrientationTable.none()


@pytest.fixture
def ranges(tmp_path: Path) -> Path:
    """Our own range files and a folder with those of a partner."""
    shutil.copytree(DEMO / "range", tmp_path / "range")
    shutil.copytree(DEMO / "range", tmp_path / "range" / "partner_75")
    return tmp_path / "range"


def collected(messages: list[Message]) -> Collected:
    return collect(messages, make_pipeline(SETTINGS, NONE))


def test_partners_files_beside_ours_are_read_with_their_owner(ranges: Path) -> None:
    messages = list(from_files([], ranges, SETTINGS).messages)
    packets = [m for m in messages if isinstance(m, GnssFix | RangeMeasurement)]
    own, theirs = ([m.raw for m in packets if m.satellite_id == satellite] for satellite in (0, 75))
    assert own == theirs
    assert len(own) + len(theirs) == len(packets)


def test_a_partners_fixes_are_not_used_as_ours(ranges: Path) -> None:
    messages = list(from_files([], ranges, SETTINGS).messages)[:80]
    among = collected(messages)
    assert among.timed
    assert {record.seq for record in among.timed} <= {one.seq for one in messages if getattr(one, "is_own", False)}
    assert among.counts["fixes_received"] == len(among.timed)
    assert len(among.sources) == 4


def test_a_partner_folder_with_our_own_id_is_rejected(ranges: Path) -> None:
    (ranges / "partner_75").rename(ranges / "partner_74")
    with pytest.raises(
        ReplayError, match=r"range/partner_74: 74 is our own radio id; put our own files into its parent folder"
    ):
        from_files([], ranges, SETTINGS)
