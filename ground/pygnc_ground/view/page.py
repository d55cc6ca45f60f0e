"""Files of the page that `pygnc view` serves: the player of the reports, and what feeds it."""

from pathlib import Path
from typing import Final

from pygnc_cli.web_page import page_style
from pygnc_cli.web_server import ICON, PAGE, SCRIPT, STYLE
from pygnc_ground.report.player.scripts import COMPONENTS, MODULES, STATIC
from pygnc_system.files import data_file

_REPORT_STYLE: Final = STATIC.parent.parent / "report.css"
_LIVE: Final = ("growing", "live")
"""Modules of this page in addition to those of the player."""
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
    found = {path: (SCRIPT, source.read_bytes()) for path, source in sources.items()}
    styles = (data_file("frontend/uplot.css"), _REPORT_STYLE, STATIC / "player.css", STATIC / "view.css")
    found["/page.css"] = STYLE, page_style(*styles).encode()
    found["/coastline.txt"] = "text/plain; charset=ascii", data_file("coastline/coastline.txt").read_bytes()
    found["/icon.svg"] = ICON, (_HERE / "icon.svg").read_bytes()
    section = (STATIC / "section.html").read_text(encoding="utf-8")
    page = (_HERE / "page.html").read_text(encoding="utf-8").replace("<!-- player -->", section)
    found["/"] = PAGE, page.encode()
    return found
