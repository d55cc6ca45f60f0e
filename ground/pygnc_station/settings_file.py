"""File of a station's settings: TOML, YAML, or the settings.yaml of batonopc."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings, settings_of

NAMES: Final = ("station.toml", "station.yaml", "settings.yaml")
_ELSEWHERE: Final = ("~/.config/pygnc/station.toml", "/etc/pygnc-station/station.toml")
"""The second one belongs to the Debian package."""
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_FAMILIES: Final = {"OPCN3": "opc_n3"}
_BATONOPC: Final = {
    "API": "upload.url",
    "BATCH_DIR_PENDING": "batches.pending",
    "BATCH_DIR_UPLOADED": "batches.uploaded",
    "BATCH_MODE": "batches.mode",
    "BATCH_TYPE": "batches.type",
    "DELETE_BATCH_ON_UPLOAD": "batches.delete_when_accepted",
    "DELETE_READING_ON_ZIP": "batches.delete_readings",
}
_BATONOPC_DEVICE: Final = {"GADGET_ID", "GADGET_TYPE", "LOGGING_INTERVAL_SECS", "PORT"}
_BATONOPC_UNUSED: Final = {"DB_TABLE", "BATCH_DBNAME", "BATCH_TABLE", "GASCLOUD_KEY", "UPLOAD_INTERVAL_SECS"}
"""Keys without an equivalent: its tables are only imported, the key is in a file, and timers start uploads."""


def read_settings(path: Path | None) -> StationSettings:
    """Return the settings of a file.

    Args:
        path: the file; None searches for it as `find_settings` does.

    Raises:
        StationError: the file does not exist or is invalid.
    """
    found = path or find_settings()
    table = _parse(found)
    if any(key.isupper() for key in table):
        table = from_batonopc(table, str(found))
    table = _with_environment(table, _environment(found.parent / ".env"), str(found))
    table["folder"] = str((found.parent / str(table.get("folder", ""))).absolute())
    return settings_of(table, str(found))


def find_settings() -> Path:
    """Return the first settings file in the current folder (`NAMES`), else `_ELSEWHERE`.

    Raises:
        StationError: no such file exists.
    """
    places = [Path(name) for name in NAMES] + [Path(name).expanduser() for name in _ELSEWHERE]
    for place in places:
        if place.is_file():
            return place
    raise StationError(f"no settings file: pass --settings FILE, or create {NAMES[0]} here as docs/station.md shows")


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text) if path.suffix == ".toml" else _parse_yaml(text)
    except OSError as error:
        raise StationError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise StationError(f"{path}: byte {error.start} is not UTF-8 text; save the file in UTF-8") from None
    except ValueError as error:
        raise StationError(f"{path}: {' '.join(str(error).split())}") from None
    if table is None:
        raise StationError(f"{path}: the file is empty; docs/station.md describes the settings")
    if not isinstance(table, dict):
        raise StationError(f"{path}: the file contains no keys with values, such as `name: roof`")
    return {str(key): value for key, value in table.items()}


def _parse_yaml(text: str) -> Any:  # noqa: ANN401 - any YAML
    import yaml  # noqa: PLC0415 - only YAML files need it

    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (at line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(f"{error.problem}{where}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def from_batonopc(table: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the table of our settings for that of batonopc.

    Raises:
        StationError: a key is not one of batonopc's.
    """
    known = {"DBNAME", *_BATONOPC, *_BATONOPC_DEVICE, *_BATONOPC_UNUSED}
    unknown = sorted(set(table) - known)
    if unknown:
        raise StationError(
            f"{source}: unknown key {unknown[0]}; the file contains keys of batonopc, so all keys must be batonopc's"
        )
    ours: dict[str, dict[str, Any]] = {"batches": {}, "upload": {"way": "tinycloud"}, "store": {}}
    for theirs, name in _BATONOPC.items():
        if theirs in table:
            group, _, key = name.partition(".")
            ours[group][key] = table[theirs]
    if "DBNAME" in table:
        # batonopc's database is left unchanged; `pygnc station import` reads it.
        ours["store"]["url"] = str(Path(str(table["DBNAME"])).with_suffix(".pygnc.db"))
    kind = str(table.get("GADGET_TYPE", "OPCN3"))
    device = {
        "gadget": str(table.get("GADGET_ID", "opc")),
        "family": _FAMILIES.get(kind, kind.lower()),
        "port": str(table.get("PORT", "/dev/ttyACM0")),
        "interval_s": table.get("LOGGING_INTERVAL_SECS", 10),
    }
    return {**ours, "device": [device]}


def _environment(file: Path) -> dict[str, str]:
    """Return the environment variables; a `.env` file beside the settings adds those that are not set."""
    if not file.is_file():
        return dict(os.environ)
    from dotenv import dotenv_values  # noqa: PLC0415 - only stations with a .env file need it

    return {name: value for name, value in dotenv_values(file).items() if value is not None} | dict(os.environ)


def _with_environment(value: Any, environment: Mapping[str, str], source: str) -> Any:  # noqa: ANN401 - any table
    """Replace ${NAME} in all texts, so that passwords need not be in the file."""
    if isinstance(value, dict):
        return {key: _with_environment(item, environment, source) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_environment(item, environment, source) for item in value]
    if not isinstance(value, str):
        return value
    for name in _VARIABLE.findall(value):
        if name not in environment:
            raise StationError(f"{source}: ${{{name}}} is not set; set the environment variable or add it to .env")
    return _VARIABLE.sub(lambda match: environment[match[1]], value)
