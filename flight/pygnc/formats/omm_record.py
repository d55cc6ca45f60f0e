"""`~/pygnc_omm.bin`: the filter's orbit as mean elements of SGP4 in 104 bytes, for a beacon.

`FIELDS` is the layout. The record ends with a CRC-32 (zlib) over everything before it.
"""

import struct
import zlib
from collections.abc import Mapping
from typing import Final

import msgspec

from pygnc.common.clock import gps_ms_from_week, week_from_gps_ms
from pygnc.common.mean_elements import RANGES, STATED_HOURS, MeanElements, out_of_range
from pygnc.formats.layout import Field, format_of
from pygnc.formats.status import Value

MAGIC: Final = b"PGOM"
VERSION: Final = 1

FIELDS: Final = (
    Field("magic", "4s", "", "magic, the letters PGOM", fixed=MAGIC),
    Field("version", "B", "", "version of this layout"),
    Field("size", "B", "B", "size of the whole record"),
    Field("gps_week", "H", "", "epoch: GPS week"),
    Field("gps_tow_ms", "I", "ms", "GPS time of week of the epoch"),
    Field("mean_motion_rev_per_day", "d", "1/d", "mean motion (Kozai), revolutions per day"),
    Field("eccentricity", "d", "", "eccentricity"),
    Field("inclination_deg", "d", "deg", "inclination, TEME"),
    Field("raan_deg", "d", "deg", "right ascension of the ascending node, TEME"),
    Field("argument_of_perigee_deg", "d", "deg", "argument of perigee"),
    Field("mean_anomaly_deg", "d", "deg", "mean anomaly"),
    Field("bstar_per_radius", "f", "1/ER", "drag term B* of SGP4"),
    Field("catalogue_number", "I", "", "catalogue number from the settings, 0: unknown"),
    *(
        Field(
            f"error_{hours}h_m", "f", "m", f"position error within {hours} h after the epoch, exceeded in 5 % of cases"
        )
        for hours in STATED_HOURS
    ),
    Field("fit_rms_m", "f", "m", "RMS distance of the elements from the predicted orbit over 24 h"),
    Field("fix_age_s", "f", "s", "time from the newest accepted fix to the epoch"),
    Field("fixes_accepted", "I", "", "fixes in the orbit"),
    Field("run_number", "I", "", "number of the run"),
)
_BODY: Final = struct.Struct(format_of(FIELDS))
_CRC: Final = struct.Struct("<I")
SIZE: Final = _BODY.size + _CRC.size


class OmmRecordError(ValueError):
    """Error raised when bytes are not a valid record of mean elements; the message names the fault."""


def encode(elements: MeanElements, values: Mapping[str, Value]) -> bytes:
    """Return the record of `elements`; `values` contains all other fields by name.

    Raises:
        KeyError: A field is missing.
    """
    week, tow_ms = week_from_gps_ms(elements.epoch_gps_ms)
    fixed: dict[str, Value] = {"magic": MAGIC, "version": VERSION, "size": SIZE, "gps_week": week, "gps_tow_ms": tow_ms}
    fixed |= {name: getattr(elements, name) for name in (*RANGES, "catalogue_number")}
    body = _BODY.pack(*({**fixed, **values}[field.name] for field in FIELDS))
    return body + _CRC.pack(zlib.crc32(body))


def decode(record: bytes) -> tuple[MeanElements, dict[str, Value]]:
    """Return the mean elements and all fields by name (`FIELDS`).

    Raises:
        OmmRecordError: Wrong magic, version, length or CRC, or an element is out of range.
    """
    if len(record) != SIZE or record[:4] != MAGIC or record[4] != VERSION:
        expected = f"a record of version {VERSION} has {SIZE} bytes and begins with {MAGIC!r}"
        raise OmmRecordError(f"not mean elements: {len(record)} bytes that begin with {record[:4]!r}; {expected}")
    if zlib.crc32(record[: _BODY.size]) != _CRC.unpack_from(record, _BODY.size)[0]:
        raise OmmRecordError(f"damaged record of {SIZE} bytes: wrong CRC-32; read the file again")
    values: dict[str, Value] = dict(zip((field.name for field in FIELDS), _BODY.unpack_from(record), strict=True))
    numbers = {name: float(values[name]) for name in RANGES}
    for name, value in numbers.items():
        if reason := out_of_range(name, value):
            raise OmmRecordError(f"not mean elements: {reason}; read the file again")
    epoch_gps_ms = gps_ms_from_week(int(values["gps_week"]), int(values["gps_tow_ms"]))
    if epoch_gps_ms is None:
        raise OmmRecordError("not mean elements: the epoch is not a GPS time; read the file again")
    known = {**numbers, "epoch_gps_ms": epoch_gps_ms, "catalogue_number": values["catalogue_number"]}
    return msgspec.convert(known, MeanElements), values
