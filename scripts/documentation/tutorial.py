"""Tutorials as programs: their files and commands, run in a shell like a user's, and what they should print."""

import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self, cast

_BLOCK = re.compile(r"(?:<!-- file: (?P<name>\S+) -->\n)?```(?P<language>\w*)\n(?P<body>.*?)```\n", re.DOTALL)
_END = "end-of-command-"
_LIMIT_S = 90.0
"""Limit of the time of a command on a machine with nothing else to do."""


@dataclass(frozen=True)
class NewFile:
    """File that the reader writes."""

    name: str
    content: str


@dataclass(frozen=True)
class Command:
    """Command that the reader types, and the lines that it prints.

    In a line, `...` stands for any text; a line of its own stands for any lines.
    """

    text: str
    output: tuple[str, ...]

    @property
    def in_background(self) -> bool:
        """True if the shell does not wait for the command."""
        return self.text.endswith("&")


def steps(page: str) -> Iterator[NewFile | Command]:
    """Yield the files and commands of a page in their order."""
    for block in _BLOCK.finditer(page):
        if block["name"]:
            yield NewFile(block["name"], block["body"])
        elif block["language"] == "console":
            for text in re.split(r"^\$ ", block["body"].replace("\\\n", " "), flags=re.MULTILINE)[1:]:
                command, *output = text.rstrip("\n").split("\n")
                yield Command(" ".join(command.split()), tuple(output))


def agrees(expected: tuple[str, ...], printed: str) -> bool:
    """Return whether a command has printed what the page says; spaces at the ends of lines do not matter."""
    lines = "".join(
        "(?:.*\n)*" if line.strip() == "..." else ".*".join(map(re.escape, line.rstrip().split("..."))) + "\n"
        for line in expected
    )
    return re.fullmatch(lines, "".join(f"{line.rstrip()}\n" for line in printed.splitlines())) is not None


def with_free_ports(page: str) -> str:
    """Replace the TCP ports of this computer that other programs use by free ones with as many digits."""
    for text in sorted(set(re.findall(r"127\.0\.0\.1:(\d{4})\b", page))):
        others = (port for port in range(int(text) + 1, 10_000) if str(port) not in page)
        free = next(port for port in (int(text), *others) if _is_free(port))
        page = page.replace(text, str(free))
    return page


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def limit_s() -> float:
    """Return the limit of the time of a command, longer by as much as more programs run than the machine has cores."""
    return _LIMIT_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class TutorialError(Exception):
    """Error raised when a command fails or prints something else than the page; the message contains both."""


def follow(page: Path, folder: Path, programs: Path, variables: Mapping[str, str]) -> None:
    """Write the files and run the commands of a page in a folder.

    Raises:
        TutorialError: a command fails, or prints something else than the page.
    """
    with Shell(folder, programs, variables) as shell:
        for step in steps(with_free_ports(page.read_text(encoding="utf-8"))):
            if isinstance(step, NewFile):
                (folder / step.name).parent.mkdir(parents=True, exist_ok=True)
                (folder / step.name).write_text(step.content)
                continue
            printed, code = shell.run(step)
            if code or not agrees(step.output, printed):
                expected = "\n".join(step.output)
                raise TutorialError(f"$ {step.text}\nexit code {code}; expected:\n{expected}\nprinted:\n{printed}")


class Shell:
    """Shell in a folder, with environment variables; the programs of a folder come first on its path."""

    def __init__(self, folder: Path, programs: Path, variables: Mapping[str, str]) -> None:
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self._process = subprocess.Popen(
            ["/bin/bash", "--norc", "--noprofile"],
            cwd=folder,
            env={**variables, "PATH": path, "COLUMNS": "80", "TERM": "dumb", "HOME": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._input, self._output = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        self._count = 0
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the shell and all its background jobs."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                break
            if number == signal.SIGTERM:
                self._drain(5.0)
        self._process.wait()
        self._input.close()
        self._output.close()

    def run(self, command: Command) -> tuple[str, int]:
        """Run a command; return what it printed and its exit code.

        A background job is waited for until it has printed what is expected.

        Raises:
            TutorialError: the command has not finished after the limit of time.
        """
        self._count += 1
        end = f"{_END}{self._count} "
        if command.in_background:
            self._send(f"{command.text}\n")
            text = self._read_until(lambda text: agrees(command.output, text))
            return text, 0
        self._send(f"{command.text}\necho {end}$?\n")
        text = self._read_until(lambda text: re.search(rf"{end}\d+\n", text) is not None)
        printed, _, code = text.partition(end)
        if not code.strip().isdigit():
            raise TutorialError(f"{command.text}: not finished after {limit_s():.0f} s; printed:\n{text}")
        return printed, int(code)

    def _send(self, text: str) -> None:
        self._input.write(text.encode())
        self._input.flush()

    def _read_until(self, complete: Callable[[str], bool]) -> str:
        """Return what the shell prints until it is complete, or the limit of time has passed."""
        begin_s = time.monotonic()
        self._received = b""
        while not complete(self._received.decode(errors="replace")):
            left_s = begin_s + limit_s() - time.monotonic()
            if left_s < 0 or not self._read(left_s):
                break
        return self._received.decode(errors="replace")

    def _read(self, limit_s: float) -> bool:
        ready, _, _ = select.select([self._output], [], [], limit_s)
        octets = os.read(self._output.fileno(), 65536) if ready else b""
        self._received += octets
        return bool(octets)

    def _drain(self, limit_s: float) -> None:
        """Read until all programs of the shell have ended, or the limit of time has passed."""
        deadline = time.monotonic() + limit_s
        while (left := deadline - time.monotonic()) > 0 and self._read(left):
            pass
