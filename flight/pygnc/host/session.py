"""Who speaks with whom: the session of either end, opened by HELO, and when to say that.

A session begins with HELO from both ends. A new session number of the other end means that it has restarted.
"""

from math import inf
from typing import Final, NamedTuple

from pygnc.host.numbers import MODULUS
from pygnc.host.outcomes import Incompatible
from pygnc.host.sentence import Direction, Sentence
from pygnc.host.sentence_types import HELO, NAME_MAX, VERSION, VERSION_MIN, BodyError, Capability

HELLO_INTERVAL_S: Final = 0.5
HELLO_INTERVAL_MAX_S: Final = 5.0
SILENCE_S: Final = 10.0
"""The host says HELO again when it has heard nothing for so long."""


class Greeting(NamedTuple):
    """The body of a HELO that we can speak with."""

    session: int
    version: int
    window: int
    capabilities: Capability
    heard: int
    ready: bool
    next_in_order: int
    next_at_once: int
    software: str


def read_greeting(sentence: Sentence) -> Greeting | Incompatible | None:
    """Return what a HELO says; None if its version is so different that not even this can be read."""
    try:
        hello, software = HELO.unpack(sentence.body)
    except BodyError:
        return None
    version = min(VERSION, hello["version_max"])
    if not max(VERSION_MIN, hello["version_min"]) <= version:
        return Incompatible(hello["version_min"], hello["version_max"])
    return Greeting(
        session=sentence.session,
        version=version,
        window=hello["window"],
        capabilities=Capability(hello["capabilities"]),
        heard=hello["heard"],
        ready=bool(hello["ready"]),
        next_in_order=hello["next_in_order"],
        next_at_once=hello["next_at_once"],
        software=software.decode(errors="replace"),
    )


class Session:
    """Both session numbers, and the greetings that are due.

    Args:
        sends: the direction in which this end speaks.
        number: of our own session.
        software: name and version, for the other end's log.
        capabilities: what this end can do.
        window: sentences in order that this end can hold while one is missing.

    Attributes:
        is_ready: whether both ends have heard each other.
        peer: the other end's session, 0 before the first.
        peer_window: sentences in order that the other end can hold.
        peer_capabilities: what the other end can do.
    """

    def __init__(self, sends: Direction, number: int, software: str, capabilities: Capability, window: int) -> None:
        self.number = number
        self.is_ready = False
        self.peer = 0
        self.peer_window = 1
        self.peer_capabilities = Capability(0)
        self._is_host = sends is Direction.TO_PI
        self._software = software.encode()[:NAME_MAX]
        self._capabilities = capabilities
        self._window = window
        self._due_s = -inf
        self._said_s = -inf
        self._interval_s = HELLO_INTERVAL_S
        self._heard_s = -inf

    def heard(self, now_s: float) -> None:
        """Note that the other end is there."""
        self._heard_s = now_s

    def take(self, greeting: Greeting, now_s: float) -> bool:
        """Follow a greeting; return whether the other end is new."""
        is_new = greeting.session != self.peer
        if is_new:
            self.is_ready = False
            self.peer = greeting.session
        if not self.is_ready:
            self.peer_window = max(greeting.window, 1)
            self.peer_capabilities = greeting.capabilities
            if greeting.heard == self.number:
                self.is_ready = True
                self._interval_s = HELLO_INTERVAL_S
        if not (self.is_ready and greeting.ready):
            self._due_s = now_s
        return is_new

    def doubt(self, now_s: float) -> None:
        """Greet anew, but not too often: somebody speaks in a session that is not the present one."""
        self._due_s = min(self._due_s, max(now_s, self._said_s + HELLO_INTERVAL_S / 2.0))

    def begin_anew(self) -> None:
        """Give the other end up, and greet whoever is there in a new session."""
        self.number = self.number % (MODULUS - 1) + 1
        self.peer = 0
        self.is_ready = False
        self._due_s = -inf

    def due_s(self) -> float:
        """When the next greeting is due."""
        if self.is_ready and self._is_host:
            return min(self._due_s, max(self._heard_s, self._said_s) + SILENCE_S)
        return self._due_s

    def greet(self, next_in_order: int, next_at_once: int, now_s: float) -> bytes:
        """Return the body of our HELO, which goes out now."""
        self._said_s = now_s
        self._due_s = inf
        if self._is_host and not self.is_ready:
            self._due_s = now_s + self._interval_s
            self._interval_s = min(2.0 * self._interval_s, HELLO_INTERVAL_MAX_S)
        return HELO.pack(
            VERSION_MIN,
            VERSION,
            self._window,
            self._capabilities,
            self.peer,
            self.is_ready,
            next_in_order,
            next_at_once,
            tail=self._software,
        )
