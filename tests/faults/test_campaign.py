"""The short fault campaign, with real processes: each kind of fault with one seed."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Estimates, Flight, all_estimates
from tests.faults import campaign
from tests.faults.campaign import KINDS, Trial, fly, fly_undisturbed
from tests.faults.fault import Fault
from tests.shared import made_once


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Estimates:
    return all_estimates(Flight(made_once(tmp_path_factory, "undisturbed", fly_undisturbed)))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, id=kind.name, marks=[pytest.mark.alone] * kind.name.startswith("memory")) for kind in KINDS],
)
def test_a_fault_is_survived_and_every_record_is_accounted_for(kind: type[Fault], undisturbed: Estimates) -> None:
    trial = fly(kind, 1, undisturbed)
    if trial.verdict.startswith("skipped"):
        pytest.skip(trial.verdict)
    assert trial.verdict.startswith("yes"), trial


@pytest.mark.parametrize(("verdict", "code"), [("yes", 0), ("skipped: not root", 0), ("NO: exit code 1", 1)])
def test_a_run_that_does_not_survive_gives_exit_code_1(
    verdict: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    trials = [Trial("kill", 7, verdict=verdict, lost={"records not on the disk": (251, 6)})]
    monkeypatch.setattr("sys.argv", [str(tmp_path)])
    monkeypatch.setattr(campaign, "campaign", lambda *_: iter(trials))
    assert campaign.main() == code
    printed = capsys.readouterr().out
    assert f"| kill | 7 |  |  | {verdict} | 251 B in 6 records not on the disk | - |" in printed
