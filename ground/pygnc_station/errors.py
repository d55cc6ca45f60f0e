"""Errors that a user of a station can cause or repair."""


class StationError(Exception):
    """Wrong setting, file, key or server. The message names it and the remedy."""


class StoreError(Exception):
    """The store cannot be opened, read or written. The message names it and the remedy."""


class RefusedReadingsError(StoreError):
    """The database refuses these readings; a retry cannot succeed.

    Attributes:
        reason: the database's message without the database's name, so that it can be sent to clients.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.reason = reason


class BadBatchError(Exception):
    """A server rejects a batch; the message is the reason."""


class TransferError(Exception):
    """Temporary failure of a remote system: it does not respond, or asks to retry later."""
