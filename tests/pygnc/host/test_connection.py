"""Sentences of the host are obeyed or refused, and answered in time. The clock is the test's."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from pygnc.host.channel import Channel
from pygnc.host.channel_events import ChannelEvent, Received
from pygnc.host.connection import HostConnection
from pygnc.host.parameters import Parameters
from pygnc.host.retransmission import WINDOW
from pygnc.host.sentence import Direction, SentenceParser
from pygnc.host.sentence_types import (
    DNLE,
    DNLS,
    DNOP,
    DNST,
    EVNT,
    INFO,
    LOST,
    NAKN,
    PGET,
    PING,
    PONG,
    PSET,
    PVAL,
    SENS,
    STAT,
    STOP,
    STRQ,
    NakCause,
    SentenceType,
)
from pygnc.host.transfer import PAGE_ENTRIES, OpenedFile, Refusal
from tests.fakes.memory_storage import MemoryStorage

NAME = "pygnc_batch/sense.bin"


@dataclass
class FakeDesk:
    packets: list[bytes] = field(default_factory=list)
    reports: dict[SentenceType, bytes] = field(default_factory=dict)
    stops: int = 0
    is_full: bool = False

    def take_packet(self, received: Received) -> None:
        if self.is_full:
            raise Refusal(NakCause.STORAGE, ": full")
        self.packets.append(received.body.tail)

    def report(self, kind: SentenceType) -> bytes:
        try:
            return self.reports[kind]
        except KeyError:
            raise Refusal(NakCause.UNABLE, ": not yet") from None

    def stop(self) -> None:
        self.stops += 1


class Both:
    """Host and connection joined by a perfect line; each exchange takes 10 ms."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.desk = FakeDesk()
        self.storage = MemoryStorage({NAME: bytes(100_000)})
        self.slots = [b"", b""]
        values: dict[str, Any] = {"logs.ceiling_bytes": 5}
        parameters = Parameters(values, lambda _: None, self.slots, self.slots.__setitem__)
        self.pi = HostConnection(Channel(Direction.TO_HOST, 9, "pygnc"), self.storage, parameters, self.desk)
        self.host = Channel(Direction.TO_PI, 7, "host")
        self.parser = SentenceParser()
        self.outcomes: list[ChannelEvent] = []
        self.exchange()

    def exchange(self, times: int = 10) -> None:
        for _ in range(times):
            self.now_s += 0.01
            while (line := self.host.next_output(self.now_s)) is not None:
                self.pi.take(line, self.now_s)
            while (line := self.pi.next_output(self.now_s)) is not None:
                for sentence in self.parser.feed(line).sentences:
                    self.host.receive(sentence, self.now_s)
            self.outcomes += self.host.pop_events()

    def say(self, kind: SentenceType, *values: int, tail: bytes = b"") -> None:
        self.host.send(kind, kind.pack(*values, tail=tail), self.now_s)
        self.exchange()

    def heard(self, kind: SentenceType) -> list[tuple[dict[str, int], bytes]]:
        return [tuple(o.body) for o in self.outcomes if isinstance(o, Received) and o.kind is kind]  # type: ignore[misc]


def test_a_ping_is_answered_by_its_key() -> None:
    both = Both()
    both.say(PING, 4711)
    assert both.heard(PONG) == [({"key": 4711}, b"")]


def test_the_status_is_what_the_file_holds_or_it_is_refused() -> None:
    both = Both()
    both.say(STRQ, 0)
    assert both.heard(NAKN)[0][0]["cause"] == NakCause.UNABLE
    both.desk.reports = {STAT: b"record", INFO: b"line"}
    both.say(STRQ, 0)
    both.say(STRQ, 1)
    both.say(STRQ, 2)
    assert both.heard(STAT) == [({}, b"record")]
    assert both.heard(INFO) == [({}, b"line")]
    assert both.heard(NAKN)[1][0]["cause"] == NakCause.VALUE


def test_a_live_packet_is_kept_or_refused() -> None:
    both = Both()
    both.say(SENS, tail=bytes(30))
    both.desk.is_full = True
    both.say(SENS, tail=bytes(30))
    assert both.desk.packets == [bytes(30)]
    assert both.heard(NAKN)[0][0]["cause"] == NakCause.STORAGE


def test_a_stop_is_passed_on() -> None:
    both = Both()
    both.say(STOP)
    assert both.desk.stops == 1


def test_settings_are_answered() -> None:
    both = Both()
    both.say(PGET, tail=b"logs.ceiling_bytes")
    both.say(PSET, tail=b"logs.ceiling_bytes = 6")
    assert [tail for _, tail in both.heard(PVAL)] == [b"logs.ceiling_bytes = 5", b"logs.ceiling_bytes = 6"]
    assert any(both.slots)


def test_a_download_leaves_room_for_answers() -> None:
    both = Both()
    both.host.send(DNOP, DNOP.pack(1, 0, tail=NAME.encode()), both.now_s)
    line = both.host.next_output(both.now_s)
    assert line is not None
    both.pi.take(line, both.now_s)
    for _ in range(1000):
        both.pi.next_output(both.now_s)
    assert both.pi.channel.room >= 48
    both.say(PGET, tail=b"logs.ceiling_bytes")
    both.exchange(300)
    assert len(both.heard(PVAL)) == 1


def test_an_event_is_cut_to_what_a_sentence_holds() -> None:
    both = Both()
    both.pi.send_event(2, "crash: " + "x" * 9000, both.now_s)
    both.exchange()
    ((fields, tail),) = both.heard(EVNT)
    assert fields["severity"] == 2
    assert tail.startswith(b"crash: x")
    assert len(tail) == EVNT.tail_max


def test_noise_is_skipped() -> None:
    both = Both()
    both.pi.take(b"pygnc: ingest: no batch\n\x00\x1b[0m", both.now_s)
    both.pi.take(b"\r\n", both.now_s)
    both.say(PING, 1)
    assert both.heard(PONG)


def test_requests_wait_until_there_is_room_for_their_responses() -> None:
    both = Both()
    for number in range(PAGE_ENTRIES):
        both.storage.files[f"pygnc_logs/run-{number:05d}/input-00000.pgj"] = b""
    requests = 12
    for _ in range(requests):
        both.host.send(DNLS, DNLS.pack(0), both.now_s)
    both.exchange(1000)
    entries = [o for o in both.outcomes if isinstance(o, Received) and o.kind is DNLE]
    assert len(entries) == requests * PAGE_ENTRIES


def test_requests_that_are_released_together_wait_until_there_is_room_for_their_responses() -> None:
    both = Both()
    for number in range(PAGE_ENTRIES):
        both.storage.files[f"pygnc_logs/run-{number:05d}/input-00000.pgj"] = b""
    for _ in range(WINDOW):
        both.host.send(DNLS, DNLS.pack(0), both.now_s)
    both.host.next_output(both.now_s)  # the first request is lost, so the others wait for it
    both.exchange(1000)
    entries = [o for o in both.outcomes if isinstance(o, Received) and o.kind is DNLE]
    assert len(entries) == WINDOW * PAGE_ENTRIES


def test_a_file_that_becomes_unreadable_ends_its_download_only(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Both()

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(both.storage, "open", lambda _: OpenedFile(9, 0, fail, lambda: None))
    both.say(DNOP, 1, 0, tail=NAME.encode())
    both.say(PING, 1)
    assert both.heard(DNST) == [({"transfer": 1, "offset": 0, "size": 9, "crc": 0}, b"")]
    assert both.heard(PONG) == [({"key": 1}, b"")]


def test_a_lost_line_closes_the_download() -> None:
    both = Both()
    both.host.send(DNOP, DNOP.pack(1, 0, tail=NAME.encode()), both.now_s)
    line = both.host.next_output(both.now_s)
    assert line is not None
    both.pi.take(line, both.now_s)
    for _ in range(5000):
        both.now_s += 0.1
        both.pi.next_output(both.now_s)
    assert both.pi._downloads.next_chunk() is None


def test_without_room_no_response_is_sent_and_a_rejection_is_counted_and_named() -> None:
    both = Both()
    both.desk.is_full = True
    while both.pi.channel.room > 0:
        both.pi.channel.send(DNST, DNST.pack(0, 0, 0, 0), both.now_s)
    for kind, body in ((PGET, b"logs.ceiling_bytes"), (SENS, b"short"), (SENS, bytes(30))):
        both.host.send(kind, body, both.now_s)
        line = both.host.next_output(both.now_s)
        assert line is not None
        both.pi.take(line, both.now_s)
    counts = both.pi.channel.counts
    assert both.pi.channel.room == 0
    assert counts.unsent_rejections == 2
    assert counts.last_unsent == "SENS: full"


def test_counts_the_live_packets_that_the_host_has_given_up() -> None:
    both = Both()
    for name in (b"SENS", b"PING", b"GPSS", b"\xff\xff\xff\xff"):
        both.host.send(LOST, LOST.pack(1, tail=name), both.now_s)
    both.exchange()
    assert both.pi.packets_lost == 2
