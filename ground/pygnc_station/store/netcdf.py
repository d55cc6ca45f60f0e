"""Export of readings to NetCDF files by the CF conventions: a time series at a place, in SI units."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

import pygnc_system
from pygnc_station.store.readings import Column, PlainValue, Quality, StoredReading, Stream

if TYPE_CHECKING:
    from netCDF4 import Variable

_CHUNK: Final = 5000
_CACHE_BYTES: Final = 100_000
"""Memory of each variable for chunks that are written; by default it would be 16 MB."""
_LEVEL: Final = 4
_NO_INTEGER: Final = -(2**63)
_UDUNITS: Final = {
    "": "1", "%": "percent", "1/cm³": "cm-3", "a.u.": "1", "km/h": "km h-1", "m/s": "m s-1", "m/s²": "m s-2",
    "ml/s": "ml s-1", "rad/s": "rad s-1", "ticks": "1", "Wh": "W h", "Wh/km": "W h km-1", "°C": "degree_Celsius",
    "µg/m³": "ug m-3", "µm": "um", "µs": "us",
}  # fmt: skip
"""Units in the form that readers of NetCDF convert; others are the same."""
_STANDARD_NAMES: Final = {
    "pm_1_ug_m3": "mass_concentration_of_pm1_ambient_aerosol_particles_in_air",
    "pm_2_5_ug_m3": "mass_concentration_of_pm2p5_ambient_aerosol_particles_in_air",
    "pm_10_ug_m3": "mass_concentration_of_pm10_ambient_aerosol_particles_in_air",
}


class NetCdfFile:
    """NetCDF file of a stream, which grows by pages of readings.

    Args:
        path: path of the file.
        stream: stream of the readings.
        kinds: types of the values, in the order of the layout.
        place: latitude and longitude in degrees, WGS 84; None if it is unknown.
        corrected: columns of corrected values, after those of the layout.
    """

    def __init__(
        self,
        path: Path,
        stream: Stream,
        kinds: Sequence[type],
        place: tuple[float, float] | None,
        corrected: Sequence[Column],
    ) -> None:
        from netCDF4 import Dataset  # noqa: PLC0415 - a large library of an extra

        self._file: Dataset = Dataset(path, "w", format="NETCDF4")
        self._count = 0
        file = self._file
        file.setncatts(
            {
                "Conventions": "CF-1.11",
                "featureType": "timeSeries",
                "title": f"{stream.layout.kind} of {stream.gadget_id}",
                "source": f"{stream.family or 'unknown'} {stream.gadget_id}",
                "history": f"exported by PyGNC {pygnc_system.__version__}",
                "store": stream.origin,
                "layout": stream.layout.digest,
                "comment": "time is UTC by the clock of the computer that received the reading",
            }
        )
        file.createDimension("time", None)
        self._times = self._variable("time", "f8", {
            "standard_name": "time", "units": "seconds since 1970-01-01 00:00:00", "calendar": "standard", "axis": "T",
        })  # fmt: skip
        self._qualities = self._variable("quality", "i4", {
            "standard_name": "status_flag", "long_name": "quality of the reading",
            "flag_masks": [flag.value for flag in Quality],
            "flag_meanings": " ".join(flag.name.lower() for flag in Quality if flag.name),
        })  # fmt: skip
        self._set_place(stream, place)
        described = [*zip(stream.layout.columns, kinds, strict=True), *((column, float) for column in corrected)]
        self._columns = [self._value(column, kind, has_place=place is not None) for column, kind in described]

    def append(self, readings: Sequence[StoredReading], rows: Iterable[Sequence[PlainValue]]) -> None:
        """Append readings and the values of their columns."""
        import numpy as np  # noqa: PLC0415 - a library of the same extra

        span = slice(self._count, self._count + len(readings))
        self._times[span] = [reading.t_utc_ms / 1000 for reading in readings]
        self._qualities[span] = [reading.quality for reading in readings]
        for variable, values in zip(self._columns, zip(*rows, strict=True), strict=True):
            if variable is not None:
                is_text = variable.dtype is str
                missing = "" if is_text else variable._FillValue  # noqa: SLF001 - NetCDF's attribute
                known = [missing if value is None else value for value in values]
                variable[span] = np.array(known, dtype=object if is_text else variable.dtype)
        self._count = span.stop

    def close(self) -> None:
        """Complete the file."""
        self._file.close()

    def _set_place(self, stream: Stream, place: tuple[float, float] | None) -> None:
        name = self._file.createVariable("station_name", str, ())
        name.setncatts({"cf_role": "timeseries_id", "long_name": "name of the device"})
        name[...] = stream.gadget_id
        for rank, (axis, units) in enumerate((("latitude", "degrees_north"), ("longitude", "degrees_east"))):
            if place is not None:
                variable = self._file.createVariable(axis, "f8", ())
                variable.setncatts({"standard_name": axis, "units": units})
                variable[...] = place[rank]

    def _value(self, column: Column, kind: type, *, has_place: bool) -> "Variable[Any] | None":
        """Create the variable of a value; None if no reading has the value."""
        if kind is NoneType:
            return None
        stored: dict[type, str | type] = {bool: "i1", int: "i8", float: "f8", str: str}
        missing = {bool: -1, int: _NO_INTEGER, float: float("nan"), str: None}[kind]
        name = column.name if column.name not in self._file.variables else f"{column.name}_value"
        place = "latitude longitude " if has_place else ""
        attributes: dict[str, Any] = {
            "long_name": column.meaning or column.name.replace("_", " "),
            "coordinates": f"{place}station_name",
            "ancillary_variables": "quality",
        }
        if kind is not str:
            attributes["units"] = _UDUNITS.get(column.unit, column.unit)
        if standard_name := _STANDARD_NAMES.get(column.name.removesuffix("_corrected")):
            attributes["standard_name"] = standard_name
        if column.words and kind is int:
            key = "flag_masks" if column.of_bits else "flag_values"
            codes = [(code, label) for code, label in column.words if code or not column.of_bits]
            attributes[key] = [code for code, _ in codes]
            attributes["flag_meanings"] = " ".join("_".join(label.split()) for _, label in codes)
        return self._variable(name, stored[kind], attributes, missing)

    def _variable(
        self, name: str, kind: str | type, attributes: dict[str, Any], missing: float | None = None
    ) -> "Variable[Any]":
        compressed: dict[str, Any] = {} if kind is str else {"zlib": True, "complevel": _LEVEL}
        variable = self._file.createVariable(
            name, kind, ("time",), chunksizes=(_CHUNK,), chunk_cache=_CACHE_BYTES, fill_value=missing, **compressed
        )
        variable.setncatts(attributes)
        return variable
