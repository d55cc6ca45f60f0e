"""Settings that the host changes over the line: names, validation, storage, and their use at the next start.

Changes are kept in two small files in the home, which are written alternately.
"""

import dataclasses
from pathlib import Path
from typing import Any, Final, NamedTuple

from pygnc.configuration.load import (
    SETTINGS_BYTES_MAX,
    SETTINGS_FILE,
    ConfigurationError,
    given_up,
    read_table,
    settings_from_table,
    settings_from_tables,
    table_from_text,
    usable_table,
    usable_tables,
)
from pygnc.configuration.settings import Settings
from pygnc.configuration.trial import Tables, Trial, read_record
from pygnc_system.files import durable_write, read_input

NAMES: Final = ("pygnc_settings_0.bin", "pygnc_settings_1.bin")


def named_values(section: Any, prefix: str = "") -> dict[str, Any]:  # noqa: ANN401 - accepts any dataclass
    """Return every setting by its dotted name, except `[devices]`, which only the settings file sets."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            found |= named_values(value, f"{prefix}{field.name}.")
        elif not isinstance(value, dict):  # a dict is a section with names chosen by the user, such as [devices.NAME]
            found[prefix + field.name] = value
    return found


def changed_settings(file: Path | None, home: Path, changes: str) -> Settings:
    """Return the settings of the file, or of its replacement by `usable_table`, with `changes` (TOML) applied.

    Raises:
        ConfigurationError: No run could start with these settings.
    """
    source = "the changed settings"
    return settings_from_tables(Tables(usable_table(file, home)[0], table_from_text(changes, source)), source)


def read_slots(home: Path) -> list[bytes]:
    """Return the contents of the two slots, empty for a file that does not exist, invalid for an unreadable one."""
    contents = []
    for name in NAMES:
        try:
            contents.append(read_input(home / name, SETTINGS_BYTES_MAX))
        except FileNotFoundError:
            contents.append(b"")
        except OSError as error:
            contents.append((error.strerror or "").encode())  # no valid slot, so it counts as damaged
    return contents


def write_slot(home: Path, slot: int, content: bytes) -> None:
    """Replace the file of a slot (0 or 1) by `content` (see `encode_slot`) and sync it.

    Raises:
        OSError: Writing failed.
    """
    durable_write(home / NAMES[slot], content)


class Loaded(NamedTuple):
    """Settings of a start.

    Attributes:
        settings: The settings.
        fault: Reasons if others than those of the file and of the host's changes are used, otherwise empty.
        trial: Trial of these settings; it records nothing with `strict` or if others were given up.
        unused_generation: Generation of the host's changes if they are given up or invalid; 0 if they are used.
    """

    settings: Settings
    fault: str
    trial: Trial
    unused_generation: int = 0


def load_settings(file: Path | None, home: Path, *, strict: bool = False) -> Loaded:
    """Return the settings of the file with the host's changes, or those that flew before if these are given up.

    Changes are validated when they are made. If they no longer fit the settings file, the run starts without them.

    Unless `strict`, `usable_table` replaces a faulty settings file. `file` and `home` are those of `read_table`.

    Raises:
        ConfigurationError: `strict`, and the settings file cannot be used.
    """
    path = file or home / SETTINGS_FILE
    table, fault = (read_table(file, home), "") if strict else usable_table(file, home)
    tables, changes_fault, generation = _with_changes(table, read_slots(home))
    if strict:
        settings_from_table(table, path)  # the changes must not conceal a fault of the file
        return Loaded(settings_from_tables(tables, path), changes_fault, Trial.of_flown(home, tables))
    record, record_fault = read_record(home)
    trial = Trial(home, tables, record, is_damaged=bool(record_fault))
    given_up_fault = ""
    if trial.is_given_up:
        tables = usable_tables(record.flown, home)
        given_up_fault, trial = given_up(trial, tables), Trial.of_flown(home, tables)
    faults = filter(None, (fault, changes_fault, record_fault, given_up_fault))
    unused = generation if given_up_fault or not tables.changes else 0
    return Loaded(settings_from_tables(tables, path), "; ".join(faults), trial, unused)


def _with_changes(table: dict[str, Any], slots: list[bytes]) -> tuple[Tables, str, int]:
    """Return the settings with the changes in the slots, if they are valid, the faults, and their generation."""
    if not any(slots):
        return Tables(table), "", 0
    from pygnc.host.parameters import decode_slots  # noqa: PLC0415 - few runs need it, and it delays the start

    faults, source = [], "the stored text"
    stored = decode_slots(slots)
    for slot in stored.damaged:
        remaining = f"generation {stored.generation} is used" if stored.generation else "there is no other"
        faults.append(f"{NAMES[slot]}, which holds settings changed over the line, fails its check sum; {remaining}")
    tables = Tables(table)
    try:
        changed = Tables(table, table_from_text(stored.text, source))
        settings_from_tables(changed, source)
        tables = changed
    except ConfigurationError as error:
        faults.append(f"settings changed over the line are ignored: {error}")
    return tables, "; ".join(faults), stored.generation
