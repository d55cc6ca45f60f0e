"""From JSON that anybody may have written to arguments: every part is checked, and named when it is wrong."""

import base64
import binascii
import json
from typing import Any, Final

from pygnc_instruments.bridge.commands import LoadFile, StartLog, Upgrade
from pygnc_instruments.bridge.errors import BridgeError, Code

LARGEST_IMAGE_BYTES: Final = 2 * 1024 * 1024
_MOST_FIELDS: Final = 128
_LONGEST_TEXT: Final = 8192


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Return a message as a dictionary.

    Raises:
        BridgeError: it is none.
    """
    if isinstance(text, bytes):
        raise BridgeError(Code.BAD_MESSAGE, "a message is text, not bytes")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BridgeError(Code.BAD_MESSAGE, f"this is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise BridgeError(Code.BAD_MESSAGE, "a message is a JSON object")
    return message


def text_of(arguments: object, *keys: str) -> str:
    """Return a text by the first of these keys that is there; "" if none is."""
    value = next((arguments[key] for key in keys if key in arguments), "") if isinstance(arguments, dict) else ""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise BridgeError(Code.BAD_MESSAGE, f"{keys[0]} is a text")
    return value


def ids_of(arguments: object) -> tuple[int, ...] | None:
    """Return the numbers of fields: a list of them, or the keys of an object; None if there are none."""
    if arguments in (None, [], {}):
        return None
    if not isinstance(arguments, list | dict) or len(arguments) > _MOST_FIELDS:
        raise BridgeError(Code.BAD_MESSAGE, "fields are a list of numbers, or an object with numbers as keys")
    return tuple(_word(number, "a field's number") for number in arguments)


def values_of(arguments: object) -> dict[int, int]:
    """Return values by field: a list of pairs, or an object."""
    pairs = list(arguments.items()) if isinstance(arguments, dict) else arguments
    if not isinstance(pairs, list) or not 0 < len(pairs) <= _MOST_FIELDS:
        raise BridgeError(Code.BAD_MESSAGE, "fields are a list of pairs [number, value], or an object number: value")
    values = {}
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise BridgeError(Code.BAD_MESSAGE, f"{pair!r:.80} is no pair [number, value]")
        values[_word(pair[0], "a field's number")] = _word(pair[1], "a field's value")
    return values


def start_log_of(arguments: object) -> StartLog:
    """Return what a message asks to be logged; ANS says `fileName` and `id`."""
    if arguments is not None and not isinstance(arguments, dict):
        raise BridgeError(Code.BAD_MESSAGE, "what is to be logged is an object, such as {fileName, id, access_token}")
    return StartLog(
        text_of(arguments, "fileName", "file_name"),
        text_of(arguments, "id", "user"),
        text_of(arguments, "access_token"),
        text_of(arguments, "storage"),
    )


def load_file_of(arguments: object) -> LoadFile:
    """Return which file is to be loaded; ANS says `graph_id`."""
    name = arguments if isinstance(arguments, str) else text_of(arguments, "graph_id", "name")
    if not name:
        raise BridgeError(Code.BAD_MESSAGE, "the name of a file is missing")
    return LoadFile(name)


def upgrade_of(arguments: object) -> Upgrade:
    """Return the firmware of a message: `image` in base64, `confirm`, which must be true, `recover`, `sha256`."""
    if not isinstance(arguments, dict) or not isinstance(arguments.get("image"), str):
        raise BridgeError(Code.BAD_MESSAGE, 'firmware is {"image": BASE64, "confirm": true}')
    if len(arguments["image"]) > LARGEST_IMAGE_BYTES * 4 // 3 + 4:
        raise BridgeError(Code.TOO_LARGE, f"firmware has at most {LARGEST_IMAGE_BYTES} bytes")
    try:
        image = base64.b64decode(arguments["image"], validate=True)
    except (binascii.Error, ValueError):
        raise BridgeError(Code.BAD_MESSAGE, "the image is not base64") from None
    confirmed, recover = (arguments.get(key) is True for key in ("confirm", "recover"))
    return Upgrade(image, confirmed, recover, text_of(arguments, "sha256"))


def _word(value: object, what: str) -> int:
    """Return an unsigned 16-bit number, which may come as text."""
    try:
        number = int(value, 0) if isinstance(value, str) and len(value) < 12 else value
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 0xFFFF:
        raise BridgeError(Code.BAD_MESSAGE, f"{value!r:.80} is not {what}: 0 to 65535")
    return number
