"""Settings under the names that the host uses for them, and the check that a run can start with changed ones."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pygnc.configuration.load import SETTINGS_FILE, read_table, settings_of
from pygnc.configuration.settings import Settings
from pygnc.host.parameters import merged


def named_values(settings: Settings) -> dict[str, Any]:
    """Return every setting by its name with dots; devices are set in the settings file alone."""
    return dict(_named(settings, ""))


def start_check(file: Path | None, home: Path) -> Callable[[dict[str, Any]], object]:
    """Return what raises ValueError if no run could start with the changes it is given."""

    def check(changes: dict[str, Any]) -> Settings:
        return settings_of(merged(read_table(file, home), changes), file or home / SETTINGS_FILE)

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
