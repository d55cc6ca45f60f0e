"""Settings that the host changes over the line: names, validation, storage, and their use at the next start.

Changes are kept in two small files in the home, which are written alternately.
"""

import dataclasses
from pathlib import Path
from typing import Any, Final

from pygnc.common.files import durable_write, read_input
from pygnc.configuration.load import SETTINGS_FILE, ConfigurationError, load, read_table, settings_from_table
from pygnc.configuration.settings import Settings


def named_values(section: Any, prefix: str = "") -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    """Return every setting by its dotted name, except `[devices]`, which only the settings file sets."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            found |= named_values(value, f"{prefix}{field.name}.")
        elif not isinstance(value, dict):  # a section with names chosen by the user, such as [devices.NAME]
            found[prefix + field.name] = value
    return found


def changed_settings(file: Path | None, home: Path, changes: dict[str, Any]) -> Settings:
    """Return the settings of the file with these changes.

    Raises:
        ConfigurationError: no run could start with these settings.
    """
    from pygnc.host.parameters import merge_settings  # noqa: PLC0415 - most runs have no changes; it delays the start

    return settings_from_table(merge_settings(read_table(file, home), changes), file or home / SETTINGS_FILE)


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
        """True if one of the files exists."""
        return any(path.exists() for path in self._paths)

    def read(self, slot: int) -> bytes:
        """See `Slots`."""
        try:
            return read_input(self._paths[slot])
        except OSError:
            return b""

    def write(self, slot: int, content: bytes) -> None:
        """See `Slots`."""
        durable_write(self._paths[slot], content)


def load_settings(file: Path | None, home: Path) -> tuple[Settings, str]:
    """Return the settings of the file with the host's changes, and the reason if the changes are ignored, else empty.

    Changes are validated when they are made. If they no longer fit the settings file, the run starts without them.

    Raises:
        ConfigurationError: the settings file cannot be used.
    """
    settings = load(file, home)
    slots = SettingsSlots(home)
    if not slots.exist:
        return settings, ""
    # Few runs have changes, and these imports delay the start.
    import tomllib  # noqa: PLC0415

    from pygnc.host.parameters import read_slots  # noqa: PLC0415

    try:
        return changed_settings(file, home, tomllib.loads(read_slots(slots).text)), ""
    except (ConfigurationError, tomllib.TOMLDecodeError) as error:
        return settings, f"settings changed over the line are ignored: {error}"
