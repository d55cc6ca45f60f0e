"""The file of mean elements is made step by step from the orbit of the fixes, and becomes a message on the ground."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from pygnc.bus.messages import GnssFix, Message
from pygnc.configuration.run import Run
from pygnc.configuration.settings import Settings
from pygnc.environment.sgp4 import gcrf_states
from pygnc.formats import omm_record
from pygnc.formats.elements import parse_elements
from pygnc.formats.sense import STANDARD_LAYOUT
from pygnc.inputs.sense_file import sense_messages
from pygnc.navigation.orbit import OrbitTracker
from pygnc.navigation.pipeline import orbit_response
from pygnc.outputs import omm_file
from pygnc.outputs.omm_file import OMM_FILE, PAUSE_S, PERIOD_S, STEPS_AT_ONCE, OmmFile
from pygnc_cli.exit_codes import ExitCode
from pygnc_ground.commands.export import app
from pygnc_ground.inspection.registry import inspect
from pygnc_ground.inspection.sections import Listing
from tests.demo_elements import DEMO, RECORD_BYTES
from tests.pygnc.tasks.runs import run_in

RECORDS = 60


def fixes() -> list[Message]:
    content = (DEMO / "sense.bin").read_bytes()[: RECORDS * RECORD_BYTES]
    records = np.frombuffer(content, STANDARD_LAYOUT.record)
    messages = sense_messages(records, np.arange(len(records)), "sense.bin", STANDARD_LAYOUT, 1, settings=Settings())
    return [message for message in messages if isinstance(message, GnssFix)]


class Events:
    """Collected events."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, *event: str) -> None:
        self.names.append(event[1])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return run_in(tmp_path)


def tracker_of(run: Run) -> OrbitTracker:
    return OrbitTracker(run.settings.orbit, run.earth_orientation)


def test_writes_nothing_without_an_orbit_from_fixes(run: Run) -> None:
    writer = OmmFile(run, tracker_of(run), Events())
    for step in range(5):
        writer.advance(PAUSE_S * step)
    assert list(run.home.iterdir()) == []


def test_the_file_holds_the_orbit_of_a_day_and_becomes_a_message(run: Run, tmp_path: Path) -> None:
    tracker, events = tracker_of(run), Events()
    for message in fixes():
        orbit_response(tracker, message, 1)
    state = tracker.predict_to(0)
    assert state == (None, False)
    writer = OmmFile(run, tracker, events)
    steps = 0
    while not (run.home / OMM_FILE).exists():
        assert not writer.advance(PAUSE_S * steps - 1.0)
        at_once = 1
        while writer.advance(PAUSE_S * steps):
            at_once += 1
        assert at_once <= STEPS_AT_ONCE
        steps += 1
        assert steps < 12
    written = (run.home / OMM_FILE).read_bytes()
    elements, values = omm_record.decode(written)
    assert len(written) <= 120
    assert values["fixes_accepted"] == RECORDS
    assert values["fix_age_s"] == 0.0
    assert float(values["error_6h_m"]) <= float(values["error_24h_m"])
    assert events.names == []
    # The same orbit is not fitted again.
    (run.home / OMM_FILE).unlink()
    for step in range(200):
        writer.advance(PAUSE_S * (steps + PERIOD_S + step))
    assert not (run.home / OMM_FILE).exists()

    (run.home / OMM_FILE).write_bytes(written)
    listings = [section for section in inspect(run.home / OMM_FILE, 0) if isinstance(section, Listing)]
    assert ("fixes_accepted", RECORDS) in [row[:2] for listing in listings for row in listing.rows]
    out = tmp_path / "orbit.omm"
    words = [str(run.home / OMM_FILE), "--out", str(tmp_path), "--name", "DEMO", "--designator", "2025-001A"]
    assert CliRunner().invoke(app, words).exit_code == 0
    read = parse_elements(out.read_bytes()).elements
    assert (read.name, read.designator) == ("DEMO", "2025-001A")
    plain = msgspec.structs.replace(read, name="", designator="")
    frames = tracker._filter.frames
    ours, theirs = (gcrf_states(one, [one.epoch_gps_ms], frames) for one in (elements, plain))
    assert np.abs(ours - theirs).max() < 0.1
    assert "exceeded in 5 % of cases" in out.read_text()
    assert parse_elements((tmp_path / "orbit.tle").read_bytes()).elements.name == "DEMO"


def test_a_damaged_file_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"PGOM")
    result = CliRunner().invoke(app, [str(tmp_path / "x.bin"), "--out", str(tmp_path / "y")])
    assert result.exit_code == ExitCode.INPUT
    assert result.output.count("\n") == 1


def test_a_full_disk_is_an_event(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, events = tracker_of(run), Events()
    for message in fixes():
        orbit_response(tracker, message, 1)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(omm_file, "durable_write", refuse)
    monkeypatch.setattr("pygnc.estimators.orbit.elements_fit.SPAN_MS", 3_600_000)
    writer = OmmFile(run, tracker, events)
    for step in range(20):
        writer.advance(PAUSE_S * step)
    assert events.names == ["omm_not_written"]
