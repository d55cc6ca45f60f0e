"""Licence that an installed library declares."""

from importlib.metadata import Distribution
from typing import Final

LONGEST_NAME: Final = 80
"""Longer texts in the field License are a whole licence, not its name."""


def declared_licence(library: Distribution) -> str | None:
    """Return the SPDX expression of a library, or the name of its licence in an older field; None without any."""
    fields = library.metadata.json
    if expression := fields.get("license_expression"):
        return str(expression)
    name = str(fields.get("license", "")).strip()
    if name and "\n" not in name and len(name) <= LONGEST_NAME:
        return name
    classifiers = [text for text in fields.get("classifier", ()) if text.startswith("License :: ")]
    return " / ".join(text.rpartition(" :: ")[2] for text in classifiers) or None
