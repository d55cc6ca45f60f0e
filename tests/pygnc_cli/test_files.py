"""Tests of the output of commands: user errors as a single line with the exit code of their type."""

import errno
import os
import sys

import pytest
import typer

from pygnc_cli.exit_codes import ExitCode
from pygnc_cli.files import report_user_errors
from pygnc_cli.text import cause_of

NO_SPACE = os.strerror(errno.ENOSPC)


class NetworkError(Exception):
    """Error with an exit code of its own."""


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (OSError(errno.ENOSPC, NO_SPACE, "table.csv"), f"table.csv: {NO_SPACE}", ExitCode.INPUT),
        (OSError(errno.ENOSPC, NO_SPACE), NO_SPACE, ExitCode.INPUT),
        (OSError("it was read before"), "it was read before", ExitCode.INPUT),
        (NetworkError("no answer\x1b[2J\n"), r"no answer\x1b[2J\n", ExitCode.NETWORK),
    ],
)
def test_an_error_is_one_printable_line_with_the_code_of_its_type(
    error: Exception, message: str, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = {NetworkError: ExitCode.NETWORK, OSError: ExitCode.INPUT}
    with pytest.raises(typer.Exit) as ended, report_user_errors("pygnc x", codes):
        raise error
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == f"pygnc x: {message}\n"


def test_a_server_that_does_not_answer_is_no_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    for error, code in ((ConnectionError("no answer"), ExitCode.NETWORK), (OSError("no file"), ExitCode.INPUT)):
        with pytest.raises(typer.Exit) as ended, report_user_errors("pygnc x"):
            raise error
        assert (ended.value.exit_code, capsys.readouterr().err) == (code, f"pygnc x: {error}\n")


def test_other_errors_are_not_caught() -> None:
    with pytest.raises(KeyError), report_user_errors("pygnc x"):
        raise KeyError


def test_a_reader_that_has_ended_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    with pytest.raises(typer.Exit) as ended, report_user_errors("pygnc x"):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    assert (ended.value.exit_code, capsys.readouterr().err) == (0, "")


def test_the_cause_of_an_error_leaves_the_file_name_out() -> None:
    assert cause_of(OSError(errno.ENOSPC, NO_SPACE, "table.csv")) == NO_SPACE
    assert cause_of(ValueError("not a table")) == "not a table"
