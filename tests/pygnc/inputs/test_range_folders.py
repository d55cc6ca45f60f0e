"""Location and owner of range files."""

from pathlib import Path

import pytest

from pygnc.inputs.range_folders import is_next_file, list_range_files, satellite_of


def touch(home: Path, *names: str) -> None:
    for name in names:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).touch()


def test_finds_own_and_partners_files_under_all_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "range.bin", "rng00001.bin", "range/rng00002.bin", "range/partner_75/rng65535.bin")
    touch(tmp_path, "range/partner_L/rng00003.bin", "range/partner_75/notes.txt", "range/old/rng00001.bin", "rng1.bin")
    folders, faults = list_range_files(tmp_path, own_id=74)
    assert not faults
    assert [(folder.prefix, folder.satellite_id, sorted(folder.names)) for folder in folders] == [
        ("", 0, ["range.bin", "rng00001.bin"]),
        ("range/", 0, ["rng00002.bin"]),
        ("range/partner_75/", 75, ["rng65535.bin"]),
        ("range/partner_L/", 76, ["rng00003.bin"]),
    ]
    assert [satellite_of(name) for name in ("rng00001.bin", "range/rng00002.bin", "range/partner_L/rng00003.bin")] == [
        *(0, 0, 76)
    ]


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("partner_77", "77 is our own radio id; put our own files into its parent folder, or set [formation] own_id"),
        ("partner_M", "77 is our own radio id"),
        ("partner_", "the name contains no radio id; name the folder partner_74 to partner_77"),
        ("partner_4B", "the name contains no radio id"),
        ("partner_k", "the name contains no radio id"),
    ],
)
def test_reports_an_invalid_partner_folder_with_the_remedy(tmp_path: Path, folder: str, reason: str) -> None:
    touch(tmp_path, f"range/{folder}/rng00000.bin")
    folders, (fault,) = list_range_files(tmp_path, own_id=77)
    assert [found.prefix for found in folders] == ["", "range/"]
    assert fault.name == f"range/{folder}"
    assert fault.fault.startswith(reason)


def test_prefers_the_numbered_folder_of_a_satellite(tmp_path: Path) -> None:
    touch(tmp_path, "range/partner_K/rng00000.bin", "range/partner_75/rng00000.bin")
    folders, (fault,) = list_range_files(tmp_path, own_id=74)
    assert [found.prefix for found in folders] == ["", "range/", "range/partner_75/"]
    assert fault.name == "range/partner_K"


def test_an_empty_home_has_no_range_files(tmp_path: Path) -> None:
    folders, faults = list_range_files(tmp_path, own_id=74)
    assert not faults
    assert [list(folder.rows()) for folder in folders] == [[], []]


def test_a_file_continues_in_the_next_number_of_its_folder() -> None:
    assert is_next_file("rng00001.bin", "rng00002.bin")
    assert is_next_file("range/partner_75/rng65535.bin", "range/partner_75/rng00000.bin")
    assert not is_next_file("range/rng00001.bin", "rng00002.bin")
    assert not is_next_file("rng00001.bin", "rng00003.bin")
    assert not is_next_file("range.bin", "rng00000.bin")
