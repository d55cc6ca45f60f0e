"""The first generation of python-imu380 (README, March 2018): bare words and {cmd, data}, readings as flat objects.

What that server did not have (files, firmware, errors that say something) follows `envelope`.
"""

from collections.abc import Mapping
from typing import Any, Final

from pygnc_instruments.bridge.commands import Asked, AskFields, Command, PutFields, StartLog, Status, StopLog, Stream
from pygnc_instruments.bridge.dialect import SERVER_VERSION, to_json
from pygnc_instruments.bridge.envelope import Envelope, parse, wrap
from pygnc_instruments.bridge.errors import BridgeError
from pygnc_instruments.bridge.events import Event, Scalar

_WORDS: Final[dict[str, Command]] = {
    "status": Status(),
    "start_log": StartLog(),
    "stop_log": StopLog(),
    "stream": Stream(on=True),
}
_FIELDS: Final = ("GF", "RF", "SF", "WF")


class DialectV1:
    """See the module."""

    name = "v1"
    interval_s = 0.033

    def __init__(self) -> None:
        self._outputs = 0
        self._envelope = Envelope()

    def parse(self, text: str | bytes) -> Asked:
        """Return what a message asks for; see `Dialect`."""
        word = text.strip() if isinstance(text, str) else ""
        command = _WORDS.get(word)
        # The bare word is answered in its own form; `bare` tells them apart.
        return parse(text) if command is None else Asked(command, f"bare {word}")

    def answer(self, asked: Asked, result: Any) -> str:  # noqa: ANN401 - see `Dialect`
        """Return the answer to a command; see `Dialect`."""
        match asked:
            case Asked(Status(), "bare status"):
                device = result["device"]
                return to_json({"status": SERVER_VERSION, "odr": device["divider"], "device_id": device["id"]})
            case Asked(StartLog() | StopLog(), word) if word.startswith("bare"):
                return to_json({"logfile": result["file"]})
            case Asked(Stream(), word) if word.startswith("bare"):
                return to_json({"stream": result["on"]})
            case Asked(AskFields(), word):
                return to_json({"cmd": word, "data": [list(pair) for pair in result.items()]})
            case Asked(PutFields(), word):
                return to_json({"cmd": word, "data": 1})
        return self._envelope.answer(asked, result)

    def refuse(self, word: str, error: BridgeError) -> str:
        """Return why not, in the answer's own form; see `Dialect`."""
        if word in _FIELDS:
            return to_json({"cmd": word, "data": [], "err": error.to_object()})
        if word.startswith("bare") or not word:
            return to_json({"err": error.to_object()})
        return wrap(word, None, error)

    def output(self, values: Mapping[str, Scalar], time_s: float) -> str:
        """Return a reading; its `time` counts the messages, as it did. See `Dialect`."""
        del time_s
        self._outputs += 1
        return to_json({**values, "time": self._outputs})

    def event(self, event: Event) -> str:
        """Return an event; a unit that has gone is told as the error it was. See `Dialect`."""
        if event.word == "device" and not event.data["connected"]:
            return to_json({"error": {"code": "no_device", "message": event.data["reason"]}})
        return wrap(event.word, event.data)
