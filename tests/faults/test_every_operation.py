"""An error at a few operations, and power cuts after a few steps; `make faults` tries more, and all of them."""

import subprocess
import sys

import pytest

from tests.e2e.conftest import ROOT
from tests.faults import campaign
from tests.faults.lost_writes import can_trace
from tests.faults.operations import Share, Sweep, Tried


@pytest.mark.timeout(400)
def test_errors_and_power_cuts_chosen_by_a_seed_are_survived() -> None:
    parts = ["errors"] + ["run_cuts"] * can_trace()
    words = [word for part in parts for word in ("--every", part)]
    command = [sys.executable, "-m", "tests.faults.campaign", *words, "--tries", "2", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize(("reasons", "code"), [([], 0), (["no status"], 1)])
def test_a_run_that_does_not_survive_is_named(
    reasons: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(campaign, "ShortFlights", lambda _: None)
    found = campaign.sweep([lambda *_: iter([Sweep("EIO once", 7, iter([Tried("main 3: fsync", reasons)]))])], Share(1))
    assert found == code
    printed = capsys.readouterr()
    assert f"| EIO once | 7 | 1 | {1 - code} |" in printed.out
    assert printed.err == ("EIO once: main 3: fsync: no status\n" if code else "")
