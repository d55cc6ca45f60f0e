"""main.py on a pseudo-terminal, as started by a login shell on the UART."""

import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pygnc.host.channel import Channel
from pygnc.host.channel_events import ChannelEvent, Connected, LineDown, Lost, Received
from pygnc.host.sentence import Direction, SentenceParser
from pygnc.host.sentence_types import SentenceType
from pygnc_controller.emulator.host_transfer import DownloadReceiver, TransferState, UploadSender

ROOM: Final = 48


class HostOnPty:
    """The host's side of the streaming interface at the master end of a pseudo-terminal."""

    def __init__(self, session: int = 0x1F03) -> None:
        self.spoil: Callable[[bytes], bytes] = lambda line: line
        """Return the bytes that the line makes of ours."""
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        self.before: list[Any] = termios.tcgetattr(self.slave)
        self.channel = Channel(Direction.TO_PI, session, "test")
        self.outcomes: list[ChannelEvent] = []
        self.heard = b""
        self.transfer: UploadSender | DownloadReceiver | None = None
        self._parser = SentenceParser()
        self._rest = b""

    def attach(self) -> None:
        """In the child process: make the terminal the controlling one."""
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def write(self, octets: bytes) -> None:
        """Put bytes on the line, however long it takes."""
        self._rest += octets
        self._flush()

    def run(self, is_done: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Speak until something has become true."""
        deadline = time.monotonic() + timeout_s
        while not is_done():
            assert time.monotonic() < deadline, f"not within {timeout_s} s; heard {self.heard[-2000:]!r}"
            self.turn()
            select.select([self.master], [], [], 0.001)

    def turn(self) -> None:
        """Read and write what there is."""
        now_s = time.monotonic()
        try:
            data = os.read(self.master, 65_536)
        except (BlockingIOError, OSError):
            data = b""
        self.heard += data
        for sentence in self._parser.feed(data).sentences:
            self.channel.receive(sentence, now_s)
        self._follow(now_s)
        if isinstance(self.transfer, UploadSender) and self.channel.is_ready:
            while self.channel.room > ROOM and (saying := self.transfer.next_sentence()) is not None:
                self.channel.send(saying.kind, saying.body, now_s)
        self._flush()
        while not self._rest and (line := self.channel.next_output(now_s)) is not None:
            self.write(self.spoil(line))

    def send(self, kind: SentenceType, *values: int, tail: bytes = b"") -> int:
        """Let a sentence go out with the next turns."""
        return self.channel.send(kind, kind.pack(*values, tail=tail), time.monotonic())

    def begin(self, transfer: UploadSender | DownloadReceiver) -> None:
        """Begin a transfer; it is opened again after interruptions."""
        self.transfer = transfer
        if self.channel.is_ready:
            self._say_open()

    def is_transferred(self) -> bool:
        """Return True if the transfer has ended."""
        return self.transfer is not None and self.transfer.state in {TransferState.DONE, TransferState.REFUSED}

    def received(self, kind: SentenceType) -> list[Received]:
        """Return what has come of one type."""
        return [o for o in self.outcomes if isinstance(o, Received) and o.kind is kind]

    def lost(self) -> list[Lost]:
        """Return what was reported lost."""
        return [o for o in self.outcomes if isinstance(o, Lost)]

    def close(self) -> None:
        """Hang up."""
        os.close(self.master)
        os.close(self.slave)

    def _follow(self, now_s: float) -> None:
        for outcome in self.channel.pop_events():
            self.outcomes.append(outcome)
            if isinstance(outcome, Connected) and self.transfer is not None and not self.is_transferred():
                self._say_open()
            elif isinstance(outcome, LineDown) and isinstance(self.transfer, UploadSender):
                self.transfer.line_down()
            elif isinstance(outcome, Received) and self.transfer is not None:
                for kind, body in self.transfer.handle(outcome):
                    self.channel.send(kind, body, now_s)

    def _say_open(self) -> None:
        if self.transfer is not None:
            kind, body = self.transfer.open()
            self.channel.send(kind, body, time.monotonic())

    def _flush(self) -> None:
        while self._rest:
            try:
                self._rest = self._rest[os.write(self.master, self._rest) :]
            except BlockingIOError:
                return


def start_on_pty(host: HostOnPty, home: Path, main: Path, *words: str) -> subprocess.Popen[str]:
    """Start main.py with its standard streams on the host's terminal."""
    return subprocess.Popen(
        [sys.executable, str(main), *words],
        env=os.environ | {"HOME": str(home)},
        stdin=host.slave,
        stdout=host.slave,
        stderr=host.slave,
        preexec_fn=host.attach,  # noqa: PLW1509 - no threads here
        text=True,
    )


def end(process: subprocess.Popen[str]) -> None:
    """Make sure that nothing is left running."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait()
