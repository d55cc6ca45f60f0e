"""pygnc.toml is understood wholly or refused with a reason."""

from pathlib import Path

import pytest

from pygnc.configuration.load import LAST_GOOD_FILE, ConfigurationError, load, usable_table
from pygnc.configuration.settings import Settings


def refusal(tmp_path: Path, content: str) -> str:
    (file := tmp_path / "mine.toml").write_text(content)
    with pytest.raises(ConfigurationError, match=r"mine\.toml") as caught:
        load(file, tmp_path)
    return str(caught.value)


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load(None, tmp_path) == Settings()


def test_the_file_in_the_home_is_used(tmp_path: Path) -> None:
    (tmp_path / "pygnc.toml").write_text("[logs]\nceiling_bytes = 1000\n")
    assert load(None, tmp_path).logs.ceiling_bytes == 1000


def test_a_named_file_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "pygnc.toml").write_text("[logs]\nceiling_bytes = 1000\n")
    (tmp_path / "other.toml").write_text("[orbit.screening]\naccept_position_status = [0, 1]\n")
    settings = load(tmp_path / "other.toml", tmp_path)
    assert settings.orbit.screening.accept_position_status == (0, 1)
    assert settings.logs == Settings().logs


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        load(tmp_path / "absent.toml", tmp_path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="directory"):
        load(tmp_path, tmp_path)


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    assert "logs.ceiling; choose from ceiling_bytes, reserve_bytes" in refusal(tmp_path, "[logs]\nceiling = 1\n")
    assert "unknown setting log" in refusal(tmp_path, "[log]\n")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("[logs]\nceiling_bytes = 'much'\n", "$.logs.ceiling_bytes"),
        ("[logs]\nceiling_bytes = -1\n", "ceiling_bytes must be 0 to 1000000000000, not -1"),
        ("[batch]\nceiling_bytes = 10000000000000\n", "ceiling_bytes must be 100000 to 1000000000000"),
        ("[formation]\nown_id = 73\n", "own_id must be 74 to 77, not 73"),
        ("[formation]\narc_max_s = inf\n", "arc_max_s must be finite, not inf"),
        ("[radio]\nbandwidth_hz = 24\n", "812500"),
        ("logs = 3\n", "$.logs"),
        ("[orbit\n", "line 1"),
        ("[orbit]\ngravity_degree = 500\n", "gravity_degree"),
    ],
)
def test_an_impossible_value_is_refused_with_its_place(tmp_path: Path, content: str, part: str) -> None:
    assert part in refusal(tmp_path, content)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (file := tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"mine\.toml"):
        load(file, tmp_path)


@pytest.mark.parametrize("content", [b"[orbit\n", b"\xff", b"[logs]\nno_such = 1\n", b"[formation]\nown_id = 0\n"])
def test_a_faulty_file_is_replaced_by_the_last_valid_one(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pygnc.toml"
    file.write_text("[formation]\nown_id = 75\n")
    assert usable_table(None, tmp_path) == ({"formation": {"own_id": 75}}, "")
    file.write_bytes(content)
    for _ in range(2):
        table, fault = usable_table(None, tmp_path)
        assert table == {"formation": {"own_id": 75}}
        assert "pygnc.toml" in fault
        assert fault.endswith(f"the run uses the last valid settings, {LAST_GOOD_FILE}")
    file.unlink()
    assert usable_table(None, tmp_path) == ({}, "")
    file.write_bytes(content)
    table, fault = usable_table(None, tmp_path)
    assert table == {}
    assert fault.endswith("the run uses the default settings")
