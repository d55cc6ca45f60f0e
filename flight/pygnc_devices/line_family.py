"""Devices that write lines of text: a family out of a few declared sentences.

A line is `$NAME,field,field*5A`, as in NMEA 0183: the checksum is the exclusive or of all characters between `$` and
`*`. Without a checksum it is `NAME,field,field`. A device that has more to it is a package such as `emus`.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial, reduce
from operator import xor
from typing import Any, Final, TypeAlias

from pygnc_devices.device import AsyncDevice, BlockingDevice
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.errors import NoAnswerError
from pygnc_devices.family import Family, Found
from pygnc_devices.framing import DamageReason, Frame, Judgement, LineFormat
from pygnc_devices.reading import Counts, Reading, Stamp
from pygnc_devices.scheduler import Claim, Pause, Procedure, Request
from pygnc_devices.text_declaration import Sentence

LONGEST: Final = 256
"""Bytes of a line with its end."""
_LONGEST_SILENCE_S: Final = 0.9
_Connect: TypeAlias = Callable[[str, int, float], Engine]
_WITH_CHECKSUM: Final = re.compile(rb"[$\r\n\0]")
_WITHOUT: Final = re.compile(rb"[!-~\r\n\0]")
_WHOLE: Final = re.compile(rb"\$(.*)\*([0-9A-Fa-f]{2})")


def line_family(
    name: str,
    title: str,
    sentences: Iterable[Sentence],
    *,
    baud: int = 9600,
    has_checksum: bool = True,
    question: bytes = b"",
    interval_s: float = 1.0,
) -> Family:
    """Return a family of devices that write lines.

    Args:
        name: in commands and files.
        title: for people.
        sentences: what lines say.
        baud: speed of the line.
        has_checksum: whether lines begin with `$` and end with `*` and a checksum.
        question: what is sent for a line; b"": the device writes by itself.
        interval_s: how often to ask, unless the device is opened with another interval.
    """
    known = {sentence.name: sentence for sentence in sentences}
    judge = partial(_judge_checked if has_checksum else _judge, known)
    wire = Wire(LineFormat(_WITH_CHECKSUM if has_checksum else _WITHOUT, judge, LONGEST).scan, LONGEST)

    def connect(url: str, baud: int, every_s: float) -> Engine:
        engine = Engine(url, baud, wire, LineUnit(known))
        if question:
            engine.keep(partial(_ask, question, frozenset(known), every_s))
        return engine

    device, async_device = (_asked if question else _listening)(connect, baud, interval_s)
    return Family(
        name=name,
        title=title,
        bauds=(baud,),
        wire=wire,
        packets=tuple(known.values()),
        device=device,
        async_device=async_device,
        interpreter=lambda _: LineUnit(known),
        probe=partial(_probe, question, frozenset(known), title),
        make_frame=partial(make_line, has_checksum=has_checksum),
        question=question,
    )


def _listening(connect: _Connect, baud: int, interval_s: float) -> tuple[type[BlockingDevice], type[AsyncDevice]]:
    """Return the faces of a device that writes by itself."""
    usual = baud

    class LineDevice(BlockingDevice):
        """A device for plain scripts."""

        @classmethod
        def open(cls, url: str, baud: int = usual) -> "LineDevice":
            """Open a device.

            Raises:
                PortError: the port cannot be opened.
            """
            return cls(connect(url, baud, interval_s))

    class AsyncLineDevice(AsyncDevice):
        """A device for asyncio."""

        @classmethod
        async def open(cls, url: str, baud: int = usual) -> "AsyncLineDevice":
            """Open a device; see `LineDevice.open`."""
            return cls(await asyncio.to_thread(connect, url, baud, interval_s))

    return LineDevice, AsyncLineDevice


def _asked(connect: _Connect, baud: int, interval_s: float) -> tuple[type[BlockingDevice], type[AsyncDevice]]:
    """Return the faces of a device that is asked again and again."""
    usual, usual_s = baud, interval_s

    class AskedDevice(BlockingDevice):
        """A device for plain scripts."""

        @classmethod
        def open(cls, url: str, baud: int = usual, *, interval_s: float = usual_s) -> "AskedDevice":
            """Open a device, and ask it at this interval.

            Raises:
                PortError: the port cannot be opened.
            """
            return cls(connect(url, baud, interval_s))

    class AsyncAskedDevice(AsyncDevice):
        """A device for asyncio."""

        @classmethod
        async def open(cls, url: str, baud: int = usual, *, interval_s: float = usual_s) -> "AsyncAskedDevice":
            """Open a device; see `AskedDevice.open`."""
            return cls(await asyncio.to_thread(connect, url, baud, interval_s))

    return AskedDevice, AsyncAskedDevice


class LineUnit:
    """The engine's interpreter: every line of a declared sentence is a reading, unless it is an answer only."""

    def __init__(self, sentences: Mapping[str, Sentence]) -> None:
        self._sentences = sentences

    def take(self, frame: Frame, stamp: Stamp, counts: Counts) -> Reading | None:  # noqa: ARG002 - see `engine.Interpreter`
        """Return the reading of a line."""
        sentence = self._sentences.get(frame.kind)
        if sentence is None or not sentence.is_reading:
            return None
        return Reading(sentence, frame.raw, sentence.decode(frame.payload), *stamp)

    def reconnected(self) -> Procedure[None] | None:
        """Return None: there is nothing to be set again."""
        return None


def make_line(name: str, payload: bytes, *, has_checksum: bool) -> bytes:
    """Return a line with its end."""
    body = name.encode("ascii") + b"," + payload
    return b"$%s*%02X\r\n" % (body, reduce(xor, body)) if has_checksum else body + b"\r\n"


def _judge_checked(sentences: Mapping[str, Sentence], line: bytes) -> Judgement:
    whole = _WHOLE.fullmatch(line)
    if whole is None:
        return DamageReason.NOISE
    if reduce(xor, whole[1], 0) != int(whole[2], 16):
        return DamageReason.CHECKSUM
    return _judge(sentences, whole[1])


def _judge(sentences: Mapping[str, Sentence], line: bytes) -> Judgement:
    name, _, payload = line.partition(b",")
    sentence = sentences.get(name.decode("ascii"))
    if sentence is None:
        return DamageReason.NOISE
    return (sentence.name, payload) if sentence.fits(payload) else DamageReason.CONTENT


def _request(question: bytes, names: frozenset[str], timeout_s: float) -> Request:
    def accept(frame: Frame) -> Claim:
        return Claim.LAST if frame.kind in names else Claim.NO

    return Request(question, accept, "line", timeout_s, tries=1, what="a line")


def _ask(question: bytes, names: frozenset[str], interval_s: float) -> Procedure[Any]:
    """Ask again and again; a line that does not come is passed over."""
    while True:
        try:
            yield _request(question, names, max(interval_s, _LONGEST_SILENCE_S))
        except NoAnswerError:
            continue
        yield Pause(interval_s)


def _probe(question: bytes, names: frozenset[str], title: str) -> Procedure[Found]:
    yield _request(question, names, _LONGEST_SILENCE_S)
    return Found("", title)
