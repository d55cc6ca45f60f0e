"""Targets for sentences of the streaming interface and the requests in them."""

import struct

from pygnc.host.channel import Channel
from pygnc.host.channel_events import Received
from pygnc.host.connection import HostConnection
from pygnc.host.parameters import Parameters, decode_slots
from pygnc.host.sentence import LINE_MAX, Delivery, Direction, Sentence, SentenceParser, encode
from pygnc.host.sentence_types import HELO, LIVE_TYPES, TYPES, Capability, Sender, SentenceType
from tests.fakes.memory_storage import MemoryStorage
from tests.fuzz import mutations
from tests.fuzz.mutations import OCTETS
from tests.fuzz.target import Target, cut_of


def check_sentences(data: bytes) -> None:
    whole = SentenceParser()
    parsed = whole.feed(data + b"\r\n")
    assert len(whole._pending) < LINE_MAX
    divided = SentenceParser()
    parts = [divided.feed(data[: cut_of(data)]), divided.feed(data[cut_of(data) :] + b"\r\n")]
    assert [*parts[0].sentences, *parts[1].sentences] == parsed.sentences
    assert [*parts[0].skipped, *parts[1].skipped] == parsed.skipped
    skipped = 0
    for entry in parsed.skipped:
        assert 0 <= entry.start < entry.stop <= len(data)
        skipped += sum(0x20 <= octet < 0x7F for octet in data[entry.start : entry.stop])
    lines = [encode(sentence) for sentence in parsed.sentences]
    used = sum(len(line) - 2 for line in lines)
    waiting = len(whole._interrupted.text) if whole._interrupted else 0
    assert used + skipped + waiting == sum(0x20 <= octet < 0x7F for octet in data)
    for sentence, line in zip(parsed.sentences, lines, strict=True):
        assert SentenceParser().feed(line).sentences == [sentence]


class Desk:
    """Services of a run that accept everything."""

    def take_packet(self, received: Received) -> None:
        assert received.kind.name in LIVE_TYPES

    def report(self, kind: SentenceType) -> bytes:
        return bytes(kind.tail_max + 1)

    def stop(self) -> None: ...


REQUESTS = [*TYPES.values()]


def check_requests(data: bytes) -> None:
    """Sentences with a valid form: type, delivery of the type, next or any number, and body are the input's."""
    slots = [b"", b""]
    storage = MemoryStorage({"pygnc_batch/sense.bin": bytes(3000), "pygnc_status.bin": bytes(9)})
    parameters = Parameters({"logs.ceiling_bytes": 5, "host.port": ""}, lambda _: None, slots, slots.__setitem__)
    channel = Channel(Direction.TO_HOST, 9, "pygnc", Capability.LIVE)
    connection = HostConnection(channel, storage, parameters, Desk())
    numbers = {Delivery.ORDERED: 1, Delivery.UNORDERED: 1, Delivery.UNNUMBERED: 0}
    hello = HELO.pack(1, 1, 64, int(Capability.NESTING), 9, 1, 1, 1, tail=b"fuzz")
    connection.take(encode(Sentence(Direction.TO_PI, "HELO", 7, Delivery.UNNUMBERED, 0, hello)), 1.0)
    assert channel.is_ready
    place, now_s = 0, 1.0
    while place + 4 <= len(data):
        which, options, size, step = data[place : place + 4]
        body = data[place + 4 : place + 4 + size]
        place += 4 + size
        kind = REQUESTS[which % len(REQUESTS)]
        number = numbers[kind.delivery] if options & 7 else 257 * step
        if options & 7:
            numbers[kind.delivery] = (number + 1) % (1 << 16)
        session = 7 if options & 56 else step
        now_s += step * (0.001 if options & 64 else 0.1)
        sentence = Sentence(Direction.TO_PI, kind.name, session, kind.delivery, number, body, bool(options & 128))
        connection.take(encode(sentence), now_s)
        for _ in range(5000):
            if connection.next_output(now_s) is None:
                break
        else:
            raise AssertionError("the output does not end")
        assert connection.channel.wakeup_s() > now_s
    assert decode_slots(slots).damaged == ()


def sentence_seeds() -> list[bytes]:
    lines = []
    for number, kind in enumerate(TYPES.values()):
        body = bytes(struct.calcsize("<" + "".join(field.code for field in kind.fields))) + b"a" * kind.tail_min
        direction = Direction.TO_HOST if kind.sender is Sender.PI else Direction.TO_PI
        lines.append(encode(Sentence(direction, kind.name, 7, kind.delivery, number, body)))
    return [*lines[::4], b"".join(lines[::3]), b"pi@pi:~$ " + lines[3][:20] + lines[5] + lines[3][20:]]


def request_seeds() -> list[bytes]:
    seeds = []
    for which, kind in enumerate(REQUESTS):
        size = struct.calcsize("<" + "".join(field.code for field in kind.fields))
        tail = {
            "UPOP": b"sense.bin",
            "DNOP": b"pygnc_batch/sense.bin",
            "PGET": b"host.port",
            "PSET": b"host.port = 'a'",
        }
        body = bytes(size) + tail.get(kind.name, b"a" * kind.tail_min)
        seeds.append(bytes([which, 255, len(body), 1]) + body)
    return [*seeds, b"".join(seeds)]


def link_targets() -> dict[str, Target]:
    """Return the targets by name."""
    requests = mutations.records(OCTETS, 16)
    return {
        "sentences": Target(check_sentences, mutations.sentences, sentence_seeds(), 1200),
        "requests": Target(check_requests, requests, request_seeds(), 1024),
    }
