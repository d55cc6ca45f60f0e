"""Which of a file's objects is meant."""

from collections.abc import Sequence


def choose_object(present: Sequence[str], wanted: str | None) -> str:
    """The object wanted, or the only one there is.

    Raises:
        ValueError: It is not there, or there are several and none was named; the message lists them.
    """
    names = ", ".join(dict.fromkeys(present)) or "none"
    if wanted is None:
        if len(set(present)) != 1:
            raise ValueError(f"name the object, by its identifier; the file has {names}")
        return present[0]
    if wanted not in present:
        raise ValueError(f"there is no object {wanted!r}; the file has {names}")
    return wanted
