"""Settings that the host changes over the line: names, validation, storage, and their use at the next start.

Changes are kept in two small files in the home, which are written alternately.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from pygnc.common.files import durable_write
from pygnc.configuration.load import SETTINGS_FILE, ConfigurationError, read_table, settings_from_table
from pygnc.configuration.settings import Settings


def named_values(settings: Settings) -> dict[str, Any]:
    """Return every setting by its dotted name, except `[devices]`, which only the settings file sets."""
    return dict(_named(settings, ""))


def settings_validator(file: Path | None, home: Path) -> Callable[[dict[str, Any]], object]:
    """Return a validator of changes; it raises ValueError if no run could start with them."""
    from pygnc.host.parameters import merge_settings  # noqa: PLC0415 - delays the start

    def check(changes: dict[str, Any]) -> Settings:
        return settings_from_table(merge_settings(read_table(file, home), changes), file or home / SETTINGS_FILE)

    return check


def _named(section: object, prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in _fields(section):
        value = getattr(section, name)
        if isinstance(value, dict):
            continue  # sections with names chosen by the user, such as [devices.NAME]
        below = _named(value, f"{prefix}{name}.")
        found += below or [(prefix + name, value)]
    return found


def _fields(section: object) -> list[str]:
    if isinstance(section, msgspec.Struct):
        return [field.name for field in msgspec.structs.fields(type(section))]
    if dataclasses.is_dataclass(section):
        return [field.name for field in dataclasses.fields(section)]
    return []


NAMES: Final = ("pygnc_settings_0.bin", "pygnc_settings_1.bin")


class SettingsSlots:
    """The two files with changed settings; implements `pygnc.host.parameters.Slots`.

    Args:
        home: the host's folder.
    """

    def __init__(self, home: Path) -> None:
        self._paths = [home / name for name in NAMES]

    @property
    def exist(self) -> bool:
        """Whether any of the files exists."""
        return any(path.exists() for path in self._paths)

    def read(self, slot: int) -> bytes:
        """See `Slots`."""
        try:
            return self._paths[slot].read_bytes()
        except OSError:
            return b""

    def write(self, slot: int, content: bytes) -> None:
        """See `Slots`."""
        durable_write(self._paths[slot], content)


def load_settings(file: Path | None, home: Path) -> tuple[Settings, str]:
    """Return the settings of the file with the host's changes, and why the changes were ignored (else empty).

    Changes are validated when they are made. If they no longer fit the settings file, the run starts without them.

    Raises:
        ConfigurationError: the settings file cannot be used.
    """
    table = read_table(file, home)
    path = file or home / SETTINGS_FILE
    settings = settings_from_table(table, path)
    slots = SettingsSlots(home)
    if not slots.exist:
        return settings, ""
    # Few runs have changes, and these imports delay the start.
    import tomllib  # noqa: PLC0415

    from pygnc.host.parameters import merge_settings, read_slots  # noqa: PLC0415

    try:
        return settings_from_table(merge_settings(table, tomllib.loads(read_slots(slots).text)), path), ""
    except (ConfigurationError, tomllib.TOMLDecodeError) as error:
        return settings, f"settings changed over the line are ignored: {error}"
