"""Settings changed over the streaming interface: validated, stored in two slots, in effect from the next start.

Only changed settings are stored, one TOML line each (`dotted.name = value`); they override `pygnc.toml`. A slot holds
them with a generation and a CRC-32. The older slot is overwritten, so a power cut while writing leaves the other slot.
Format of a slot, little-endian:

| bytes | field |
|---|---|
| 4 | magic `PGPS` |
| 4 | generation, u32 |
| 2 | length n of the text, u16 |
| n | text, TOML |
| 4 | CRC-32 (zlib) over everything before it |
"""

import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pygnc.host.channel_events import Received
from pygnc.host.sentence_types import PGET, PSET, PVAL, NakCause, ParameterFlag
from pygnc.host.transfer import PAGE_ENTRIES, OutgoingSentence, Refusal, decode_text

_MAGIC: Final = b"PGPS"
_HEAD: Final = struct.Struct("<4sIH")
_CRC: Final = struct.Struct("<I")
_TEXT_MAX: Final = 0xFFFF
SLOTS: Final = 2


class StoredSettings(NamedTuple):
    """Content of the newest valid slot; generation 0 and empty text if there is none.

    `text` is TOML, one changed setting a line. `damaged` lists the slots that are not empty but invalid.
    """

    generation: int
    slot: int
    text: str
    damaged: tuple[int, ...] = ()


def encode_slot(generation: int, text: str) -> bytes:
    """Return the content of a slot that stores the changed settings in `text` (TOML).

    Raises:
        ValueError: The text is longer than 65535 bytes.
    """
    octets = text.encode()
    if len(octets) > _TEXT_MAX:
        raise ValueError(f"the changed settings have {len(octets)} bytes; at most {_TEXT_MAX} can be stored")
    body = _HEAD.pack(_MAGIC, generation, len(octets)) + octets
    return body + _CRC.pack(zlib.crc32(body))


def decode_slots(contents: Sequence[bytes]) -> StoredSettings:
    """Return the newest valid slot and the damaged ones; the content of a slot that does not exist is empty."""
    decoded = [_decode(slot, content) for slot, content in enumerate(contents)]
    damaged = tuple(slot for slot, content in enumerate(contents) if content and decoded[slot] is None)
    newest = max((stored for stored in decoded if stored), default=StoredSettings(0, SLOTS - 1, ""))
    return newest._replace(damaged=damaged)


def _decode(slot: int, content: bytes) -> StoredSettings | None:
    if len(content) < _HEAD.size + _CRC.size:
        return None
    magic, generation, length = _HEAD.unpack_from(content)
    body = content[: _HEAD.size + length]
    if magic != _MAGIC or len(content) != len(body) + _CRC.size:
        return None
    if zlib.crc32(body) != _CRC.unpack_from(content, len(body))[0]:
        return None
    try:
        return StoredSettings(generation, slot, body[_HEAD.size :].decode())
    except UnicodeDecodeError:
        return None


class Parameters:
    """The Pi's responses to requests for settings: PGET (read), PSET (change) and PLST (list).

    Args:
        values: Every setting of this run by dotted name; None if the software chooses the value.
        check: Validator of the text of all changes (TOML); it raises ValueError if no run could start with it.
        slots: Contents of the slots, which store the changes; see `decode_slots`.
        write: Function that replaces the content of a slot; it raises OSError if that is impossible.
        unused_generation: Generation of changes that this run does not use, because they are given up or invalid.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        check: Callable[[str], object],
        slots: Sequence[bytes],
        write: Callable[[int, bytes], None],
        unused_generation: int = 0,
    ) -> None:
        self._values = dict(values)
        self._check = check
        self._write = write
        self._unused_generation = unused_generation
        stored = decode_slots(slots)
        self._generation, self._slot = stored.generation, stored.slot
        lines = (line.partition("=") for line in stored.text.splitlines())
        # Unknown names are dropped, because another software version may have stored settings that do not exist here.
        self._changes = {name.strip(): value.strip() for name, _, value in lines if name.strip() in self._values}

    def handle(self, received: Received) -> list[OutgoingSentence]:
        """Process a PGET, PSET or PLST and return the PVAL sentences that respond to it.

        Raises:
            Refusal: The request is rejected.
        """
        fields, tail = received.body
        if received.kind is PGET:
            return [self._answer(decode_text(tail))]
        if received.kind is PSET:
            name, _, literal = (part.strip() for part in decode_text(tail).partition("="))
            self._set(name, literal)
            return [self._answer(name)]
        names = list(self._values)
        first = fields["first"]
        return [self._answer(name) for name in names[first : first + PAGE_ENTRIES]] or [
            OutgoingSentence(PVAL, PVAL.pack(first, len(names), 0))
        ]

    def _answer(self, name: str) -> OutgoingSentence:
        self._check_name(name)
        names = list(self._values)
        value = self._values[name]
        literal, flags = "" if value is None else json.dumps(value), ParameterFlag.NEXT_START
        if name in self._changes:
            flags |= ParameterFlag.CHANGED
            if 0 < self._generation == self._unused_generation:
                flags |= ParameterFlag.GIVEN_UP
            else:
                literal = self._changes[name]
        body = PVAL.pack(names.index(name), len(names), flags, tail=f"{name} = {literal}".encode())
        return OutgoingSentence(PVAL, body)

    def _set(self, name: str, literal: str) -> None:
        self._check_name(name)
        changes = {other: value for other, value in self._changes.items() if other != name}
        if literal:
            changes[name] = literal
        text = "".join(f"{name} = {value}\n" for name, value in changes.items())
        try:
            if "\n" in literal or "\r" in literal:
                raise ValueError("the value has a line break; write it in one line")  # noqa: TRY301 - the handler below serves all invalid values
            self._check(text)
            content = encode_slot(self._generation + 1, text)
        except (ValueError, struct.error) as error:  # struct.error: the last generation is reached
            raise Refusal(NakCause.VALUE, f": {error}; nothing was changed") from None
        other_slot = 1 - self._slot
        try:
            self._write(other_slot, content)
        except OSError as error:
            raise Refusal(NakCause.STORAGE, f": {error.strerror}; nothing was changed") from None
        self._changes = changes
        self._generation += 1
        self._slot = other_slot

    def _check_name(self, name: str) -> None:
        if name not in self._values:
            raise Refusal(NakCause.NAME, f": unknown setting {name!r}; PLST lists all settings")
