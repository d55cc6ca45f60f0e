"""MCAP files of estimates, for Foxglove, Lichtblick and PlotJuggler.

A channel `/TABLE` has the rows of a table as JSON objects with the columns of the table; the keyword `unit` in their
JSON schema is the unit. Besides there are the position as `foxglove.LocationFix`, with its covariance, for maps, and
the attitude as `foxglove.FrameTransform`. `log_time` is the time of the estimate, UTC. Values that are not known are
missing.

Source: MCAP Format Specification, https://mcap.dev/spec.
"""

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, Final

import erfa
import msgspec
import numpy as np
import polars as pl

from pygnc.common.clock import unix_ms_from_gps_ms
from pygnc_ground.exports.aem import Attitudes
from pygnc_ground.exports.orbit_messages import States
from pygnc_ground.orbit.solution import inertial_states, rtn_axes
from pygnc_ground.tables.declaration import quantities

_NS_PER_MS: Final = 1_000_000
_WGS84: Final = 1
_KNOWN_COVARIANCE: Final = 3
_JSON_TYPES: Final = {"number": "number", "integer": "integer", "flag": "boolean", "text": "string"}
_TIME_SCHEMA: Final = {"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}}


def _axes(names: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "number"} for name in names}}


_WELL_KNOWN: Final[Mapping[str, dict[str, Any]]] = {
    "foxglove.LocationFix": {
        "timestamp": _TIME_SCHEMA,
        "frame_id": {"type": "string"},
        "latitude": {"type": "number"},
        "longitude": {"type": "number"},
        "altitude": {"type": "number"},
        "position_covariance": {"type": "array", "items": {"type": "number"}},
        "position_covariance_type": {"type": "integer"},
    },
    "foxglove.FrameTransform": {
        "timestamp": _TIME_SCHEMA,
        "parent_frame_id": {"type": "string"},
        "child_frame_id": {"type": "string"},
        "translation": _axes("xyz"),
        "rotation": _axes("xyzw"),
    },
}


def mcap_bytes(
    tables: Mapping[str, pl.DataFrame],
    itrf: States | None,
    attitudes: Attitudes | None,
) -> bytes:
    """Return the file of the tables that have times, the positions in ITRF and the attitudes, as far as there are any.

    Raises:
        ModuleNotFoundError: The library mcap is missing.
    """
    from mcap.writer import Writer  # noqa: PLC0415 - of an extra

    output = BytesIO()
    writer = Writer(output)
    writer.start()

    def channel(topic: str, title: str, properties: Mapping[str, Any]) -> int:
        schema = msgspec.json.encode({"title": title, "type": "object", "properties": properties})
        return int(writer.register_channel(topic, "json", writer.register_schema(title, "jsonschema", schema)))

    def add(number: int, time_ms: int, content: object) -> None:
        time_ns = _NS_PER_MS * time_ms
        writer.add_message(number, log_time=time_ns, publish_time=time_ns, data=msgspec.json.encode(content))

    for name, table in tables.items():
        if "utc" in table.columns:
            number = channel(f"/{name}", f"pygnc.{name}", _properties(name))
            for time_ms, row in _rows(table):
                add(number, time_ms, row)
    for title, topic, messages in (
        ("foxglove.LocationFix", "/location", _locations(itrf)),
        ("foxglove.FrameTransform", "/tf", _transforms(attitudes)),
    ):
        number = channel(topic, title, _WELL_KNOWN[title])
        for gps_ms, content in messages:
            time_ms = unix_ms_from_gps_ms(gps_ms)
            stamp = {"sec": time_ms // 1000, "nsec": _NS_PER_MS * (time_ms % 1000)}
            add(number, time_ms, {"timestamp": stamp, **content})
    writer.finish()
    return output.getvalue()


def _properties(table: str) -> dict[str, Any]:
    return {
        column: {"type": _JSON_TYPES[quantity.kind], "unit": quantity.unit, "description": quantity.meaning}
        for quantity in quantities(table)
        for column in quantity.columns
        if quantity.kind != "utc"
    }


def _rows(table: pl.DataFrame) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield POSIX time in ms and known values of each row with a time."""
    known = table.drop_nulls("utc")
    times = known["utc"].cast(pl.Int64).to_list()
    for time_ms, row in zip(times, known.drop("utc").iter_rows(named=True), strict=True):
        yield time_ms, {name: value for name, value in row.items() if value is not None}


def _locations(itrf: States | None) -> Iterator[tuple[int, dict[str, Any]]]:
    if itrf is None:
        return
    position_m = itrf.states[:, :3]
    longitude, latitude, altitude = erfa.gc2gd(_WGS84, position_m)
    axes = rtn_axes(inertial_states(position_m, itrf.states[:, 3:]))
    sin_lon, cos_lon, sin_lat, cos_lat = np.sin(longitude), np.cos(longitude), np.sin(latitude), np.cos(latitude)
    east = np.stack((-sin_lon, cos_lon, np.zeros(len(itrf))), axis=1)
    up = np.stack((cos_lat * cos_lon, cos_lat * sin_lon, sin_lat), axis=1)
    turn = np.stack((east, np.cross(up, east), up), axis=1) @ axes.transpose(0, 2, 1)
    covariances = turn @ itrf.covariance_rtn[:, :3, :3] @ turn.transpose(0, 2, 1)
    rows = zip(itrf.gps_ms.tolist(), np.degrees(latitude), np.degrees(longitude), altitude, covariances, strict=True)
    for gps_ms, latitude_deg, longitude_deg, altitude_m, covariance in rows:
        yield (
            gps_ms,
            {
                "frame_id": "WGS84",
                "latitude": float(latitude_deg),
                "longitude": float(longitude_deg),
                "altitude": float(altitude_m),
                "position_covariance": covariance.ravel().tolist(),
                "position_covariance_type": _KNOWN_COVARIANCE,
            },
        )


def _transforms(attitudes: Attitudes | None) -> Iterator[tuple[int, dict[str, Any]]]:
    if attitudes is None:
        return
    for gps_ms, (w, x, y, z) in zip(attitudes.gps_ms.tolist(), attitudes.quaternion.tolist(), strict=True):
        yield (
            gps_ms,
            {
                "parent_frame_id": "GCRF",
                "child_frame_id": "body",
                "translation": {"x": 0.0, "y": 0.0, "z": 0.0},
                "rotation": {"x": x, "y": y, "z": z, "w": w},
            },
        )
