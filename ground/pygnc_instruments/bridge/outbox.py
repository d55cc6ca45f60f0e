"""What waits to be sent to one client: bounded, so that a client that does not read costs only itself."""

import asyncio
from collections import deque
from typing import Final

DEPTH: Final = 64
"""Messages: two seconds of readings."""


class Outbox:
    """A bounded queue; answers are never dropped, of the rest the oldest is.

    Answers need no bound: a client's next command is taken when the answer to the one before has been sent.

    Attributes:
        dropped: messages that were dropped because the client did not read in time.
    """

    def __init__(self, depth: int = DEPTH) -> None:
        self._depth = depth
        self._messages: deque[str] = deque()
        self._answers: deque[str] = deque()
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_closed = False
        self.dropped = 0

    def put(self, message: str) -> None:
        """Add a message that the client did not ask for."""
        if len(self._messages) >= self._depth:
            self._messages.popleft()
            self.dropped += 1
        self._messages.append(message)
        self._news.set()

    async def answer(self, message: str) -> None:
        """Add an answer, and wait until it has been sent."""
        if self._is_closed:
            return
        self._answers.append(message)
        self._idle.clear()
        self._news.set()
        await self._idle.wait()

    def close(self) -> None:
        """Let go of whoever waits, and of who will: nothing will be sent any more."""
        self._is_closed = True
        self._idle.set()

    async def take(self) -> str:
        """Return what is to be sent next: answers first."""
        if not self._answers:
            self._idle.set()
        while not self._answers and not self._messages:
            self._news.clear()
            await self._news.wait()
        return self._answers.popleft() if self._answers else self._messages.popleft()
