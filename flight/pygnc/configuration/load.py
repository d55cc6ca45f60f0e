"""Loader of the settings file `pygnc.toml`."""

import contextlib
import dataclasses
import typing
from pathlib import Path
from typing import Any, Final

import msgspec

from pygnc.configuration.settings import Settings
from pygnc_system.files import durable_write, read_input

SETTINGS_FILE: Final = "pygnc.toml"
LAST_GOOD_FILE: Final = "pygnc_last_valid.toml"
"""Name of the copy, in the home, of the last settings file that a run could use."""


SETTINGS_BYTES_MAX: Final = 1 << 17
"""Maximum size of a settings file, and of a slot with settings changed over the line."""


class ConfigurationError(ValueError):
    """Error raised when the settings file cannot be used; the message names the file, the key and the reason."""


def load(file: Path | None, home: Path) -> Settings:
    """Return the settings of `file`, else the settings of `~/pygnc.toml` if it exists, else the defaults.

    Raises:
        ConfigurationError: The file is missing or not TOML, or a setting is unknown or out of range.
    """
    return settings_from_table(read_table(file, home), file or home / SETTINGS_FILE)


def read_table(file: Path | None, home: Path) -> dict[str, Any]:
    """Return the settings as a table that is not validated yet.

    Args:
        file: Settings file; None for `pygnc.toml` in `home`, which may be missing.
        home: Home folder.

    Raises:
        ConfigurationError: `file` does not exist, or the content is not TOML.
    """
    path = file or home / SETTINGS_FILE
    try:
        content = read_input(path, SETTINGS_BYTES_MAX).decode()
    except FileNotFoundError:
        if file is None:
            return {}
        raise ConfigurationError(f"{path}: the file does not exist; name a TOML file after --config") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}; check its permissions") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: byte {error.start} is not UTF-8; store the file as UTF-8 text") from None
    import tomllib  # noqa: PLC0415 - most runs have no settings file, and it delays the start

    try:
        return tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not TOML: {error}; correct the line") from None


def usable_table(file: Path | None, home: Path) -> tuple[dict[str, Any], str]:
    """Return a table of settings with which a run can start, and the fault of the settings file, or empty.

    If the file is faulty, the table is that of the last valid file, of which the home contains a copy, otherwise that
    of the defaults. The arguments are those of `read_table`.
    """
    path, copy = file or home / SETTINGS_FILE, home / LAST_GOOD_FILE
    try:
        table = read_table(file, home)
        settings_from_table(table, path)
    except ConfigurationError as error:
        try:
            table = read_table(copy, home)
            settings_from_table(table, copy)
        except ConfigurationError:
            return {}, f"{error}; the run uses the default settings"
        return table, f"{error}; the run uses the last valid settings, {LAST_GOOD_FILE}"
    with contextlib.suppress(OSError):  # a full disk must not prevent the start of a run
        if not table:
            copy.unlink(missing_ok=True)
        else:
            _keep_copy(read_input(path, SETTINGS_BYTES_MAX), copy)
    return table, ""


def _keep_copy(content: bytes, copy: Path) -> None:
    with contextlib.suppress(OSError):  # it does not exist, or is no settings file
        if read_input(copy, SETTINGS_BYTES_MAX) == content:
            return
    durable_write(copy, content)


def settings_from_table(table: dict[str, Any], path: Path) -> Settings:
    """Return the settings of a table read from `path`.

    Raises:
        ConfigurationError: A setting is unknown or out of range.
    """
    if not table:
        return Settings()
    _refuse_unknown(table, Settings, "", path)
    try:
        return msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _refuse_unknown(table: dict[str, Any], settings: type, prefix: str, path: Path) -> None:
    known = {field.name: field.type for field in dataclasses.fields(settings)}
    for name, value in table.items():
        if name not in known:
            raise ConfigurationError(f"{path}: unknown setting {prefix}{name}; choose from {', '.join(sorted(known))}")
        section = known[name]
        if isinstance(section, type) and dataclasses.is_dataclass(section) and isinstance(value, dict):
            _refuse_unknown(value, section, f"{prefix}{name}.", path)
        elif typing.get_origin(section) is dict and isinstance(value, dict):
            _, below = typing.get_args(section)
            for key, entry in value.items():
                if isinstance(below, type) and dataclasses.is_dataclass(below) and isinstance(entry, dict):
                    _refuse_unknown(entry, below, f"{prefix}{name}.{key}.", path)
