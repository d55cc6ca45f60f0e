"""Check of a built site: its links lead to pages and anchors, and nothing is loaded from outside the site."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

_STYLE_ADDRESS: Final = re.compile(r"""(?:@import\s*(?:url\()?|url\()\s*["']?([^"')\s]+)""")
_LOADED: Final = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}
"""Elements that make a browser load what an attribute names."""


class _Page(HTMLParser):
    """Anchors of a page, the addresses to which it links, and those that it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.duplicates: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                (self.duplicates if value in self.anchors else self.anchors).add(value)
            elif name == "href" and tag == "a" and value:
                self.links.add(value)
            elif value and name == _LOADED.get(tag):
                self.loaded.add(value)


def faults(site: Path) -> list[str]:
    """Return a line for each wrong link and each address outside the site that a page or a style sheet loads."""
    pages = {path: _Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site)
        for address in sorted(page.links | page.loaded):
            fault = _fault(address, path, pages, loaded=address in page.loaded)
            if fault:
                found.append(f"{name}: {address}: {fault}")
        found += [f"{name}: two elements have the id {anchor}" for anchor in sorted(page.duplicates)]
    for path in sorted(site.rglob("*.css")):
        for address in _STYLE_ADDRESS.findall(path.read_text()):
            fault = _fault(address, path, pages, loaded=True)
            if fault:
                found.append(f"{path.relative_to(site)}: {address}: {fault}")
    return found


def _fault(address: str, path: Path, pages: dict[Path, _Page], *, loaded: bool) -> str:
    """Return what is wrong with an address in the file `path`, or an empty text."""
    parts = urlsplit(address)
    if parts.scheme == "data":
        return ""
    if parts.scheme or parts.netloc:
        return "is loaded from outside the site" if loaded else ""
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return "no such file"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return "no such anchor"
    return ""
