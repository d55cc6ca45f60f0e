"""Start of the command `pygnc`."""

import signal

import pytest

from tests.pygnc_station.logger.samples import start, wait_for_ctrl_c


@pytest.mark.parametrize("command", ["serve", "publish", "upload"])
def test_ctrl_c_while_the_modules_are_loaded_causes_no_traceback(command: str) -> None:
    process = start(command)
    wait_for_ctrl_c(process.pid, "SigCgt", is_set=True)  # by Python, before it runs our code
    wait_for_ctrl_c(process.pid, "SigCgt", is_set=False)
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == ""
    assert process.returncode == -signal.SIGINT
