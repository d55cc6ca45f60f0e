"""pygnc.toml is understood wholly or refused with a reason."""

import os
import subprocess
from pathlib import Path

import pytest

from pygnc.configuration.load import SETTINGS_BYTES_MAX, ConfigurationError, load, usable_table, write_checksum
from pygnc.configuration.settings import Settings
from pygnc.configuration.trial import RECORD_FILE, Record, Tables, Trial


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
        ("[logs]\nceiling_bytes = 'much'\n", "logs.ceiling_bytes: Expected `int`, got `str`; permitted: 0 to 1e+12"),
        ("[logs]\nceiling_bytes = -1\n", "logs.ceiling_bytes: Expected `int` >= 0; permitted: 0 to 1e+12"),
        ("[batch]\nceiling_bytes = 10000000000000\n", "batch.ceiling_bytes: Expected `int` <= 1000000000000"),
        ("[formation]\nown_id = 73\n", "formation.own_id: Expected `int` >= 74; permitted: 74 to 77"),
        ("[formation]\narc_max_s = inf\n", "formation.arc_max_s: Expected `float` <= 604800.0"),
        ("[formation]\narc_max_s = nan\n", "formation.arc_max_s: Expected `float` >= 60.0"),
        ("[formation]\ncalibrated_pairs = [[74, 75, 1.0, 0.0]]\n", "formation.calibrated_pairs[0][3]: "),
        ("[radio]\nbandwidth_hz = 300000\n", "812500"),
        ("[host]\nbaud = 9601\n", "permitted: 1200, 2400"),
        ("[orbit.elements]\nposition_sigma_m = [0.0, 1.0, 1.0]\n", "permitted: 1 to 1000000 each"),
        ("[orbit.elements]\nposition_sigma_m = [1.0, 1.0]\n", "orbit.elements.position_sigma_m: Expected `array`"),
        ("[orbit.screening]\naccept_position_status = []\n", "permitted: 1 to 16 of (0 to 255)"),
        ("[orbit.screening]\nspeed_min_mps = -1\n", "permitted: 0 to 20000"),
        ("[attitude.start]\nwindow_samples = 1e30\n", "permitted: 3 to 200"),
        ("[devices.imu]\nfamily = ''\nport = 'x'\n", "devices[...].family: Expected `str` of length >= 1"),
        ("logs = 3\n", "mine.toml: logs: Expected"),
        ("[orbit\n", "line 1"),
        ("[orbit]\ngravity_degree = 500\n", "orbit.gravity_degree: "),
        (f"[orbit]\ngravity_degree = {10**24}\n", "permitted: 2 to 70"),
        (
            f"[orbit]\ngravity_degree = {'9' * 5000}\n",
            "mine.toml, line 2: a number has more than 4300 digits; correct it",
        ),
        (f"[orbit]\ngravity_degree = -1{'_000' * 1500}\n", "mine.toml, line 2: a number has more than 4300 digits"),
        (
            f"[attitude.gyro]\nscale = {'9' * 4000}\n",
            "attitude.gyro.scale: Number out of range; permitted: 0.01",
        ),
        (f"[orbit]\ngravity_degree = {'[' * 496}\n", "nested too deeply"),
        (f"[orbit]\ngravity_degree = {'[' * 200}{']' * 200}\n", "permitted: 2 to 70"),
    ],
)
def test_an_impossible_value_is_refused_with_its_place(tmp_path: Path, content: str, part: str) -> None:
    assert part in refusal(tmp_path, content)


def test_a_file_that_is_too_large_is_refused_with_one_remedy(tmp_path: Path) -> None:
    (file := tmp_path / "mine.toml").touch()
    os.truncate(file, 1 << 32)
    size = f"{1 << 32} bytes are more than the maximum of {SETTINGS_BYTES_MAX} bytes"
    with pytest.raises(ConfigurationError) as error:
        load(file, tmp_path)
    assert str(error.value) == f"{file}: cannot be read: {size}; put the right file there"


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (file := tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"mine\.toml"):
        load(file, tmp_path)


@pytest.mark.parametrize("content", [b"[orbit\n", b"\xff", b"[logs]\nno_such = 1\n", b"[formation]\nown_id = 0\n"])
def test_a_faulty_file_is_replaced_by_the_one_that_flew(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pygnc.toml"
    trial = Trial(tmp_path, Tables({"formation": {"own_id": 75}}), Record())
    trial.note_up()
    trial.end(good=True)
    file.write_bytes(content)
    for _ in range(2):
        table, fault = usable_table(None, tmp_path)
        assert table == {"formation": {"own_id": 75}}
        assert "pygnc.toml" in fault
        assert fault.endswith(f"the run uses the settings of the last good run, {RECORD_FILE}")
    file.unlink()
    assert usable_table(None, tmp_path) == ({}, "")
    (tmp_path / RECORD_FILE).unlink()
    file.write_bytes(content)
    table, fault = usable_table(None, tmp_path)
    assert table == {}
    assert fault.endswith("the run uses the default settings")


def test_of_all_flipped_bits_none_changes_a_value_silently(tmp_path: Path) -> None:
    file = tmp_path / "pygnc.toml"
    content = b"[formation]\nown_id = 75\narc_max_s = 7200.0\n"
    file.write_bytes(content)
    write_checksum(file)
    assert load(None, tmp_path).formation.own_id == 75
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        with pytest.raises(ConfigurationError, match=r"pygnc.toml: the content does not match pygnc.toml.sha256"):
            load(None, tmp_path)
    table, fault = usable_table(None, tmp_path)
    assert table == {}
    assert "sha256sum pygnc.toml > pygnc.toml.sha256; the run uses the default settings" in fault


def test_an_edited_file_is_used_again_after_its_checksum_is_renewed_or_removed(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[formation]\nown_id = 75\n")
    write_checksum(file)
    file.write_text("[formation]\nown_id = 76\n")
    with pytest.raises(ConfigurationError, match=r"sha256sum mine.toml > mine.toml.sha256"):
        load(file, tmp_path)
    with (tmp_path / "mine.toml.sha256").open("w") as checksum:
        subprocess.run(["sha256sum", "mine.toml"], cwd=tmp_path, stdout=checksum, check=True)  # noqa: S607
    assert load(file, tmp_path).formation.own_id == 76
    file.write_text("[formation]\nown_id = 77\n")
    (tmp_path / "mine.toml.sha256").unlink()
    assert load(file, tmp_path).formation.own_id == 77


def test_a_file_that_is_missing_beside_its_checksum_is_reported(tmp_path: Path) -> None:
    (tmp_path / "pygnc.toml").write_text("")
    write_checksum(tmp_path / "pygnc.toml")
    (tmp_path / "pygnc.toml").unlink()
    with pytest.raises(ConfigurationError, match="put the file there, or remove its checksum"):
        load(None, tmp_path)
