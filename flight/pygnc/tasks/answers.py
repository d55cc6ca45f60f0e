"""What a task answers, once: after a restart some answers are made a second time, and are in its journal already."""

from collections.abc import Sequence

from pygnc.bus.messages import Message
from pygnc.bus.wire import StreamWriter


class Answers:
    """Writes a task's stream of answers.

    Args:
        stream: Its stream; the journal behind it says what was written before a restart.
        given: Answers given up to the checkpoint from which the task goes on.

    Attributes:
        given: Answers given so far, those of before the restart included.
    """

    def __init__(self, stream: StreamWriter, given: int = 0) -> None:
        self._stream = stream
        self.given = given

    def write(self, messages: Sequence[Message]) -> None:
        """Give the next answers; those that are not in the journal yet are written."""
        already = max(0, self._stream.journal.last_seq - self.given)
        self.given += len(messages)
        if messages[already:]:
            self._stream.write(messages[already:])
