"""Escaping of text from files for terminals and pages."""


def printable(text: str) -> str:
    """Return `text` with every character that a terminal could interpret replaced by an escape sequence."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
