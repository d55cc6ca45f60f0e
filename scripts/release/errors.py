"""Error of the release tools."""


class ReleaseError(Exception):
    """A release cannot be made; the message names the reason and the remedy."""
