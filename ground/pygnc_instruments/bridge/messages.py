"""Commands, events and errors that clients and the bridge exchange, independent of the message protocol."""

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any, Final, TypeAlias

from pygnc_devices.declaration import Value
from pygnc_devices.errors import DeviceError, NoAnswerError, PortError, PortGoneError, RefusedError
from pygnc_devices.reading import Reading
from pygnc_devices.ucb.configuration import FieldsRefusedError, ReadBackError
from pygnc_devices.ucb.fields import FieldError

LARGEST_IMAGE_BYTES: Final = 2 * 1024 * 1024
_MAX_FIELDS: Final = 128
_MAX_TEXT: Final = 8192


Arguments: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """Command of a client.

    Attributes:
        command: name of the command, a key of `COMMANDS`.
        name: name of the command in the client's protocol, which the response repeats.
        arguments: checked arguments of the command by name; they may contain credentials.
    """

    command: str
    name: str
    arguments: Arguments = field(repr=False)


Scalar: TypeAlias = int | float | str | None


@dataclass(frozen=True, slots=True)
class Event:
    """Event that all clients receive.

    Attributes:
        name: `device`, `log` or `upgrade_progress`.
        data: state after the event, as JSON.
    """

    name: str
    data: dict[str, Any]


def output_values(reading: Reading) -> dict[str, Scalar]:
    """Return a reading with the names and units of CSV columns; None for NaN and infinity, which JSON lacks."""
    names = (name for name, _ in reading.packet.columns())
    values = reading.packet.row(reading.values)
    return {name: _scalar(value) for name, value in zip(names, values, strict=True)}


def _scalar(value: Value | None) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.decode("latin-1") if isinstance(value, bytes) else value


@unique
class ErrorCode(StrEnum):
    """Kind of an error, for programs; the message is for people."""

    BAD_MESSAGE = "bad_message"
    UNKNOWN_COMMAND = "unknown_command"
    NO_DEVICE = "no_device"
    NO_ANSWER = "no_answer"
    REFUSED = "refused"
    BAD_VALUE = "bad_value"
    NOT_KEPT = "not_kept"
    NOT_SUPPORTED = "not_supported"
    TOKEN = "token"  # noqa: S105 - the name of the error
    NO_FILE = "no_file"
    TOO_LARGE = "too_large"
    LOGGING = "logging"
    STORAGE = "storage"
    UPGRADE = "upgrade"
    DEVICE = "device"


class BridgeError(Exception):
    """Error raised when a client's command cannot be carried out.

    Args:
        code: kind of the error.
        message: explanation for people.
        details: further values for programs.
    """

    def __init__(self, code: ErrorCode, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.details = details

    def to_json(self) -> dict[str, Any]:
        """Return the error as the JSON object that clients receive."""
        return {"code": str(self.code), "message": str(self), **self.details}


_CODES: Final = (
    (RefusedError, ErrorCode.REFUSED),
    (FieldError, ErrorCode.BAD_VALUE),
    (ReadBackError, ErrorCode.NOT_KEPT),
    (NoAnswerError, ErrorCode.NO_ANSWER),
    (PortError, ErrorCode.NO_DEVICE),
    (PortGoneError, ErrorCode.NO_DEVICE),
)


def bridge_error(error: DeviceError) -> BridgeError:
    """Return the error that clients receive for a driver's error."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), ErrorCode.DEVICE)
    if isinstance(error, FieldsRefusedError):
        return BridgeError(code, str(error), refused=list(error.refused), accepted=list(error.accepted.items()))
    return BridgeError(code, str(error))


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Return a message as a dictionary.

    Raises:
        BridgeError: the message is not a JSON object.
    """
    if isinstance(text, bytes):
        raise _bad("the message must be text, not bytes; send a text frame")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad(f"the message is not JSON: {error}; send a JSON object") from None
    if not isinstance(message, dict):
        raise _bad('the message must be a JSON object, such as {"cmd": "status"}')
    return message


def parse_request(command: str, name: str, arguments: object) -> Request:
    """Return the request for a command from its JSON arguments.

    Raises:
        BridgeError: the arguments are not valid.
    """
    try:
        return Request(command, name, COMMANDS[command](arguments))
    except BridgeError as error:
        error.details.setdefault("cmd", name)
        raise


def _field_ids(arguments: object) -> Arguments:
    """Return `ids`, field numbers from a list or from the keys of an object; None if there are none."""
    if arguments in (None, [], {}):
        return {"ids": None}
    if not isinstance(arguments, list | dict) or len(arguments) > _MAX_FIELDS:
        raise _bad(f"fields must be a list of numbers or an object with numbers as keys, at most {_MAX_FIELDS} fields")
    return {"ids": tuple(_uint16(number, "number of a field") for number in arguments)}


def _field_values(arguments: object) -> Arguments:
    """Return `values` by field number, from a list of pairs or an object."""
    pairs = list(arguments.items()) if isinstance(arguments, dict) else arguments
    if not isinstance(pairs, list) or not 0 < len(pairs) <= _MAX_FIELDS:
        raise _bad(f"fields must be a list of 1 to {_MAX_FIELDS} pairs [number, value], or an object {{number: value}}")
    values = {}
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise _bad(f"{pair!r:.80} is not a pair [number, value]; send [[number, value], ...]")
        values[_uint16(pair[0], "number of a field")] = _uint16(pair[1], "value of a field")
    return {"values": values}


def _parameter_values(arguments: object) -> Arguments:
    """Return `values` by parameter number, from one object {paramId, value} or a list of such objects."""
    entries = arguments if isinstance(arguments, list) else [arguments]
    if not 0 < len(entries) <= _MAX_FIELDS:
        raise _bad(f"parameters must be 1 to {_MAX_FIELDS} objects {{paramId, value}}")
    values = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(value := entry.get("value"), int | float | str):
            raise _bad(f"{entry!r:.80} is not a parameter; send {{paramId, value}}")
        values[_uint16(entry.get("paramId"), "number of a parameter")] = value
    return {"values": values}


def _parameter_number(arguments: object) -> Arguments:
    """Return `number`, that in an object {paramId}; None, for all parameters, without one."""
    if not isinstance(arguments, dict) or "paramId" not in arguments:
        return {"number": None}
    return {"number": _uint16(arguments["paramId"], "number of a parameter")}


def _start_log(arguments: object) -> Arguments:
    """Return the arguments of a log; Navigation Studio calls two of them `fileName` and `id`."""
    if arguments is not None and not isinstance(arguments, dict):
        raise _bad("the arguments of a log must be an object, such as {fileName, id, access_token}")
    return {
        "file_name": _text(arguments, "fileName", "file_name"),
        "user": _text(arguments, "id", "user"),
        "access_token": _text(arguments, "access_token"),
        "storage": _text(arguments, "storage"),
    }


def _load_file(arguments: object) -> Arguments:
    """Return the `name` of a file, which Navigation Studio calls `graph_id`."""
    name = arguments if isinstance(arguments, str) else _text(arguments, "graph_id", "name")
    if not name:
        raise _bad('the file name is missing; send {"name": NAME}')
    return {"name": name}


def _upgrade(arguments: object) -> Arguments:
    """Return the arguments of an upgrade from `image` (base64), `confirm`, `recover` and `sha256`."""
    if not isinstance(arguments, dict) or not isinstance(arguments.get("image"), str):
        raise _bad('the arguments of an upgrade must be {"image": BASE64, "confirm": true}')
    if len(arguments["image"]) > LARGEST_IMAGE_BYTES * 4 // 3 + 4:
        raise BridgeError(
            ErrorCode.TOO_LARGE,
            f"the image is larger than {LARGEST_IMAGE_BYTES} bytes; send the firmware of this device",
        )
    try:
        image = base64.b64decode(arguments["image"], validate=True)
    except (binascii.Error, ValueError):
        raise _bad("the image is not base64; encode the firmware file with standard base64") from None
    confirmed, recover = (arguments.get(key) is True for key in ("confirm", "recover"))
    return {"image": image, "confirmed": confirmed, "recover": recover, "sha256": _text(arguments, "sha256")}


def _text(arguments: object, *keys: str) -> str:
    """Return the text of the first of `keys` that the arguments have; "" if they have none of them."""
    value = next((arguments[key] for key in keys if key in arguments), "") if isinstance(arguments, dict) else ""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise _bad(f"{keys[0]} must be text of at most {_MAX_TEXT} characters")
    return value


def _uint16(value: object, what: str) -> int:
    """Return an unsigned 16-bit number, which may be given as text such as "5" or "0x05"."""
    try:
        number = int(value, 0) if isinstance(value, str) and len(value) < 12 else value
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 0xFFFF:
        raise _bad(f"{value!r:.80} is not the {what}; send an integer from 0 to 65535")
    return number


def _bad(message: str) -> BridgeError:
    return BridgeError(ErrorCode.BAD_MESSAGE, message)


def _none(_: object) -> Arguments:
    return {}


COMMANDS: Final[Mapping[str, Callable[[object], Arguments]]] = {
    "status": _none,
    "describe": _none,
    "start_stream": _none,
    "stop_stream": _none,
    "GF": _field_ids,
    "RF": _field_ids,
    "SF": _field_values,
    "WF": _field_values,
    "start_log": _start_log,
    "stop_log": _none,
    "list_files": _none,
    "load_file": _load_file,
    "upgrade": _upgrade,
    "conf": _none,
    "params": _parameter_number,
    "set_params": _parameter_values,
    "save_params": _none,
    "reset_params": _none,
}
"""Functions that return the checked arguments of each command from its JSON arguments, which any program may send.

GF and RF return, SF and WF change fields in effect and in EEPROM. `conf` and the commands of parameters are those of
python-openimu.
"""
DEVICE_COMMANDS: Final = frozenset(
    {"GF", "RF", "SF", "WF", "conf", "params", "set_params", "save_params", "reset_params"}
)
"""Commands that send requests to the device."""
READING_COMMANDS: Final = frozenset({"status", "describe", "start_stream", "stop_stream", "GF", "RF", "conf", "params"})
"""Commands that need no token: they read from the device, or concern only the client's own stream."""
