"""Log files that clients may list and load."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_instruments.bridge import command_handler
from pygnc_instruments.bridge.messages import BridgeError, ErrorCode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    (folder / "inner.csv").mkdir(parents=True)
    (folder / "a.csv").write_text("time\n1\n")
    (folder / "notes.txt").write_text("not a log")
    (tmp_path / "secret.csv").write_text("secret")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    return folder


def test_lists_log_files_only(folder: Path) -> None:
    assert [entry["name"] for entry in command_handler.list_log_files(folder)] == ["a.csv"]
    assert command_handler.list_log_files(folder)[0]["bytes"] == 7
    assert command_handler.list_log_files(folder / "not there") == []


def test_loads_a_log_file(folder: Path) -> None:
    assert command_handler.load_log_file(folder, "a.csv") == {"name": "a.csv", "text": "time\n1\n"}


@pytest.mark.parametrize(
    "name",
    ["../secret.csv", "link.csv", "inner.csv", "notes.txt", "/etc/passwd", "inner.csv/../a.csv", "./a.csv", "..", "",
     "a.csv\0", "..\\secret.csv", "none.csv"],
)  # fmt: skip
def test_rejects_names_outside_the_folder(folder: Path, name: str) -> None:
    with pytest.raises(BridgeError) as caught:
        command_handler.load_log_file(folder, name)
    assert caught.value.code is ErrorCode.NO_FILE


@given(st.text(alphabet="./\\a.csv\0~%", max_size=20))
def test_rejects_random_names(name: str) -> None:
    here = Path(__file__).parent
    with pytest.raises(BridgeError):
        command_handler.load_log_file(here, name)


def test_rejects_a_file_that_is_too_large_for_a_message(folder: Path) -> None:
    with (folder / "big.csv").open("wb") as file:
        file.truncate(command_handler.LARGEST_FILE_BYTES + 1)
    with pytest.raises(BridgeError, match="copy it from") as caught:
        command_handler.load_log_file(folder, "big.csv")
    assert caught.value.code is ErrorCode.TOO_LARGE
