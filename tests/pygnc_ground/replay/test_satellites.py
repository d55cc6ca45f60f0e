"""Joint replay of several satellites: radio ids, inputs, error messages."""

import shutil
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from pygnc.bus.messages import GnssFix, RangeMeasurement, SensorSample
from pygnc.configuration.settings import Settings
from pygnc_ground.replay.inputs import ReplayError
from pygnc_ground.replay.satellites import SatelliteFolder, from_satellites, partner_truths
from tests.pygnc.navigation import formation_batch as batch
from tests.pygnc.navigation.formation_batch import home


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Files of three satellites, each in a folder."""
    found = {}
    for satellite in (batch.OWN_ID, *batch.PARTNERS):
        folder = tmp_path_factory.mktemp("satellites") / f"s{satellite}"
        (folder / "range").mkdir(parents=True)
        source = batch.home().parent / str(satellite)
        shutil.copy(source / "sense.bin", folder)
        ranges = batch.home() / "range"
        for file in (ranges if satellite == batch.OWN_ID else ranges / f"partner_{satellite}").glob("*.bin"):
            shutil.copy(file, folder / "range")
        found[satellite] = folder
    return found


def named(folders: dict[int, Path], names: dict[str, int]) -> list[SatelliteFolder]:
    return [SatelliteFolder.named(f"{name}={folders[satellite]}") for name, satellite in names.items()]


@pytest.mark.parametrize("names", [("A", "B", "C"), ("74", "75", "76"), ("J", "two", "76")])
def test_radio_ids_are_named_or_follow_from_the_ranges(folders: dict[int, Path], names: tuple[str, ...]) -> None:
    inputs = from_satellites(named(folders, dict(zip(names, folders, strict=True))), Settings())
    assert inputs.settings is not None
    assert inputs.settings.formation.own_id == batch.OWN_ID
    fixes = Counter(m.satellite_id for m in inputs.messages if isinstance(m, GnssFix))
    assert fixes == {0: 170, 75: 170, 76: 170}


def test_the_first_satellite_is_ours_and_others_give_fixes_and_ranges_only(folders: dict[int, Path]) -> None:
    inputs = from_satellites(named(folders, {"B": 75, "A": 74, "C": 76}), Settings())
    assert inputs.settings is not None
    assert inputs.settings.formation.own_id == 75
    messages = list(inputs.messages)
    sources = {m.source for m in messages if isinstance(m, SensorSample)}
    assert sources == {str(folders[75] / "sense.bin")}
    ranges = Counter((m.satellite_id, m.partner_id) for m in messages if isinstance(m, RangeMeasurement))
    assert set(ranges) == {(0, 74), (0, 76), (74, 75), (74, 76), (76, 74), (76, 75)}
    assert [m.seq for m in messages if hasattr(m, "seq")] == list(range(1, len(messages) + 1))
    own = from_satellites(named(folders, {"A": 74, "B": 75, "C": 76}), Settings()).messages
    fixes = {m.raw: msgspec.structs.replace(m, seq=0, satellite_id=74) for m in own if isinstance(m, GnssFix)}
    of_partner = [m for m in messages if isinstance(m, GnssFix) and m.satellite_id == 74]
    assert [msgspec.structs.replace(m, seq=0) for m in of_partner] == [fixes[m.raw] for m in of_partner]


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["A"], "write NAME=FOLDER"),
        (["=x"], "write NAME=FOLDER"),
        (["A={nowhere}"], "not a folder"),
        (["74={of74}", "75={empty}"], "neither sense.bin nor range files found"),
        (["74={of74}", "74={of75}"], "not all different"),
        (["A={of74}"], "radio id does not follow"),
        (["A={of74}", "B={empty}"], "radio id does not follow"),
    ],
)
def test_impossible_replays_are_rejected_with_a_remedy(
    folders: dict[int, Path], tmp_path: Path, texts: list[str], reason: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {f"of{satellite}": folder for satellite, folder in folders.items()}
    places |= {"empty": tmp_path / "empty", "nowhere": tmp_path / "nowhere"}

    def try_it() -> None:
        from_satellites([SatelliteFolder.named(text.format_map(places)) for text in texts], Settings())

    with pytest.raises(ReplayError, match=reason):
        try_it()


@pytest.fixture(scope="module")
def folder() -> Path:
    """Return a folder with the subfolders 74, 75 and 76."""
    return home().parent


def satellites(folder: Path) -> list[SatelliteFolder]:
    return [
        SatelliteFolder("74", folder / "74"),
        SatelliteFolder("K", folder / "75"),
        SatelliteFolder("76", folder / "76"),
    ]


def test_truths_beside_partners_files_are_found_with_one_of_ours(folder: Path) -> None:
    found = partner_truths([], satellites(folder), own_truth=True)
    assert sorted(found) == [75, 76]
    assert found[75].at is not found[76].at
    assert partner_truths([], satellites(folder), own_truth=False) == {}


def test_files_are_named_by_radio_id_or_by_the_satellites_name(folder: Path) -> None:
    file = folder / "76" / "truth.parquet"
    assert sorted(partner_truths([f"77={file}"], [], own_truth=True)) == [77]
    named = partner_truths([f"K={file}"], satellites(folder), own_truth=True)
    beside = partner_truths([], satellites(folder), own_truth=True)
    assert named[75].description == beside[76].description
    assert named[76].description == beside[76].description


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("99=truth.parquet", "write NAME=FILE"),
        ("truth.parquet", "write NAME=FILE"),
        ("75=", "write NAME=FILE"),
        ("74=truth.parquet", "our own satellite"),
    ],
)
def test_user_errors_are_reported_with_a_remedy(text: str, says: str, folder: Path) -> None:
    with pytest.raises(ReplayError, match=says):
        partner_truths([text], satellites(folder), own_truth=True)


def test_a_partners_truth_requires_our_own() -> None:
    with pytest.raises(ReplayError, match="requires --truth"):
        partner_truths(["75=truth.parquet"], [], own_truth=False)


def test_a_missing_file_raises_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        partner_truths([f"75={tmp_path / 'none.parquet'}"], [], own_truth=True)
