"""Commands, events and errors that clients and the bridge exchange, independent of the message protocol.

The `parse_` functions turn the JSON arguments of a command, which any program may have sent, into checked values.
"""

import base64
import binascii
import json
import math
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


@dataclass(frozen=True, slots=True)
class Status:
    """Request for the state of the bridge and of the device."""


@dataclass(frozen=True, slots=True)
class Describe:
    """Request for the device's packets and fields: names, units, legal values."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Request to switch the readings for this client on or off."""

    on: bool


@dataclass(frozen=True, slots=True)
class GetFields:
    """Request for fields in effect (GF) or in EEPROM (`stored`, RF); `ids` None for all fields of the device."""

    stored: bool
    ids: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class SetFields:
    """Request to change fields in effect (SF) or in EEPROM (`stored`, WF), from values by field number."""

    stored: bool
    values: dict[int, int]


@dataclass(frozen=True, slots=True)
class StartLog:
    """Request to log readings to a file.

    Attributes:
        file_name: name of the file; "" to name it by local time.
        user: user name, for the head of the file and as prefix in the store; "" for none.
        access_token: credentials of this user for the upload; never shown.
        storage: URL of the store for the upload; "" for the bridge's own setting.
    """

    file_name: str = ""
    user: str = ""
    access_token: str = field(default="", repr=False)
    storage: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class StopLog:
    """Request to close the log file."""


@dataclass(frozen=True, slots=True)
class ListFiles:
    """Request for the list of log files."""


@dataclass(frozen=True, slots=True)
class LoadFile:
    """Request for the content of a log file."""

    name: str


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Request to write firmware to the device.

    Attributes:
        image: the firmware image.
        confirmed: True if the message contains the required confirmation.
        recover: True if the device is already in its bootloader.
        sha256: expected SHA-256 of the image; "" to skip this check.
    """

    image: bytes = field(repr=False)
    confirmed: bool
    recover: bool = False
    sha256: str = ""


Command: TypeAlias = (
    Status | Describe | Stream | GetFields | SetFields | StartLog | StopLog | ListFiles | LoadFile | Upgrade
)


@dataclass(frozen=True, slots=True)
class Request:
    """A command of a client.

    Attributes:
        command: the command.
        name: name of the command in the client's protocol, which the response repeats.
    """

    command: Command
    name: str


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
        raise _bad("the message must be a JSON object")
    return message


def parse_field_ids(arguments: object) -> tuple[int, ...] | None:
    """Return field numbers from a list, or from the keys of an object; None if it is missing or empty."""
    if arguments in (None, [], {}):
        return None
    if not isinstance(arguments, list | dict) or len(arguments) > _MAX_FIELDS:
        raise _bad(f"fields must be a list of numbers or an object with numbers as keys, at most {_MAX_FIELDS} fields")
    return tuple(_uint16(number, "number of a field") for number in arguments)


def parse_field_values(arguments: object) -> dict[int, int]:
    """Return values by field number, from a list of pairs or an object."""
    pairs = list(arguments.items()) if isinstance(arguments, dict) else arguments
    if not isinstance(pairs, list) or not 0 < len(pairs) <= _MAX_FIELDS:
        raise _bad(f"fields must be a list of 1 to {_MAX_FIELDS} pairs [number, value], or an object {{number: value}}")
    values = {}
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise _bad(f"{pair!r:.80} is not a pair [number, value]")
        values[_uint16(pair[0], "number of a field")] = _uint16(pair[1], "value of a field")
    return values


def parse_start_log(arguments: object) -> StartLog:
    """Return the command to start a log; Navigation Studio calls its arguments `fileName` and `id`."""
    if arguments is not None and not isinstance(arguments, dict):
        raise _bad("the arguments of a log must be an object, such as {fileName, id, access_token}")
    return StartLog(
        _text(arguments, "fileName", "file_name"),
        _text(arguments, "id", "user"),
        _text(arguments, "access_token"),
        _text(arguments, "storage"),
    )


def parse_load_file(arguments: object) -> LoadFile:
    """Return the command to load a file; Navigation Studio calls its name `graph_id`."""
    name = arguments if isinstance(arguments, str) else _text(arguments, "graph_id", "name")
    if not name:
        raise _bad('the file name is missing; send {"name": NAME}')
    return LoadFile(name)


def parse_upgrade(arguments: object) -> Upgrade:
    """Return the command to upgrade, from `image` (base64), `confirm`, `recover` and `sha256`."""
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
    return Upgrade(image, confirmed, recover, _text(arguments, "sha256"))


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
        raise _bad(f"{value!r:.80} is not the {what}: it must be 0 to 65535")
    return number


def _bad(message: str) -> BridgeError:
    return BridgeError(ErrorCode.BAD_MESSAGE, message)
