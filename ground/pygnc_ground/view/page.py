"""Files of the page that `pygnc view` serves: the player of the reports, and what feeds it."""

import json
import tomllib
from pathlib import Path
from typing import Final

from pygnc_ground.report.player.scripts import COMPONENTS, MODULES, STATIC
from pygnc_system.files import data_file

_REPORT: Final = STATIC.parent.parent
_LIVE: Final = ("growing", "live")
"""Modules of this page in addition to those of the player."""
_SCRIPT: Final = "text/javascript; charset=utf-8"
_STYLE: Final = "text/css; charset=utf-8"
_HERE: Final = Path(__file__).parent


def page_files() -> dict[str, tuple[str, bytes]]:
    """Return type and content of each file by its path.

    Raises:
        FileNotFoundError: The JavaScript libraries are missing.
    """
    sources = {
        "/uplot.js": data_file("frontend/uplot.js"),
        "/three.js": data_file("frontend/three.js"),
        **{f"/{name}.js": data_file(f"components/{name}.js") for name in COMPONENTS},
        **{f"/{name}.js": STATIC / f"{name}.js" for name in (*MODULES, *_LIVE)},
    }
    found = {path: (_SCRIPT, source.read_bytes()) for path, source in sources.items()}
    styles = (data_file("frontend/uplot.css"), _REPORT / "report.css", STATIC / "player.css", STATIC / "view.css")
    style = "\n".join([palette_style(), *(path.read_text(encoding="utf-8") for path in styles)])
    found["/page.css"] = _STYLE, style.encode()
    found["/coastline.txt"] = "text/plain; charset=ascii", data_file("coastline/coastline.txt").read_bytes()
    found["/icon.svg"] = "image/svg+xml", (_HERE / "icon.svg").read_bytes()
    section = (STATIC / "section.html").read_text(encoding="utf-8")
    page = (_HERE / "page.html").read_text(encoding="utf-8").replace("<!-- player -->", section)
    found["/"] = "text/html; charset=utf-8", page.encode()
    return found


def palette_style() -> str:
    """Return the colours of the pages as CSS variables, light and dark."""
    colours = tomllib.loads((_REPORT / "palette.toml").read_text(encoding="utf-8"))

    def root(scheme: str) -> str:
        return ":root {" + "".join(f" --{name}: {json.dumps(of[scheme])[1:-1]};" for name, of in colours.items()) + " }"

    return f"{root('light')}\n@media screen and (prefers-color-scheme: dark) {{\n  {root('dark')}\n}}"
