"""Settings of a run: the file's, and those changed over the line on top of them."""

import struct
import zlib
from pathlib import Path

import pytest

from pygnc.configuration.load import ConfigurationError
from pygnc.configuration.settings import HostSettings, Settings
from pygnc.host.parameters import encode_slot
from pygnc.host.settings_slots import NAMES, changed_settings, load_settings, named_values, write_slot


def keep(home: Path, generation: int, text: str) -> None:
    write_slot(home, generation % 2, encode_slot(generation, text))


def test_uses_the_settings_file_without_changes(tmp_path: Path) -> None:
    assert load_settings(None, tmp_path)[:2] == (Settings(), "")
    (tmp_path / "pygnc.toml").write_text("[logs]\nceiling_bytes = 1000\n")
    settings, fault, *_ = load_settings(None, tmp_path)
    assert settings.logs.ceiling_bytes == 1000
    assert not fault


def test_the_newest_changes_override_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[logs]\nceiling_bytes = 1000\nreserve_bytes = 7\n")
    keep(tmp_path, 1, "logs.ceiling_bytes = 2000\n")
    keep(tmp_path, 2, "logs.ceiling_bytes = 3000\n")
    settings, fault, *_ = load_settings(tmp_path / "mine.toml", tmp_path)
    assert (settings.logs.ceiling_bytes, settings.logs.reserve_bytes, fault) == (3000, 7, "")


@pytest.mark.parametrize("text", ["logs.ceiling_bytes = -1\n", "logs.no_such = 1\n", "logs = \n"])
def test_ignores_and_reports_changes_that_do_not_fit(tmp_path: Path, text: str) -> None:
    keep(tmp_path, 1, text)
    settings, fault, _, unused_generation = load_settings(None, tmp_path)
    assert (settings, unused_generation) == (Settings(), 1)
    assert fault.startswith("settings changed over the line are ignored: the stored text: ")


def test_rejects_an_unusable_settings_file_despite_changes(tmp_path: Path) -> None:
    keep(tmp_path, 1, "logs.ceiling_bytes = 2000\n")
    (tmp_path / "pygnc.toml").write_text("[logs]\nceiling_bytes = -1\n")
    with pytest.raises(ConfigurationError, match=r"pygnc\.toml"):
        load_settings(None, tmp_path, strict=True)
    settings, fault, *_ = load_settings(None, tmp_path)
    assert settings.logs.ceiling_bytes == 2000
    assert "permitted: 0 to" in fault


def test_reports_a_damaged_slot_and_uses_the_other(tmp_path: Path) -> None:
    keep(tmp_path, 1, "logs.ceiling_bytes = 2000\n")
    keep(tmp_path, 2, "logs.ceiling_bytes = 3000\n")
    file = tmp_path / NAMES[0]
    file.write_bytes(file.read_bytes()[:-1])
    settings, fault, *_ = load_settings(None, tmp_path)
    assert settings.logs.ceiling_bytes == 2000
    assert "pygnc_settings_0.bin" in fault
    assert fault.endswith("fails its check sum; generation 1 is used")


def test_every_setting_has_a_name() -> None:
    values = named_values(Settings())
    assert values["logs.ceiling_bytes"] == Settings().logs.ceiling_bytes
    assert values["orbit.measurement.gate"] == Settings().orbit.measurement.gate
    assert values["host.port"] == ""
    assert not any(isinstance(value, HostSettings) for value in values.values())


def test_validates_a_change_against_the_present_file(tmp_path: Path) -> None:
    changed_settings(None, tmp_path, "logs.ceiling_bytes = 5")
    with pytest.raises(ValueError, match=r"^the changed settings: host\.baud: "):
        changed_settings(None, tmp_path, "host.baud = 12")
    (tmp_path / "pygnc.toml").write_text("[logs]\nno_such = 5\n")
    assert changed_settings(None, tmp_path, "logs.ceiling_bytes = 5").logs.ceiling_bytes == 5


def test_a_slot_with_a_right_check_sum_that_is_no_text_counts_as_damaged(tmp_path: Path) -> None:
    body = struct.pack("<4sIH", b"PGPS", 1, 2) + b"\xff\xfe"
    write_slot(tmp_path, 0, body + struct.pack("<I", zlib.crc32(body)))
    loaded = load_settings(None, tmp_path)
    assert loaded.settings == Settings()
    assert "pygnc_settings_0.bin" in loaded.fault


def test_a_folder_in_place_of_a_slot_counts_as_damaged(tmp_path: Path) -> None:
    (tmp_path / NAMES[1]).mkdir()
    assert "pygnc_settings_1.bin" in load_settings(None, tmp_path).fault
