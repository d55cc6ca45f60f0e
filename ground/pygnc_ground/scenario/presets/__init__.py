"""Presets: settings of tested scenarios, one TOML file each. The first line of a file states its purpose."""

import tomllib
from importlib.resources import files

from pygnc_ground.scenario.settings import Tables

_SUFFIX = ".toml"


def preset_summaries() -> dict[str, str]:
    """Return the purpose of each preset by name, in alphabetical order."""
    return {name: text.splitlines()[0].removeprefix("# ") for name, text in sorted(_texts().items())}


def preset_tables(name: str) -> Tables:
    """Return a preset's settings as its file names them.

    Raises:
        ValueError: The preset does not exist; the message lists those that do.
    """
    texts = _texts()
    if name not in texts:
        raise ValueError(f"unknown preset {name!r}; choose from {', '.join(sorted(texts))}")
    return tomllib.loads(texts[name])


def _texts() -> dict[str, str]:
    return {
        file.name.removesuffix(_SUFFIX): file.read_text(encoding="utf-8")
        for file in files(__name__).iterdir()
        if file.name.endswith(_SUFFIX)
    }
