"""Commands for a login shell on a noisy line, and files by base64.

The controller at its port: shell and streaming interface share one line, and one loop that moves its bytes.
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
TURN_MAX_S: Final = 0.02
_PIECE: Final = 64
_NOISE: Final = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f]")
"""Colours, cursor movements and other control sequences; line ends stay."""


class Connection:
    """One loop for all that the controller says and hears.

    Attributes:
        text: what was heard last, without control sequences.
        is_talking: whether the streaming interface is used; off, only the shell is spoken to.
        chores: called at each turn.
    """

    def __init__(self, cable: PacedPort, controller: Controller) -> None:
        self.cable = cable
        self.controller = controller
        self.text = b""
        self.is_talking = False
        self.chores: list[Callable[[], None]] = []
        self._raw = b""

    def say(self, octets: bytes) -> None:
        """Let bytes for the shell, or a control character, go out before anything else."""
        self._raw += octets

    @property
    def has_said(self) -> bool:
        """Whether everything for the shell has left."""
        return not self._raw and self.cable.to_pi.next_arrival_s() == inf

    def run(self, is_done: Callable[[], bool], timeout_s: float) -> bool:
        """Go on until something is true; False if it is not in time, or the line has been closed."""
        deadline = time.monotonic() + timeout_s
        while not is_done():
            if time.monotonic() >= deadline or not self.cable.is_open:
                return False
            self.turn()
        return True

    def pause(self, duration_s: float) -> None:
        """Let time pass while bytes are moved."""
        self.run(lambda: False, duration_s)

    def turn(self) -> None:
        """Move bytes once."""
        for chore in self.chores:
            chore()
        while self.cable.is_free and (line := self._next()):
            self.cable.write(line)
        heard = self.cable.exchange(TURN_MAX_S)
        if heard:
            self.text = (self.text + heard)[-TEXT_MAX:]
            if self.is_talking:
                self.controller.take(heard, time.monotonic())

    def plain_text(self, count: int = TEXT_MAX) -> bytes:
        """Return the newest bytes of what was heard, without control sequences."""
        return _NOISE.sub(b"", self.text[-count:].replace(b"\r", b""))

    def _next(self) -> bytes | None:
        if self._raw:
            piece, self._raw = self._raw[:_PIECE], self._raw[_PIECE:]
            return piece
        return self.controller.next_output(time.monotonic()) if self.is_talking else None


LINE: Final = 76
"""Characters of base64 in a line: a terminal cuts lines of 4096 and more."""
PIECE_BYTES: Final = 2850
"""Their base64 fits into the terminal's buffer of 4095 bytes, however late the reader starts."""
TRIES_MAX: Final = 12
WHOLE_TRIES_MAX: Final = 3
ANSWER_S: Final = 1.5
PATIENCE: Final = 1.4
"""Each further try may take so much longer: the line may be bad, or the Pi slow."""
SLOWNESS: Final = 4.0
"""An answer may take so many times what the slowest one has taken: a Pi under load is no bad line."""
FORGETTING: Final = 0.95
JOIN_S: Final = 12.0
LONG_S: Final = 60.0
NEWEST: Final = 8192
"""The word of a program's end is looked for in so many bytes."""
SCRATCH: Final = ".pycubed"
"""Folder in the home for pieces of files, and for what a shell makes of sentences meant for main.py."""
_WAKE: Final = b"\x11\x03\x15\r"
"""Ctrl-Q, Ctrl-C, Ctrl-U, Return: output on, whatever waits for input ends, the line is empty."""
_READY_S: Final = 1.0
_DIGEST_LETTERS: Final = 16
_DIGEST: Final = f"sha256sum | cut -c1-{_DIGEST_LETTERS}"
_SAID: Final = re.compile(rf"(.*)\n([0-9a-f]{{{_DIGEST_LETTERS}}})\n?", re.DOTALL)


class ShellError(Exception):
    """The shell does not answer, or not as it should; the message says what to do."""


@dataclass(frozen=True)
class Answer:
    """What a command has printed, and its exit code."""

    text: str
    code: int


class Shell:
    """The Pi's shell, on the station's line."""

    def __init__(self, station: Connection) -> None:
        self._station = station
        self._numbers = count(1)
        self._slowest_s = 0.0
        self.retries = 0

    def wake(self) -> None:
        """Wait for a shell that obeys.

        Raises:
            ShellError: there is none.
        """
        for tries in range(TRIES_MAX):
            self._station.say(_WAKE)
            if self._try("stty -ixon -echo", self._patience_s(_READY_S, tries)) is not None:
                return
        text = self._station.plain_text()
        if b"login:" in text[-200:]:
            raise ShellError("the Pi asks for a login: switch on automatic login on its serial console")
        heard = text[-80:].decode(errors="replace").strip()
        raise ShellError(f"no shell answers (heard last: {heard!r}): check cable, speed and that the Pi is up")

    def ask(self, command: str, timeout_s: float = ANSWER_S) -> Answer:
        """Run a command that may be run twice; return its answer.

        Raises:
            ShellError: none came, after all tries.
        """
        for tries in range(TRIES_MAX):
            answer = self._try(command, self._patience_s(timeout_s, tries))
            if answer is not None:
                return answer
            self.retries += 1
            self.wake()
        raise ShellError(f"no answer to {command!r}: the line is too bad for a shell")

    def tell(self, command: str) -> int:
        """Start a command that lasts; return the number under which `ended` finds its exit code."""
        number = next(self._numbers)
        self._station.say(_framed(command, number))
        return number

    @property
    def answers(self) -> bool:
        """Whether there is a shell now; asks it once, harmlessly for main.py if that has the line."""
        return self._try("true", self._patience_s(_READY_S, 0)) is not None

    def ended(self, number: int) -> int | None:
        """Return the exit code of a command, None while there is none."""
        answer = self._find(number, NEWEST)
        return None if answer is None else answer.code

    def put(self, name: str, content: bytes) -> None:
        """Write a file below the home folder, piece by piece, each by base64 and checked; do nothing if it is there.

        Raises:
            ShellError: it does not get through.
        """
        if self.ask(f"sha256sum < ~/{name}").text.startswith(hashlib.sha256(content).hexdigest()):
            return
        for _ in range(WHOLE_TRIES_MAX):
            if self._put_whole(name, content):
                return
            self.retries += 1
        raise ShellError(f"{name} does not get through as it was sent: the line is too bad for a shell")

    def _put_whole(self, name: str, content: bytes) -> bool:
        pieces = [content[start : start + PIECE_BYTES] for start in range(0, len(content), PIECE_BYTES)] or [b""]
        self.ask(f"mkdir -p ~/{SCRATCH} $(dirname ~/{name}) && rm -f ~/{SCRATCH}/*")
        for number, piece in enumerate(pieces):
            self._put_piece(f"~/{SCRATCH}/{number:06d}", piece)
        part = f"~/{SCRATCH}/whole"
        digest = hashlib.sha256(content).hexdigest()
        is_whole = f'[ "$(sha256sum < {part})" = "{digest}  -" ]'
        join = f"cat ~/{SCRATCH}/0????? > {part}; {is_whole} && sync {part} && mv {part} ~/{name}; sha256sum < ~/{name}"
        return digest in self.ask(join, timeout_s=JOIN_S).text

    def get(self, name: str) -> bytes:
        """Return a file's content, fetched piece by piece.

        Raises:
            ShellError: it cannot be read, or does not get through.
        """
        answer = self.ask(f"stat -c %s ~/{name}")
        if answer.code or not answer.text.isdecimal():
            raise ShellError(f"{name}: {answer.text}")
        return b"".join(self._get_piece(f"~/{name}", start) for start in range(0, int(answer.text), PIECE_BYTES))

    def _get_piece(self, path: str, start: int) -> bytes:
        piece = f"tail -c +{start + 1} {path} | head -c {PIECE_BYTES}"
        for _ in range(TRIES_MAX):
            lines = self.ask(f"{piece} | base64 -w {LINE}; {piece} | sha256sum").text.splitlines()
            try:
                content = base64.b64decode("".join(lines[:-1]), validate=True)
            except ValueError:
                content = b""
            if lines and lines[-1].startswith(hashlib.sha256(content).hexdigest()):
                return content
            self.retries += 1
        raise ShellError(f"{path} does not come through: the line is too bad for a shell")

    def _put_piece(self, path: str, piece: bytes) -> None:
        digest = hashlib.sha256(piece).hexdigest()
        text = base64.b64encode(piece)
        lines = [text[start : start + LINE] + b"\n" for start in range(0, len(text), LINE)]
        # By their number and not by Ctrl-D: that would log out a shell whose reader has failed.
        read = f"head -n {len(lines)} > {path}.b64; base64 -d < {path}.b64 > {path}; rm {path}.b64; sha256sum < {path}"
        for tries in range(TRIES_MAX):
            patience_s = self._patience_s(ANSWER_S, tries)
            self._station.text = b""
            number = self.tell(f"echo 'go'ahead; {read}")
            if self._station.run(lambda: b"goahead\n" in self._station.plain_text(), patience_s):
                self._station.say(b"".join(lines))
                self._station.run(lambda: self._station.has_said, LONG_S)
                self._station.run(lambda number=number: self._find(number) is not None, patience_s)  # type: ignore[misc]
                answer = self._find(number)
                if answer is not None and digest in answer.text:
                    return
            self.retries += 1
            self.wake()
        raise ShellError(f"{path} does not get through: the line is too bad for a shell")

    def _patience_s(self, least_s: float, tries: int) -> float:
        return max(least_s, SLOWNESS * self._slowest_s) * PATIENCE**tries

    def _try(self, command: str, timeout_s: float) -> Answer | None:
        number = next(self._numbers)
        self._station.text = b""
        self._station.say(_framed(_told(command), number))
        began_s = time.monotonic()
        self._station.run(lambda: self._find(number) is not None, timeout_s)
        found = self._find(number)
        if found is None:
            return None
        if timeout_s < LONG_S:
            self._slowest_s = max(FORGETTING * self._slowest_s, time.monotonic() - began_s)
        said = _SAID.fullmatch(found.text)
        if said is None or said[2] != _digest(said[1].encode()):
            return None
        return Answer(said[1].strip(), found.code)

    def _find(self, number: int, count: int = TEXT_MAX) -> Answer | None:
        text = self._station.plain_text(count)
        match = re.search(rb"\n\[pycubed %d (\d{1,3})\]\n" % number, text)
        if match is None:
            return None
        before = text[: match.start()]
        _, _, shown = before.rpartition(b"\n{pycubed %d}\n" % number)
        return Answer(shown.decode(errors="replace"), int(match[1]))


def _told(command: str) -> str:
    """Return a command that prints a digest behind its output."""
    said = f"printf '%s\\n' \"$o\"; printf '%s' \"$o\" | {_DIGEST}"
    return f"o=$({{ {command}; }} 2>&1); e=$?; {said}; (exit $e)"


def _framed(command: str, number: int) -> bytes:
    """Return a line that runs a command if it has arrived as it is, between marks that its echo does not hold."""
    begin, end = f"printf '\\n{{%s %d}}\\n' pycubed {number}", f"printf '\\n[%s %d %d]\\n' pycubed {number} $?"
    is_intact = f'[ "$(printf %s "$c" | {_DIGEST})" = {_digest(command.encode())} ]'
    return f'c={shlex.quote(command)}; {begin}; {is_intact} && eval "$c"; {end}\r'.encode()


def _digest(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()[:_DIGEST_LETTERS]
