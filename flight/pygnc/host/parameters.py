"""Settings changed over the streaming interface: validated, kept in two slots, in force from the next start.

What is kept are the changed settings alone, one TOML line each, `name.with.dots = value`; they go on top of what
`pygnc.toml` says (`merged`). A slot holds them with a generation and a CRC-32, and the older slot is the one written: a
power cut in mid-write leaves the other. The slots' layout, little-endian:

| bytes | field |
|---|---|
| 4 | the letters `PGPS` |
| 4 | generation, u32 |
| 2 | length n of the text, u16 |
| n | text, TOML |
| 4 | CRC-32 (zlib) over everything before it |
"""

import json
import struct
import tomllib
import zlib
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple, Protocol

from pygnc.host.channel_events import Received
from pygnc.host.sentence_types import PGET, PSET, PVAL, NakCause, ParameterFlag
from pygnc.host.transfer import PAGE, Refusal, Saying, text_of

_MAGIC: Final = b"PGPS"
_HEAD: Final = struct.Struct("<4sIH")
_CRC: Final = struct.Struct("<I")
_TEXT_MAX: Final = 0xFFFF
SLOTS: Final = (0, 1)


class Slots(Protocol):
    """Two small files."""

    def read(self, slot: int) -> bytes:
        """Return what a slot holds; nothing if it does not exist or cannot be read."""
        ...

    def write(self, slot: int, content: bytes) -> None:
        """Replace what a slot holds, and see to it that it is on the disk.

        Raises:
            OSError: the disk refuses.
        """
        ...


class Kept(NamedTuple):
    """What the better of two slots holds. Without any, generation 0 and nothing."""

    generation: int
    slot: int
    text: str


def encode_slot(generation: int, text: str) -> bytes:
    """Return the content of a slot.

    Raises:
        ValueError: the text is too long.
    """
    octets = text.encode()
    if len(octets) > _TEXT_MAX:
        raise ValueError(f"a slot holds {_TEXT_MAX} bytes, the settings have {len(octets)}")
    body = _HEAD.pack(_MAGIC, generation, len(octets)) + octets
    return body + _CRC.pack(zlib.crc32(body))


def read_slots(slots: Slots) -> Kept:
    """Return the newest undamaged slot."""
    found = [kept for slot in SLOTS if (kept := _decode(slot, slots.read(slot))) is not None]
    return max(found, default=Kept(0, SLOTS[-1], ""))


def _decode(slot: int, content: bytes) -> Kept | None:
    if len(content) < _HEAD.size + _CRC.size:
        return None
    magic, generation, length = _HEAD.unpack_from(content)
    body = content[: _HEAD.size + length]
    if magic != _MAGIC or len(content) != len(body) + _CRC.size:
        return None
    if zlib.crc32(body) != _CRC.unpack_from(content, len(body))[0]:
        return None
    return Kept(generation, slot, body[_HEAD.size :].decode())


def merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a settings table with changes put over it, section by section."""
    result = dict(table)
    for name, value in changes.items():
        below = result.get(name)
        both_sections = isinstance(value, dict) and isinstance(below, dict)
        result[name] = merged(below or {}, value) if both_sections else value
    return result


class Parameters:
    """The Pi's side of PGET, PSET and PLST.

    Args:
        values: every setting with dots in its name and its value in this run; None: chosen by the software.
        check: is given the table of all changes and raises ValueError, with the reason, if no run could start with it.
        slots: where the changes are kept.
        at_once: names of settings that this run takes over at once; all others take effect at the next start.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        check: Callable[[dict[str, Any]], object],
        slots: Slots,
        at_once: AbstractSet[str] = frozenset(),
    ) -> None:
        self._values = dict(values)
        self._check = check
        self._slots = slots
        self._at_once = at_once
        self._generation, self._slot, text = read_slots(slots)
        lines = (line.split(" = ", 1) for line in text.splitlines())
        self._changes = {
            name: literal for name, literal in lines if name in self._values
        }  # an older version's may not be

    def take(self, received: Received) -> list[Saying]:
        """Obey one of PGET, PSET, PLST; return the answers.

        Raises:
            Refusal: it cannot be obeyed.
        """
        fields, tail = received.body
        if received.kind is PGET:
            return [self._answer(text_of(tail))]
        if received.kind is PSET:
            name, _, literal = (part.strip() for part in text_of(tail).partition("="))
            self._set(name, literal)
            return [self._answer(name)]
        names = list(self._values)
        first = fields["first"]
        return [self._answer(name) for name in names[first : first + PAGE]] or [
            Saying(PVAL, PVAL.pack(first, len(names), 0))
        ]

    def _answer(self, name: str) -> Saying:
        self._refuse_unknown(name)
        names = list(self._values)
        value = self._values[name]
        literal = self._changes.get(name, "" if value is None else json.dumps(value))
        flags = ParameterFlag(0)
        if name in self._changes:
            flags |= ParameterFlag.CHANGED
        if name not in self._at_once:
            flags |= ParameterFlag.NEXT_START
        body = PVAL.pack(names.index(name), len(names), flags, tail=f"{name} = {literal}".encode())
        return Saying(PVAL, body)

    def _set(self, name: str, literal: str) -> None:
        self._refuse_unknown(name)
        changes = {other: value for other, value in self._changes.items() if other != name}
        if literal:
            changes[name] = literal
        text = "".join(f"{name} = {value}\n" for name, value in changes.items())
        try:
            if "\n" in literal or "\r" in literal:
                raise ValueError("a value stands in one line")  # noqa: TRY301 - one way out for all that is wrong with it
            self._check(tomllib.loads(text))
            content = encode_slot(self._generation + 1, text)
        except ValueError as error:
            raise Refusal(NakCause.VALUE, f": {error}; nothing was changed") from None
        other_slot = SLOTS[1 - self._slot]
        try:
            self._slots.write(other_slot, content)
        except OSError as error:
            raise Refusal(NakCause.STORAGE, f": {error.strerror}; nothing was changed") from None
        self._changes = changes
        self._generation += 1
        self._slot = other_slot

    def _refuse_unknown(self, name: str) -> None:
        if name not in self._values:
            raise Refusal(NakCause.NAME, f": no such setting: {name}; PLST names all")
