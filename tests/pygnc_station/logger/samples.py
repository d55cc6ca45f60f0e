"""Stations for tests: settings and a simulated inertial unit at 10 Hz on a pty."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pygnc_devices.emus.sentences import SENTENCES
from pygnc_devices.reading import Reading
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from pygnc_station.logger.logger import Logger
from pygnc_station.store.readings import Layout, NewReading
from pygnc_station.store.store import Store

ROOT = Path(__file__).resolve().parents[3]
DEADLINE_S = 40.0


def unit() -> UcbSimulator:
    return UcbSimulator(eeprom={1: 10})


def line(folder: Path) -> PtyEndpoint:
    return PtyEndpoint(unit(), folder / "port")


def write_settings(folder: Path, more: str = "", *, port: str = "", device: str = "") -> Path:
    path = folder / "station.toml"
    path.write_text(f"""
name = "roof"
{more if not more.lstrip().startswith("[") else ""}
[[device]]
gadget = "imu"
family = "ucb"
port = "{port or folder / "port"}"
{device}
{more if more.lstrip().startswith("[") else ""}
[store]
write_s = 0
""")
    return path


def store_sentence(store: Store, name: str, text: bytes, t_wall_ns: int = 1_790_000_000_000_000_000) -> None:
    """Store a sentence of a battery."""
    sentence = SENTENCES[name]
    reading = Reading(sentence, text, sentence.decode(text), 0, t_wall_ns)
    store.append(store.stream("pack", Layout.of(sentence), family="emus"), [NewReading.of(reading)])


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}", "PYTHONWARNINGS": "error"}


def command_line(*arguments: object) -> list[str]:
    """Return the command line of `pygnc station`."""
    script = "import sys; from pygnc_cli.__main__ import main; sys.exit(main())"
    return [sys.executable, "-c", script, "station", *map(str, arguments)]


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start `pygnc station` as a process of its own."""
    return _start(command_line(*arguments))


def start_logger(*arguments: object, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """Start the logger process of `pygnc station log`."""
    return _start([sys.executable, "-m", "pygnc_station.logger", *map(str, arguments)], stdout)


def wait_for_ctrl_c(pid: int, field: str, *, is_set: bool) -> None:
    """Wait until a process catches Ctrl-C (SigCgt) or blocks it (SigBlk), or no longer does."""
    end_s = time.monotonic() + 20.0
    while True:
        (signals,) = re.findall(rf"{field}:\t(\w+)", Path(f"/proc/{pid}/status").read_text())
        if bool(int(signals, 16) >> (signal.SIGINT - 1) & 1) is is_set:
            return
        assert time.monotonic() < end_s, f"Ctrl-C is never {'' if is_set else 'not '}in {field}"
        time.sleep(0.001)


def run(*arguments: object, expected: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
    """Run `pygnc station` to its end."""
    return _finish(start(*arguments), expected)


def run_logger(*arguments: object, expected: Sequence[int]) -> subprocess.CompletedProcess[str]:
    """Run a logger process that is expected to exit."""
    return _finish(start_logger(*arguments), expected)


@contextmanager
def running(logger: Logger) -> Iterator[None]:
    """Run a logger in a thread."""
    thread = threading.Thread(target=logger.run)
    thread.start()
    try:
        yield
    finally:
        logger.stop()
        thread.join()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s, f"waited too long for {what}"
        time.sleep(0.02)


def _start(command: list[str], stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment(), cwd=ROOT)


def _finish(process: subprocess.Popen[str], expected: Sequence[int]) -> subprocess.CompletedProcess[str]:
    try:
        output, errors = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    assert process.returncode in expected, (process.returncode, output, errors)
    assert "Traceback" not in errors
    return subprocess.CompletedProcess([], process.returncode, output, errors)
