"""Loader of the settings file `pygnc.toml`."""

import dataclasses
import sys
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from pygnc.configuration.settings import Settings
from pygnc.configuration.trial import RECORD_FILE, Tables, Trial, read_record
from pygnc_system.files import durable_write, read_input

SETTINGS_FILE: Final = "pygnc.toml"
SETTINGS_BYTES_MAX: Final = 1 << 17
"""Maximum size of a settings file, and of a slot with settings changed over the line."""
_CHECKSUM_BYTES_MAX: Final = 1000


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
        ConfigurationError: `file` does not exist, its checksum does not match, or the content is not TOML.
    """
    path = file or home / SETTINGS_FILE
    try:
        content = read_input(path, SETTINGS_BYTES_MAX)
        _check(content, path)
        text = content.decode()
    except FileNotFoundError:
        if checksum_path(path).exists():
            missing = f"{path}: the file does not exist, but {checksum_path(path).name} does"
            raise ConfigurationError(f"{missing}; put the file there, or remove its checksum") from None
        if file is None:
            return {}
        raise ConfigurationError(f"{path}: the file does not exist; name a TOML file after --config") from None
    except OSError as error:
        remedy = "; check its permissions" if isinstance(error, PermissionError) else ""
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}{remedy}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: byte {error.start} is not UTF-8; store the file as UTF-8 text") from None
    return table_from_text(text, str(path))


def checksum_path(path: Path) -> Path:
    """Return the path of a file's checksum, a file in the format of `sha256sum`."""
    return path.with_name(f"{path.name}.sha256")


def write_checksum(path: Path) -> None:
    """Write the checksum of a settings file beside it.

    Raises:
        OSError: The file cannot be read, or its checksum cannot be written.
    """
    durable_write(checksum_path(path), f"{_digest(read_input(path, SETTINGS_BYTES_MAX))}  {path.name}\n".encode())


def _check(content: bytes, path: Path) -> None:
    """Raise ConfigurationError if there is a checksum of a settings file that its content does not match."""
    name = checksum_path(path).name
    try:
        expected = read_input(checksum_path(path), _CHECKSUM_BYTES_MAX)
    except FileNotFoundError:
        return
    if expected.split()[:1] != [_digest(content).encode()]:
        remedy = f"transfer the file again, or, if it was edited: sha256sum {path.name} > {name}"
        raise ConfigurationError(f"{path}: the content does not match {name}, so bits may have flipped; {remedy}")


def _digest(content: bytes) -> str:
    import hashlib  # noqa: PLC0415 - most runs have no checksum, and it delays the start

    return hashlib.sha256(content).hexdigest()


def table_from_text(text: str, source: str) -> dict[str, Any]:
    """Return the settings of a text in TOML as a table that is not validated yet.

    Raises:
        ConfigurationError: The text is not TOML, or its arrays are nested too deeply; the message begins with `source`.
    """
    import tomllib  # noqa: PLC0415 - most runs have no settings file, and it delays the start

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{source}: not TOML: {error}; correct the line") from None
    except ValueError:  # the interpreter's own limit
        digits_max = sys.get_int_max_str_digits()
        lines = enumerate(text.splitlines(), 1)
        line = next((f", line {k}" for k, line in lines if sum(map(str.isdigit, line)) > digits_max), "")
        text = f"a number has more than {digits_max} digits; correct it"
        raise ConfigurationError(f"{source}{line}: {text}") from None
    except RecursionError:
        raise ConfigurationError(f"{source}: arrays or tables are nested too deeply; correct the line") from None


def usable_table(file: Path | None, home: Path) -> tuple[dict[str, Any], str]:
    """Return a table of settings with which a run can start, and the fault of the settings file, or empty.

    If the file is faulty, the table is that of the file with which a run last flew to a good end, or of the defaults.
    The arguments are those of `read_table`.
    """
    try:
        table = read_table(file, home)
        settings_from_table(table, file or home / SETTINGS_FILE)
    except ConfigurationError as error:
        table = usable_tables(read_record(home)[0].flown, home).file
        return table, f"{error}; the run uses {_name_of(table)}"
    return table, ""


def usable_tables(flown: Tables, home: Path) -> Tables:
    """Return the settings that have flown, or the defaults if this version of the software cannot use them any more."""
    try:
        settings_from_tables(flown, home / RECORD_FILE)
    except ConfigurationError:
        return Tables()
    return flown


def given_up(trial: Trial, tables: Tables) -> str:
    """Return the report that settings are given up for `tables`."""
    which = _name_of(tables.file or tables.changes)
    return (
        f"{trial.failed_starts} starts with the new settings failed, so they are given up and the run uses {which};"
        f" they are still in {SETTINGS_FILE} and in the changes over the line: change one of them to try again"
    )


def _name_of(table: dict[str, Any]) -> str:
    return f"the settings of the last good run, {RECORD_FILE}" if table else "the default settings"


def settings_from_tables(tables: Tables, source: Path | str) -> Settings:
    """Return the settings of a file with the changes over the line; see `settings_from_table`."""
    return settings_from_table(merge_settings(tables.file, tables.changes), source)


def merge_settings(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a settings table with `changes` applied: sections are merged, other values replaced."""
    result = dict(table)
    for name, value in changes.items():
        below = result.get(name)
        both_sections = isinstance(value, dict) and isinstance(below, dict)
        result[name] = merge_settings(below or {}, value) if both_sections else value
    return result


def settings_from_table(table: dict[str, Any], source: Path | str) -> Settings:
    """Return the settings of a table read from `source`.

    Raises:
        ConfigurationError: A setting is unknown or out of range.
    """
    if not table:
        return Settings()
    _refuse_unknown(table, Settings, "", source)
    try:
        return msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{source}: {_with_range(str(error))}") from None


def _with_range(refusal: str) -> str:
    """Return the text of a ValidationError with the name of the setting first and its range last."""
    reason, _, place = refusal.partition(" - at `$.")
    name = place.rstrip("`")
    try:
        declared = range_text(declared_type(name.partition("[")[0])) if "[...]" not in name else ""
    except KeyError:  # a whole section
        declared = ""
    limit = f"; permitted: {declared}" if declared else ""
    return f"{name}: {reason}{limit}" if name else reason


def declared_type(name: str) -> "msgspec.inspect.Type":
    """Return the declaration of a setting by its dotted name.

    Raises:
        KeyError: There is no such setting.
    """
    from msgspec import inspect  # noqa: PLC0415 - only reports and documentation need it

    declared = inspect.type_info(Settings)
    for part in name.split("."):
        fields = declared.fields if isinstance(declared, inspect.DataclassType) else ()
        declared = {field.name: field.type for field in fields}[part]
    return declared


def range_text(declared: "msgspec.inspect.Type") -> str:
    """Return the range of a declared type as text, such as "1 to 100"; empty if it has none."""
    from msgspec import inspect  # noqa: PLC0415 - only reports and documentation need it

    text = ""
    match declared:
        case inspect.IntType() | inspect.FloatType():
            limits = {
                "at least": declared.ge,
                "more than": declared.gt,
                "at most": declared.le,
                "less than": declared.lt,
            }
            text = ", ".join(f"{word} {limit:.12g}" for word, limit in limits.items() if limit is not None)
            if declared.ge is not None and declared.le is not None:
                text = f"{declared.ge:.12g} to {declared.le:.12g}"
        case inspect.StrType(min_length=least, max_length=int(most)):
            text = f"{least or 0} to {most} characters"
        case inspect.LiteralType(values=values):
            text = ", ".join(msgspec.json.encode(value).decode() for value in values)
        case inspect.UnionType(types=types):
            text = " or ".join(filter(None, map(range_text, types)))
        case inspect.TupleType(item_types=items):
            texts = [range_text(item) for item in items]
            text = f"{texts[0]} each" if len({*texts}) == 1 and texts[0] else ", ".join(filter(None, texts))
        case inspect.VarTupleType(item_type=item, min_length=least, max_length=int(most)):
            text = f"{least or 0} to {most} of ({range_text(item)})"
        case inspect.DictType(max_length=int(most)):
            text = f"0 to {most} sections"
    return text


def _refuse_unknown(table: dict[str, Any], settings: type, prefix: str, source: Path | str) -> None:
    known = typing.get_type_hints(settings)
    for name, value in table.items():
        if name not in known:
            raise ConfigurationError(
                f"{source}: unknown setting {prefix}{name}; choose from {', '.join(sorted(known))}"
            )
        section = known[name]
        if isinstance(section, type) and dataclasses.is_dataclass(section) and isinstance(value, dict):
            _refuse_unknown(value, section, f"{prefix}{name}.", source)
        elif typing.get_origin(section) is dict and isinstance(value, dict):
            _, below = typing.get_args(section)
            for key, entry in value.items():
                if isinstance(below, type) and dataclasses.is_dataclass(below) and isinstance(entry, dict):
                    _refuse_unknown(entry, below, f"{prefix}{name}.{key}.", source)
