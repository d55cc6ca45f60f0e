"""Errors that a user of a station can cause or repair."""


class StationError(Exception):
    """The message names file, port or server, and what helps."""


class StoreError(Exception):
    """The store cannot be opened, read or written; the message names it and what helps."""


class RefusedReadingsError(StoreError):
    """The database refuses these readings, not the connection: trying again helps nothing.

    Attributes:
        reason: what it says, without its name, which is nobody's business elsewhere.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.reason = reason


class TransferError(Exception):
    """The other end does not answer, or not now: try again later."""
