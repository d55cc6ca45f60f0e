"""Player in a page: packed data, and all scripts as classic ones, which a page that is opened from a file can run."""

import base64
import hashlib
from typing import Final, NamedTuple, Self

from pygnc_ground.report.player.packing import pack
from pygnc_ground.report.player.recording import Recording
from pygnc_ground.report.player.scripts import STATIC, page_scripts
from pygnc_system.files import data_file

MISSING_LIBRARIES: Final = (
    "report.html has no player, because data/frontend is missing; run `make frontend` in the checkout (needs npm) and"
    " repeat the replay"
)
"""Remark for the user if the libraries of the pages are not there."""


class PlayerPage(NamedTuple):
    """Parts of a page with a player.

    Attributes:
        data: Packed recording.
        coastline: Rings around land.
        scripts: Scripts in their order, without the end tag of a script.
        style: Style sheets.
        section: The player's part of the page.
    """

    data: str
    coastline: str
    scripts: tuple[str, ...]
    style: str
    section: str

    @classmethod
    def of(cls, recording: Recording) -> Self | None:
        """Return the player of a recording, or None if the libraries of the pages are missing."""
        scripts = page_scripts()
        if scripts is None:
            return None
        coastline = data_file("coastline/coastline.txt").read_text(encoding="ascii")
        styles = (data_file("frontend/uplot.css"), STATIC / "player.css")
        style = "\n".join(path.read_text(encoding="utf-8") for path in styles)
        section = (STATIC / "section.html").read_text(encoding="utf-8")
        data = base64.b64encode(pack(recording.columns(), recording.about)).decode()
        return cls(data, coastline, scripts, style, section)

    @property
    def policy(self) -> str:
        """Content security policy: the scripts by their hashes, nothing from other hosts."""
        hashes = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in self.scripts)
        sources = " ".join(f"'sha256-{one}'" for one in hashes)
        return f"default-src 'none'; style-src 'unsafe-inline'; script-src {sources}"
