"""Proposed section `[columns.NAME]` for a table whose columns look familiar."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, get_type_hints

from pygnc.configuration.settings import ColumnSettings
from pygnc_ground.receivers.table import Layout, layouts_of, named_columns

_FEWEST: Final = 3
"""Least number of columns of a table."""
_VECTORS: Final = {
    "position": r"(?:p|pos|position|r|ecef|itrf)?[_. ]?(?:ecef|itrf)?[_. ]?{axis}(?:[_. ]?(?:pos|ecef|itrf|wgs84))*",
    "velocity": r"(?:v|vel|velocity|ecef_?v)[_. ]?(?:ecef|itrf)?[_. ]?{axis}(?:[_. ]?(?:ecef|itrf|wgs84))*",
    "magnetometer": r"(?:b|m|mag|magnetometer|mag_?field|field)[_. ]?{axis}",
    "gyro": r"(?:w|g|gyro|omega|rate|rates|ang_?rate|ang_?vel|angular_?rate|angular_?velocity)[_. ]?{axis}",
    "sun_direction": r"(?:s|sun|sun_?vec(?:tor)?|sun_?dir(?:ection)?|sun_?sensor)[_. ]?{axis}",
}
"""Patterns of the names of components, without their unit."""
_GEODETIC: Final = (r"lat(?:itude)?", r"lon(?:g|gitude)?", r"(?:alt(?:itude)?|h(?:eight)?|hgt)")
_TIMES: Final = {
    "gps_week_ms": (r"(?:gps_?)?week", r"(?:gps_?)?(?:tow|itow)_?ms|itow"),
    "gps_week_s": (r"(?:gps_?)?week(?:_?no|_?number)?", r"(?:gps_?)?(?:tow|sow|seconds?|time_?of_?week)(?:_?s)?"),
    "gps_s": (r"gps_?(?:time|seconds?|s)",),
    "unix_ms": (r"(?:unix|posix|epoch|timestamp|time)_?(?:time_?)?(?:ms|millis)",),
    "unix_s": (r"(?:unix|posix|epoch)(?:_?(?:time|seconds?|s))*",),
    "utc": (r"utc(?:_?time)?|time_?utc|date_?time|timestamp|time|date|iso_?time",),
}
_UNITS: Final = {
    "m/s": "m/s|mps|m_s",
    "km/s": "km/s|kmps|km_s",
    "rad/s": "rad/s|rads|rad_s|radps",
    "deg/s": "deg/s|dps|deg_s|degps",
    "km": "km",
    "m": "m|meters?",
    "uT": "ut|µt|microtesla",
    "nT": "nt|nanotesla",
    "G": "gauss",
    "mG": "mg|milligauss|mgauss",
}
_ANGLES: Final = "deg|degrees"


def _pattern(name: str) -> re.Pattern[str]:
    units = "|".join([*_UNITS.values(), _ANGLES])
    return re.compile(rf"(?:{name})(?:[_. \[(]*(?P<unit>{units})[\])]?)?", re.IGNORECASE)


def proposal(path: Path, head: bytes, sections: Mapping[str, ColumnSettings]) -> str:
    """Return what a user may do about a table that no section describes; empty for a file that is not a table."""
    layout = max(filter(_is_header, layouts_of(path, head)), key=lambda one: len(one.names), default=None)
    if layout is None:
        return ""
    lines = [*_missing(layout, sections)]
    found = dict(_proposed(layout.names))
    listed = ", ".join(layout.names[:20]) + (", ..." if len(layout.names) > 20 else "")
    if "time" not in found or not {"position", "gyro"} & found.keys():
        lines.append(
            f"its columns are {listed}; name those of fixes or readings in a section [columns.NAME] of --config"
        )
    else:
        what = ", ".join(name.replace("_", " ") for name in found if not name.endswith(("_unit", "_frame", "_scale")))
        section = ", ".join(f"{name} = {text}" for name, text in found.items())
        name = re.sub(r"[^A-Za-z0-9_-]", "_", path.stem) or "table"
        lines.append(
            f"these columns look like {what}: write the next line to a file, check units and frames, and name the"
            f" file by --config: columns.{name} = {{{section}}}"
        )
    return f"; a table: {' '.join(lines)}"


def _is_header(layout: Layout) -> bool:
    names = layout.names
    return len(names) >= _FEWEST and len({*names}) == len(names) and not any(_is_number(name) for name in names)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _missing(layout: Layout, sections: Mapping[str, ColumnSettings]) -> Iterator[str]:
    for name, settings in sections.items():
        wanted = (column for found in named_columns(settings).values() for column in found)
        missing = [column for column in wanted if layout.place(column) is None]
        yield f"[columns.{name}] does not apply, because the table has no column {', '.join(missing)};"


def _proposed(names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield names and values of settings, as in TOML."""
    for scale, patterns in _TIMES.items():
        if time := _matches(names, patterns):
            yield "time", _list(time[0])
            yield "time_scale", f'"{scale}"'
            break
    geodetic = _matches(names, _GEODETIC)
    for vector, pattern in _VECTORS.items():
        found = geodetic if geodetic and vector == "position" else None
        found = found or _matches(names, tuple(pattern.format(axis=axis) for axis in "xyz"))
        if found is None:
            continue
        yield vector, _list(found[0])
        if found is geodetic:
            yield "position_frame", '"geodetic"'
        if found[1] and f"{vector}_unit" in get_type_hints(ColumnSettings):
            yield f"{vector}_unit", f'"{found[1]}"'


def _matches(names: tuple[str, ...], patterns: tuple[str, ...]) -> tuple[list[str], str] | None:
    """Return the first column that matches each pattern, and the unit of the last, or empty; None without all."""
    found: list[str] = []
    unit = ""
    for pattern in map(_pattern, patterns):
        match = next((match for name in names if name not in found and (match := pattern.fullmatch(name))), None)
        if match is None:
            return None
        found.append(match.string)
        text = (match["unit"] or "").lower()
        unit = next((name for name, words in _UNITS.items() if re.fullmatch(words, text)), "")
    return found, unit


def _list(names: list[str]) -> str:
    return "[" + ", ".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names) + "]"
