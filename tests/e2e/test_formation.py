"""Formation estimates by real processes: from range files to journal, status and info line."""

import os
import re
import shutil
import signal
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pygnc.bus.messages import FormationEstimate
from pygnc.launch.workspace import runtime_folder
from tests.e2e.conftest import DEMO, Flight, all_estimates, minute_after, write_ranges
from tests.pygnc.navigation import formation_batch as batch

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("formation_batch")]  # one worker makes the batch


@pytest.fixture
def formation(flight: Flight) -> Flight:
    """A home with the files of three satellites."""
    shutil.copy(batch.home() / "sense.bin", flight.home)
    shutil.copytree(batch.home() / "range", flight.home / "range")
    return flight


def places(flight: Flight) -> list[FormationEstimate]:
    return [one for one in flight.partners() if isinstance(one, FormationEstimate)]


def test_partners_are_in_journal_status_and_info_and_near_the_truth(formation: Flight) -> None:
    assert formation.run("10", "1000", "--exit-when-done") == 0
    for partner in batch.PARTNERS:
        found = [one for one in places(formation) if one.partner_id == partner]
        errors_m = [
            np.linalg.norm(np.array(one.position_gcrf_m) - batch.true_place_m(one.gps_ms, partner))
            for one in found
            if one.gps_ms in batch.truth(partner)
        ]
        assert len(errors_m) >= 49
        assert max(errors_m) < 15.0
    final = formation.status()
    newest = next(one for one in reversed(places(formation)) if one.partner_id == 75)
    assert newest.position_rtn_m is not None
    assert [final[f"partner{k}_id"] for k in range(3)] == [75, 76, 0]
    shown = [final[f"partner0_rtn_m_{axis}"] for axis in "xyz"]
    assert shown == pytest.approx(newest.position_rtn_m, rel=1e-6)
    assert final["partner0_ambiguous"] == 0
    assert final["ranges_received"] == final["ranges_used"] == 300
    text = (formation.home / "pygnc_info.txt").read_text()
    assert f"P75 {newest.position_rtn_m[0]:.0f} " in text


def test_a_killed_task_continues_the_solution_bit_for_bit(
    flight: Flight, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A batch of three hours: its last hour is solved first, then all of it."""
    calm = Flight(tmp_path_factory.mktemp("calm"))
    time_s = str(minute_after((DEMO / "sense.bin").read_bytes()))
    for home in (calm.home, flight.home):
        shutil.copy(DEMO / "sense.bin", home)
        shutil.copytree(DEMO / "range", home / "range")
    assert calm.run("10", time_s, "--exit-when-done") == 0
    flight.start("10", time_s, "--exit-when-done")
    for posed in ("last hour", "arc"):
        flight.until(partial(has_stage, flight.home, posed))
        pid = flight.tasks()["formation"]
        os.kill(pid, signal.SIGKILL)
        flight.until_replaced("formation", pid)
    assert flight.wait() == 0
    texts = [event.text for event in flight.events() if event.name == "continued"]
    stages = [re.fullmatch(r".* the (last hour|arc); complete stages: ([1-9]\d*)", text) for text in texts]
    assert [found and found[1] for found in stages] == ["last hour", "arc"]
    assert places(flight) == places(calm)
    assert all_estimates(flight) == all_estimates(calm)


def has_stage(home: Path, posed: str) -> bool:
    """Return True if the checkpoint holds a complete stage of the solution of these observations."""
    try:
        checkpoint = msgspec.msgpack.decode((runtime_folder(home) / "formation.checkpoint").read_bytes()[4:])
    except (FileNotFoundError, msgspec.DecodeError):
        return False
    tracker = msgspec.msgpack.decode(checkpoint["tracker"])
    return bool(tracker["posed"] == posed and tracker["stages"])


def test_our_own_ranges_alone_leave_the_partners_ambiguous(demo: Flight, demo_time_s: int) -> None:
    (demo.home / "pygnc.toml").unlink()
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    assert {one.partner_id for one in places(demo)} == {75, 76}
    assert {one.partner_id for one in places(demo) if one.ambiguous} == {75}
    # On either side of our plane there is an orbit of partner 76, and hardly a barrier between them.
    assert all(one.ambiguous or one.cause.startswith("standard deviation") for one in places(demo))
    assert "?" in (demo.home / "pygnc_info.txt").read_text()


def test_reports_the_cause_without_our_own_orbit(flight: Flight) -> None:
    write_ranges(flight.home / "range")
    for file in (flight.home / "range").iterdir():
        without_fixes(file)
    assert flight.run("10", "1000", "--exit-when-done") == 9
    assert not places(flight) or {one.cause for one in places(flight)} == {"our own orbit is unknown"}


def without_fixes(file: Path) -> None:
    """Take the fixes out of a range file: they keep their time and say that there is no solution."""
    content = bytearray(file.read_bytes())
    start = content.find(b"\xaaD\x12")
    while start >= 0:
        content[start + 9] = 1
        start = content.find(b"\xaaD\x12", start + 1)
    file.write_bytes(bytes(content))
