"""The dialect that python-imu380's README wishes for: every message is {cmd, data, err}, in both directions.

Our own page speaks it. Commands: status, describe, start_stream, stop_stream, GF, RF, SF, WF, start_log, stop_log,
list_files, load_file, upgrade. Without being asked: output, device, log, upgrade_progress.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pygnc_instruments.bridge import arguments as take
from pygnc_instruments.bridge.commands import (
    Asked,
    AskFields,
    Command,
    Describe,
    ListFiles,
    PutFields,
    Status,
    StopLog,
    Stream,
)
from pygnc_instruments.bridge.dialect import to_json
from pygnc_instruments.bridge.errors import BridgeError, Code
from pygnc_instruments.bridge.events import Event, Scalar

COMMANDS: Final[dict[str, Callable[[object], Command]]] = {
    "status": lambda _: Status(),
    "describe": lambda _: Describe(),
    "start_stream": lambda _: Stream(on=True),
    "stop_stream": lambda _: Stream(on=False),
    "GF": lambda data: AskFields(stored=False, ids=take.ids_of(data)),
    "RF": lambda data: AskFields(stored=True, ids=take.ids_of(data)),
    "SF": lambda data: PutFields(stored=False, values=take.values_of(data)),
    "WF": lambda data: PutFields(stored=True, values=take.values_of(data)),
    "start_log": take.start_log_of,
    "stop_log": lambda _: StopLog(),
    "list_files": lambda _: ListFiles(),
    "load_file": take.load_file_of,
    "upgrade": take.upgrade_of,
}


class Envelope:
    """Messages {cmd, data, err}; `err` is null, or an object with `code` and `message`."""

    name = "envelope"
    interval_s = 0.033

    def parse(self, text: str | bytes) -> Asked:
        """Return what a message asks for; see `Dialect`."""
        return parse(text)

    def answer(self, asked: Asked, result: Any) -> str:  # noqa: ANN401 - see `Dialect`
        """Return the answer to a command; see `Dialect`."""
        if isinstance(asked.command, AskFields | PutFields):
            result = [list(pair) for pair in result.items()]
        return wrap(asked.word, result)

    def refuse(self, word: str, error: BridgeError) -> str:
        """Return why not; see `Dialect`."""
        return wrap(word or None, None, error)

    def output(self, values: Mapping[str, Scalar], time_s: float) -> str:
        """Return a reading; see `Dialect`."""
        return wrap("output", {"time": time_s, **values})

    def event(self, event: Event) -> str:
        """Return an event; see `Dialect`."""
        return wrap(event.word, event.data)


def parse(text: str | bytes) -> Asked:
    """Return what an envelope asks for.

    Raises:
        BridgeError: it is none, or asks for what is not known.
    """
    message = take.parse_object(text)
    word = message.get("cmd")
    make = COMMANDS.get(word) if isinstance(word, str) else None
    if make is None or not isinstance(word, str):
        raise BridgeError(Code.UNKNOWN_COMMAND, f"cmd is one of {', '.join(COMMANDS)}; not {word!r:.80}")
    try:
        return Asked(make(message.get("data")), word)
    except BridgeError as error:
        error.details.setdefault("cmd", word)
        raise


def wrap(word: str | None, data: Any, error: BridgeError | None = None) -> str:  # noqa: ANN401 - any JSON
    """Return an envelope."""
    return to_json({"cmd": word, "data": data, "err": None if error is None else error.to_object()})
