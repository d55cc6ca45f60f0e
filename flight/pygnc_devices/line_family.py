"""Families of devices that send lines of text, made from declared sentences.

A line is `$NAME,field,field*5A`, as in NMEA 0183: the checksum is the exclusive or of all characters between `$` and
`*`. Without a checksum it is `NAME,field,field`. A device with more functions needs a driver package such as `emus`.
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial, reduce
from operator import xor
from typing import Final

from pygnc_devices.device import AsyncDevice, BlockingDevice, Opener, UnitDevice
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.errors import NoAnswerError
from pygnc_devices.family import Family, Found
from pygnc_devices.framing import DamageReason, Frame, Judgement, line_format
from pygnc_devices.reading import Counters, Reading, Stamp
from pygnc_devices.scheduler import Request, Sleep, accept_if
from pygnc_devices.text_declaration import Sentence

LONGEST: Final = 256
"""Bytes of the longest line with its line end."""
_ANSWER_TIMEOUT_S: Final = 0.9
_STREAM_TIMEOUT_S: Final = 1.3
"""Time for a whole line of a device that sends one per second by itself."""
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
    """Return a family of devices that send lines of text.

    Args:
        name: name in commands and files.
        title: name for people.
        sentences: declarations of the lines.
        baud: baud rate of the line.
        has_checksum: True if lines begin with `$` and end with `*` and a checksum.
        question: request for a line; b"" for a device that sends by itself.
        interval_s: interval in seconds between requests, unless the device is opened with another interval.
    """
    known = {sentence.name: sentence for sentence in sentences}
    judge = partial(_judge_checked if has_checksum else _judge, known)
    wire = Wire(line_format(_WITH_CHECKSUM if has_checksum else _WITHOUT, judge, LONGEST).scan, LONGEST)
    default_baud, default_s = baud, interval_s

    def connect(url: str, baud: int = default_baud) -> tuple[Engine, LineUnit]:
        """Open a device.

        Raises:
            PortError: the port cannot be opened.
        """
        unit = LineUnit(known)
        return Engine(url, baud, wire, unit), unit

    def connect_polled(url: str, baud: int = default_baud, *, interval_s: float = default_s) -> tuple[Engine, LineUnit]:
        """Open a device and request a line every `interval_s` seconds.

        Raises:
            PortError: the port cannot be opened.
        """
        engine, unit = connect(url, baud)
        engine.run_while_connected(partial(_poll, question, frozenset(known), interval_s))
        return engine, unit

    opener: Opener[...] = Opener(connect_polled if question else connect)

    class LineDevice(UnitDevice[LineUnit], BlockingDevice):
        """Synchronous driver."""

        open = opener

    class AsyncLineDevice(UnitDevice[LineUnit], AsyncDevice):
        """Driver for asyncio."""

        open = opener

    return Family(
        name=name,
        title=title,
        bauds=(baud,),
        wire=wire,
        packets=tuple(known.values()),
        device=LineDevice,
        async_device=AsyncLineDevice,
        interpreter=lambda _: LineUnit(known),
        probe=partial(_probe, question, frozenset(known), title),
        make_frame=partial(make_line, has_checksum=has_checksum),
        question=question,
    )


class LineUnit:
    """Interpreter of lines: each line of a declared sentence is a reading, unless it is only a response."""

    def __init__(self, sentences: Mapping[str, Sentence]) -> None:
        self._sentences = sentences

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:  # noqa: ARG002 - see `engine.Interpreter`
        """Return the reading of a line."""
        sentence = self._sentences.get(frame.kind)
        if sentence is None or not sentence.is_reading:
            return None
        return Reading(sentence, frame.raw, sentence.decode(frame.payload), *stamp)

    def reconnected(self) -> None:
        """Do nothing: there are no settings to restore."""


def make_line(name: str, payload: bytes, *, has_checksum: bool) -> bytes:
    """Return a line with checksum and CR LF."""
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
    return Request(question, accept_if(lambda frame: frame.kind in names), "line", timeout_s, tries=1, what="a line")


async def _poll(question: bytes, names: frozenset[str], interval_s: float) -> None:
    """Request a line at each interval; a missing line is skipped."""
    while True:
        try:
            await _request(question, names, max(interval_s, _ANSWER_TIMEOUT_S))
        except NoAnswerError:
            continue
        await Sleep(interval_s)


async def _probe(question: bytes, names: frozenset[str], title: str) -> Found:
    await _request(question, names, _ANSWER_TIMEOUT_S if question else _STREAM_TIMEOUT_S)
    return Found("", title)
