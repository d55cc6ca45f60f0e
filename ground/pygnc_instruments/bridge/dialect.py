"""What a dialect is: how commands, answers, readings and events are written. Pure: text in, text out."""

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from pygnc_instruments.bridge.commands import Asked
from pygnc_instruments.bridge.errors import BridgeError
from pygnc_instruments.bridge.events import Event, Scalar

SERVER_VERSION: Final = "pygnc bridge 1"


class Dialect(Protocol):
    """One client's language. It may count what it has written.

    Attributes:
        name: in the option and the path.
        interval_s: between readings, unless the bridge was told another.
    """

    name: str
    interval_s: float

    def parse(self, text: str | bytes) -> Asked:
        """Return what a message asks for.

        Raises:
            BridgeError: it is not understood.
        """
        ...

    def answer(self, asked: Asked, result: Any) -> str:  # noqa: ANN401 - each command has its own
        """Return the answer to a command that was done."""
        ...

    def refuse(self, word: str, error: BridgeError) -> str:
        """Return the answer to a command that was not; `word` is "" if it was not even understood."""
        ...

    def output(self, values: Mapping[str, Scalar], time_s: float) -> str:
        """Return a reading; `time_s` is the time since the first."""
        ...

    def event(self, event: Event) -> str:
        """Return an event."""
        ...


def to_json(message: object) -> str:
    """Return a message as it is sent: without NaN, which JSON does not have."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False)
