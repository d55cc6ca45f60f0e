"""A channel with its parser as one end of a simulated line; what it reports is kept."""

from collections.abc import Callable

from pygnc.host.channel import Channel
from pygnc.host.channel_events import ChannelEvent
from pygnc.host.sentence import SentenceParser
from pygnc_controller.emulator.virtual_pi import LineEnd


class ChannelEnd:
    """A channel on a line. `react` sees each outcome as it happens; `pump` may send when there is room."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.parser = SentenceParser()
        self.outcomes: list[ChannelEvent] = []
        self.react: Callable[[ChannelEvent, float], None] = lambda _outcome, _now_s: None
        self.pump: Callable[[float], None] = lambda _now_s: None

    def end(self) -> LineEnd:
        return LineEnd(self._read, self._line, self._wakeup_s)

    def restart(self, channel: Channel) -> None:
        self.channel = channel
        self.parser = SentenceParser()

    def of(self, kind: type) -> list[ChannelEvent]:
        return [outcome for outcome in self.outcomes if isinstance(outcome, kind)]

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
        for outcome in self.channel.pop_events():
            self.outcomes.append(outcome)
            self.react(outcome, now_s)
