"""Reading and writing configuration fields: checked before, read back after, told what was refused."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError
from pygnc_devices.frames import Frame
from pygnc_devices.procedure import Procedure
from pygnc_devices.ucb import commands
from pygnc_devices.ucb.fields import BAUD, FIELD_TABLE, FieldError, check_values, field_id
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


class NotKeptError(DeviceError):
    """A field does not have the value that the unit had accepted for it."""


def get_fields(unit: UcbUnit, names: Names) -> Procedure[dict[int, int]]:
    """Return the volatile values, those in effect now (GF).

    Raises:
        FieldsRefusedError: the unit does not have some of them.
        NoAnswerError: it did not answer.
    """
    return (yield from _read(unit, "GF", names))


def read_fields(unit: UcbUnit, names: Names) -> Procedure[dict[int, int]]:
    """Return the values in EEPROM, those in effect after the next power-up (RF). Raises as `get_fields`."""
    return (yield from _read(unit, "RF", names))


def set_fields(unit: UcbUnit, values: Values) -> Procedure[dict[int, int]]:
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
    accepted, refused = yield from _put("SF", wanted)
    unit.volatile.update(accepted)
    yield from _compare("GF", accepted)
    if refused:
        raise FieldsRefusedError(accepted, refused)
    return accepted


def write_fields(unit: UcbUnit, values: Values) -> Procedure[dict[int, int]]:
    """Write values into EEPROM, in effect after power-up, and read them back (WF, RF). Raises as `set_fields`."""
    del unit
    accepted, refused = yield from _put("WF", _checked(values))
    yield from _compare("RF", accepted)
    if refused:
        raise FieldsRefusedError(accepted, refused)
    return accepted


def ask_known(kind: str, ids: Sequence[int]) -> Procedure[dict[int, int]]:
    """Return the values of those fields that the unit has; `kind` is GF or RF."""
    known: dict[int, int] = {}
    for first in range(0, len(ids), commands.MOST_FIELDS):
        accepted, _ = yield from _ask(kind, ids[first : first + commands.MOST_FIELDS])
        known |= accepted
    return known


def _read(unit: UcbUnit, kind: str, names: Names) -> Procedure[dict[int, int]]:
    del unit
    ids = [field_id(name) for name in names]
    accepted, refused = yield from _ask(kind, ids)
    if refused:
        raise FieldsRefusedError(accepted, refused)
    return accepted


def _ask(kind: str, ids: Sequence[int]) -> Procedure[tuple[dict[int, int], list[int]]]:
    """Return what the unit tells and which it refuses.

    A success in part is told by two frames. If the one that lists values is lost, the other seems to refuse all; each
    field is then asked for alone, where the answer leaves no doubt.
    """
    found = _values((yield commands.ask_fields(kind, ids)), kind)
    if not found and len(ids) > 1:
        for number in ids:
            found |= _values((yield commands.ask_fields(kind, [number])), kind)
    return found, [number for number in ids if number not in found]


def _put(kind: str, values: dict[int, int]) -> Procedure[tuple[dict[int, int], list[int]]]:
    """Return what the unit takes and which it refuses; see `_ask` for why one by one."""
    taken = yield from _put_once(kind, values)
    if not taken and len(values) > 1:
        for number, value in values.items():
            taken |= yield from _put_once(kind, {number: value})
    accepted = {number: value for number, value in values.items() if number in taken}
    return accepted, [number for number in values if number not in taken]


def _put_once(kind: str, values: dict[int, int]) -> Procedure[set[int]]:
    """Return which fields the unit takes. EEPROM wears: a write is repeated only if it was not done."""
    if kind == "SF":
        return _named((yield commands.put_fields(kind, values)), kind)
    for _ in range(_WRITES):
        try:
            return _named((yield commands.put_fields(kind, values)), kind)
        except NoAnswerError:
            found, _ = yield from _ask("RF", list(values))
            if found == values:
                return set(values)
    raise NoAnswerError(f"no answer to WF of fields {list(values)}, and EEPROM does not hold the values")


def _compare(kind: str, values: dict[int, int]) -> Procedure[None]:
    if not values:
        return
    found, _ = yield from _ask(kind, list(values))
    for number, value in values.items():
        if found.get(number) != value:
            raise NotKeptError(f"{_describe(number)} was set to {value} and reads {found.get(number)}")


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
