"""Presets: settings of tested scenarios, one TOML file each. The first line of a file states its purpose."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pygnc_cli.exit_codes import UsageError
from pygnc_ground.scenario.settings import Settings, Tables, merge_tables, read_tables, settings_from_tables

_TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.toml"))}


def scenario_presets() -> dict[str, str]:
    """Return the purpose of each preset by name, in alphabetical order."""
    return {name: text.splitlines()[0].removeprefix("# ") for name, text in _TEXTS.items()}


def preset_tables(name: str) -> Tables:
    """Return the settings in the file of a preset.

    Raises:
        ValueError: The preset does not exist; the message lists all presets.
    """
    if name not in _TEXTS:
        raise ValueError(_unknown(name))
    return tomllib.loads(_TEXTS[name])


def _unknown(name: str) -> str:
    return f"unknown preset {name!r}; choose from {', '.join(_TEXTS)}"


def scenario_settings(
    preset: str | None = None,
    settings: Settings | Mapping[str, Any] | Path | str | None = None,
    *,
    seed: int | None = None,
    start_utc: str | None = None,
    duration_s: int | None = None,
) -> Settings:
    """Return the settings of a preset, overridden by other settings, and these by seed, start and duration.

    `settings` is a mapping with the structure of `scenario.toml`, the path of such a file, or complete settings.

    Raises:
        OSError: The file cannot be read.
        UsageError: The preset does not exist.
        ValueError: A setting is unknown, of the wrong type or out of range.
    """
    single = {"seed": seed, "start_utc": start_utc, "duration_s": duration_s}
    return settings_from_tables(*scenario_tables(preset, settings, single))


def scenario_tables(
    preset: str | None, settings: Settings | Mapping[str, Any] | Path | str | None, single: Mapping[str, object]
) -> tuple[Tables, str]:
    """Return the settings of `scenario_settings`, not validated, and the name of their source for messages.

    `single` are values by name; those that are None override nothing.
    """
    if preset is not None and preset not in _TEXTS:
        raise UsageError(_unknown(preset))
    tables, source = preset_tables(preset) if preset is not None else {}, preset or "settings"
    if isinstance(settings, Path | str):
        tables, source = merge_tables(tables, read_tables(Path(settings))), str(settings)
    elif settings is not None:
        tables, source = merge_tables(tables, msgspec.to_builtins(settings)), "settings"
    return tables | {name: value for name, value in single.items() if value is not None}, source
