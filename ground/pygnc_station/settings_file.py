"""File of a station's settings: TOML, YAML, or the settings of another program that a package converts."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings, settings_of
from pygnc_system import plugins
from pygnc_system.plugins import PluginError

NAMES: Final = ("station.toml", "station.yaml", "settings.yaml")
_ELSEWHERE: Final = ("~/.config/pygnc/station.toml", "/etc/pygnc-station/station.toml")
"""The second one belongs to the Debian package."""
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
SETTINGS: Final = "pygnc.settings"
"""Group of the entry points that convert settings with keys in capitals, which are those of other programs."""


def read_settings(path: Path | None) -> StationSettings:
    """Return the settings of a file; None searches for it as `find_settings` does.

    Raises:
        StationError: the file does not exist or is invalid.
    """
    found = path or find_settings()
    table = _parse(found)
    if any(key.isupper() for key in table):
        table = _converted(table, str(found))
    table = _with_environment(table, _environment(found.parent / ".env"), str(found))
    table["folder"] = str((found.parent / str(table.get("folder", ""))).absolute())
    return settings_of(table, str(found))


def expanded(text: str, path: Path | None) -> str:
    """Return a text in which ${NAME} is replaced as in a settings file, so that a command needs no password.

    Raises:
        StationError: the settings file does not exist, or the variable is not set.
    """
    found = path or find_settings()
    return str(_with_environment(text, _environment(found.parent / ".env"), str(found)))


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


def _converted(table: dict[str, Any], source: str) -> dict[str, Any]:
    """Return the settings of another program as ours, by the first installed converter."""
    entry = next(iter(plugins.installed(SETTINGS).entries.values()), None)
    if entry is None:
        raise StationError(f"{source}: keys in capitals are settings of batonopc; install pygnc-batonopc to use them")
    try:
        converted: dict[str, Any] = plugins.load(entry)(table, source)
    except PluginError as error:
        raise StationError(str(error)) from error
    return converted


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
