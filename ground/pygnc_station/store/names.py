"""File names that every file system takes, from names that people and devices give."""

import re
from typing import Final

_FORBIDDEN: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST: Final = 80


def portable(name: str) -> str:
    """Return a name of letters, digits, points, hyphens and underscores that begins with none of the signs."""
    return _FORBIDDEN.sub("_", name).strip("._-")[:_LONGEST] or "unnamed"
