"""Player in a page: packed data, and all scripts as classic ones, which a page that is opened from a file can run."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, Self

from pygnc_ground.report.player.packing import pack
from pygnc_ground.report.player.recording import Recording
from pygnc_system.files import data_file

MISSING_LIBRARIES: Final = (
    "report.html has no player, because data/frontend is missing; run `make frontend` in the checkout (needs npm) and"
    " repeat the replay"
)
"""Remark for the user if the libraries of the pages are not there."""
_STATIC: Final = Path(__file__).with_name("static")
_COMPONENTS: Final = ("theme", "cursor", "plot")
_MODULES: Final = ("unpack", "orbit", "stage", "globe", "body", "formation", "fragment", "timeline", "panels", "main")
"""Modules, each of which imports only components for all pages and modules before it."""
_IMPORT: Final = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:class|function|const) (\w+|\{[^}]*\}))", re.MULTILINE)


class PlayerPage(NamedTuple):
    """Parts of a page with a player.

    Attributes:
        data: Packed recording.
        coastline: Rings around land.
        scripts: Scripts in their order, without the end tag of a script.
        style: Style sheets.
        with_truth: True if the recording has a true attitude.
    """

    data: str
    coastline: str
    scripts: tuple[str, ...]
    style: str
    with_truth: bool

    @classmethod
    def of(cls, recording: Recording) -> Self | None:
        """Return the player of a recording, or None if the libraries of the pages are missing."""
        scripts = page_scripts()
        if scripts is None:
            return None
        coastline = data_file("coastline/coastline.txt").read_text(encoding="ascii")
        styles = (data_file("frontend/uplot.css"), _STATIC / "player.css")
        style = "\n".join(path.read_text(encoding="utf-8") for path in styles)
        with_truth = "truth" in recording.tables
        return cls(pack(*recording), coastline, scripts, style, with_truth)

    @property
    def policy(self) -> str:
        """Content security policy: the scripts by their hashes, nothing from other hosts."""
        hashes = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in self.scripts)
        sources = " ".join(f"'sha256-{one}'" for one in hashes)
        return f"default-src 'none'; style-src 'unsafe-inline'; script-src {sources}"


@cache
def page_scripts() -> tuple[str, ...] | None:
    """Return the libraries and our modules as classic scripts; None if the libraries are missing."""
    try:
        libraries = [data_file(f"frontend/{name}").read_text(encoding="utf-8") for name in ("uplot.js", "three.js")]
    except FileNotFoundError:
        return None
    return tuple(one.strip().replace("</script", r"<\/script") for one in (*libraries, _joined()))


def _joined() -> str:
    """Return our modules as one script, in which each is a function that returns what it exports."""
    parts = ['"use strict";', "const modules = {};"]
    paths = [data_file(f"components/{name}.js") for name in _COMPONENTS]
    for path in (*paths, *(_STATIC / f"{name}.js" for name in _MODULES)):
        name, text = path.stem, path.read_text(encoding="utf-8")
        text = _IMPORT.sub(r"const \1 = modules.\2;", text)
        exported = ", ".join(one.strip("{ }") for one in _EXPORT.findall(text))
        parts.append(f"modules.{name} = (() => {{\n{_EXPORT.sub('', text)}\nreturn {{ {exported} }};\n}})();")
    return "\n".join(parts)
