"""Messages of errors, and escaping of text from files for terminals and pages."""


def printable(text: str) -> str:
    """Return `text` with every character that a terminal could interpret replaced by an escape sequence."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def reason_of(error: Exception) -> str:
    """Return the message of an error; for an OSError, the file and what is wrong with it."""
    filename = error.filename if isinstance(error, OSError) else None
    return f"{filename}: {cause_of(error)}" if filename else cause_of(error)


def cause_of(error: Exception) -> str:
    """Return the message of an error, without the file name and the error number of an OSError."""
    return getattr(error, "strerror", None) or str(error)
