"""All fields of a unit, kept and put back."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from pygnc_devices.errors import DeviceError
from pygnc_devices.procedure import Procedure
from pygnc_devices.ucb.field_procedures import ask_known, set_fields, write_fields
from pygnc_devices.ucb.fields import BAUD, FIELD_TABLE
from pygnc_devices.ucb.unit import UcbUnit
from pygnc_devices.ucb.unit_procedures import identify

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


def take_snapshot(unit: UcbUnit) -> Procedure[Snapshot]:
    """Return all fields that the unit has."""
    who = yield from identify(unit)
    volatile = yield from ask_known("GF", list(FIELD_TABLE))
    stored = yield from ask_known("RF", list(FIELD_TABLE))
    return Snapshot(who.serial_number, who.text, volatile, stored)


def restore_snapshot(unit: UcbUnit, snapshot: Snapshot, *, to_another_unit: bool = False) -> Procedure[dict[int, int]]:
    """Write what differs from a snapshot into EEPROM and into effect; return what was written into EEPROM.

    The speed of the line in effect stays as it is: `change_baud` changes it.

    Raises:
        SnapshotError: the snapshot is of another unit, and that was not said to be meant.
        FieldsRefusedError: the unit did not take some of it.
    """
    who = yield from identify(unit)
    if who.serial_number != snapshot.serial_number and not to_another_unit:
        raise SnapshotError(f"the snapshot is of unit {snapshot.serial_number}, this is unit {who.serial_number}")
    stored = yield from ask_known("RF", list(snapshot.stored))
    changes = _differences(snapshot.stored, stored)
    if changes:
        yield from write_fields(unit, changes)
    volatile = yield from ask_known("GF", list(snapshot.volatile))
    now = {number: value for number, value in _differences(snapshot.volatile, volatile).items() if number != BAUD}
    if now:
        yield from set_fields(unit, now)
    return changes


def _differences(wanted: dict[int, int], found: dict[int, int]) -> dict[int, int]:
    return {
        number: value for number, value in wanted.items() if FIELD_TABLE[number].writable and found.get(number) != value
    }
