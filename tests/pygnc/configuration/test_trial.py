"""New settings replace those that flew to a good end only after a good end of their own."""

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pygnc.configuration.load import SETTINGS_FILE
from pygnc.configuration.settings import Settings
from pygnc.configuration.trial import RECORD_FILE, Record, Tables, Trial, read_record
from pygnc.host.parameters import encode_slot
from pygnc.host.settings_slots import Loaded, load_settings, write_slot
from pygnc_system.version_trial import FAILED_MAX

OWN_75, OWN_76 = "[formation]\nown_id = 75\n", "[formation]\nown_id = 76\n"


def start(home: Path) -> Loaded:
    """A start up to the point at which all settings are in use."""
    loaded = load_settings(None, home)
    loaded.trial.begin()
    return loaded


def fly(home: Path) -> Loaded:
    """A run with a good end."""
    loaded = start(home)
    loaded.trial.note_up()
    loaded.trial.end(good=True)
    return loaded


def own_id(home: Path) -> int:
    return load_settings(None, home).settings.formation.own_id


def failed(home: Path) -> int:
    return read_record(home)[0].failed


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which settings have flown, and others are now in the file."""
    (tmp_path / SETTINGS_FILE).write_text(OWN_75)
    fly(tmp_path)
    (tmp_path / SETTINGS_FILE).write_text(OWN_76)
    return tmp_path


def test_settings_that_have_flown_are_not_recorded_again(tmp_path: Path) -> None:
    assert fly(tmp_path).settings == Settings()
    assert not (tmp_path / RECORD_FILE).exists()
    (tmp_path / SETTINGS_FILE).write_text(OWN_75)
    fly(tmp_path)
    before = (tmp_path / RECORD_FILE).stat().st_mtime_ns
    fly(tmp_path)
    assert (tmp_path / RECORD_FILE).stat().st_mtime_ns == before


def test_settings_with_which_starts_fail_are_given_up_for_those_that_flew(home: Path) -> None:
    for number in range(FAILED_MAX):
        loaded = start(home)
        assert (loaded.settings.formation.own_id, loaded.fault, loaded.trial.failed_starts) == (76, "", number)
    for _ in range(2):
        loaded = fly(home)
        assert loaded.settings.formation.own_id == 75
        assert loaded.fault.startswith("2 starts with the new settings failed, so they are given up and the run uses")
        assert RECORD_FILE in loaded.fault
    assert (home / SETTINGS_FILE).read_text() == OWN_76
    (home / SETTINGS_FILE).write_text(f"{OWN_76}[logs]\nreserve_bytes = 7\n")
    assert fly(home).settings.formation.own_id == 76
    assert read_record(home)[0].flown.file["logs"] == {"reserve_bytes": 7}


def test_changes_over_the_line_are_on_trial_too(home: Path) -> None:
    write_slot(home, 0, encode_slot(1, "logs.reserve_bytes = 9\n"))
    assert start(home).settings.logs.reserve_bytes == 9
    start(home)
    given_up = load_settings(None, home)
    assert (given_up.settings.formation.own_id, given_up.settings.logs.reserve_bytes) == (75, 4_000_000)
    assert given_up.unused_generation == 1
    write_slot(home, 1, encode_slot(2, "logs.reserve_bytes = 8\n"))
    assert load_settings(None, home).unused_generation == 0
    assert fly(home).settings.logs.reserve_bytes == 8
    assert read_record(home)[0].flown.changes == {"logs": {"reserve_bytes": 8}}


def test_without_settings_that_flew_the_defaults_are_used(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text(OWN_75)
    for _ in range(FAILED_MAX):
        start(tmp_path)
    loaded = load_settings(None, tmp_path)
    assert loaded.settings == Settings()
    assert "the run uses the default settings" in loaded.fault


def test_a_power_cut_after_all_tasks_are_up_is_not_the_fault_of_the_settings(home: Path) -> None:
    for _ in range(5):
        start(home).trial.note_up()
        assert failed(home) == 0
    assert own_id(home) == 76


def test_a_task_that_is_given_up_counts_even_if_the_power_is_cut_or_the_run_stopped(home: Path) -> None:
    trial = start(home).trial
    trial.note_up()
    trial.note_failure()
    assert failed(home) == 1
    trial = start(home).trial
    trial.note_up()
    trial.note_failure()
    trial.end(good=True)
    assert own_id(home) == 75


def test_an_early_stop_and_a_forced_end_prove_nothing(home: Path) -> None:
    start(home)
    start_then_stop = start(home).trial
    start_then_stop.end(good=True)
    assert failed(home) == 1
    forced = start(home).trial
    forced.note_up()
    forced.end(good=False)
    assert failed(home) == 1
    assert read_record(home)[0].flown == Tables({"formation": {"own_id": 75}})


def test_a_strict_start_uses_the_settings_that_were_given_up_and_records_nothing(home: Path) -> None:
    for _ in range(FAILED_MAX):
        start(home)
    before = (home / RECORD_FILE).read_bytes()
    loaded = load_settings(None, home, strict=True)
    loaded.trial.begin()
    loaded.trial.end(good=True)
    assert loaded.settings.formation.own_id == 76
    assert (home / RECORD_FILE).read_bytes() == before


STEPS: list[Callable[[Trial], None]] = [
    Trial.begin,
    Trial.note_up,
    Trial.note_failure,
    lambda trial: trial.end(good=False),
]


@pytest.mark.parametrize("last", range(len(STEPS)))
@pytest.mark.parametrize("kept_bytes", [0, 1, 20, None])
def test_a_power_cut_while_a_step_is_written_leaves_the_step_before(
    home: Path, monkeypatch: pytest.MonkeyPatch, last: int, kept_bytes: int | None
) -> None:
    trial = load_settings(None, home).trial
    for step in STEPS[:last]:
        step(trial)
    before = (home / RECORD_FILE).read_bytes()

    def cut(path: Path, content: bytes) -> None:
        path.with_name(f"{path.name}.part").write_bytes(content[:kept_bytes])
        raise KeyboardInterrupt

    monkeypatch.setattr("pygnc.configuration.trial.durable_write", cut)
    with pytest.raises(KeyboardInterrupt):
        STEPS[last](trial)
    assert (home / RECORD_FILE).read_bytes() == before
    assert load_settings(None, home).fault == ""
    assert own_id(home) == 76
    assert read_record(home)[0].flown == Tables({"formation": {"own_id": 75}})


def test_a_flipped_bit_in_the_record_is_noticed_and_the_next_good_end_mends_it(home: Path) -> None:
    content = (home / RECORD_FILE).read_bytes()
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        (home / RECORD_FILE).write_bytes(damaged)
        record, fault = read_record(home)
        assert record == Record()
        assert RECORD_FILE in fault
    assert RECORD_FILE in fly(home).fault
    assert load_settings(None, home).fault == ""


def test_a_nested_record_with_a_right_check_sum_counts_as_damaged(home: Path) -> None:
    nested = b'{"flown": {"file": {"a": %s}}}' % (b"[" * 10_000 + b"]" * 10_000)
    (home / RECORD_FILE).write_bytes(b"%08x\n" % zlib.crc32(nested) + nested)
    record, fault = read_record(home)
    assert record == Record()
    assert RECORD_FILE in fault


def test_a_full_disk_does_not_prevent_a_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pygnc.configuration.trial.durable_write", full)
    assert fly(home).settings.formation.own_id == 76
