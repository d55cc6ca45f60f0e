"""Viewer of the record of mean elements for a beacon."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.formats import omm_record
from pygnc_ground.inspection.sections import Facts, Listing, Note, Section, Viewer


def _summary(path: Path) -> Iterator[Section]:
    """Yield the epoch, then all fields."""
    with path.open("rb") as file:
        record = file.read(omm_record.SIZE + 1)
    try:
        elements, values = omm_record.decode(record)
    except omm_record.OmmRecordError as error:
        yield Note(f"{error}; it has {path.stat().st_size} bytes", fault=True)
        return
    yield Facts("elements", {"epoch_utc": utc_iso_from_gps_ms(elements.epoch_gps_ms)})
    rows = [(field.name, values[field.name], field.unit, field.meaning) for field in omm_record.FIELDS[1:]]
    yield Listing("all fields", ("field", "value", "unit", "meaning"), rows)


OMM_RECORDS: Final = Viewer("mean elements", lambda head: head.startswith(omm_record.MAGIC), _summary)
"""Viewer of `pygnc_omm.bin`, a single record with fixed fields."""
