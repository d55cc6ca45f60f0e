"""Files of the bridge's page: its own, and what it shares with the other pages."""

import logging
from pathlib import Path
from typing import Final

from pygnc_cli.web_page import LIBRARIES, page_style
from pygnc_cli.web_server import ICON, PAGE, SCRIPT, STYLE
from pygnc_system.files import data_file

_HERE: Final = Path(__file__).parent / "page"
_COMPONENTS: Final = ("theme", "cursor", "plot", "tables")
_OWN: Final = ("bridge", "messages", "attitude", "readings", "spectrum")
_KINDS: Final = {".js": SCRIPT, ".css": STYLE}

_log = logging.getLogger(__name__)


def page_files() -> dict[str, tuple[str, bytes]]:
    """Return type and content of each file by its path; without the JavaScript libraries, the page has no plots."""
    paths = {name: data_file(f"components/{name}.js") for name in _COMPONENTS}
    paths |= {name: _HERE / f"{name}.js" for name in _OWN}
    found = {f"/{name}.js": (SCRIPT, path.read_bytes()) for name, path in paths.items()}
    found["/"] = PAGE, (_HERE / "index.html").read_bytes()
    found["/icon.svg"] = ICON, (_HERE / "icon.svg").read_bytes()
    found["/page.css"] = STYLE, page_style(_HERE / "bridge.css").encode()
    try:
        for name in LIBRARIES:
            path = data_file(f"frontend/{name}")
            found[f"/{name}"] = _KINDS[path.suffix], path.read_bytes()
    except FileNotFoundError:
        _log.warning("the page has no plots: data/frontend is missing; run `make frontend` in the checkout")
    return found
