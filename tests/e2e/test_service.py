"""A run as a service: what the service manager learns, and how it continues a run that has failed."""

import os
import signal
from pathlib import Path

import pytest

from pygnc.formats.status import Phase
from tests.e2e.conftest import Flight
from tests.fakes.service_manager import FakeServiceManager


@pytest.mark.slow
def test_a_hung_main_loop_stops_feeding_and_a_restart_continues_the_run(
    demo: Flight, demo_time_s: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    with FakeServiceManager(tmp_path) as manager:
        for name, value in manager.environment(4.0).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("RUNTIME_DIRECTORY", str(runtime))
        demo.start("10", str(demo_time_s))
        manager.wait_for("READY=1")
        demo.until_phase(Phase.IDLE)
        manager.wait_for("STATUS=idle")
        manager.wait_for("WATCHDOG=1")
        demo.signal(signal.SIGSTOP)
        assert manager.is_silent_for(4.0)
        # This is what systemd does then.
        os.kill(demo.process.pid, signal.SIGABRT)
        os.kill(demo.process.pid, signal.SIGCONT)
        assert demo.wait() == -signal.SIGABRT
        manager.messages.clear()
        demo.start("10", str(demo_time_s))
        manager.wait_for("READY=1")
        demo.until(lambda: demo.status()["run_number"] == 2 and demo.status()["phase"] == Phase.IDLE)
        assert any(event.name == "from_last_run" for event in demo.events())
        assert int(str(demo.status()["spacecraft_time_s"])) > demo_time_s + 4
        demo.signal(signal.SIGTERM)
        manager.wait_for("STOPPING=1")
        assert demo.wait() == 0
