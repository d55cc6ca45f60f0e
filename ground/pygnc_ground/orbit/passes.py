"""Passes of a satellite over ground stations: rise, culmination and set with their uncertainty.

Directions are geometric: without refraction, light time and aberration, which change the elevation by less than a
tenth of a degree above 10 degrees. The standard deviation of a time is that of the crossed quantity (elevation, or
its rate at the culmination) over its rate, with the full covariance of position and velocity.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import erfa
import msgspec
import numpy as np
import polars as pl

from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.orbit.uncertain import UncertainOrbit
from pygnc_ground.tables.declaration import frame, time_values
from pygnc_ground.truth.ephemeris import NS_PER_MS

SPEED_OF_LIGHT_MPS: Final = 299_792_458.0
_STEP_NS: Final = 30_000_000_000
_BISECTIONS: Final = 36
"""Halvings of 30 s to less than a nanosecond."""
_DIFFERENCES: Final = np.repeat((10.0, 0.01), 3)
"""Steps of numerical partial derivatives: m and m/s."""


class Station(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ground station, by geodetic coordinates on the WGS 84 ellipsoid.

    Attributes:
        elevation_mask_deg: Least elevation of a pass; None for that of the command.
        name: Name in tables.
    """

    latitude_deg: Annotated[float, msgspec.Meta(ge=-90.0, le=90.0)]
    longitude_deg: Annotated[float, msgspec.Meta(ge=-180.0, le=360.0)]
    height_m: Annotated[float, msgspec.Meta(ge=-500.0, le=20_000.0)] = 0.0
    elevation_mask_deg: Annotated[float, msgspec.Meta(ge=-10.0, lt=90.0)] | None = None
    name: str = ""

    @classmethod
    def from_text(cls, text: str) -> "Station":
        """Return the station at `LAT,LON` or `LAT,LON,HEIGHT`, degrees and m.

        Raises:
            ValueError: The text has another form, or a number is out of range.
        """
        words = text.split(",")
        try:
            latitude_deg, longitude_deg, height_m = map(float, words if len(words) != 2 else (*words, "0"))
        except ValueError:
            raise ValueError(
                f"station {text!r}: neither LATITUDE,LONGITUDE,HEIGHT (degrees, m) nor a name in the file of --stations"
            ) from None
        try:
            return msgspec.convert(msgspec.to_builtins(cls(latitude_deg, longitude_deg, height_m, name=text)), cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"station {text!r}: {error}") from error

    @property
    def position_m(self) -> FloatArray:
        """Position in ITRF, m, shape (3,)."""
        longitude, latitude = math.radians(self.longitude_deg), math.radians(self.latitude_deg)
        position_m: FloatArray = erfa.gd2gc(1, longitude, latitude, self.height_m)
        return position_m

    @property
    def axes(self) -> FloatArray:
        """Unit vectors east, north and up as rows, shape (3, 3)."""
        longitude, latitude = math.radians(self.longitude_deg), math.radians(self.latitude_deg)
        up = np.array(
            (math.cos(latitude) * math.cos(longitude), math.cos(latitude) * math.sin(longitude), math.sin(latitude))
        )
        east = np.array((-math.sin(longitude), math.cos(longitude), 0.0))
        return np.stack((east, np.cross(up, east), up))


def read_stations(path: Path) -> dict[str, Station]:
    """Return the stations of a TOML file by name, each a table with the fields of `Station`.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not TOML, or a field is missing, unknown or out of range.
    """
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=dict[str, Station])
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    return {name: msgspec.structs.replace(station, name=name) for name, station in found.items()}


class Look(NamedTuple):
    """Directions from a station at n times, each shape (n,)."""

    azimuth_rad: FloatArray
    elevation_rad: FloatArray
    range_m: FloatArray
    range_rate_mps: FloatArray
    elevation_rate_rad_s: FloatArray


def look(station: Station, states: FloatArray) -> Look:
    """Return the directions from a station to states in ITRF, shape (n, 6)."""
    east, north, up = station.axes @ (states[:, :3] - station.position_m).T
    rates = station.axes @ states[:, 3:].T
    level_m = np.hypot(east, north)
    range_m = np.hypot(level_m, up)
    level_rate_mps = (east * rates[0] + north * rates[1]) / level_m
    return Look(
        np.arctan2(east, north) % (2.0 * math.pi),
        np.arctan2(up, level_m),
        range_m,
        (level_m * level_rate_mps + up * rates[2]) / range_m,
        (level_m * rates[2] - up * level_rate_mps) / range_m**2,
    )


class Event(NamedTuple):
    """Rise, culmination or set; see the table `passes` for the meaning of the fields."""

    name: str
    gps_ns: int
    time_sigma_s: float
    azimuth_deg: float
    elevation_deg: float
    elevation_sigma_deg: float
    range_m: float
    range_rate_mps: float


class Pass(NamedTuple):
    """Pass over a station; rise or set is None if it is outside the span."""

    station: Station
    number: int
    rise: Event | None
    culmination: Event
    set: Event | None

    @property
    def events(self) -> list[Event]:
        """Events in order of time."""
        return [event for event in (self.rise, self.culmination, self.set) if event is not None]


def find_passes(
    orbit: UncertainOrbit, station: Station, begin_ms: int, end_ms: int, mask_deg: float = 10.0
) -> list[Pass]:
    """Return the passes over a station between two times, GPS ms; `mask_deg` is the least elevation."""
    mask_deg = mask_deg if station.elevation_mask_deg is None else station.elevation_mask_deg
    mask_rad = math.radians(mask_deg)

    def elevation(gps_ns: IntArray) -> FloatArray:
        return look(station, orbit.states(gps_ns)).elevation_rad - mask_rad

    def rate(gps_ns: IntArray) -> FloatArray:
        return look(station, orbit.states(gps_ns)).elevation_rate_rad_s

    begin_ns, end_ns = begin_ms * NS_PER_MS, end_ms * NS_PER_MS
    gps_ns = np.append(np.arange(begin_ns, end_ns, _STEP_NS), end_ns)
    turning = rate(gps_ns)
    at = np.flatnonzero((turning[:-1] > 0.0) & (turning[1:] <= 0.0))
    highest_ns = _roots(rate, gps_ns[at], gps_ns[at + 1])
    gps_ns = np.unique(np.concatenate((gps_ns, highest_ns)))
    above = elevation(gps_ns) > 0.0
    edges = np.flatnonzero(np.diff(above.astype(np.int8)))
    crossing_ns = dict(zip(edges.tolist(), _roots(elevation, gps_ns[edges], gps_ns[edges + 1]).tolist(), strict=True))
    found: list[Pass] = []
    for first, last in _runs(above):
        rows = np.arange(first, last + 1)
        top_ns = int(gps_ns[rows[np.argmax(elevation(gps_ns[rows]))]])
        names = ("rise", crossing_ns.get(first - 1)), ("culmination", top_ns), ("set", crossing_ns.get(last))
        rise, top, end = (None if ns is None else _event(orbit, station, name, ns) for name, ns in names)
        if top is not None:
            found.append(Pass(station, len(found) + 1, rise, top, end))
    return found


def _runs(flags: BoolArray) -> Iterator[tuple[int, int]]:
    """Yield the first and last index of each run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    yield from zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True)


def _roots(function: Callable[[IntArray], FloatArray], low_ns: IntArray, high_ns: IntArray) -> IntArray:
    """Return the times between `low_ns` and `high_ns`, (n,) each, at which a function changes its sign."""
    if not len(low_ns):
        return low_ns
    sign = np.sign(function(low_ns))
    for _ in range(_BISECTIONS):
        middle = (low_ns + high_ns) // 2
        is_low = np.sign(function(middle)) == sign
        low_ns, high_ns = np.where(is_low, middle, low_ns), np.where(is_low, high_ns, middle)
    return high_ns


def _event(orbit: UncertainOrbit, station: Station, name: str, gps_ns: int) -> Event:
    times = gps_ns + np.array((0, -500_000_000, 500_000_000))
    seen = look(station, orbit.states(times))
    state, covariance = orbit.states(times[:1])[0], orbit.covariances(times[:1])[0]
    of_elevation, of_rate = (
        _gradient(lambda states, field=field: look(station, states)[field], state)  # type: ignore[misc]
        for field in (Look._fields.index("elevation_rad"), Look._fields.index("elevation_rate_rad_s"))
    )
    sigma_rad = math.sqrt(max(of_elevation @ covariance @ of_elevation, 0.0))
    if name == "culmination":
        curvature = seen.elevation_rate_rad_s[2] - seen.elevation_rate_rad_s[1]
        time_sigma_s = math.sqrt(max(of_rate @ covariance @ of_rate, 0.0)) / abs(curvature)
    else:
        time_sigma_s = sigma_rad / abs(seen.elevation_rate_rad_s[0])
    return Event(
        name,
        gps_ns,
        float(time_sigma_s),
        math.degrees(seen.azimuth_rad[0]),
        math.degrees(seen.elevation_rad[0]),
        math.degrees(sigma_rad),
        float(seen.range_m[0]),
        float(seen.range_rate_mps[0]),
    )


def _gradient(function: Callable[[FloatArray], FloatArray], state: FloatArray) -> FloatArray:
    """Return the partial derivatives (6,) of a function of states (n, 6)."""
    steps = np.diag(_DIFFERENCES)
    gradient: FloatArray = (function(state + steps) - function(state - steps)) / (2.0 * _DIFFERENCES)
    return gradient


def doppler_hz(range_rate_mps: float, frequency_hz: float) -> float:
    """Return the Doppler shift of a carrier from the satellite."""
    return -frequency_hz * range_rate_mps / SPEED_OF_LIGHT_MPS


def passes_table(passes: Sequence[Pass], frequency_hz: float | None) -> pl.DataFrame:
    """Return the events of passes; Doppler shifts are those of a carrier of this frequency."""
    rows = [(one, event) for one in passes for event in one.events]
    return frame(
        "passes",
        {
            "station": [one.station.name for one, _ in rows],
            "pass": [one.number for one, _ in rows],
            "event": [event.name for _, event in rows],
            **time_values([round(event.gps_ns / NS_PER_MS) for _, event in rows]),
            "time_sigma_s": [event.time_sigma_s for _, event in rows],
            "azimuth_deg": [event.azimuth_deg for _, event in rows],
            "elevation_deg": [event.elevation_deg for _, event in rows],
            "sigma_elevation_deg": [event.elevation_sigma_deg for _, event in rows],
            "slant_range_m": [event.range_m for _, event in rows],
            "range_rate_mps": [event.range_rate_mps for _, event in rows],
            "doppler_hz": [
                None if frequency_hz is None else doppler_hz(event.range_rate_mps, frequency_hz) for _, event in rows
            ],
        },
    )
