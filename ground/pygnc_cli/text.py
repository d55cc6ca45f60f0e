"""Text from files made safe for terminals and pages."""


def printable(text: str) -> str:
    """Return `text` with every character that a terminal could interpret shown as an escape sequence."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
