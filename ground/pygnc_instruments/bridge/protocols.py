"""Message protocols of the bridge: how commands, responses, readings and events are written as JSON text.

`v1` and `v2` are those of python-imu380's two generations, `openimu` is that of python-openimu 2. `envelope` is the
form that python-imu380's README proposes and that the bridge's own page uses. A protocol performs no I/O.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pygnc_instruments.bridge.messages import (
    COMMANDS,
    BridgeError,
    ErrorCode,
    Event,
    Request,
    Scalar,
    parse_object,
    parse_request,
)

SERVER_VERSION: Final = "pygnc bridge 1"
_OPENIMU_NAMES: Final = {"timeCounter": "time", "tstmp": "timeCntr", "timeSec": "time"}
"""Names of python-openimu for the time words of its packets, by the names of CSV columns; they follow `time`."""


class MessageProtocol:
    """Protocol of one client, base class of the others: messages {cmd, data, err}.

    `err` is null or an object with `code` and `message`. Messages that the client did not request have the `cmd`
    output, device, log or upgrade_progress.

    Attributes:
        name: name in the option `--protocol` and in the path of the URL.
        interval_s: time between readings, s; that of the bridge's settings if they specify one.
        streams_at_once: True if readings are sent before the client asks for them.
        greets: True if the state of the device is sent at the beginning of a session.
        sends_all: True if a client receives all readings, False if it receives the newest at each interval, as the
            pages of python-imu380 do. The parameter `readings` of the URL, `all` or `newest`, overrides it.
    """

    name = "envelope"
    interval_s = 0.033
    streams_at_once = True
    greets = False
    sends_all = True

    def parse(self, text: str | bytes) -> Request:
        """Return the request in a message.

        Raises:
            BridgeError: the message is not a valid request.
        """
        message = parse_object(text)
        name = message.get("cmd")
        if not isinstance(name, str) or name not in COMMANDS:
            known = ", ".join(COMMANDS)
            raise BridgeError(ErrorCode.UNKNOWN_COMMAND, f"unknown cmd {name!r:.80}; choose from {known}")
        return parse_request(name, name, message.get("data"))

    def response(self, request: Request, result: Any) -> str:  # noqa: ANN401 - each command has its own
        """Return the response to a request that was carried out, from the result of its command as JSON."""
        return _envelope(request.name, _pairs(result) if request.command in _FIELD_COMMANDS else result)

    def rejection(self, name: str, error: BridgeError) -> str:
        """Return the response to a request that failed; `name` is "" if its name could not be read."""
        return _envelope(name or None, None, error)

    def output(self, readings: Sequence[Mapping[str, Scalar]], packet: str) -> tuple[str, ...]:
        """Return the messages with readings of one packet."""
        del packet
        return tuple(_envelope("output", reading) for reading in readings)

    def events(self, event: Event) -> list[str]:
        """Return the messages of an event."""
        return [_envelope(event.name, event.data)]


class ProtocolV1(MessageProtocol):
    """First generation of python-imu380 (README, March 2018): bare words and {cmd, data}, readings as flat objects.

    Commands that its server did not have use the envelope.
    """

    name = "v1"
    sends_all = False

    def __init__(self) -> None:
        self._outputs = 0

    def parse(self, text: str | bytes) -> Request:
        """See `MessageProtocol`."""
        word = text.strip() if isinstance(text, str) else ""
        command = _V1_WORDS.get(word)
        # The prefix marks requests whose response has no envelope.
        return super().parse(text) if command is None else parse_request(command, f"bare {word}", None)

    def response(self, request: Request, result: Any) -> str:  # noqa: ANN401 - see `MessageProtocol`
        """See `MessageProtocol`."""
        match request.name:
            case "bare status":
                device = result["device"]
                return _json({"status": SERVER_VERSION, "odr": device["divider"], "device_id": device["id"]})
            case "bare start_log" | "bare stop_log":
                return _json({"logfile": result["file"]})
            case "bare stream":
                return _json({"stream": result["on"]})
            case "GF" | "RF":
                return _json({"cmd": request.name, "data": _pairs(result)})
            case "SF" | "WF":
                return _json({"cmd": request.name, "data": 1})
        return super().response(request, result)

    def rejection(self, name: str, error: BridgeError) -> str:
        """Return the response to a failed request, in the form of a successful response; see `MessageProtocol`."""
        if name in _FIELD_COMMANDS:
            return _json({"cmd": name, "data": [], "err": error.to_json()})
        if name.startswith("bare") or not name:
            return _json({"err": error.to_json()})
        return super().rejection(name, error)

    def output(self, readings: Sequence[Mapping[str, Scalar]], packet: str) -> tuple[str, ...]:
        """See `MessageProtocol`; `time` counts the messages, as in python-imu380."""
        del packet
        first = self._outputs + 1
        self._outputs += len(readings)
        return tuple(_json({**reading, "time": number}) for number, reading in enumerate(readings, first))

    def events(self, event: Event) -> list[str]:
        """Return a message with an event; a disconnection is an error, as in python-imu380. See `MessageProtocol`."""
        if event.name == "device" and not event.data["connected"]:
            return [_json({"error": {"code": "no_device", "message": event.data["reason"]}})]
        return super().events(event)


class ProtocolV2(MessageProtocol):
    """Second generation of python-imu380 (from April 2018), used by Navigation Studio: {messageType, data}."""

    name = "v2"
    interval_s = 0.050
    sends_all = False

    def parse(self, text: str | bytes) -> Request:
        """See `MessageProtocol`."""
        message = parse_object(text)
        match message.get("messageType"):
            case "serverStatus":
                return parse_request("status", "serverStatus", None)
            case "requestAction":
                data = message.get("data")
                if isinstance(data, dict) and len(data) == 1 and (name := next(iter(data))) in V2_ACTIONS:
                    return parse_request(V2_ACTIONS[name], name, data[name])
                known = ", ".join(V2_ACTIONS)
                raise BridgeError(ErrorCode.UNKNOWN_COMMAND, f"data must have exactly one key; choose from {known}")
            case kind:
                why = f"unknown messageType {kind!r:.80}; choose from serverStatus, requestAction"
                raise BridgeError(ErrorCode.UNKNOWN_COMMAND, why)

    def response(self, request: Request, result: Any) -> str:  # noqa: ANN401 - see `MessageProtocol`
        """See `MessageProtocol`."""
        match request.command:
            case "status":
                return _json({"messageType": "serverStatus", "data": _server_status(result)})
            case "GF" | "RF" | "SF" | "WF":
                result = _pairs(result)
            case "start_log" | "stop_log":
                return _json({"messageType": "requestAction", "data": {"logfile": result["file"]}})
            case "list_files":
                result = [entry["name"] for entry in result]
            case "load_file":
                result = result["text"]
        return _json({"messageType": "requestAction", "data": {request.name: result}})

    def rejection(self, name: str, error: BridgeError) -> str:
        """Return a response with an empty value and `err`; see `MessageProtocol`."""
        if name not in V2_ACTIONS:
            return _json({"messageType": "error", "data": None, "err": error.to_json()})
        key = "logfile" if name in ("startLog", "stopLog") else name
        data = {key: _V2_EMPTY.get(name, [])}
        return _json({"messageType": "requestAction", "data": data, "err": error.to_json()})

    def output(self, readings: Sequence[Mapping[str, Scalar]], packet: str) -> tuple[str, ...]:
        """See `MessageProtocol`."""
        del packet
        return tuple(_json({"messageType": "event", "data": {"newOutput": reading}}) for reading in readings)

    def events(self, event: Event) -> list[str]:
        """See `MessageProtocol`."""
        name = "upgradeProgress" if event.name == "upgrade_progress" else event.name
        return [_json({"messageType": "event", "data": {name: event.data}})]


class ProtocolOpenImu(MessageProtocol):
    """Protocol of python-openimu 2: {method, params}, and {method, result: {packetType, data}} in return.

    Readings and events have the method `stream`. A client gets the state of the server at once, readings after
    `startStream`. Source: its tunnel_web.py and devices/openimu/uart_provider.py, version 2.7.0.
    """

    name = "openimu"
    interval_s = 0.050
    streams_at_once = False
    greets = True

    def __init__(self) -> None:
        self._is_connected: bool | None = None

    def parse(self, text: str | bytes) -> Request:
        """See `MessageProtocol`."""
        message = parse_object(text)
        name = message.get("method")
        if not isinstance(name, str) or name not in OPENIMU_METHODS:
            known = ", ".join(OPENIMU_METHODS)
            raise BridgeError(ErrorCode.UNKNOWN_COMMAND, f"unknown method {name!r:.80}; choose from {known}")
        request = parse_request(OPENIMU_METHODS[name], name, message.get("params"))
        if name == "getParam" and request.arguments["number"] is None:
            raise BridgeError(ErrorCode.BAD_MESSAGE, 'the number is missing; send {"paramId": NUMBER}', cmd=name)
        return request

    def response(self, request: Request, result: Any) -> str:  # noqa: ANN401 - see `MessageProtocol`
        """See `MessageProtocol`."""
        kind, data = "success", result
        match request.name:
            case "getServerInfo":
                kind, data = "serverInfo", _openimu_server(result["device"], self.interval_s)
            case "getDeviceInfo":
                kind, data = "deviceInfo", _openimu_device(result["device"]["id"])
            case "getConf":
                kind = "conf"
            case "getParams":
                kind = "inputParams"
            case "getParam":
                kind, data = "inputParam", result[0]
            case "startLog" | "stopLog":
                data = result["file"]
            case "startStream" | "stopStream" | "upgradeFramework":
                return _method(request.name, "success")
        return _method(request.name, kind, data)

    def rejection(self, name: str, error: BridgeError) -> str:
        """See `MessageProtocol`."""
        details = error.to_json()
        return _method(name or "unknown", "error", details | {"error": details["code"]})

    def output(self, readings: Sequence[Mapping[str, Scalar]], packet: str) -> tuple[str, ...]:
        """Return a message with a list of readings; `time` is the word of the packet if it has one."""
        named = [{_OPENIMU_NAMES.get(name, name): value for name, value in reading.items()} for reading in readings]
        return (_method("stream", packet, named),)

    def events(self, event: Event) -> list[str]:
        """See `MessageProtocol`; the state of the device is sent when it changes, a loss also as a ping."""
        data = event.data
        match event.name:
            case "device" if data["connected"] != self._is_connected:
                lost = [_method("stream", "ping", {"status": 2})] if self._is_connected else []
                self._is_connected = data["connected"]
                return [*lost, _method("stream", "serverInfo", _openimu_server(data, self.interval_s))]
            case "upgrade_progress" if data["state"] == "running":
                progress = {"addr": data["written_bytes"], "fs_len": data["total_bytes"]}
                return [_method("stream", "upgrade_progress", progress)]
            case "upgrade_progress" if data["state"] == "done":
                return [_method("stream", "upgrade_complete", {"success": True})]
            case "upgrade_progress":
                failure = {"success": False, "code": _UPGRADE_FAILED, "message": data["message"]}
                return [_method("stream", "upgrade_complete", failure)]
        return []


PROTOCOLS: Final = {kind.name: kind for kind in (ProtocolV1, ProtocolV2, ProtocolOpenImu, MessageProtocol)}
OPENIMU_METHODS: Final = {
    "getServerInfo": "status",
    "getDeviceInfo": "status",
    "getConf": "conf",
    "getParams": "params",
    "getParam": "params",
    "setParam": "set_params",
    "setParams": "set_params",
    "saveConfig": "save_params",
    "resetParams": "reset_params",
    "startStream": "start_stream",
    "stopStream": "stop_stream",
    "startLog": "start_log",
    "stopLog": "stop_log",
    "upgradeFramework": "upgrade",
}
"""Names of the commands in protocol openimu."""
V2_ACTIONS: Final = {
    "getFields": "GF",
    "readFields": "RF",
    "setFields": "SF",
    "writeFields": "WF",
    "startStream": "start_stream",
    "stopStream": "stop_stream",
    "startLog": "start_log",
    "stopLog": "stop_log",
    "listFiles": "list_files",
    "loadFile": "load_file",
    "upgrade": "upgrade",
}
"""Names of the commands in protocol v2."""
_V1_WORDS: Final = {"status": "status", "start_log": "start_log", "stop_log": "stop_log", "stream": "start_stream"}
_UPGRADE_FAILED: Final = "UPGRADE.FAILED.001"
_FIELD_COMMANDS: Final = ("GF", "RF", "SF", "WF")
_V2_EMPTY: Final[dict[str, Any]] = {"startLog": "", "stopLog": "", "loadFile": "", "upgrade": None}
"""Values in the response to a failed action; [] for all other actions. Old clients can read both."""


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


def _openimu_server(device: Mapping[str, Any], interval_s: float) -> dict[str, Any]:
    return {
        "version": SERVER_VERSION,
        "serverUpdateRate": round(interval_s * 1000),
        "deviceConnected": device["connected"],
        "clientCount": 0,  # a positive number would be a refusal
    } | ({"deviceType": _openimu_type(device["id"])} if device["connected"] else {})


def _openimu_type(identity: str) -> str:
    return "IMU" if identity.partition(" ")[2].lower().startswith("openimu") else "DMU"


def _openimu_device(identity: str) -> list[dict[str, str]]:
    """Return serial number, model, part number and version from the identity of a device."""
    serial_number, _, text = identity.partition(" ")
    words = [*text.split(), "-", "-", "-"][:3]
    names = ("Product Name", "PN", "Firmware Version")
    values = [*zip(names, words, strict=True), ("SN", serial_number), ("App Version", text)]
    return [{"name": name, "value": value} for name, value in values]


def _method(method: str, kind: str, data: Any = None) -> str:  # noqa: ANN401 - any JSON
    return _json({"method": method, "result": {"packetType": kind} | ({} if data is None else {"data": data})})


def _pairs(fields: Mapping[int, int]) -> list[list[int]]:
    return [[number, value] for number, value in fields.items()]


def _envelope(name: str | None, data: Any, error: BridgeError | None = None) -> str:  # noqa: ANN401 - any JSON
    return _json({"cmd": name, "data": data, "err": None if error is None else error.to_json()})


def _json(message: object) -> str:
    return json.dumps(message, separators=(",", ":"), allow_nan=False)
