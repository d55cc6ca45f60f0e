"""Configuration of a unit: fields, snapshots of all fields, rate, packet type, baud rate, and pauses of the stream.

Values are checked before they are sent and read back afterwards.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Final

import msgspec

from pygnc_devices.errors import DeviceError, NoAnswerError, PortGoneError, RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.scheduler import Claim, Request, SetBaud, Sleep, agree_on_baud, responds
from pygnc_devices.snapshot import UnitSnapshot, require_owner
from pygnc_devices.ucb import commands, openimu
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
from pygnc_devices.ucb.openimu import ParameterValue
from pygnc_devices.ucb.operations import Identity, identify
from pygnc_devices.ucb.unit import UcbUnit

_WRITES: Final = 3
_NOT_RESTORED: Final = ("data_crc", "data_size", "baud_rate")
"""Parameters that the application computes, and the rate of the line."""
Names = Sequence[str | int]
Values = Mapping[str, int] | Mapping[int, int]


class FieldsRefusedError(RefusedError):
    """Error raised when the unit does not have some of the fields, or does not accept some of the values.

    Attributes:
        accepted: values of the accepted fields.
        refused: numbers of the refused fields.
    """

    def __init__(self, accepted: dict[int, int], refused: Iterable[int], remedy: str) -> None:
        self.accepted = accepted
        self.refused = tuple(refused)
        super().__init__(f"the unit refuses {', '.join(_describe(number) for number in self.refused)}; {remedy}")


class ReadBackError(DeviceError):
    """Error raised when a field reads back with another value than the unit accepted."""


async def get_fields(_unit: UcbUnit, names: Names) -> dict[int, int]:
    """Return the volatile values, which are in effect (GF).

    Raises:
        FieldsRefusedError: the unit does not have some of the fields.
        NoAnswerError: the unit did not respond.
    """
    return await _read("GF", names)


async def read_fields(_unit: UcbUnit, names: Names) -> dict[int, int]:
    """Return the values in EEPROM, in effect after the next power-up (RF); raises as `get_fields`."""
    return await _read("RF", names)


async def set_fields(unit: UcbUnit, values: Values) -> dict[int, int]:
    """Set volatile values, in effect at once and until power-off, read them back (SF, GF) and return them.

    Raises:
        FieldError: a value is illegal; nothing was sent.
        FieldsRefusedError: the unit did not accept some of the values.
        ReadBackError: a field reads back with another value.
        NoAnswerError: the unit did not respond.
    """
    if BAUD in map(field_id, values):
        raise FieldError("field 2 changes the baud rate of the line at once: use change_baud")
    return await _write("SF", values, unit.volatile)


async def write_fields(_unit: UcbUnit, values: Values) -> dict[int, int]:
    """Write values into EEPROM, in effect after power-up, and read them back (WF, RF); raises as `set_fields`."""
    return await _write("WF", values, {})


async def ask_known(kind: str, ids: Sequence[int]) -> dict[int, int]:
    """Return the values of the given fields that the unit has; `kind` is GF or RF."""
    known: dict[int, int] = {}
    for first in range(0, len(ids), commands.MOST_FIELDS):
        known |= await _ask(kind, ids[first : first + commands.MOST_FIELDS])
    return known


async def _read(kind: str, names: Names) -> dict[int, int]:
    ids = [field_id(name) for name in names]
    found = await _ask(kind, ids)
    if refused := [number for number in ids if number not in found]:
        raise FieldsRefusedError(found, refused, "its firmware does not have them: leave them out")
    return found


async def _write(kind: str, values: Values, volatile: dict[int, int]) -> dict[int, int]:
    """Check and write values, note the accepted values in `volatile`, and read them back."""
    wanted = {field_id(name): value for name, value in values.items()}
    check_values(wanted)
    taken = await _put(kind, wanted)
    if not taken and len(wanted) > 1:  # as in `_ask`
        for number, value in wanted.items():
            taken |= await _put(kind, {number: value})
    accepted = {number: value for number, value in wanted.items() if number in taken}
    volatile.update(accepted)
    found = await _ask("GF" if kind == "SF" else "RF", list(accepted)) if accepted else {}
    for number, value in accepted.items():
        if found.get(number) != value:
            raise ReadBackError(
                f"{_describe(number)}: wrote {value}, read back {found.get(number)};"
                " repeat the write or use another value"
            )
    if len(accepted) < len(wanted):
        remedy = "use values that its manual lists for this firmware; the other fields are written"
        raise FieldsRefusedError(accepted, wanted.keys() - accepted.keys(), remedy)
    return accepted


async def _ask(kind: str, ids: Sequence[int]) -> dict[int, int]:
    """Return the values of the fields that the unit has, by field number.

    Partial success gives two responses. If the response with the values is lost, the NAK seems to refuse all fields;
    each field is then requested alone.
    """
    found: dict[int, int] = {}
    for frame in await commands.ask_fields(kind, ids):
        found |= commands.parse_values(frame.payload) if frame.kind == kind else {}
    if not found and len(ids) > 1:
        for number in ids:
            found |= await _ask(kind, [number])
    return found


async def _put(kind: str, values: dict[int, int]) -> set[int]:
    """Write values and return the accepted fields. EEPROM wears: a write is repeated only if it was not done."""
    for _ in range(1 if kind == "SF" else _WRITES):
        try:
            frames = await commands.put_fields(kind, values)
        except NoAnswerError:
            if kind == "SF":
                raise
            if await _ask("RF", list(values)) == values:
                return set(values)
        else:
            own = (frame for frame in frames if frame.kind == kind)
            return {number for frame in own for number in commands.parse_ids(frame.payload, 1) or ()}
    raise NoAnswerError(f"no response to WF of fields {list(values)}, and the EEPROM lacks the values; write again")


def _describe(number: int) -> str:
    spec = FIELD_TABLE.get(number)
    return f"field {number:#06x}" if spec is None else f"field {number} ({spec.name})"


class Snapshot(UnitSnapshot, frozen=True, tag="pygnc UCB fields 1"):
    """Snapshot of all fields of a unit.

    Attributes:
        serial_number: serial number of the unit.
        text: model, part number and version.
        volatile: values in effect, by field number.
        stored: values in EEPROM, by field number.
        parameters: parameters of an OpenIMU application by name; empty for other units and in older files.
    """

    serial_number: int
    text: str
    volatile: dict[int, int]
    stored: dict[int, int]
    parameters: dict[str, ParameterValue | None] = msgspec.field(default_factory=dict)


async def take_snapshot(unit: UcbUnit) -> Snapshot:
    """Return a snapshot of all fields of the unit."""
    who = await identify(unit)
    volatile = await ask_known("GF", list(FIELD_TABLE))
    stored = await ask_known("RF", list(FIELD_TABLE))
    return Snapshot(who.serial_number, who.text, volatile, stored, {**await _parameters(unit, who.model)})


async def _parameters(unit: UcbUnit, model: str) -> dict[str, ParameterValue]:
    """Return the parameters that can be restored; {} for a unit without an OpenIMU application."""
    if not model.lower().startswith("openimu"):
        return {}
    try:
        parameters = await openimu.get_parameters(unit)
    except (NoAnswerError, RefusedError):  # an application without parameters
        return {}
    return {name: value for name, value in parameters.items() if name not in _NOT_RESTORED}


async def restore_snapshot(
    unit: UcbUnit, snapshot: Snapshot, *, to_another_unit: bool = False
) -> dict[int | str, ParameterValue]:
    """Restore the fields and parameters that differ from a snapshot.

    Return the fields written to EEPROM by number, and the parameters by name.

    Fields are restored in EEPROM and in effect, parameters of an application in effect and in flash. The baud rate in
    effect does not change; `change_baud` changes it.

    Raises:
        SnapshotError: the snapshot belongs to another unit, and `to_another_unit` is not set.
        FieldsRefusedError: the unit did not accept some of the values.
    """
    who, owner = await identify(unit), Identity(snapshot.serial_number, snapshot.text)
    require_owner((owner.serial_number, owner.model), (who.serial_number, who.model), to_another_unit=to_another_unit)
    stored = await ask_known("RF", list(snapshot.stored))
    changes = _differences(snapshot.stored, stored)
    if changes:
        await write_fields(unit, changes)
    volatile = await ask_known("GF", list(snapshot.volatile))
    now = {number: value for number, value in _differences(snapshot.volatile, volatile).items() if number != BAUD}
    if now:
        await set_fields(unit, now)
    present = await _parameters(unit, who.model) if snapshot.parameters else {}
    wanted = {name: value for name, value in snapshot.parameters.items() if value is not None}
    new = {name: value for name, value in wanted.items() if name in present and present[name] != value}
    if new:
        for name, value in new.items():
            await openimu.set_parameter(unit, name, value)
        await openimu.save_parameters(unit)
    restored: dict[int | str, ParameterValue] = {}
    restored.update(changes.items())
    restored.update(new.items())
    return restored


def _differences(wanted: dict[int, int], found: dict[int, int]) -> dict[int, int]:
    return {
        number: value for number, value in wanted.items() if FIELD_TABLE[number].writable and found.get(number) != value
    }


_IDLE_S: Final = 0.1
_IDLE_FRAMES: Final = 50
"""Largest number of frames in transit after the command to stop; with more, the unit is still streaming."""
_RATE_TOLERANCE: Final = 0.3
_RATE_FRAMES: Final = 10
_RATE_MEASUREMENTS_S: Final = (0.0, 0.0, 1.0, 2.0, 4.0)
_RESTORES: Final = 3
_SETTLE_S: Final = 0.1
_BAUD_PINGS: Final = 5


async def set_rate(unit: UcbUnit, rate_hz: int) -> float:
    """Set the rate of the stream (field 1), measure it and return the measured rate; 0 stops the stream.

    Raises:
        FieldError: the unit does not have this rate.
        ReadBackError: the unit streams at another rate.
    """
    divider = DIVIDER_OF_HZ.get(rate_hz)
    if divider is None:
        raise FieldError(f"unknown rate {rate_hz} Hz; choose from {', '.join(map(str, DIVIDER_OF_HZ))}")
    await set_fields(unit, {RATE: divider})
    if rate_hz == 0:
        await _wait_until_idle(unit)
        return 0.0
    await _next_readings(unit, 1, rate_hz)
    measured_hz = 0.0
    for seconds in _RATE_MEASUREMENTS_S:  # on a busy computer short measurements are wrong
        frames = max(_RATE_FRAMES, round(seconds * rate_hz))
        start_s = time.monotonic()
        await _next_readings(unit, frames, rate_hz)
        measured_hz = frames / (time.monotonic() - start_s)
        if abs(measured_hz / rate_hz - 1) <= _RATE_TOLERANCE:
            return measured_hz
    raise ReadBackError(f"the rate was set to {rate_hz} Hz, but {measured_hz:.1f} Hz were measured; set it again")


async def set_packet_type(unit: UcbUnit, kind: str) -> None:
    """Set the type of the streamed packet (field 3). The unit refuses a type that the line cannot carry at its rate."""
    await set_fields(unit, {PACKET_TYPE: type_value(kind)})


async def go_quiet(unit: UcbUnit) -> int:
    """Stop the stream, wait for packets in transit, and return the previous value of field 1."""
    before = (await get_fields(unit, [RATE]))[RATE]
    try:
        await set_fields(unit, {RATE: 0})
        await _wait_until_idle(unit)
    except DeviceError:
        await end_quiet(unit, before)
        raise
    return before


async def end_quiet(unit: UcbUnit, divider: int) -> None:
    """Restore field 1, and read it back."""
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
    """Restore field 1 after a `go_quiet` that has completed; an incomplete `go_quiet` restores it by itself."""
    if holding.done() and holding.exception() is None:
        await end_quiet(unit, holding.result())


async def change_baud(unit: UcbUnit, baud: int) -> None:
    """Change the baud rate at both ends; if the unit does not respond then, return to the previous rate.

    The response to the command comes at the new rate and may be lost in the stream; a ping then shows the rate.

    Raises:
        FieldError: the unit does not have this baud rate.
        RefusedError: the unit refuses the baud rate, or does not respond at it; the line is unchanged.
        NoAnswerError: the unit responds at neither rate; the message names the remedy.
    """
    if baud not in CODE_OF_BAUD:
        raise FieldError(f"unknown baud rate {baud}; choose from {', '.join(map(str, sorted(CODE_OF_BAUD)))}")
    request = commands.put_fields("SF", {BAUD: CODE_OF_BAUD[baud]})
    try:
        frames = await replace(request, timeout_s=_SETTLE_S, tries=1)
    except NoAnswerError:  # the response comes at the new baud rate
        frames = ()
    if any(commands.is_nak(frame, "SF") for frame in frames):
        raise RefusedError(f"the unit refuses {baud} baud; the line may not carry the stream: lower the rate")
    await agree_on_baud(unit, baud, _answers_at)


async def recover(unit: UcbUnit) -> None:
    """Restore the settings of this session after a reconnection; the unit may have lost its power."""
    if not (await _answers_at(unit.baud)) and unit.baud != unit.first_baud:
        wanted, unit.baud = unit.baud, unit.first_baud
        await SetBaud(unit.baud)
        await change_baud(unit, wanted)
    if unit.volatile:
        await set_fields(unit, unit.volatile)


async def _answers_at(baud: int) -> bool:
    await SetBaud(baud)
    await Sleep(_SETTLE_S)
    return await responds(replace(commands.ping(), timeout_s=_SETTLE_S, tries=_BAUD_PINGS))


def _next_readings(unit: UcbUnit, count: int, rate_hz: int) -> Request:
    """Return a request that waits for `count` readings, which subscribers receive all the same."""
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
    """Wait until no more readings arrive."""
    for _ in range(_IDLE_FRAMES):
        request = _next_readings(unit, 1, 1)
        try:
            await Request(b"", request.accept, "idle", _IDLE_S, tries=1)
        except NoAnswerError:
            return
    raise ReadBackError("the unit acknowledged quiet mode but is still streaming; repeat the command")
