"""Two channels on a simulated line: everything arrives once and in order, or is reported lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygnc.host.channel import Channel
from pygnc.host.channel_events import Acknowledged, Connected, Incompatible, LineDown, LossCause, Lost, Received
from pygnc.host.retransmission import LIFE_S
from pygnc.host.sentence import Delivery, Direction, Sentence
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
from pygnc_controller.emulator.serial_line import Faults, SerialLine
from pygnc_controller.emulator.virtual_pi import Session
from tests.fakes.channel_line import ChannelEnd

HOST_SESSION, PI_SESSION = 0x1F03, 0x0007
NOTHING = Capability(0)


class Pair:
    def __init__(self, faults: Faults | None = None, seed: int = 0, window: int = 16) -> None:
        faults = faults or Faults()
        self.host = ChannelEnd(Channel(Direction.TO_PI, HOST_SESSION, "host", window=window))
        self.pi = ChannelEnd(Channel(Direction.TO_HOST, PI_SESSION, "pi"))
        lines = [SerialLine(2 * seed, faults), SerialLine(2 * seed + 1, faults)]
        self.session = Session([self.host.end(), self.pi.end()], lines)

    @property
    def now_s(self) -> float:
        return self.session.now_s

    def connect(self) -> None:
        assert self.session.run(lambda: self.host.channel.is_ready and self.pi.channel.is_ready, 60.0)

    def run_for(self, duration_s: float) -> None:
        self.session.run(lambda: False, self.now_s + duration_s)


def received(end: ChannelEnd, kind: object) -> list[bytes]:
    return [r.body.tail for r in end.outcomes if isinstance(r, Received) and r.kind is kind]


def tickets(end: ChannelEnd, outcome: type[Acknowledged | Lost]) -> list[int]:
    return [o.ticket for o in end.outcomes if isinstance(o, outcome)]


def texts(count: int) -> list[bytes]:
    return [b"orbit.start.fixes = %d" % k for k in range(count)]


def test_both_ends_hear_of_each_other() -> None:
    pair = Pair()
    pair.connect()
    pair.run_for(1.0)
    (at_host,), (at_pi,) = pair.host.of(Connected), pair.pi.of(Connected)
    assert isinstance(at_host, Connected)
    assert isinstance(at_pi, Connected)
    assert (at_host.software, at_pi.software) == ("pi", "host")


def test_an_idle_line_is_quiet() -> None:
    pair = Pair()
    pair.connect()
    pair.run_for(60.0)
    assert pair.host.channel.counts.sent + pair.pi.channel.counts.sent < 20
    assert len(pair.host.of(Connected)) == len(pair.pi.of(Connected)) == 1


def test_a_sentence_in_order_arrives_once_and_is_acknowledged() -> None:
    pair = Pair()
    pair.connect()
    ticket = pair.host.channel.send(PSET, b"a = 1", pair.now_s)
    pair.run_for(1.0)
    assert received(pair.pi, PSET) == [b"a = 1"]
    assert tickets(pair.host, Acknowledged) == [ticket]


LINE_FAULTS = st.builds(
    Faults,
    lost=st.sampled_from([0.0, 1e-4, 1e-3]),
    flipped=st.sampled_from([0.0, 1e-4, 1e-3, 3e-3]),
    doubled=st.sampled_from([0.0, 1e-3]),
    stalled=st.sampled_from([0.0, 1e-3]),
    cuts=st.sampled_from([(), ((1.0, 4.0),)]),
)


@settings(max_examples=40, deadline=None)
@given(LINE_FAULTS, st.integers(0, 1000), st.integers(0, 60), st.sampled_from([1, 4, 16]))
def test_whatever_the_line_does_all_arrives_once_in_order(faults: Faults, seed: int, count: int, window: int) -> None:
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
    naks = [r.body.fields["number"] for r in pair.host.outcomes if isinstance(r, Received) and r.kind is NAKN]
    assert naks == list(range(count))


@settings(max_examples=30, deadline=None)
@given(LINE_FAULTS, st.integers(0, 1000))
def test_every_live_packet_is_delivered_at_most_once_and_settled(faults: Faults, seed: int) -> None:
    pair = Pair(faults, seed)
    pair.connect()
    packets = [bytes([k]) * 30 for k in range(40)]
    sent = []
    start_s = pair.now_s
    for k, packet in enumerate(packets):
        pair.session.at(start_s + 0.1 * k, lambda now, p=packet: sent.append(pair.host.channel.send(SENS, p, now)))  # type: ignore[misc]
    pair.run_for(4.0 + LIFE_S + 1.0)
    pair.run_for(20.0)
    arrived = received(pair.pi, SENS)
    assert len(set(arrived)) == len(arrived)
    assert set(arrived) <= set(packets)
    acknowledged, lost = tickets(pair.host, Acknowledged), tickets(pair.host, Lost)
    assert set(sent) <= set(acknowledged) | set(lost)
    assert not set(acknowledged) & set(lost)
    assert len(arrived) >= len([t for t in acknowledged if t in sent])


def test_a_live_packet_overtakes_files() -> None:
    pair = Pair()
    pair.connect()
    for text in texts(60):
        pair.host.channel.send(PSET, text * 20, pair.now_s)
    pair.run_for(0.1)
    sent_s = pair.now_s
    pair.host.channel.send(SENS, bytes(30), sent_s)
    assert pair.session.run(lambda: len(received(pair.pi, SENS)) == 1, 10.0)
    assert pair.now_s - sent_s < 0.12


def test_a_packet_waits_for_no_chunk() -> None:
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
    assert len([o for o in pair.host.outcomes if isinstance(o, Received) and o.kind is NAKN]) == 40
    assert pair.host.channel.counts.retried == pair.pi.channel.counts.retried == 0


def test_an_end_that_cannot_read_a_sentence_within_another_gets_whole_lines() -> None:
    host = Channel(Direction.TO_PI, HOST_SESSION, "host")
    greet_host(host)
    drain(host, 0.0)
    host.send(PSET, b"a" * 400, 0.0)
    line = host.next_portion(0.0)
    assert line is not None
    assert line.endswith(b"\r\n")
    greet_host(able := Channel(Direction.TO_PI, HOST_SESSION, "host"), Capability.NESTING)
    drain(able, 0.0)
    able.send(PSET, b"a" * 400, 0.0)
    first = able.next_portion(0.0)
    able.send(SENS, bytes(30), 0.0)
    second = able.next_portion(0.0)
    assert first is not None
    assert second is not None
    assert second.startswith(b">SENS")
    assert first + b"".join(drain(able, 0.0)) == line


def test_a_line_is_not_gone_on_with_when_the_other_end_has_restarted() -> None:
    host = Channel(Direction.TO_PI, HOST_SESSION, "host")
    greet_host(host, Capability.NESTING)
    drain(host, 0.0)
    host.send(PSET, b"a" * 400, 0.0)
    assert host.next_portion(0.0)
    body = HELO.pack(1, 1, 4, 0, 0, 0, 1, 1)
    host.receive(Sentence(Direction.TO_HOST, "HELO", PI_SESSION + 1, Delivery.UNNUMBERED, 0, body), 0.1)
    assert [line[:5] for line in drain(host, 0.1)] == [b">HELO"]


def test_a_packet_behind_a_newer_one_is_late_and_the_gap_is_counted() -> None:
    pi = Channel(Direction.TO_HOST, PI_SESSION, "pi")
    greet(pi)
    for number, is_retry in ((1, False), (3, False), (2, True), (2, True), (60, False)):
        pi.receive(host_sentence("SENS", Delivery.AT_ONCE, number, bytes(30), is_retry=is_retry), 0.0)
    outcomes = [o for o in pi.take_outcomes() if isinstance(o, Received)]
    assert [(o.number, o.is_late, o.is_retry) for o in outcomes] == [
        (1, False, False),
        (3, False, False),
        (2, True, True),
        (60, False, False),
    ]
    assert pi.counts.repeated == 1
    assert pi.missing == 60 - 32 - 1 - 3  # the 32 before the newest may still come


def test_the_other_end_hears_of_a_packet_given_up() -> None:
    cut = (1.0, 1.0 + LIFE_S + 2.0)
    pair = Pair(Faults(cuts=(cut,)))
    pair.connect()
    pair.session.run(lambda: False, 2.0)
    ticket = pair.host.channel.send(SENS, bytes(30), pair.now_s)
    pair.run_for(15.0)
    assert tickets(pair.host, Lost) == [ticket]
    assert received(pair.pi, LOST) == [b"SENS"]


def test_a_long_cut_is_a_line_down_and_a_new_session_follows() -> None:
    pair = Pair(Faults(cuts=((1.0, 30.0),)))
    pair.connect()
    pair.session.run(lambda: False, 2.0)
    ticket = pair.host.channel.send(PSET, b"a = 1", pair.now_s)
    pair.session.run(lambda: False, 40.0)
    assert [o for o in pair.host.outcomes if isinstance(o, Lost)] == [Lost(ticket, PSET, LossCause.LINE_DOWN)]
    assert pair.host.of(LineDown) == [LineDown()]
    assert pair.host.channel.is_ready
    assert len(pair.pi.of(Connected)) == 2


@pytest.mark.parametrize("restarted", ["host", "pi"])
def test_a_restart_of_either_end_mixes_nothing(restarted: str) -> None:
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
    mark = len(pair.pi.outcomes)
    pair.run_for(3.0)
    assert pair.host.channel.is_ready
    assert pair.pi.channel.is_ready
    new = pair.host.channel.send(PSET, b"new", pair.now_s)
    pair.run_for(1.0)
    after = pair.pi.outcomes[mark:]
    late_old = [o.body.tail for o in after if isinstance(o, Received) and o.kind is PSET and o.body.tail != b"new"]
    if restarted == "pi":
        assert late_old == []
        lost = [o for o in pair.host.outcomes if isinstance(o, Lost)]
        assert {o.cause for o in lost} == {LossCause.RESTARTED}
        assert {o.ticket for o in lost} | set(tickets(pair.host, Acknowledged)) == {*old, new}
    assert received(pair.pi, PSET)[-1] == b"new"
    assert received(pair.pi, PSET).count(b"new") == 1


def test_a_sentence_overtaken_by_an_acknowledged_one_goes_out_again_at_once() -> None:
    host = Channel(Direction.TO_PI, HOST_SESSION, "host")
    greet_host(host)
    drain(host, 0.0)
    for k in range(3):
        host.send(PSET, b"a = %d" % k, 0.0)
    assert numbers(drain(host, 0.0)) == ["r0001", "r0002", "r0003"]
    host.receive(pi_acknowledges(1, 0b1), 0.05)  # 1 is missing, 2 is here
    assert numbers(drain(host, 0.05)) == ["R0001"]
    assert numbers(drain(host, 0.06)) == []
    assert host.wakeup_s() > 0.06


def test_no_more_sentences_are_under_way_than_the_other_end_can_hold() -> None:
    host = Channel(Direction.TO_PI, HOST_SESSION, "host")
    greet_host(host)
    drain(host, 0.0)
    for k in range(10):
        host.send(PSET, b"a = %d" % k, 0.0)
    assert numbers(drain(host, 0.0)) == ["r0001", "r0002", "r0003", "r0004"]
    host.receive(pi_acknowledges(3, 0), 0.01)
    assert numbers(drain(host, 0.01)) == ["r0005", "r0006"]
    host.receive(pi_acknowledges(3, 0b1), 0.02)  # 3 is missing: what comes behind it must be held
    assert numbers(drain(host, 0.02)) == ["R0003"]


def test_unknown_types_and_wrong_bodies_are_acknowledged_and_refused() -> None:
    pi = Channel(Direction.TO_HOST, PI_SESSION, "pi")
    greet(pi)
    pi.receive(host_sentence("WHAT", Delivery.AT_ONCE, 1, b""), 0.0)
    pi.receive(host_sentence("SENS", Delivery.AT_ONCE, 2, bytes(29)), 0.0)
    pi.receive(host_sentence("STAT", Delivery.AT_ONCE, 3, b""), 0.0)
    assert [o for o in pi.take_outcomes() if isinstance(o, Received)] == []
    lines = [pi.next_portion(0.0) for _ in range(6)]
    assert [line[1:5] for line in lines if line] == [b"HELO", b"ACKN", b"NAKN", b"NAKN", b"NAKN"]


def test_another_version_is_reported_and_not_spoken_to() -> None:
    pi = Channel(Direction.TO_HOST, PI_SESSION, "pi")
    body = HELO.pack(7, 9, 4, 0, PI_SESSION, 0, 1, 1)
    pi.receive(host_sentence("HELO", Delivery.UNNUMBERED, 0, body), 0.0)
    assert pi.take_outcomes() == [Incompatible(7, 9)]
    assert not pi.is_ready


def test_an_echo_of_our_own_words_is_no_answer() -> None:
    host = Channel(Direction.TO_PI, HOST_SESSION, "host")
    greet_host(host)
    host.send(PING, PING.pack(5), 0.0)
    host.receive(host_sentence("PING", Delivery.AT_ONCE, 1, PING.pack(5)), 0.0)
    assert host.counts.echoes == 1
    assert not [o for o in host.take_outcomes() if isinstance(o, Received | Acknowledged)]


def test_a_full_channel_says_so() -> None:
    host = Channel(Direction.TO_PI, HOST_SESSION, "host")
    while host.room:
        host.send(PSET, b"a=1", 0.0)
    with pytest.raises(ValueError, match="room"):
        host.send(PSET, b"a=1", 0.0)
    first = host.send(SENS, bytes(30), 0.0)
    for _ in range(64):
        host.send(SENS, bytes(30), 0.0)
    (lost,) = [o for o in host.take_outcomes() if isinstance(o, Lost)]
    assert lost == Lost(first, SENS, LossCause.CROWDED_OUT)
    with pytest.raises(ValueError, match="HELO"):
        host.send(HELO, b"", 0.0)


def test_events_and_status_reach_the_host_at_once() -> None:
    pair = Pair()
    pair.connect()
    pair.pi.channel.send(EVNT, EVNT.pack(1, tail=b"disk: full"), pair.now_s)
    pair.pi.channel.send(STAT, bytes(636), pair.now_s)
    pair.run_for(0.1)
    assert received(pair.host, EVNT) == [b"disk: full"]
    assert received(pair.host, STAT) == [bytes(636)]


def greet(pi: Channel) -> None:
    body = HELO.pack(1, 1, 4, 0, PI_SESSION, 0, 1, 1)
    pi.receive(host_sentence("HELO", Delivery.UNNUMBERED, 0, body), 0.0)
    assert pi.is_ready


def greet_host(host: Channel, able: Capability = NOTHING) -> None:
    body = HELO.pack(1, 1, 4, able, HOST_SESSION, 1, 1, 1)
    host.receive(Sentence(Direction.TO_HOST, "HELO", PI_SESSION, Delivery.UNNUMBERED, 0, body), 0.0)
    assert host.is_ready


def pi_acknowledges(next_in_order: int, later: int) -> Sentence:
    body = ACKN.pack(next_in_order, later, 0, 0xFFFFFFFF)
    return Sentence(Direction.TO_HOST, "ACKN", PI_SESSION, Delivery.UNNUMBERED, 0, body)


def drain(end: Channel, now_s: float) -> list[bytes]:
    """All lines that an end would send now."""
    lines = []
    while (line := end.next_portion(now_s)) is not None:
        lines.append(line)
    return lines


def numbers(lines: list[bytes]) -> list[str]:
    """Delivery letters and numbers of what is numbered."""
    found = [line.split(b",")[2].decode() for line in lines]
    return [number for number in found if number[0] not in "cC"]


def host_sentence(kind: str, delivery: Delivery, number: int, body: bytes, *, is_retry: bool = False) -> Sentence:
    return Sentence(Direction.TO_PI, kind, HOST_SESSION, delivery, number, body, is_retry)
