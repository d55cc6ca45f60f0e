"""Calibrations of values of gadgets, each in effect from a time on until the next; readings are never changed."""

import json
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

from sqlalchemy import Connection, delete, insert, select

from pygnc_station.errors import StationError
from pygnc_station.store import schema
from pygnc_station.store.store import Store

_C: Final = schema.calibrations.c
_NUMBERS_END: Final = 2**31
"""End of the numbers that a column of every database can contain."""


class DatedCalibration(NamedTuple):
    """Calibration in effect from a time on: `gain` times the value without water in the particles, plus `offset`.

    Attributes:
        since_ms: time from which it is in effect, milliseconds since 1970 (UTC).
        gain: factor, above 0.
        offset: offset in the unit of the value.
        kappa: hygroscopicity of the particles; 0: no correction for humidity.
    """

    since_ms: int
    gain: float
    offset: float
    kappa: float


class StoredCalibration(NamedTuple):
    """Calibration with its number, gadget, value, reference, and the figures of its fit in JSON."""

    id: int
    gadget_id: str
    name: str
    calibration: DatedCalibration
    reference: str
    report: str

    def to_json(self) -> dict[str, object]:
        """Return the fields of a JSON object."""
        return self._asdict() | {"calibration": self.calibration._asdict(), "report": json.loads(self.report)}


ByValue: TypeAlias = Mapping[tuple[str, str], tuple[DatedCalibration, ...]]
"""Calibrations by gadget, in lower case, and value, the earliest first."""


def add(store: Store, gadget: str, name: str, found: DatedCalibration, reference: str, report: str, now_ms: int) -> int:  # noqa: PLR0917 - columns of the table
    """Store a calibration, which replaces one of the same value and time; return its number."""
    row = {
        "gadget_id": gadget,
        "name": name,
        "since_ms": found.since_ms,
        "gain": found.gain,
        "offset_value": found.offset,
        "kappa": found.kappa,
        "reference": reference,
        "report": report,
        "created_ms": now_ms,
    }
    with store.writes() as connection:
        same = (schema.is_named(_C.gadget_id, gadget), _C.name == name, _C.since_ms == found.since_ms)
        connection.execute(delete(schema.calibrations).where(*same))
        made = connection.execute(insert(schema.calibrations), row)
        return int((made.inserted_primary_key or (0,))[0])


def remove(store: Store, number: int) -> None:
    """Remove a calibration.

    Raises:
        StationError: it does not exist.
    """
    with store.writes() as connection:
        if (
            number >= _NUMBERS_END
            or not connection.execute(delete(schema.calibrations).where(_C.id == number)).rowcount
        ):
            raise StationError(f"calibration {number} does not exist; `pygnc station calibrations` lists them")


def calibrations(connection: Connection) -> list[StoredCalibration]:
    """Return all calibrations, ordered by gadget, value and time."""
    query = select(
        _C.id, _C.gadget_id, _C.name, _C.since_ms, _C.gain, _C.offset_value, _C.kappa, _C.reference, _C.report
    ).order_by(_C.gadget_id, _C.name, _C.since_ms)
    return [
        StoredCalibration(number, gadget, name, DatedCalibration(*numbers), reference, report)
        for number, gadget, name, *numbers, reference, report in connection.execute(query)
    ]


def by_value(connection: Connection) -> ByValue:
    """Return the calibrations of each value of each gadget."""
    found: dict[tuple[str, str], tuple[DatedCalibration, ...]] = {}
    # Names of a gadget may differ in case, so the order of the names is not that of the times.
    for each in sorted(calibrations(connection), key=lambda each: each.calibration.since_ms):
        key = (each.gadget_id.lower(), each.name)
        found[key] = (*found.get(key, ()), each.calibration)
    return found
