"""Settings under the names that the host uses for them, and the check that a run can start with changed ones.

The two files that keep settings changed over the line.

The settings of a run: what the settings file says, and on top of it what the host has changed over the line.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from pygnc.common.files import durable_write
from pygnc.configuration.load import SETTINGS_FILE, ConfigurationError, read_table, settings_of
from pygnc.configuration.settings import Settings
from pygnc.host.parameters import merge_settings


def named_values(settings: Settings) -> dict[str, Any]:
    """Return every setting by its name with dots; devices are set in the settings file alone."""
    return dict(_named(settings, ""))


def start_check(file: Path | None, home: Path) -> Callable[[dict[str, Any]], object]:
    """Return what raises ValueError if no run could start with the changes it is given."""

    def check(changes: dict[str, Any]) -> Settings:
        return settings_of(merge_settings(read_table(file, home), changes), file or home / SETTINGS_FILE)

    return check


def _named(section: object, prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in _fields(section):
        value = getattr(section, name)
        if isinstance(value, dict):
            continue  # sections that are named by people have their place in the settings file
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


class FileSlots:
    """Two small files in the home.

    Args:
        home: the host's folder.
    """

    def __init__(self, home: Path) -> None:
        self._paths = [home / name for name in NAMES]

    @property
    def exist(self) -> bool:
        """Whether there is any."""
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
    """Return the settings, and why the changes kept over the line are left out; empty if they are not.

    Changes were checked when they were made. If they fit the settings file no longer, a run without them is better
    than none.

    Raises:
        ConfigurationError: the settings file cannot be used.
    """
    table = read_table(file, home)
    path = file or home / SETTINGS_FILE
    settings = settings_of(table, path)
    slots = FileSlots(home)
    if not slots.exist:
        return settings, ""
    # Few runs have them, and these would delay the start.
    import tomllib  # noqa: PLC0415

    from pygnc.host.parameters import read_slots  # noqa: PLC0415

    try:
        return settings_of(merge_settings(table, tomllib.loads(read_slots(slots).text)), path), ""
    except (ConfigurationError, tomllib.TOMLDecodeError) as error:
        return settings, f"settings changed over the line are left out: {error}"
