from pathlib import Path

from pygnc.launch.arguments import Arguments
from pygnc.launch.restart import continued

ARGUMENTS = Arguments(60, 1000)


def test_a_start_by_hand_is_not_changed(tmp_path: Path) -> None:
    assert continued(ARGUMENTS, {}, 0) == ARGUMENTS
    assert list(tmp_path.iterdir()) == []


def test_a_restart_continues_clock_end_and_inputs_of_the_first_start(tmp_path: Path) -> None:
    environment = {"RUNTIME_DIRECTORY": str(tmp_path)}
    second_ns = 1_000_000_000
    assert continued(ARGUMENTS, environment, 50 * second_ns) == ARGUMENTS
    assert continued(ARGUMENTS, environment, 650 * second_ns) == Arguments(50, 1600, from_last_run=True)
    assert continued(ARGUMENTS, environment, 1850 * second_ns) == Arguments(30, 2800, from_last_run=True)
    assert continued(ARGUMENTS, environment, 9000 * second_ns).timeout_min == 0


def test_an_unusable_folder_or_record_changes_nothing(tmp_path: Path) -> None:
    assert continued(ARGUMENTS, {"RUNTIME_DIRECTORY": str(tmp_path / "none")}, 0) == ARGUMENTS
    (tmp_path / "start").write_bytes(b'{"timeout_min": "x"}')
    assert continued(ARGUMENTS, {"RUNTIME_DIRECTORY": str(tmp_path)}, 0) == ARGUMENTS
