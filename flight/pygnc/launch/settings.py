"""The settings of a run: what the settings file says, and on top of it what the host has changed over the line."""

from pathlib import Path

from pygnc.configuration.load import SETTINGS_FILE, ConfigurationError, read_table, settings_of
from pygnc.configuration.settings import Settings
from pygnc.tasks.host_link.slots import FileSlots


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

    from pygnc.host.parameters import merged, read_slots  # noqa: PLC0415

    try:
        return settings_of(merged(table, tomllib.loads(read_slots(slots).text)), path), ""
    except (ConfigurationError, tomllib.TOMLDecodeError) as error:
        return settings, f"settings changed over the line are left out: {error}"
