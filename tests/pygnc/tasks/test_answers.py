from types import SimpleNamespace
from typing import cast

from pygnc.bus.messages import Message, TimeMark
from pygnc.bus.wire import StreamWriter
from pygnc.tasks.answers import Answers


class Stream:
    """A stream whose journal holds some answers already."""

    def __init__(self, last_seq: int) -> None:
        self.journal = SimpleNamespace(last_seq=last_seq)
        self.written: list[Message] = []

    def write(self, messages: list[Message]) -> None:
        self.written += messages
        self.journal.last_seq += len(messages)


MESSAGES = [TimeMark(number, "", 0, number, 0, 0) for number in range(1, 8)]


def test_each_answer_is_written_once_whatever_a_restart_makes_again() -> None:
    stream = Stream(last_seq=5)
    answers = Answers(cast("StreamWriter", stream), given=2)
    for begin, end in ((2, 4), (4, 6), (6, 7)):
        answers.write(MESSAGES[begin:end])
    assert stream.written == MESSAGES[5:]
    assert answers.given == 7


def test_nothing_to_say_writes_nothing() -> None:
    stream = Stream(last_seq=0)
    Answers(cast("StreamWriter", stream)).write([])
    assert stream.written == []
