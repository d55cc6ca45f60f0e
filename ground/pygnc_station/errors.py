"""Errors that a user of a station can cause or repair."""


class StationError(Exception):
    """Error of a setting, file, key or server; the message names the object and the remedy."""


class StoreError(Exception):
    """Error raised when a store cannot be opened, read or written; the message names the store and the remedy."""


class FullDiskError(StoreError):
    """Error raised when the disk of a store has no room for a change."""


class StoreServerError(StoreError):
    """Error raised when a database server cannot be reached, or does not accept login or statement."""


class RefusedReadingsError(StoreError):
    """Error raised when the database refuses readings; a retry cannot succeed.

    Attributes:
        reason: the database's message without the database's name, so that it can be sent to clients.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.reason = reason


class BadBatchError(Exception):
    """Error raised when a batch is rejected; the message is the reason."""


class RefusalError(StationError):
    """Error raised when a remote system does not accept the login or a request; a retry cannot succeed."""


class UntrustedError(RefusalError):
    """Error raised when a server's certificate is not trusted."""


class TransferError(Exception):
    """Temporary failure of a remote system: no response, or a response that asks for a later retry."""


class UnreachableError(TransferError):
    """Temporary failure that would affect every request: no connection, or a system that is overloaded or down."""
