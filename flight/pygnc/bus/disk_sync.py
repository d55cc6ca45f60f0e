"""Makes a file durable beside its writer: a card may take half a second for it, a live packet has 50 ms."""

import os
from threading import Thread


class DiskSync(Thread):
    """One `fdatasync` under way.

    Args:
        descriptor: of the file; it stays open until `finish` has returned.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(name="disk-sync", daemon=True)
        self._descriptor = descriptor
        self._error: OSError | None = None
        self.start()

    def run(self) -> None:
        """Wait for the disk."""
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._error = error

    def finish(self) -> None:
        """Wait for the end.

        Raises:
            OSError: the disk has refused.
        """
        self.join()
        if self._error is not None:
            raise self._error
