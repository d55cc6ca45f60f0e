"""What clients can ask for, whatever dialect they speak.

What a bridge tells its clients without being asked, whatever dialect they speak.

What a client is told when something cannot be done.

From JSON that anybody may have written to arguments: every part is checked, and named when it is wrong.
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
from pygnc_devices.ucb.configuration import FieldsRefusedError, NotKeptError
from pygnc_devices.ucb.fields import FieldError


@dataclass(frozen=True, slots=True)
class Status:
    """How bridge and unit are."""


@dataclass(frozen=True, slots=True)
class Describe:
    """What the unit can say, and its fields: names, units, legal values."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Begin or end the readings for this client."""

    on: bool


@dataclass(frozen=True, slots=True)
class GetFields:
    """Return fields: those in effect (GF) or in EEPROM (RF). None: all that the unit has."""

    stored: bool
    ids: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class SetFields:
    """Change fields: in effect (SF) or in EEPROM (WF)."""

    stored: bool
    values: dict[int, int]


@dataclass(frozen=True, slots=True)
class StartLog:
    """Write readings to a file.

    Attributes:
        file_name: "" for one made of the date.
        user: whose log it is, "" for nobody's.
        access_token: of that user, for the upload; never shown.
        storage: where the file is copied to when it is complete, "" for where the bridge was told to, if it was.
    """

    file_name: str = ""
    user: str = ""
    access_token: str = field(default="", repr=False)
    storage: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class StopLog:
    """Close the file."""


@dataclass(frozen=True, slots=True)
class ListFiles:
    """Name the log files."""


@dataclass(frozen=True, slots=True)
class LoadFile:
    """Return what a log file holds."""

    name: str


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Write firmware into the unit.

    Attributes:
        image: the firmware.
        confirmed: whether the client has said that it means it.
        recover: whether an earlier upgrade has left the unit in its bootloader.
        sha256: of the image, as its maker tells it; "" to do without.
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
    """A command and the word that the client used for it, by which it knows the answer."""

    command: Command
    word: str


Scalar: TypeAlias = int | float | str | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something has happened.

    Attributes:
        word: `device`, `log` or `upgrade_progress`.
        data: what.
    """

    word: str
    data: dict[str, Any]


def output_values(reading: Reading) -> dict[str, Scalar]:
    """Return a reading by the names and in the units of CSV columns."""
    names = (name for name, _ in reading.packet.columns())
    values = reading.packet.row(reading.values)
    return {name: _scalar(value) for name, value in zip(names, values, strict=True)}


def _scalar(value: Value | None) -> Scalar:
    """Return what JSON has a form for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.decode("latin-1") if isinstance(value, bytes) else value


@unique
class ErrorCode(StrEnum):
    """What kind of thing it is, for programs; the message says it to people."""

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
    """Something that a client asked for and cannot have.

    Args:
        code: its kind.
        message: for people.
        details: what else a program may want to know.
    """

    def __init__(self, code: ErrorCode, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.details = details

    def to_object(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return {"code": str(self.code), "message": str(self), **self.details}


_CODES: Final = (
    (RefusedError, ErrorCode.REFUSED),
    (FieldError, ErrorCode.BAD_VALUE),
    (NotKeptError, ErrorCode.NOT_KEPT),
    (NoAnswerError, ErrorCode.NO_ANSWER),
    (PortError, ErrorCode.NO_DEVICE),
    (PortGoneError, ErrorCode.NO_DEVICE),
)


def bridge_error(error: DeviceError) -> BridgeError:
    """Return what a client is told of a device's error."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), ErrorCode.DEVICE)
    if isinstance(error, FieldsRefusedError):
        return BridgeError(code, str(error), refused=list(error.refused), accepted=list(error.accepted.items()))
    return BridgeError(code, str(error))


LARGEST_IMAGE_BYTES: Final = 2 * 1024 * 1024
_MOST_FIELDS: Final = 128
_LONGEST_TEXT: Final = 8192


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Return a message as a dictionary.

    Raises:
        BridgeError: it is none.
    """
    if isinstance(text, bytes):
        raise BridgeError(ErrorCode.BAD_MESSAGE, "a message is text, not bytes")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BridgeError(ErrorCode.BAD_MESSAGE, f"this is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise BridgeError(ErrorCode.BAD_MESSAGE, "a message is a JSON object")
    return message


def parse_text(arguments: object, *keys: str) -> str:
    """Return a text by the first of these keys that is there; "" if none is."""
    value = next((arguments[key] for key in keys if key in arguments), "") if isinstance(arguments, dict) else ""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise BridgeError(ErrorCode.BAD_MESSAGE, f"{keys[0]} is a text")
    return value


def parse_field_ids(arguments: object) -> tuple[int, ...] | None:
    """Return the numbers of fields: a list of them, or the keys of an object; None if there are none."""
    if arguments in (None, [], {}):
        return None
    if not isinstance(arguments, list | dict) or len(arguments) > _MOST_FIELDS:
        raise BridgeError(ErrorCode.BAD_MESSAGE, "fields are a list of numbers, or an object with numbers as keys")
    return tuple(_word(number, "a field's number") for number in arguments)


def parse_field_values(arguments: object) -> dict[int, int]:
    """Return values by field: a list of pairs, or an object."""
    pairs = list(arguments.items()) if isinstance(arguments, dict) else arguments
    if not isinstance(pairs, list) or not 0 < len(pairs) <= _MOST_FIELDS:
        raise BridgeError(
            ErrorCode.BAD_MESSAGE, "fields are a list of pairs [number, value], or an object number: value"
        )
    values = {}
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise BridgeError(ErrorCode.BAD_MESSAGE, f"{pair!r:.80} is no pair [number, value]")
        values[_word(pair[0], "a field's number")] = _word(pair[1], "a field's value")
    return values


def parse_start_log(arguments: object) -> StartLog:
    """Return what a message asks to be logged; ANS says `fileName` and `id`."""
    if arguments is not None and not isinstance(arguments, dict):
        raise BridgeError(
            ErrorCode.BAD_MESSAGE, "what is to be logged is an object, such as {fileName, id, access_token}"
        )
    return StartLog(
        parse_text(arguments, "fileName", "file_name"),
        parse_text(arguments, "id", "user"),
        parse_text(arguments, "access_token"),
        parse_text(arguments, "storage"),
    )


def parse_load_file(arguments: object) -> LoadFile:
    """Return which file is to be loaded; ANS says `graph_id`."""
    name = arguments if isinstance(arguments, str) else parse_text(arguments, "graph_id", "name")
    if not name:
        raise BridgeError(ErrorCode.BAD_MESSAGE, "the name of a file is missing")
    return LoadFile(name)


def parse_upgrade(arguments: object) -> Upgrade:
    """Return the firmware of a message: `image` in base64, `confirm`, which must be true, `recover`, `sha256`."""
    if not isinstance(arguments, dict) or not isinstance(arguments.get("image"), str):
        raise BridgeError(ErrorCode.BAD_MESSAGE, 'firmware is {"image": BASE64, "confirm": true}')
    if len(arguments["image"]) > LARGEST_IMAGE_BYTES * 4 // 3 + 4:
        raise BridgeError(ErrorCode.TOO_LARGE, f"firmware has at most {LARGEST_IMAGE_BYTES} bytes")
    try:
        image = base64.b64decode(arguments["image"], validate=True)
    except (binascii.Error, ValueError):
        raise BridgeError(ErrorCode.BAD_MESSAGE, "the image is not base64") from None
    confirmed, recover = (arguments.get(key) is True for key in ("confirm", "recover"))
    return Upgrade(image, confirmed, recover, parse_text(arguments, "sha256"))


def _word(value: object, what: str) -> int:
    """Return an unsigned 16-bit number, which may come as text."""
    try:
        number = int(value, 0) if isinstance(value, str) and len(value) < 12 else value
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 0xFFFF:
        raise BridgeError(ErrorCode.BAD_MESSAGE, f"{value!r:.80} is not {what}: 0 to 65535")
    return number
