"""The second generation of python-imu380 (April 2018 on), spoken by Navigation Studio: {messageType, data}."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pygnc_instruments.bridge import arguments as take
from pygnc_instruments.bridge.commands import (
    Asked,
    AskFields,
    Command,
    ListFiles,
    LoadFile,
    PutFields,
    StartLog,
    Status,
    StopLog,
    Stream,
    Upgrade,
)
from pygnc_instruments.bridge.dialect import SERVER_VERSION, to_json
from pygnc_instruments.bridge.errors import BridgeError, Code
from pygnc_instruments.bridge.events import Event, Scalar

ACTIONS: Final[dict[str, Callable[[object], Command]]] = {
    "getFields": lambda data: AskFields(stored=False, ids=take.ids_of(data)),
    "readFields": lambda data: AskFields(stored=True, ids=take.ids_of(data)),
    "setFields": lambda data: PutFields(stored=False, values=take.values_of(data)),
    "writeFields": lambda data: PutFields(stored=True, values=take.values_of(data)),
    "startStream": lambda _: Stream(on=True),
    "stopStream": lambda _: Stream(on=False),
    "startLog": take.start_log_of,
    "stopLog": lambda _: StopLog(),
    "listFiles": lambda _: ListFiles(),
    "loadFile": take.load_file_of,
    "upgrade": take.upgrade_of,
}
_EVENTS: Final = {"upgrade_progress": "upgradeProgress"}
_NOTHING: Final[dict[str, Any]] = {"startLog": "", "stopLog": "", "loadFile": "", "upgrade": None}
"""What stands in an answer in the place of what could not be had; else an empty list, which old clients can read."""
_LOG_WORDS: Final = ("startLog", "stopLog")


class DialectV2:
    """See the module."""

    name = "v2"
    interval_s = 0.050

    def parse(self, text: str | bytes) -> Asked:
        """Return what a message asks for; see `Dialect`."""
        message = take.parse_object(text)
        match message.get("messageType"):
            case "serverStatus":
                return Asked(Status(), "serverStatus")
            case "requestAction":
                return _parse_action(message.get("data"))
        raise BridgeError(Code.UNKNOWN_COMMAND, "messageType is serverStatus or requestAction")

    def answer(self, asked: Asked, result: Any) -> str:  # noqa: ANN401 - see `Dialect`
        """Return the answer to a command; see `Dialect`."""
        match asked.command:
            case Status():
                return to_json({"messageType": "serverStatus", "data": _server_status(result)})
            case AskFields() | PutFields():
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
        if word not in ACTIONS:
            return to_json({"messageType": "error", "data": None, "err": error.to_object()})
        data = {"logfile" if word in _LOG_WORDS else word: _NOTHING.get(word, [])}
        return to_json({"messageType": "requestAction", "data": data, "err": error.to_object()})

    def output(self, values: Mapping[str, Scalar], time_s: float) -> str:
        """Return a reading; see `Dialect`."""
        return _event("newOutput", {"time": time_s, **values})

    def event(self, event: Event) -> str:
        """Return an event; see `Dialect`."""
        return _event(_EVENTS.get(event.word, event.word), event.data)


def _parse_action(data: object) -> Asked:
    word = next(iter(data), "") if isinstance(data, dict) else ""
    make = ACTIONS.get(word)
    if make is None or not isinstance(data, dict) or len(data) != 1:
        raise BridgeError(Code.UNKNOWN_COMMAND, f"data has one key, one of {', '.join(ACTIONS)}")
    try:
        return Asked(make(data[word]), word)
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
