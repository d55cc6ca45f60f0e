"""Settings of well-tried scenarios, by name: the TOML files beside this module. Their first line says what for."""

import tomllib
from importlib.resources import files

from pygnc_ground.scenario.settings import Tables

_SUFFIX = ".toml"


def preset_summaries() -> dict[str, str]:
    """What each preset is, by name, in alphabetical order."""
    return {name: text.splitlines()[0].removeprefix("# ") for name, text in sorted(_texts().items())}


def preset_tables(name: str) -> Tables:
    """A preset's settings as its file names them.

    Raises:
        ValueError: There is no such preset; the message names those there are.
    """
    texts = _texts()
    if name not in texts:
        raise ValueError(f"there is no preset {name!r}; there are {', '.join(sorted(texts))}")
    return tomllib.loads(texts[name])


def _texts() -> dict[str, str]:
    return {
        file.name.removesuffix(_SUFFIX): file.read_text(encoding="utf-8")
        for file in files(__name__).iterdir()
        if file.name.endswith(_SUFFIX)
    }
