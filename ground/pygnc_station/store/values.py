"""Values as they are stored: JSON, exact both ways. A value that no number can express is None."""

import math
from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

PlainValue: TypeAlias = int | float | str | bool | list["PlainValue"] | dict[str, "PlainValue"] | None

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(list)


def plain(value: object) -> PlainValue:
    """Return a value as JSON has it: bytes in hex; what is not finite is None."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return str(value)


def to_text(values: Iterable[PlainValue]) -> str:
    """Return the values of a reading as one text."""
    return _ENCODER.encode(list(values)).decode()


def from_text(text: str | bytes) -> list[PlainValue]:
    """Return the values of a text.

    Raises:
        msgspec.DecodeError: it holds no list.
    """
    values: list[PlainValue] = _DECODER.decode(text)
    return values


def to_cell(value: PlainValue) -> str:
    """Return a value as a CSV cell. None is empty; text that could be taken for something else is in quotes."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value if not _is_json(value) and value and not value.startswith('"') else _json(value)
    return _json(value)


def from_cell(cell: str) -> PlainValue:
    """Return the value of a CSV cell."""
    if not cell:
        return None
    try:
        value: PlainValue = msgspec.json.decode(cell)
    except msgspec.DecodeError:
        return cell
    return value


def _json(value: PlainValue) -> str:
    return msgspec.json.encode(value).decode()


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return False
    return True
