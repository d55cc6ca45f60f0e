from pathlib import Path

import pytest

from pygnc_ground.replay.inputs import ReplayError
from pygnc_ground.replay.partner_truth import partner_truths
from pygnc_ground.replay.satellites import SatelliteFolder
from tests.pygnc.tasks.formation_batch import home


@pytest.fixture(scope="module")
def folder() -> Path:
    """With the folders 74, 75 and 76."""
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
def test_a_users_mistake_is_told_with_the_remedy(text: str, says: str, folder: Path) -> None:
    with pytest.raises(ReplayError, match=says):
        partner_truths([text], satellites(folder), own_truth=True)


def test_without_our_own_truth_a_partners_is_of_no_use() -> None:
    with pytest.raises(ReplayError, match="by --truth"):
        partner_truths(["75=truth.parquet"], [], own_truth=False)


def test_a_file_that_is_missing_is_an_error_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        partner_truths([f"75={tmp_path / 'none.parquet'}"], [], own_truth=True)
