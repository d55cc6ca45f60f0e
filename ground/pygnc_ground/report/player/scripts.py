"""JavaScript modules of the player, which pages of servers load as they are and reports contain as one script."""

import re
from functools import cache
from pathlib import Path
from typing import Final

from pygnc_system.files import data_file

STATIC: Final = Path(__file__).with_name("static")
COMPONENTS: Final = ("theme", "cursor", "plot")
"""Modules for all pages, in data/components."""
MODULES: Final = ("unpack", "orbit", "stage", "globe", "body", "formation", "fragment", "timeline", "panels", "player")
"""Modules of the player, each of which imports only components and modules before it."""
_START: Final = "start"
"""Module that starts the player of a report."""
_IMPORT: Final = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:class|function|const) (\w+|\{[^}]*\}))", re.MULTILINE)


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
    paths = [data_file(f"components/{name}.js") for name in COMPONENTS]
    for path in (*paths, *(STATIC / f"{name}.js" for name in (*MODULES, _START))):
        name, text = path.stem, path.read_text(encoding="utf-8")
        text = _IMPORT.sub(r"const \1 = modules.\2;", text)
        exported = ", ".join(one.strip("{ }") for one in _EXPORT.findall(text))
        parts.append(f"modules.{name} = (() => {{\n{_EXPORT.sub('', text)}\nreturn {{ {exported} }};\n}})();")
    return "\n".join(parts)
