"""A main.py with a host on its terminal, and packets to send to it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from pygnc.bus.messages import LIVE, GnssFix, RangeMeasurement, SensorSample, TimeMark
from pygnc.formats.status import Phase, Value, decode
from pygnc.host.channel_events import Received
from pygnc.host.sentence_types import GPSS, NAKN, SENS, STAT, STRQ, ReportKind
from tests.e2e.conftest import ROOT, SENSE, SENSE_RECORD_BYTES, Flight
from tests.fakes.pty_flight import HostOnPty, start_on_pty

SENSOR_BYTES, SENSORS = 30, 5
RECORDS = len(SENSE) // SENSE_RECORD_BYTES


class LinkedFlight(Flight):
    """A main.py whose terminal is the host's."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.host = HostOnPty()

    def connect(self, *words: str) -> HostOnPty:
        """Start, and wait until both ends are connected."""
        self._process = start_on_pty(self.host, self.home, ROOT / "flight" / "main.py", *words)
        self.host.run(lambda: self.host.channel.is_ready)
        return self.host

    def start_below_shell(self, *words: str, has_job_control: bool) -> int:
        """Start main.py as a login shell would; return the shell's process."""
        command = shlex.join([sys.executable, str(ROOT / "flight" / "main.py"), *words])
        self._process = subprocess.Popen(
            ["sh", "-i"] if has_job_control else ["sh", "-c", f"{command}; read line"],
            env=os.environ | {"HOME": str(self.home), "PS1": "$ ", "ENV": ""},
            cwd=self.home,  # the shell takes a line of the host after the end, ">HELO...", for the creation of a file
            stdin=self.host.slave,
            stdout=self.host.slave,
            stderr=self.host.slave,
            preexec_fn=self.host.attach,  # noqa: PLW1509 - no threads here
            text=True,
        )
        if has_job_control:
            self.host.write(f"{command}\n".encode())
        return self._process.pid

    def until_ended(self) -> int:
        """Speak on until main.py has ended; return its exit code."""
        self.host.run(lambda: self.process.poll() is not None, 10.0)
        return self.process.returncode

    def until_phase(self, phase: Phase, timeout_s: float = 20.0) -> None:
        """Speak on until the status file says so."""
        file = self.home / "pygnc_status.bin"
        self.host.run(lambda: file.exists() and self.status()["phase"] == phase, timeout_s)

    def status_over_line(self) -> dict[str, Value]:
        """Ask for the status record until it comes; return it."""
        while True:
            known = len(self.host.outcomes)
            self.host.send(STRQ, ReportKind.STATUS)
            answers: list[Received] = []

            def is_answered(known: int = known, answers: list[Received] = answers) -> bool:
                new = self.host.outcomes[known:]
                answers[:] = [o for o in new if isinstance(o, Received) and o.kind in {STAT, NAKN}]
                return bool(answers)

            self.host.run(is_answered)
            if answers[-1].kind is STAT:
                return decode(answers[-1].body[1])

    def until_info(self) -> None:
        """Speak on until the first info line is there: it comes after the first status."""
        self.host.run((self.home / "pygnc_info.txt").exists)

    def live_inputs(self) -> list[SensorSample | GnssFix | RangeMeasurement | TimeMark]:
        """Return the live packets in the input journal."""
        kinds = (SensorSample, GnssFix, RangeMeasurement, TimeMark)
        return [message for message in self.inputs() if isinstance(message, kinds) and message.source == LIVE]


def record(number: int) -> tuple[list[bytes], bytes]:
    """Return the sensor packets and the GPS packet of a record of the demonstration batch."""
    octets = SENSE[number * SENSE_RECORD_BYTES : (number + 1) * SENSE_RECORD_BYTES]
    sensors = [octets[k * SENSOR_BYTES : (k + 1) * SENSOR_BYTES] for k in range(SENSORS)]
    return sensors, octets[SENSORS * SENSOR_BYTES : -2]


def time_of(number: int) -> int:
    return int.from_bytes(record(number)[1][:4], "big")


def stream(host: HostOnPty, numbers: range) -> list[bytes]:
    """Send records packet by packet; return the packets."""
    sent = []
    for number in numbers:
        sensors, gps = record(number)
        for packet in sensors:
            host.send(SENS, tail=packet)
        host.send(GPSS, tail=gps)
        sent += [*sensors, gps]
        settled = len(host.outcomes) + SENSORS + 1
        host.run(lambda settled=settled: len(host.outcomes) >= settled)  # type: ignore[misc]
    return sent
