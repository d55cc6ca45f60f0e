"""Style that the pages of all servers and reports share: the colours of data/components/palette.toml, and page.css."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from pygnc_system.files import data_file

LIBRARIES: Final = ("uplot.js", "uplot.css")
"""Files in data/frontend that a page with plots loads; in a checkout, `make frontend` collects them."""
_DARK: Final = "@media screen and (prefers-color-scheme: dark)"


class Colour(NamedTuple):
    """Colour on a light and on a dark page, as #rrggbb; all `light` values are distinct."""

    light: str
    dark: str


def _read_palette() -> Mapping[str, Colour]:
    colours = tomllib.loads(data_file("components/palette.toml").read_text(encoding="utf-8"))
    return MappingProxyType({name: Colour(**of) for name, of in colours.items()})


PALETTE: Final = _read_palette()


def page_style(*further: Path) -> str:
    """Return the style sheet of a page: the colours as CSS variables, page.css, and further style sheets."""
    light = " ".join(f"--{name}: {colour.light};" for name, colour in PALETTE.items())
    dark = " ".join(f"--{name}: {colour.dark};" for name, colour in PALETTE.items())
    colours = f":root {{ {light} }}\n{_DARK} {{ :root {{ {dark} }} }}"
    files = (data_file("components/page.css"), *further)
    return "\n".join((colours, *(path.read_text(encoding="utf-8") for path in files)))
