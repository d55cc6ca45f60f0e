"""Two channels on a simulated faulty line: sentences arrive once and in order or are reported lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygnc.host.channel import SESSION_STEP, Channel
from pygnc.host.channel_events import (
    Acknowledged,
    ChannelEvent,
    Connected,
    Incompatible,
    LineDown,
    LossCause,
    Lost,
    Received,
)
from pygnc.host.retransmission import UNORDERED_LIFETIME_S, WINDOW, Retransmitter
from pygnc.host.sentence import Delivery, Direction, Sentence, SentenceParser
from pygnc.host.sentence_types import (
    ACKN,
    EVNT,
    HELO,
    LOST,
    NAKN,
    PING,
    PSET,
    SENS,
    STAT,
    Capability,
)
from pygnc_controller.emulator.serial_line import LineFaults, SerialLine
from scripts.bench.virtual_link import VirtualLink
from tests.fakes.channel_line import ChannelEnd

HOST_SESSION, PI_SESSION = 0x1F03, 0x0007
NOTHING = Capability(0)


class Pair:
    def __init__(self, faults: LineFaults | None = None, seed: int = 0, window: int = 16) -> None:
        faults = faults or LineFaults()
        self.host = ChannelEnd(Channel(Direction.TO_PI, HOST_SESSION, "host", window=window))
        self.pi = ChannelEnd(Channel(Direction.TO_HOST, PI_SESSION, "pi"))
        lines = [SerialLine(2 * seed, faults), SerialLine(2 * seed + 1, faults)]
        self.session = VirtualLink([self.host.end(), self.pi.end()], lines)

    @property
    def now_s(self) -> float:
        return self.session.now_s

    def connect(self) -> None:
        assert self.session.run(lambda: self.host.channel.is_ready and self.pi.channel.is_ready, 60.0)

    def run_for(self, duration_s: float) -> None:
        self.session.run(lambda: False, self.now_s + duration_s)


def received(end: ChannelEnd, kind: object) -> list[bytes]:
    return [r.body.tail for r in end.events if isinstance(r, Received) and r.kind is kind]


def tickets(end: ChannelEnd, event: type[Acknowledged | Lost]) -> list[int]:
    return [o.ticket for o in end.events if isinstance(o, event)]


def texts(count: int) -> list[bytes]:
    return [b"orbit.start.fixes = %d" % k for k in range(count)]


def test_both_ends_connect() -> None:
    pair = Pair()
    pair.connect()
    pair.run_for(1.0)
    (at_host,), (at_pi,) = pair.host.of(Connected), pair.pi.of(Connected)
    assert isinstance(at_host, Connected)
    assert isinstance(at_pi, Connected)
    assert (at_host.software, at_pi.software) == ("pi", "host")


def test_an_idle_channel_sends_nothing() -> None:
    pair = Pair()
    pair.connect()
    pair.run_for(60.0)
    assert pair.host.channel.counts.sent + pair.pi.channel.counts.sent < 20
    assert len(pair.host.of(Connected)) == len(pair.pi.of(Connected)) == 1


def test_an_ordered_sentence_arrives_once_and_is_acknowledged() -> None:
    pair = Pair()
    pair.connect()
    ticket = pair.host.channel.send(PSET, b"a = 1", pair.now_s)
    pair.run_for(1.0)
    assert received(pair.pi, PSET) == [b"a = 1"]
    assert tickets(pair.host, Acknowledged) == [ticket]


LINE_FAULTS = st.builds(
    LineFaults,
    lost=st.sampled_from([0.0, 1e-4, 1e-3]),
    flipped=st.sampled_from([0.0, 1e-4, 1e-3, 3e-3]),
    doubled=st.sampled_from([0.0, 1e-3]),
    stalled=st.sampled_from([0.0, 1e-3]),
    cuts=st.sampled_from([(), ((1.0, 4.0),)]),
)


@settings(max_examples=40)
@given(LINE_FAULTS, st.integers(0, 1000), st.integers(0, 60), st.sampled_from([1, 4, 16]))
def test_ordered_sentences_arrive_once_and_in_order_on_a_faulty_line(
    faults: LineFaults, seed: int, count: int, window: int
) -> None:
    pair = Pair(faults, seed, window)
    pair.connect()
    for end, text in ((pair.host, b"h"), (pair.pi, b"p")):
        for k in range(count):
            kind, body = (PSET, text + b" %d" % k) if end is pair.host else (NAKN, NAKN.pack(k, 1, tail=b"PSET"))
            end.channel.send(kind, body, pair.now_s)
    done = pair.session.run(
        lambda: len(tickets(pair.host, Acknowledged)) + len(tickets(pair.pi, Acknowledged)) >= 2 * count, 200.0
    )
    assert done
    assert received(pair.pi, PSET) == [b"h %d" % k for k in range(count)]
    naks = [r.body.fields["number"] for r in pair.host.events if isinstance(r, Received) and r.kind is NAKN]
    assert naks == list(range(count))


@settings(max_examples=30)
@given(LINE_FAULTS, st.integers(0, 1000))
def test_every_live_packet_arrives_at_most_once_and_is_acknowledged_or_lost(faults: LineFaults, seed: int) -> None:
    pair = Pair(faults, seed)
    pair.connect()
    packets = [bytes([k]) * 30 for k in range(40)]
    sent = []
    start_s = pair.now_s
    for k, packet in enumerate(packets):
        pair.session.at(start_s + 0.1 * k, lambda now, p=packet: sent.append(pair.host.channel.send(SENS, p, now)))  # type: ignore[misc]
    pair.run_for(4.0 + UNORDERED_LIFETIME_S + 1.0)
    pair.run_for(20.0)
    arrived = received(pair.pi, SENS)
    assert len(set(arrived)) == len(arrived)
    assert set(arrived) <= set(packets)
    acknowledged, lost = tickets(pair.host, Acknowledged), tickets(pair.host, Lost)
    assert set(sent) <= set(acknowledged) | set(lost)
    assert not set(acknowledged) & set(lost)
    assert len(arrived) >= len([t for t in acknowledged if t in sent])


def test_a_live_packet_overtakes_file_chunks() -> None:
    pair = Pair()
    pair.connect()
    for text in texts(60):
        pair.host.channel.send(PSET, text * 20, pair.now_s)
    pair.run_for(0.1)
    sent_s = pair.now_s
    pair.host.channel.send(SENS, bytes(30), sent_s)
    assert pair.session.run(lambda: len(received(pair.pi, SENS)) == 1, 10.0)
    assert pair.now_s - sent_s < 0.12


def test_a_packet_interrupts_a_chunk() -> None:
    pair = Pair()
    pair.connect()
    for text in texts(40):
        pair.host.channel.send(PSET, text * 23, pair.now_s)
        pair.pi.channel.send(NAKN, NAKN.pack(1, 1, tail=b"PSET" + bytes(500)), pair.now_s)
    delays_s = []
    for k in range(20):
        pair.run_for(0.0537)
        sent_s = pair.now_s
        pair.host.channel.send(SENS, bytes(30), sent_s)
        assert pair.session.run(lambda k=k: len(received(pair.pi, SENS)) > k, 10.0)  # type: ignore[misc]
        delays_s.append(pair.now_s - sent_s)
    pair.run_for(3.0)
    assert max(delays_s) < 0.03
    assert received(pair.pi, PSET) == [text * 23 for text in texts(40)]
    assert len([o for o in pair.host.events if isinstance(o, Received) and o.kind is NAKN]) == 40
    assert pair.host.channel.counts.retried == pair.pi.channel.counts.retried == 0


def test_an_end_without_nesting_receives_whole_lines() -> None:
    host = Channel(Direction.TO_PI, HOST_SESSION, "host")
    greet_host(host)
    drain(host, 0.0)
    host.send(PSET, b"a" * 400, 0.0)
    line = host.next_output(0.0)
    assert line is not None
    assert line.endswith(b"\r\n")
    greet_host(able := Channel(Direction.TO_PI, HOST_SESSION, "host"), Capability.NESTING)
    drain(able, 0.0)
    able.send(PSET, b"a" * 400, 0.0)
    first = able.next_output(0.0)
    able.send(SENS, bytes(30), 0.0)
    second = able.next_output(0.0)
    assert first is not None
    assert second is not None
    assert second.startswith(b">SENS")
    assert first + b"".join(drain(able, 0.0)) == line


def test_a_fragmented_line_is_abandoned_when_the_other_end_restarts() -> None:
    host = Channel(Direction.TO_PI, HOST_SESSION, "host")
    greet_host(host, Capability.NESTING)
    drain(host, 0.0)
    host.send(PSET, b"a" * 400, 0.0)
    assert host.next_output(0.0)
    body = HELO.pack(1, 1, 4, 0, HOST_SESSION + SESSION_STEP, 1, 1, 1)
    host.receive(Sentence(Direction.TO_HOST, "HELO", PI_SESSION + 1, Delivery.UNNUMBERED, 0, body), 0.1)
    assert [o for o in host.pop_events() if isinstance(o, Lost)]
    assert [line[:5] for line in drain(host, 0.1)] == [b">ACKN"]


def test_a_packet_after_a_newer_one_is_late_and_a_repeated_one_is_dropped() -> None:
    pi = Channel(Direction.TO_HOST, PI_SESSION, "pi")
    greet(pi)
    for number, is_retry in ((1, False), (3, False), (2, True), (2, True), (60, False)):
        pi.receive(host_sentence("SENS", Delivery.UNORDERED, number, bytes(30), is_retry=is_retry), 0.0)
    arrivals = [o for o in pi.pop_events() if isinstance(o, Received)]
    assert [(o.number, o.is_late, o.is_retry) for o in arrivals] == [
        (1, False, False),
        (3, False, False),
        (2, True, True),
        (60, False, False),
    ]


def test_an_expired_packet_is_reported_to_the_other_end() -> None:
    cut = (1.0, 1.0 + UNORDERED_LIFETIME_S + 2.0)
    pair = Pair(LineFaults(cuts=(cut,)))
    pair.connect()
    pair.session.run(lambda: False, 2.0)
    ticket = pair.host.channel.send(SENS, bytes(30), pair.now_s)
    pair.run_for(15.0)
    assert tickets(pair.host, Lost) == [ticket]
    assert received(pair.pi, LOST) == [b"SENS"]


def test_a_long_interruption_ends_the_session_and_a_new_one_follows() -> None:
    pair = Pair(LineFaults(cuts=((1.0, 30.0),)))
    pair.connect()
    pair.session.run(lambda: False, 2.0)
    ticket = pair.host.channel.send(PSET, b"a = 1", pair.now_s)
    pair.session.run(lambda: False, 40.0)
    assert [o for o in pair.host.events if isinstance(o, Lost)] == [Lost(ticket, PSET, LossCause.LINE_DOWN)]
    assert pair.host.of(LineDown) == [LineDown()]
    assert pair.host.channel.is_ready
    assert len(pair.pi.of(Connected)) == 2


@pytest.mark.parametrize("restarted", ["host", "pi"])
def test_a_restart_of_either_end_does_not_mix_sessions(restarted: str) -> None:
    pair = Pair()
    pair.connect()
    old = [pair.host.channel.send(PSET, b"old %d" % k + bytes(400), pair.now_s) for k in range(30)]
    pair.run_for(0.3)
    before = len(received(pair.pi, PSET))
    assert 0 < before < 30
    if restarted == "pi":
        pair.pi.restart(Channel(Direction.TO_HOST, PI_SESSION + 1, "pi"))
    else:
        pair.host.restart(Channel(Direction.TO_PI, HOST_SESSION + 1, "host"))
    mark = len(pair.pi.events)
    pair.run_for(3.0)
    assert pair.host.channel.is_ready
    assert pair.pi.channel.is_ready
    new = pair.host.channel.send(PSET, b"new", pair.now_s)
    pair.run_for(1.0)
    after = pair.pi.events[mark:]
    late_old = [o.body.tail for o in after if isinstance(o, Received) and o.kind is PSET and o.body.tail != b"new"]
    if restarted == "pi":
        assert late_old == []
        lost = [o for o in pair.host.events if isinstance(o, Lost)]
        assert {o.cause for o in lost} == {LossCause.RESTARTED}
        assert {o.ticket for o in lost} | set(tickets(pair.host, Acknowledged)) == {*old, new}
    assert received(pair.pi, PSET)[-1] == b"new"
    assert received(pair.pi, PSET).count(b"new") == 1


def test_a_restarted_end_learns_of_the_packets_that_the_other_has_given_up() -> None:
    pair = Pair(LineFaults(cuts=((1.0, 3.0),)))
    pair.connect()
    pair.session.run(lambda: pair.now_s >= 1.1, 2.0)
    sent = [pair.host.channel.send(SENS, bytes(30), pair.now_s) for _ in range(3)]
    pair.host.channel.send(PSET, b"a = 1", pair.now_s)
    pair.run_for(0.1)
    pair.pi.restart(Channel(Direction.TO_HOST, PI_SESSION + 1, "pi"))
    pair.run_for(8.0)
    lost = [o for o in pair.host.events if isinstance(o, Lost)]
    assert [o.ticket for o in lost if o.kind is SENS] == sent
    assert {o.cause for o in lost} == {LossCause.RESTARTED}
    assert received(pair.pi, LOST) == 3 * [b"SENS"]


@pytest.mark.parametrize("cause", [LossCause.LINE_DOWN, LossCause.RESTARTED])
def test_the_end_of_a_session_gives_a_notice_of_each_packet_in_flight(cause: LossCause) -> None:
    events: list[ChannelEvent] = []
    sender = Retransmitter(events)
    tickets_sent = [sender.add(kind, bytes(30), 0.0) for kind in (SENS, SENS, PSET)]
    for _ in range(2):
        assert sender.next_unordered(0.0) is not None
    kept = sender.add(SENS, bytes(30), 0.0)
    sender.abandon(cause)
    assert sorted(event.ticket for event in events if isinstance(event, Lost)) == tickets_sent
    notices = [sender.next_ordered(0.0, WINDOW) for _ in range(3)]
    assert [notice and (notice.kind, LOST.unpack(notice.body).tail) for notice in notices] == [
        (LOST, b"SENS"),
        (LOST, b"SENS"),
        None,
    ]
    left = sender.next_unordered(0.0)
    assert left is not None
    assert left.ticket == kept


def test_a_notice_of_a_loss_outlives_the_session() -> None:
    events: list[ChannelEvent] = []
    sender = Retransmitter(events)
    sender.add(SENS, bytes(30), 0.0)
    assert sender.next_unordered(0.0) is not None
    sender.expire(UNORDERED_LIFETIME_S)
    for _ in range(2):
        notice = sender.next_ordered(10.0, WINDOW)
        assert notice is not None
        assert (notice.kind, notice.number, LOST.unpack(notice.body).tail) == (LOST, 1, b"SENS")
        sender.abandon(LossCause.RESTARTED)
    assert [event.kind for event in events if isinstance(event, Lost)] == [SENS]


def test_an_old_hello_that_arrives_late_does_not_repeat_a_sentence() -> None:
    pi = Channel(Direction.TO_HOST, PI_SESSION, "pi")
    greet(pi)
    packet = host_sentence("PSET", Delivery.ORDERED, 1, b"a = 1")
    pi.receive(packet, 0.0)
    for session in (HOST_SESSION - 1, HOST_SESSION):
        body = HELO.pack(1, 1, 4, 0, PI_SESSION, 1, 1, 1)
        pi.receive(host_sentence("HELO", Delivery.UNNUMBERED, 0, body)._replace(session=session), 0.1)
    pi.receive(packet._replace(is_retry=True), 0.2)
    assert len([o for o in pi.pop_events() if isinstance(o, Received)]) == 1


def test_a_peer_that_has_not_received_the_answer_to_its_hello_gets_another_one_at_once() -> None:
    pi = Channel(Direction.TO_HOST, PI_SESSION, "pi")
    greet(pi)
    assert [b"HELO" in line for line in drain(pi, 0.0)] == [True]
    assert drain(pi, 0.1) == []
    greet(pi)
    assert [b"HELO" in line for line in drain(pi, 0.1)] == [True]


def test_a_session_number_that_counts_starts_is_not_taken_for_that_of_an_earlier_session() -> None:
    first, pi = Channel(Direction.TO_PI, 1, "host"), Channel(Direction.TO_HOST, PI_SESSION, "pi")
    exchange(first, pi, 0.0)
    first.send(PSET, b"a = 0", 0.0)
    for second in range(30):  # nothing arrives, so the line counts as down
        drain(first, float(second))
    for start, host in ((1, first), (2, Channel(Direction.TO_PI, 2, "host"))):
        exchange(host, pi, 100.0 * start)
        host.send(PSET, b"a = %d" % start, 100.0 * start)
        exchange(host, pi, 100.0 * start)
    assert [o.body.tail for o in pi.pop_events() if isinstance(o, Received)] == [b"a = 1", b"a = 2"]


def test_a_sentence_overtaken_by_an_acknowledged_one_is_resent_at_once() -> None:
    host = Channel(Direction.TO_PI, HOST_SESSION, "host")
    greet_host(host)
    drain(host, 0.0)
    for k in range(3):
        host.send(PSET, b"a = %d" % k, 0.0)
    assert numbers(drain(host, 0.0)) == ["r0001", "r0002", "r0003"]
    host.receive(pi_acknowledges(1, 0b1), 0.05)  # 1 is missing, 2 has arrived
    assert numbers(drain(host, 0.05)) == ["R0001"]
    assert numbers(drain(host, 0.06)) == []
    assert host.wakeup_s() > 0.06


def test_a_sentence_that_the_other_end_holds_is_acknowledged_when_it_is_delivered() -> None:
    host = Channel(Direction.TO_PI, HOST_SESSION, "host")
    greet_host(host)
    drain(host, 0.0)
    first, second = (host.send(PSET, b"a = %d" % k, 0.0) for k in range(2))
    drain(host, 0.0)
    host.receive(pi_acknowledges(1, 0b1), 0.05)
    assert [o for o in host.pop_events() if isinstance(o, Acknowledged)] == []
    assert numbers(drain(host, 3.0)) == ["R0001"]
    host.receive(pi_acknowledges(3, 0), 3.1)
    assert [o.ticket for o in host.pop_events() if isinstance(o, Acknowledged)] == [first, second]


def test_sentences_in_flight_do_not_exceed_the_window_of_the_other_end() -> None:
    host = Channel(Direction.TO_PI, HOST_SESSION, "host")
    greet_host(host)
    drain(host, 0.0)
    for k in range(10):
        host.send(PSET, b"a = %d" % k, 0.0)
    assert numbers(drain(host, 0.0)) == ["r0001", "r0002", "r0003", "r0004"]
    host.receive(pi_acknowledges(3, 0), 0.01)
    assert numbers(drain(host, 0.01)) == ["r0005", "r0006"]
    host.receive(pi_acknowledges(3, 0b1), 0.02)  # 3 is missing, so 4 must be held
    assert numbers(drain(host, 0.02)) == ["R0003"]


def test_unknown_types_and_invalid_bodies_are_acknowledged_and_rejected() -> None:
    pi = Channel(Direction.TO_HOST, PI_SESSION, "pi")
    greet(pi)
    pi.receive(host_sentence("WHAT", Delivery.UNORDERED, 1, b""), 0.0)
    pi.receive(host_sentence("SENS", Delivery.UNORDERED, 2, bytes(29)), 0.0)
    pi.receive(host_sentence("STAT", Delivery.UNORDERED, 3, b""), 0.0)
    assert [o for o in pi.pop_events() if isinstance(o, Received)] == []
    lines = [pi.next_output(0.0) for _ in range(6)]
    assert [line[1:5] for line in lines if line] == [b"HELO", b"ACKN", b"NAKN", b"NAKN", b"NAKN"]


def test_an_incompatible_version_is_reported_and_not_answered() -> None:
    pi = Channel(Direction.TO_HOST, PI_SESSION, "pi")
    body = HELO.pack(7, 9, 4, 0, PI_SESSION, 0, 1, 1)
    pi.receive(host_sentence("HELO", Delivery.UNNUMBERED, 0, body), 0.0)
    assert pi.pop_events() == [Incompatible(7, 9)]
    assert not pi.is_ready


def test_an_echo_is_ignored() -> None:
    host = Channel(Direction.TO_PI, HOST_SESSION, "host")
    greet_host(host)
    host.send(PING, PING.pack(5), 0.0)
    host.receive(host_sentence("PING", Delivery.UNORDERED, 1, PING.pack(5)), 0.0)
    assert not [o for o in host.pop_events() if isinstance(o, Received | Acknowledged)]


def test_a_full_channel_raises() -> None:
    host = Channel(Direction.TO_PI, HOST_SESSION, "host")
    while host.room:
        host.send(PSET, b"a=1", 0.0)
    with pytest.raises(ValueError, match="room"):
        host.send(PSET, b"a=1", 0.0)
    first = host.send(SENS, bytes(30), 0.0)
    for _ in range(64):
        host.send(SENS, bytes(30), 0.0)
    (lost,) = [o for o in host.pop_events() if isinstance(o, Lost)]
    assert lost == Lost(first, SENS, LossCause.CROWDED_OUT)
    with pytest.raises(ValueError, match="HELO"):
        host.send(HELO, b"", 0.0)


def test_events_and_status_reach_the_host_during_a_download() -> None:
    pair = Pair()
    pair.connect()
    pair.pi.channel.send(EVNT, EVNT.pack(1, tail=b"disk: full"), pair.now_s)
    pair.pi.channel.send(STAT, bytes(636), pair.now_s)
    pair.run_for(0.1)
    assert received(pair.host, EVNT) == [b"disk: full"]
    assert received(pair.host, STAT) == [bytes(636)]


def test_unknown_sentences_without_number_and_impossible_bodies_are_ignored() -> None:
    pi = Channel(Direction.TO_HOST, PI_SESSION, "pygnc")
    pi.receive(host_sentence("HELO", Delivery.UNNUMBERED, 0, b"short"), 0.0)
    assert not pi.is_ready
    greet(pi)
    drain(pi, 0.0)
    pi.receive(host_sentence("XXXX", Delivery.UNNUMBERED, 0, b""), 0.0)
    pi.receive(host_sentence("ACKN", Delivery.UNNUMBERED, 0, b"short"), 0.0)
    pi.receive(host_sentence("NAKN", Delivery.ORDERED, 1, b""), 0.0)
    assert numbers(drain(pi, 0.0)) == []
    assert [event for event in pi.pop_events() if isinstance(event, Received)] == []


def greet(pi: Channel) -> None:
    body = HELO.pack(1, 1, 4, 0, PI_SESSION, 0, 1, 1)
    pi.receive(host_sentence("HELO", Delivery.UNNUMBERED, 0, body), 0.0)
    assert pi.is_ready


def greet_host(host: Channel, able: Capability = NOTHING) -> None:
    body = HELO.pack(1, 1, 4, able, HOST_SESSION, 1, 1, 1)
    host.receive(Sentence(Direction.TO_HOST, "HELO", PI_SESSION, Delivery.UNNUMBERED, 0, body), 0.0)
    assert host.is_ready


def pi_acknowledges(next_ordered: int, later: int) -> Sentence:
    body = ACKN.pack(next_ordered, later, 0, 0xFFFFFFFF)
    return Sentence(Direction.TO_HOST, "ACKN", PI_SESSION, Delivery.UNNUMBERED, 0, body)


def exchange(host: Channel, pi: Channel, now_s: float) -> None:
    """Pass all lines between both ends, until none is due."""
    while lines := (drain(host, now_s), drain(pi, now_s)):
        if lines == ([], []):
            return
        for end, received_lines in zip((pi, host), lines, strict=True):
            for sentence in SentenceParser().feed(b"".join(received_lines)).sentences:
                end.receive(sentence, now_s)


def drain(end: Channel, now_s: float) -> list[bytes]:
    """Return all lines that an end sends now."""
    lines = []
    while (line := end.next_output(now_s)) is not None:
        lines.append(line)
    return lines


def numbers(lines: list[bytes]) -> list[str]:
    """Return delivery letters and numbers of the numbered lines."""
    found = [line.split(b",")[2].decode() for line in lines]
    return [number for number in found if number[0] not in "cC"]


def host_sentence(kind: str, delivery: Delivery, number: int, body: bytes, *, is_retry: bool = False) -> Sentence:
    return Sentence(Direction.TO_PI, kind, HOST_SESSION, delivery, number, body, is_retry)
