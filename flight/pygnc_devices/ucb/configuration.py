"""Reading and writing configuration fields: checked before, read back after, told what was refused.

All fields of a unit, kept and put back.

Rate, packet type, speed of the line, and quiet.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

from pygnc_devices.errors import DeviceError, NoAnswerError, PortGoneError, RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.scheduler import Claim, Request, SetBaud, Sleep
from pygnc_devices.ucb import commands
from pygnc_devices.ucb.fields import (
    BAUD,
    CODE_OF_BAUD,
    DIVIDER_OF_HZ,
    FIELD_TABLE,
    PACKET_TYPE,
    RATE,
    FieldError,
    check_values,
    field_id,
    type_value,
)
from pygnc_devices.ucb.operations import identify
from pygnc_devices.ucb.unit import UcbUnit

_WRITES: Final = 3
Names = Sequence[str | int]
Values = Mapping[str, int] | Mapping[int, int]


class FieldsRefusedError(RefusedError):
    """The unit does not have some of the fields, or does not take some of the values.

    Attributes:
        accepted: those it did take or tell.
        refused: the others.
    """

    def __init__(self, accepted: dict[int, int], refused: Iterable[int]) -> None:
        self.accepted = accepted
        self.refused = tuple(refused)
        super().__init__("the unit refuses " + ", ".join(_describe(number) for number in self.refused))


class ReadBackError(DeviceError):
    """A field does not have the value that the unit had accepted for it."""


async def get_fields(unit: UcbUnit, names: Names) -> dict[int, int]:
    """Return the volatile values, those in effect now (GF).

    Raises:
        FieldsRefusedError: the unit does not have some of them.
        NoAnswerError: it did not answer.
    """
    return await _read(unit, "GF", names)


async def read_fields(unit: UcbUnit, names: Names) -> dict[int, int]:
    """Return the values in EEPROM, those in effect after the next power-up (RF). Raises as `get_fields`."""
    return await _read(unit, "RF", names)


async def set_fields(unit: UcbUnit, values: Values) -> dict[int, int]:
    """Set volatile values, in effect at once and until power-off, and read them back (SF, GF). Returns what holds now.

    Raises:
        FieldError: a value is illegal; nothing was sent.
        FieldsRefusedError: the unit did not take some of them.
        NotKeptError: it took one, and has another.
        NoAnswerError: it did not answer.
    """
    wanted = _checked(values)
    if BAUD in wanted:
        raise FieldError("field 2 changes the speed of the line at once: use change_baud")
    accepted, refused = await _put("SF", wanted)
    unit.volatile.update(accepted)
    await _compare("GF", accepted)
    if refused:
        raise FieldsRefusedError(accepted, refused)
    return accepted


async def write_fields(unit: UcbUnit, values: Values) -> dict[int, int]:
    """Write values into EEPROM, in effect after power-up, and read them back (WF, RF). Raises as `set_fields`."""
    del unit
    accepted, refused = await _put("WF", _checked(values))
    await _compare("RF", accepted)
    if refused:
        raise FieldsRefusedError(accepted, refused)
    return accepted


async def ask_known(kind: str, ids: Sequence[int]) -> dict[int, int]:
    """Return the values of those fields that the unit has; `kind` is GF or RF."""
    known: dict[int, int] = {}
    for first in range(0, len(ids), commands.MOST_FIELDS):
        accepted, _ = await _ask(kind, ids[first : first + commands.MOST_FIELDS])
        known |= accepted
    return known


async def _read(unit: UcbUnit, kind: str, names: Names) -> dict[int, int]:
    del unit
    ids = [field_id(name) for name in names]
    accepted, refused = await _ask(kind, ids)
    if refused:
        raise FieldsRefusedError(accepted, refused)
    return accepted


async def _ask(kind: str, ids: Sequence[int]) -> tuple[dict[int, int], list[int]]:
    """Return what the unit tells and which it refuses.

    A success in part is told by two frames. If the one that lists values is lost, the other seems to refuse all; each
    field is then asked for alone, where the answer leaves no doubt.
    """
    found = _values((await commands.ask_fields(kind, ids)), kind)
    if not found and len(ids) > 1:
        for number in ids:
            found |= _values((await commands.ask_fields(kind, [number])), kind)
    return found, [number for number in ids if number not in found]


async def _put(kind: str, values: dict[int, int]) -> tuple[dict[int, int], list[int]]:
    """Return what the unit takes and which it refuses; see `_ask` for why one by one."""
    taken = await _put_once(kind, values)
    if not taken and len(values) > 1:
        for number, value in values.items():
            taken |= await _put_once(kind, {number: value})
    accepted = {number: value for number, value in values.items() if number in taken}
    return accepted, [number for number in values if number not in taken]


async def _put_once(kind: str, values: dict[int, int]) -> set[int]:
    """Return which fields the unit takes. EEPROM wears: a write is repeated only if it was not done."""
    if kind == "SF":
        return _named((await commands.put_fields(kind, values)), kind)
    for _ in range(_WRITES):
        try:
            return _named((await commands.put_fields(kind, values)), kind)
        except NoAnswerError:
            found, _ = await _ask("RF", list(values))
            if found == values:
                return set(values)
    raise NoAnswerError(f"no answer to WF of fields {list(values)}, and EEPROM does not hold the values")


async def _compare(kind: str, values: dict[int, int]) -> None:
    if not values:
        return
    found, _ = await _ask(kind, list(values))
    for number, value in values.items():
        if found.get(number) != value:
            raise ReadBackError(f"{_describe(number)} was set to {value} and reads {found.get(number)}")


def _checked(values: Values) -> dict[int, int]:
    wanted = {field_id(name): value for name, value in values.items()}
    check_values(wanted)
    return wanted


def _values(frames: tuple[Frame, ...], kind: str) -> dict[int, int]:
    return {
        key: value
        for frame in frames
        if frame.kind == kind
        for key, value in commands.parse_values(frame.payload).items()
    }


def _named(frames: tuple[Frame, ...], kind: str) -> set[int]:
    return {number for frame in frames if frame.kind == kind for number in commands.parse_ids(frame.payload, 1) or ()}


def _describe(number: int) -> str:
    spec = FIELD_TABLE.get(number)
    return f"field {number:#06x}" if spec is None else f"field {number} ({spec.name})"


_FORMAT: Final = "pygnc UCB fields 1"


class SnapshotError(DeviceError):
    """A snapshot that cannot be read, or is of another unit."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All fields that a unit has.

    Attributes:
        serial_number: of the unit.
        text: its model, part number and version.
        volatile: values in effect, by field.
        stored: values in EEPROM, by field.
    """

    serial_number: int
    text: str
    volatile: dict[int, int]
    stored: dict[int, int]

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read it.

        Raises:
            SnapshotError: the text is none.
        """
        try:
            content: Any = json.loads(text)
            if content["format"] != _FORMAT:
                raise SnapshotError(f"its format is {content['format']!r}, not {_FORMAT!r}")
            fields = ({int(key): int(value) for key, value in content[name].items()} for name in ("volatile", "stored"))
            return cls(int(content["serial_number"]), str(content["text"]), *fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SnapshotError(f"this is no snapshot of a unit's fields: {error!r}") from None


async def take_snapshot(unit: UcbUnit) -> Snapshot:
    """Return all fields that the unit has."""
    who = await identify(unit)
    volatile = await ask_known("GF", list(FIELD_TABLE))
    stored = await ask_known("RF", list(FIELD_TABLE))
    return Snapshot(who.serial_number, who.text, volatile, stored)


async def restore_snapshot(unit: UcbUnit, snapshot: Snapshot, *, to_another_unit: bool = False) -> dict[int, int]:
    """Write what differs from a snapshot into EEPROM and into effect; return what was written into EEPROM.

    The speed of the line in effect stays as it is: `change_baud` changes it.

    Raises:
        SnapshotError: the snapshot is of another unit, and that was not said to be meant.
        FieldsRefusedError: the unit did not take some of it.
    """
    who = await identify(unit)
    if who.serial_number != snapshot.serial_number and not to_another_unit:
        raise SnapshotError(f"the snapshot is of unit {snapshot.serial_number}, this is unit {who.serial_number}")
    stored = await ask_known("RF", list(snapshot.stored))
    changes = _differences(snapshot.stored, stored)
    if changes:
        await write_fields(unit, changes)
    volatile = await ask_known("GF", list(snapshot.volatile))
    now = {number: value for number, value in _differences(snapshot.volatile, volatile).items() if number != BAUD}
    if now:
        await set_fields(unit, now)
    return changes


def _differences(wanted: dict[int, int], found: dict[int, int]) -> dict[int, int]:
    return {
        number: value for number, value in wanted.items() if FIELD_TABLE[number].writable and found.get(number) != value
    }


_IDLE_S: Final = 0.1
_IDLE_FRAMES: Final = 50
"""So many frames after the order to be quiet are no longer what was on its way."""
_RATE_TOLERANCE: Final = 0.3
_RATE_FRAMES: Final = 10
_RATE_MEASUREMENTS_S: Final = (0.0, 0.0, 1.0, 2.0, 4.0)
_RESTORES: Final = 3
_SETTLE_S: Final = 0.1
_BAUD_PINGS: Final = 5


async def set_rate(unit: UcbUnit, rate_hz: int) -> float:
    """Set the rate of the stream (field 1), measure it, and return what was measured; 0 is quiet.

    Raises:
        FieldError: the unit has no such rate.
        NotKeptError: it streams at another one.
    """
    divider = DIVIDER_OF_HZ.get(rate_hz)
    if divider is None:
        raise FieldError(f"there is no rate of {rate_hz} Hz, but {', '.join(map(str, DIVIDER_OF_HZ))}")
    await set_fields(unit, {RATE: divider})
    if rate_hz == 0:
        await _wait_until_idle(unit)
        return 0.0
    await _next_readings(unit, 1, rate_hz)
    measured_hz = 0.0
    for seconds in _RATE_MEASUREMENTS_S:  # a busy computer holds short ones up
        frames = max(_RATE_FRAMES, round(seconds * rate_hz))
        start_s = time.monotonic()
        await _next_readings(unit, frames, rate_hz)
        measured_hz = frames / (time.monotonic() - start_s)
        if abs(measured_hz / rate_hz - 1) <= _RATE_TOLERANCE:
            return measured_hz
    raise ReadBackError(f"the rate was set to {rate_hz} Hz, and {measured_hz:.1f} Hz are measured")


async def set_packet_type(unit: UcbUnit, kind: str) -> None:
    """Set which packet is streamed (field 3). The unit refuses one that the line cannot carry at the rate."""
    await set_fields(unit, {PACKET_TYPE: type_value(kind)})


async def go_quiet(unit: UcbUnit) -> int:
    """End the stream, wait until what was on its way has come, and return field 1 as it was."""
    before = (await get_fields(unit, [RATE]))[RATE]
    try:
        await set_fields(unit, {RATE: 0})
        await _wait_until_idle(unit)
    except DeviceError:
        await end_quiet(unit, before)
        raise
    return before


async def end_quiet(unit: UcbUnit, divider: int) -> None:
    """Set field 1 as it was, and see to it that it is."""
    for attempt in range(_RESTORES):
        try:
            await set_fields(unit, {RATE: divider})
        except PortGoneError:
            unit.volatile[RATE] = divider  # set when the port is back
            raise
        except (NoAnswerError, ReadBackError):
            if attempt == _RESTORES - 1:
                raise
        else:
            return


async def undo_quiet(unit: UcbUnit, holding: "Future[int]") -> None:
    """End what `go_quiet` began, if it came to its end; if it did not, it has put back itself what it changed."""
    if holding.done() and holding.exception() is None:
        await end_quiet(unit, holding.result())


async def change_baud(unit: UcbUnit, baud: int) -> None:
    """Change the speed of the line, at the unit and here; if the unit cannot be heard then, go back to the old one.

    The answer to the command comes at the new speed, and some of the stream is lost in between, so that a ping tells.

    Raises:
        FieldError: the unit has no such speed.
        RefusedError: it does not take it; the line is as it was.
        NoAnswerError: it is heard at neither speed; the message says what helps.
    """
    if baud not in CODE_OF_BAUD:
        raise FieldError(f"there is no speed of {baud} baud, but {', '.join(map(str, sorted(CODE_OF_BAUD)))}")
    current = unit.baud
    request = commands.put_fields("SF", {BAUD: CODE_OF_BAUD[baud]})
    order = Request(request.octets, request.accept, request.queue, _SETTLE_S, tries=1)
    try:
        answer: tuple[Frame, ...] = await order
    except NoAnswerError:  # it comes at the new speed
        answer = ()
    if any(commands.is_nak(frame, "SF") for frame in answer):
        raise RefusedError(f"the unit refuses {baud} baud; its stream may need more than that carries")
    if await _is_heard_at(baud):
        unit.baud = baud
        return
    if await _is_heard_at(current):
        raise RefusedError(f"the unit is not heard at {baud} baud; the line is at {current} baud as before")
    raise NoAnswerError(
        f"the unit is heard neither at {baud} nor at {current} baud; the speed is not in EEPROM: switch it off and on"
    )


async def recover(unit: UcbUnit) -> None:
    """Bring a unit whose port is back to what its user had set; it may have lost its power in between."""
    if not (await _is_heard_at(unit.baud)) and unit.baud != unit.first_baud:
        wanted, unit.baud = unit.baud, unit.first_baud
        await SetBaud(unit.baud)
        await change_baud(unit, wanted)
    if unit.volatile:
        await set_fields(unit, unit.volatile)


async def _is_heard_at(baud: int) -> bool:
    await SetBaud(baud)
    await Sleep(_SETTLE_S)
    try:
        await replace(commands.ping(), timeout_s=_SETTLE_S, tries=_BAUD_PINGS)
    except NoAnswerError:
        return False
    return True


def _next_readings(unit: UcbUnit, count: int, rate_hz: int) -> Request:
    """Wait for so many readings; the engine gives them to subscribers all the same."""
    left = count

    def accept(frame: Frame) -> Claim:
        nonlocal left
        packet = unit.packets.get(frame.kind)
        if packet is None or not packet.is_reading:
            return Claim.NO
        left -= 1
        return Claim.PART if left else Claim.LAST

    wait_s = 1.0 + 3.0 / rate_hz
    return Request(b"", accept, "readings", wait_s, tries=1, grace_s=wait_s, what="readings at the new rate")


async def _wait_until_idle(unit: UcbUnit) -> None:
    """Wait until no reading has come for a while."""
    for _ in range(_IDLE_FRAMES):
        request = _next_readings(unit, 1, 1)
        try:
            await Request(b"", request.accept, "idle", _IDLE_S, tries=1)
        except NoAnswerError:
            return
    raise ReadBackError("the unit goes on streaming though it has accepted to be quiet")
