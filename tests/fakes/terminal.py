"""Command on a pseudo-terminal."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

DEADLINE_S: Final = 60.0


class Terminal:
    """Command on a pseudo-terminal, and the person in front of it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self._master, slave = os.openpty()
        command = ["setsid", "--ctty", *command]  # shells need a controlling terminal
        self._process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=folder)
        os.close(slave)
        self.text = ""

    def wait_for(self, text: str) -> str:
        """Read until a text appears; return what was before it."""
        end_s = time.monotonic() + DEADLINE_S
        while text not in self.text:
            assert time.monotonic() < end_s, f"no {text!r} in {self.text!r}"
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self._master, 4096).decode()
                except OSError:
                    assert text in self.text, self.text
        before, _, self.text = self.text.partition(text)
        return before

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def answer(self, question: str, text: str) -> str:
        """Answer a question; return what was printed before it."""
        before = self.wait_for(question)
        os.write(self._master, f"{text}\n".encode())
        return before

    def interrupt(self) -> int:
        """Interrupt until the command ends: readline misses a signal just before it waits. Return the exit code."""
        end_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < end_s:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(1.0)
        raise TimeoutError("the command does not end")

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        return self._process.wait(DEADLINE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)
