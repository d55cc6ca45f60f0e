"""Login shell of the Pi on a noisy line: commands with checked output, and files by base64.

Shell and streaming interface use the same line; `Connection` is the loop that transfers its bytes.
"""

import base64
import hashlib
import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import Final

from pygnc_controller.emulator.controller import Controller
from pygnc_controller.emulator.serial_line import PacedPort

TEXT_MAX: Final = 65_536
CYCLE_MAX_S: Final = 0.02
_PIECE: Final = 64
_NOISE: Final = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f]")
"""Colours, cursor movements and other control sequences, without line ends."""
LINE: Final = 76
"""Characters of base64 per line."""
PIECE_BYTES: Final = 2850
"""Bytes whose base64 fits into the terminal's buffer of 4095 bytes, so that the reader may start late."""
TRIES_MAX: Final = 12
WHOLE_TRIES_MAX: Final = 3
ANSWER_S: Final = 1.5
TIMEOUT_FACTOR: Final = 1.4
"""Factor of the timeout from try to try: the line may be bad, or the Pi slow."""
SLOWNESS: Final = 4.0
"""Timeout in units of the slowest response so far, so that a Pi under load does not count as a bad line."""
FORGETTING: Final = 0.95
"""Factor by which the slowest response time decreases with each response."""
JOIN_S: Final = 12.0
LONG_S: Final = 60.0
NEWEST: Final = 8192
"""Newest bytes that are searched for the end marker of a command."""
SCRATCH: Final = ".pycubed"
"""Folder in the home for pieces of files, and for files that a shell creates from sentences meant for main.py."""
_WAKE: Final = b"\x11\x03\x15\r"
"""Ctrl-Q, Ctrl-C, Ctrl-U, Return: resume output, end a program that waits for input, clear the line."""
_READY_S: Final = 1.0
_DIGEST_LETTERS: Final = 16
_DIGEST: Final = f"sha256sum | cut -c1-{_DIGEST_LETTERS}"
_ANSWER: Final = re.compile(rf"(.*)\n([0-9a-f]{{{_DIGEST_LETTERS}}})\n?", re.DOTALL)


class Connection:
    """Connection to a Pi: the loop of shell and streaming interface.

    Attributes:
        text: Newest bytes received.
        is_streaming: True while the streaming interface is in use besides the shell.
        chores: Functions called in every cycle.
    """

    def __init__(self, port: PacedPort, controller: Controller) -> None:
        self.port = port
        self.controller = controller
        self.text = b""
        self.is_streaming = False
        self.chores: list[Callable[[], None]] = []
        self._raw = b""

    def write(self, octets: bytes) -> None:
        """Send bytes to the shell, or a control character, before all other output."""
        self._raw += octets

    @property
    def is_written(self) -> bool:
        """True if everything for the shell has been sent."""
        return not self._raw and self.port.to_pi.next_arrival_s() == inf

    def run(self, is_done: Callable[[], bool], timeout_s: float) -> bool:
        """Transfer bytes until a condition holds; return False on timeout or if the port was closed."""
        deadline = time.monotonic() + timeout_s
        while not is_done():
            if time.monotonic() >= deadline or not self.port.is_open:
                return False
            self._cycle()
        return True

    def pause(self, duration_s: float) -> None:
        """Transfer bytes for `duration_s` seconds."""
        self.run(lambda: False, duration_s)

    def _cycle(self) -> None:
        for chore in self.chores:
            chore()
        while self.port.is_free and (line := self._next()):
            self.port.write(line)
        received = self.port.exchange(CYCLE_MAX_S)
        if received:
            self.text = (self.text + received)[-TEXT_MAX:]
            if self.is_streaming:
                self.controller.receive(received, time.monotonic())

    def plain_text(self, count: int = TEXT_MAX) -> bytes:
        """Return the newest bytes received, without control sequences."""
        return _NOISE.sub(b"", self.text[-count:].replace(b"\r", b""))

    def _next(self) -> bytes | None:
        if self._raw:
            piece, self._raw = self._raw[:_PIECE], self._raw[_PIECE:]
            return piece
        return self.controller.next_output(time.monotonic()) if self.is_streaming else None


class PiError(Exception):
    """Error raised when the Pi cannot be reached, does not respond or responds wrongly; the message has the remedy."""


@dataclass(frozen=True)
class CommandResult:
    """Output and exit code of a command."""

    text: str
    code: int


class Shell:
    """Login shell at the other end of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers = count(1)
        self._slowest_s = 0.0
        self.retries = 0

    def wake(self) -> None:
        """Wait for a shell that runs commands.

        Raises:
            PiError: No shell responds.
        """
        for tries in range(TRIES_MAX):
            self._connection.write(_WAKE)
            if self._try("stty -ixon -echo", self._timeout_s(_READY_S, tries)) is not None:
                return
        text = self._connection.plain_text()
        if b"login:" in text[-200:]:
            raise PiError("the Pi requests a login; enable automatic login on its serial console")
        heard = text[-80:].decode(errors="replace").strip()
        raise PiError(f"no shell responds (received last: {heard!r}); check cable, speed and power of the Pi")

    def run(self, command: str, timeout_s: float = ANSWER_S) -> CommandResult:
        """Run a command that may be run more than once, and return its output and exit code.

        Raises:
            PiError: No response after all tries.
        """
        for tries in range(TRIES_MAX):
            answer = self._try(command, self._timeout_s(timeout_s, tries))
            if answer is not None:
                return answer
            self.retries += 1
            self.wake()
        raise PiError(f"{command!r}: no response after {TRIES_MAX} tries; check the line for errors")

    def start(self, command: str) -> int:
        """Start a long command; return its number for `exit_code`."""
        number = next(self._numbers)
        self._connection.write(_framed(command, number))
        return number

    @property
    def responds(self) -> bool:
        """True if a shell responds now; a single harmless try, even if main.py uses the line."""
        return self._try("true", self._timeout_s(_READY_S, 0)) is not None

    def exit_code(self, number: int) -> int | None:
        """Return the exit code of a started command; None while the command runs."""
        answer = self._find(number, NEWEST)
        return None if answer is None else answer.code

    def put(self, name: str, content: bytes) -> None:
        """Write a file below the home folder in checked pieces of base64, unless an identical file exists.

        Raises:
            PiError: The transfer failed after all tries.
        """
        if self.run(f"sha256sum < ~/{name}").text.startswith(hashlib.sha256(content).hexdigest()):
            return
        for _ in range(WHOLE_TRIES_MAX):
            if self._put_whole(name, content):
                return
            self.retries += 1
        raise PiError(f"{name}: wrong SHA-256 after {WHOLE_TRIES_MAX} uploads; check the line for errors")

    def _put_whole(self, name: str, content: bytes) -> bool:
        pieces = [content[start : start + PIECE_BYTES] for start in range(0, len(content), PIECE_BYTES)] or [b""]
        self.run(f"mkdir -p ~/{SCRATCH} $(dirname ~/{name}) && rm -f ~/{SCRATCH}/*")
        for number, piece in enumerate(pieces):
            self._put_piece(f"~/{SCRATCH}/{number:06d}", piece)
        part = f"~/{SCRATCH}/whole"
        digest = hashlib.sha256(content).hexdigest()
        is_whole = f'[ "$(sha256sum < {part})" = "{digest}  -" ]'
        join = f"cat ~/{SCRATCH}/0????? > {part}; {is_whole} && sync {part} && mv {part} ~/{name}; sha256sum < ~/{name}"
        return digest in self.run(join, timeout_s=JOIN_S).text

    def get(self, name: str) -> bytes:
        """Read a file in checked pieces.

        Raises:
            PiError: The file cannot be read, or the transfer failed after all tries.
        """
        answer = self.run(f"stat -c %s ~/{name}")
        if answer.code or not answer.text.isdecimal():
            raise PiError(f"{name}: the file cannot be read: {answer.text}")
        return b"".join(self._get_piece(f"~/{name}", start) for start in range(0, int(answer.text), PIECE_BYTES))

    def _get_piece(self, path: str, start: int) -> bytes:
        piece = f"tail -c +{start + 1} {path} | head -c {PIECE_BYTES}"
        for _ in range(TRIES_MAX):
            lines = self.run(f"{piece} | base64 -w {LINE}; {piece} | sha256sum").text.splitlines()
            try:
                content = base64.b64decode("".join(lines[:-1]), validate=True)
            except ValueError:
                content = b""
            if lines and lines[-1].startswith(hashlib.sha256(content).hexdigest()):
                return content
            self.retries += 1
        raise PiError(f"{path}: download failed after {TRIES_MAX} tries; check the line for errors")

    def _put_piece(self, path: str, piece: bytes) -> None:
        digest = hashlib.sha256(piece).hexdigest()
        text = base64.b64encode(piece)
        lines = [text[start : start + LINE] + b"\n" for start in range(0, len(text), LINE)]
        # The reader counts lines: Ctrl-D would log out a shell whose reader has failed.
        read = f"head -n {len(lines)} > {path}.b64; base64 -d < {path}.b64 > {path}; rm {path}.b64; sha256sum < {path}"
        for tries in range(TRIES_MAX):
            timeout_s = self._timeout_s(ANSWER_S, tries)
            self._connection.text = b""
            number = self.start(f"echo 'go'ahead; {read}")
            if self._connection.run(lambda: b"goahead\n" in self._connection.plain_text(), timeout_s):
                self._connection.write(b"".join(lines))
                self._connection.run(lambda: self._connection.is_written, LONG_S)
                self._connection.run(lambda number=number: self._find(number) is not None, timeout_s)  # type: ignore[misc]
                answer = self._find(number)
                if answer is not None and digest in answer.text:
                    return
            self.retries += 1
            self.wake()
        raise PiError(f"{path}: upload failed after {TRIES_MAX} tries; check the line for errors")

    def _timeout_s(self, least_s: float, tries: int) -> float:
        return max(least_s, SLOWNESS * self._slowest_s) * TIMEOUT_FACTOR**tries

    def _try(self, command: str, timeout_s: float) -> CommandResult | None:
        number = next(self._numbers)
        self._connection.text = b""
        self._connection.write(_framed(_with_digest(command), number))
        began_s = time.monotonic()
        self._connection.run(lambda: self._find(number) is not None, timeout_s)
        found = self._find(number)
        if found is None:
            return None
        if timeout_s < LONG_S:
            self._slowest_s = max(FORGETTING * self._slowest_s, time.monotonic() - began_s)
        answer = _ANSWER.fullmatch(found.text)
        if answer is None or answer[2] != _digest(answer[1].encode()):
            return None
        return CommandResult(answer[1].strip(), found.code)

    def _find(self, number: int, count: int = TEXT_MAX) -> CommandResult | None:
        text = self._connection.plain_text(count)
        match = re.search(rb"\n\[pycubed %d (\d{1,3})\]\n" % number, text)
        if match is None:
            return None
        before = text[: match.start()]
        _, _, shown = before.rpartition(b"\n{pycubed %d}\n" % number)
        return CommandResult(shown.decode(errors="replace"), int(match[1]))


def _with_digest(command: str) -> str:
    """Return a command that prints its output followed by a digest."""
    report = f"printf '%s\\n' \"$o\"; printf '%s' \"$o\" | {_DIGEST}"
    return f"o=$({{ {command}; }} 2>&1); e=$?; {report}; (exit $e)"


def _framed(command: str, number: int) -> bytes:
    """Return a line that runs a command if it arrives intact, between markers that its echo does not contain."""
    begin, end = f"printf '\\n{{%s %d}}\\n' pycubed {number}", f"printf '\\n[%s %d %d]\\n' pycubed {number} $?"
    is_intact = f'[ "$(printf %s "$c" | {_DIGEST})" = {_digest(command.encode())} ]'
    return f'c={shlex.quote(command)}; {begin}; {is_intact} && eval "$c"; {end}\r'.encode()


def _digest(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()[:_DIGEST_LETTERS]
