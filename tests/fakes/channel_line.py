"""Channel and parser as one end of a simulated line; events are recorded."""

from collections.abc import Callable

from pygnc.host.channel import Channel
from pygnc.host.channel_events import ChannelEvent
from pygnc.host.sentence import SentenceParser
from scripts.bench.virtual_link import LineEnd


class ChannelEnd:
    """A channel on a line. `react` is called with each event, `pump` before each output."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.parser = SentenceParser()
        self.events: list[ChannelEvent] = []
        self.react: Callable[[ChannelEvent, float], None] = lambda _event, _now_s: None
        self.pump: Callable[[float], None] = lambda _now_s: None

    def end(self) -> LineEnd:
        return LineEnd(self._read, self._line, self._wakeup_s)

    def restart(self, channel: Channel) -> None:
        self.channel = channel
        self.parser = SentenceParser()

    def of(self, kind: type) -> list[ChannelEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    def _read(self, data: bytes, now_s: float) -> None:
        for sentence in self.parser.feed(data).sentences:
            self.channel.receive(sentence, now_s)
        self._report(now_s)

    def _line(self, now_s: float) -> bytes | None:
        self.pump(now_s)
        line = self.channel.next_output(now_s)
        self._report(now_s)
        return line

    def _wakeup_s(self) -> float:
        return self.channel.wakeup_s()

    def _report(self, now_s: float) -> None:
        for event in self.channel.pop_events():
            self.events.append(event)
            self.react(event, now_s)
