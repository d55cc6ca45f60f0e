"""Presets: settings of tested scenarios, one TOML file each. The first line of a file states its purpose."""

import tomllib
from pathlib import Path

from pygnc_cli.exit_codes import UsageError
from pygnc_ground.scenario.settings import Settings, Tables, merge_tables, read_tables, settings_from_tables

_TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.toml"))}


def preset_summaries() -> dict[str, str]:
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


def settings_from_options(preset: str | None, config: Path | None, seed: int | None = None) -> Settings:
    """Return the settings of a preset, overridden by the settings of a file and by the seed.

    Raises:
        OSError: The file cannot be read.
        UsageError: The preset does not exist.
        ValueError: A setting is unknown, of the wrong type or out of range.
    """
    if preset is not None and preset not in _TEXTS:
        raise UsageError(_unknown(preset))
    tables = preset_tables(preset) if preset is not None else {}
    if config is not None:
        tables = merge_tables(tables, read_tables(config))
    if seed is not None:
        tables = tables | {"seed": seed}
    return settings_from_tables(tables, str(config or preset))
