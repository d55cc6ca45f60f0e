"""What a dialect is: how commands, answers, readings and events are written. Pure: text in, text out.

The dialect that python-imu380's README wishes for: every message is {cmd, data, err}, in both directions.

Our own page speaks it. Commands: status, describe, start_stream, stop_stream, GF, RF, SF, WF, start_log, stop_log,
list_files, load_file, upgrade. Without being asked: output, device, log, upgrade_progress.

The first generation of python-imu380 (README, March 2018): bare words and {cmd, data}, readings as flat objects.

What that server did not have (files, firmware, errors that say something) follows `envelope`.

The second generation of python-imu380 (April 2018 on), spoken by Navigation Studio: {messageType, data}.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from pygnc_instruments.bridge import messages as take
from pygnc_instruments.bridge.messages import (
    BridgeError,
    Command,
    Describe,
    ErrorCode,
    Event,
    GetFields,
    ListFiles,
    LoadFile,
    Request,
    Scalar,
    SetFields,
    StartLog,
    Status,
    StopLog,
    Stream,
    Upgrade,
)

SERVER_VERSION: Final = "pygnc bridge 1"


class MessageProtocol(Protocol):
    """One client's language. It may count what it has written.

    Attributes:
        name: in the option and the path.
        interval_s: between readings, unless the bridge was told another.
    """

    name: str
    interval_s: float

    def parse(self, text: str | bytes) -> Request:
        """Return what a message asks for.

        Raises:
            BridgeError: it is not understood.
        """
        ...

    def answer(self, asked: Request, result: Any) -> str:  # noqa: ANN401 - each command has its own
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


ENVELOPE_COMMANDS: Final[dict[str, Callable[[object], Command]]] = {
    "status": lambda _: Status(),
    "describe": lambda _: Describe(),
    "start_stream": lambda _: Stream(on=True),
    "stop_stream": lambda _: Stream(on=False),
    "GF": lambda data: GetFields(stored=False, ids=take.parse_field_ids(data)),
    "RF": lambda data: GetFields(stored=True, ids=take.parse_field_ids(data)),
    "SF": lambda data: SetFields(stored=False, values=take.parse_field_values(data)),
    "WF": lambda data: SetFields(stored=True, values=take.parse_field_values(data)),
    "start_log": take.parse_start_log,
    "stop_log": lambda _: StopLog(),
    "list_files": lambda _: ListFiles(),
    "load_file": take.parse_load_file,
    "upgrade": take.parse_upgrade,
}


class EnvelopeProtocol:
    """Messages {cmd, data, err}; `err` is null, or an object with `code` and `message`."""

    name = "envelope"
    interval_s = 0.033

    def parse(self, text: str | bytes) -> Request:
        """Return what a message asks for; see `Dialect`."""
        return parse_envelope(text)

    def answer(self, asked: Request, result: Any) -> str:  # noqa: ANN401 - see `Dialect`
        """Return the answer to a command; see `Dialect`."""
        if isinstance(asked.command, GetFields | SetFields):
            result = [list(pair) for pair in result.items()]
        return to_envelope(asked.word, result)

    def refuse(self, word: str, error: BridgeError) -> str:
        """Return why not; see `Dialect`."""
        return to_envelope(word or None, None, error)

    def output(self, values: Mapping[str, Scalar], time_s: float) -> str:
        """Return a reading; see `Dialect`."""
        return to_envelope("output", {"time": time_s, **values})

    def event(self, event: Event) -> str:
        """Return an event; see `Dialect`."""
        return to_envelope(event.word, event.data)


def parse_envelope(text: str | bytes) -> Request:
    """Return what an envelope asks for.

    Raises:
        BridgeError: it is none, or asks for what is not known.
    """
    message = take.parse_object(text)
    word = message.get("cmd")
    make = ENVELOPE_COMMANDS.get(word) if isinstance(word, str) else None
    if make is None or not isinstance(word, str):
        raise BridgeError(ErrorCode.UNKNOWN_COMMAND, f"cmd is one of {', '.join(ENVELOPE_COMMANDS)}; not {word!r:.80}")
    try:
        return Request(make(message.get("data")), word)
    except BridgeError as error:
        error.details.setdefault("cmd", word)
        raise


def to_envelope(word: str | None, data: Any, error: BridgeError | None = None) -> str:  # noqa: ANN401 - any JSON
    """Return an envelope."""
    return to_json({"cmd": word, "data": data, "err": None if error is None else error.to_object()})


_WORDS: Final[dict[str, Command]] = {
    "status": Status(),
    "start_log": StartLog(),
    "stop_log": StopLog(),
    "stream": Stream(on=True),
}
_FIELDS: Final = ("GF", "RF", "SF", "WF")


class ProtocolV1:
    """See the module."""

    name = "v1"
    interval_s = 0.033

    def __init__(self) -> None:
        self._outputs = 0
        self._envelope = EnvelopeProtocol()

    def parse(self, text: str | bytes) -> Request:
        """Return what a message asks for; see `Dialect`."""
        word = text.strip() if isinstance(text, str) else ""
        command = _WORDS.get(word)
        # The bare word is answered in its own form; `bare` tells them apart.
        return parse_envelope(text) if command is None else Request(command, f"bare {word}")

    def answer(self, asked: Request, result: Any) -> str:  # noqa: ANN401 - see `Dialect`
        """Return the answer to a command; see `Dialect`."""
        match asked:
            case Request(Status(), "bare status"):
                device = result["device"]
                return to_json({"status": SERVER_VERSION, "odr": device["divider"], "device_id": device["id"]})
            case Request(StartLog() | StopLog(), word) if word.startswith("bare"):
                return to_json({"logfile": result["file"]})
            case Request(Stream(), word) if word.startswith("bare"):
                return to_json({"stream": result["on"]})
            case Request(GetFields(), word):
                return to_json({"cmd": word, "data": [list(pair) for pair in result.items()]})
            case Request(SetFields(), word):
                return to_json({"cmd": word, "data": 1})
        return self._envelope.answer(asked, result)

    def refuse(self, word: str, error: BridgeError) -> str:
        """Return why not, in the answer's own form; see `Dialect`."""
        if word in _FIELDS:
            return to_json({"cmd": word, "data": [], "err": error.to_object()})
        if word.startswith("bare") or not word:
            return to_json({"err": error.to_object()})
        return to_envelope(word, None, error)

    def output(self, values: Mapping[str, Scalar], time_s: float) -> str:
        """Return a reading; its `time` counts the messages, as it did. See `Dialect`."""
        del time_s
        self._outputs += 1
        return to_json({**values, "time": self._outputs})

    def event(self, event: Event) -> str:
        """Return an event; a unit that has gone is told as the error it was. See `Dialect`."""
        if event.word == "device" and not event.data["connected"]:
            return to_json({"error": {"code": "no_device", "message": event.data["reason"]}})
        return to_envelope(event.word, event.data)


V2_ACTIONS: Final[dict[str, Callable[[object], Command]]] = {
    "getFields": lambda data: GetFields(stored=False, ids=take.parse_field_ids(data)),
    "readFields": lambda data: GetFields(stored=True, ids=take.parse_field_ids(data)),
    "setFields": lambda data: SetFields(stored=False, values=take.parse_field_values(data)),
    "writeFields": lambda data: SetFields(stored=True, values=take.parse_field_values(data)),
    "startStream": lambda _: Stream(on=True),
    "stopStream": lambda _: Stream(on=False),
    "startLog": take.parse_start_log,
    "stopLog": lambda _: StopLog(),
    "listFiles": lambda _: ListFiles(),
    "loadFile": take.parse_load_file,
    "upgrade": take.parse_upgrade,
}
_EVENTS: Final = {"upgrade_progress": "upgradeProgress"}
_NOTHING: Final[dict[str, Any]] = {"startLog": "", "stopLog": "", "loadFile": "", "upgrade": None}
"""What stands in an answer in the place of what could not be had; else an empty list, which old clients can read."""
_LOG_WORDS: Final = ("startLog", "stopLog")


class ProtocolV2:
    """See the module."""

    name = "v2"
    interval_s = 0.050

    def parse(self, text: str | bytes) -> Request:
        """Return what a message asks for; see `Dialect`."""
        message = take.parse_object(text)
        match message.get("messageType"):
            case "serverStatus":
                return Request(Status(), "serverStatus")
            case "requestAction":
                return _parse_action(message.get("data"))
        raise BridgeError(ErrorCode.UNKNOWN_COMMAND, "messageType is serverStatus or requestAction")

    def answer(self, asked: Request, result: Any) -> str:  # noqa: ANN401 - see `Dialect`
        """Return the answer to a command; see `Dialect`."""
        match asked.command:
            case Status():
                return to_json({"messageType": "serverStatus", "data": _server_status(result)})
            case GetFields() | SetFields():
                data = {asked.word: [list(pair) for pair in result.items()]}
            case StartLog() | StopLog():
                data = {"logfile": result["file"]}
            case ListFiles():
                data = {asked.word: [entry["name"] for entry in result]}
            case LoadFile():
                data = {asked.word: result["text"]}
            case Stream() | Upgrade() | _:
                data = {asked.word: result}
        return _action(data)

    def refuse(self, word: str, error: BridgeError) -> str:
        """Return why not, beside an answer of the usual form with nothing in it; see `Dialect`."""
        if word not in V2_ACTIONS:
            return to_json({"messageType": "error", "data": None, "err": error.to_object()})
        data = {"logfile" if word in _LOG_WORDS else word: _NOTHING.get(word, [])}
        return to_json({"messageType": "requestAction", "data": data, "err": error.to_object()})

    def output(self, values: Mapping[str, Scalar], time_s: float) -> str:
        """Return a reading; see `Dialect`."""
        return _event("newOutput", {"time": time_s, **values})

    def event(self, event: Event) -> str:
        """Return an event; see `Dialect`."""
        return _event(_EVENTS.get(event.word, event.word), event.data)


def _parse_action(data: object) -> Request:
    word = next(iter(data), "") if isinstance(data, dict) else ""
    make = V2_ACTIONS.get(word)
    if make is None or not isinstance(data, dict) or len(data) != 1:
        raise BridgeError(ErrorCode.UNKNOWN_COMMAND, f"data has one key, one of {', '.join(V2_ACTIONS)}")
    try:
        return Request(make(data[word]), word)
    except BridgeError as error:
        error.details.setdefault("cmd", word)
        raise


def _server_status(status: dict[str, Any]) -> dict[str, Any]:
    device, log = status["device"], status["log"]
    data: dict[str, Any] = {
        "serverVersion": SERVER_VERSION,
        "serverUpdateRate": status["interval_ms"],
        "deviceId": device["id"],
        "logging": log["active"],
        "fileName": log["file"],
        "pygnc": status,
    }
    if device["connected"]:
        data |= {"packetType": device["packet"], "deviceProperties": status["properties"]}
    return data


def _action(data: dict[str, Any]) -> str:
    return to_json({"messageType": "requestAction", "data": data})


def _event(word: str, data: dict[str, Any]) -> str:
    return to_json({"messageType": "event", "data": {word: data}})
