"""Interpreter, driver classes and controls that the families of receivers share."""

import contextlib
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from pygnc_devices.cadence import Cadence
from pygnc_devices.continuity import DeviceClock
from pygnc_devices.declaration import Packet, Value
from pygnc_devices.device import AsyncDevice, BlockingDevice, Opener, UnitDevice, method
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError
from pygnc_devices.family import Controls, Family, Found, Setting
from pygnc_devices.framing import LINE_END, DamageReason, Frame, FrameFormat
from pygnc_devices.reading import Counters, Reading, Stamp
from pygnc_devices.receivers import framing
from pygnc_devices.receivers.framing import Values
from pygnc_devices.scheduler import Operation, Request, Sleep, accept_if, responds, retry, wait_for
from pygnc_devices.series import Followed, LineSeries, Series, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MS_PER_WEEK: Final = 604_800_000
_NS_PER_MS: Final = 1_000_000
_LARGEST_TOW_S: Final = 604_801.0
"""Largest time of week, s; a receiver may round it past the end of the week."""
_TIME_OF_WEEK: Final = "tow_s"
_ALWAYS_TIMED: Final[tuple[str, Callable[[Value], bool]]] = (_TIME_OF_WEEK, lambda _: True)
_ANSWER_S: Final = 0.5
_TRIES: Final = 20
"""A receiver that has just been switched on responds after some seconds."""
_STREAM_S: Final = 1.3
"""Time in which a receiver that sends once per second is heard."""
_SILENCE_S: Final = 5.0
"""Time without a message after which a receiver may have been switched off and on."""
_RATE: Final = "rate"
_LINE_ENDS: Final = b"\r\n"
_DOLLAR: Final = ord("$")


Timed: TypeAlias = Mapping[str, tuple[str, Callable[[Value], bool]]]
"""Name of the value that tells whether the receiver knows the time of the week, and its test, by name of message.

Other messages have a time only if the receiver knows it."""


class Commands(NamedTuple):
    """Commands of a maker's receivers.

    Attributes:
        question: request for the identity.
        identity: kind of the frame with the identity.
        describe: returns the identity in that frame, with the keys `model`, `serial_number` and `version`.
        set_rate: sets the rate of position and velocity, Hz, on this port.
        refusal: kind of the frames with which a command is refused.
        signs: kinds of further frames that only these receivers send, such as a prompt.
        probe_s: time for the first frame in a search, s; messages of a slow line delay it.
    """

    question: bytes
    identity: str
    describe: Callable[[Frame], dict[str, str]]
    set_rate: Callable[[float], Operation[None]]
    refusal: str
    signs: frozenset[str] = frozenset()
    probe_s: float = 0.6


def command(octets: bytes, accept: Callable[[Frame], bool], what: str) -> Request:
    """Return a request with the patience that a receiver needs after it was switched on."""
    return Request(octets, accept_if(accept), "command", _ANSWER_S, _TRIES, what=what)


def receiver_format(beginning: bytes, frame_at: Callable[[bytes, int], framing.Found]) -> FrameFormat:
    """Return the format of a protocol, with sentences of NMEA 0183 and line ends between its frames."""

    def between(octets: bytes, at: int, stalled: bool) -> Frame | DamageReason | None:  # noqa: ARG001, FBT001 - see `FrameFormat`
        if octets[at] in _LINE_ENDS:
            return Frame(LINE_END, b"", octets[at : at + 1], at)
        return (framing.nmea if octets[at] == _DOLLAR else frame_at)(octets, at)

    return FrameFormat(re.compile(b"|".join((rb"[\r\n]", framing.NMEA_BEGINNING, beginning))), between)


class ReceiverUnit:
    """Interpreter of the messages of a receiver.

    Args:
        decode: returns declaration and values of a message; None for another message.
        timed: see `Timed`.
        binary: binary frames of the receiver.
        commands: commands of the receiver.

    Attributes:
        rate_hz: rate that was set, Hz, restored after a reconnection and a silence; 0 if none was set.
        messages: number of messages with values.
    """

    def __init__(
        self,
        decode: Callable[[Frame], tuple[Packet, Values] | None],
        timed: Timed,
        binary: framing.BinaryFrames,
        commands: Commands,
    ) -> None:
        self.decode = decode
        self.commands = commands
        self.head_bytes = binary.head_bytes
        self.rate_hz = 0.0
        self.messages = 0
        self._timed = timed
        self._binary = binary
        self._clock = DeviceClock(_MS_PER_WEEK)
        self._cadences: defaultdict[str, Cadence] = defaultdict(Cadence)

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:
        """Return the reading in a message; see `engine.Interpreter`."""
        counters.refusals += frame.kind == self.commands.refusal
        found = self.decode(frame)
        if found is None:
            return None
        packet, values = found
        name, is_timed = self._timed.get(packet.name, _ALWAYS_TIMED)
        t_device_ns, lost = self._time(packet, float(values["tow_s"]), stamp.host_ns, is_timed=is_timed(values[name]))
        is_estimate = t_device_ns is not None and self._clock.is_estimate
        return Reading(packet, frame.raw, values, *stamp, t_device_ns, lost, is_estimate=is_estimate)

    def series(self, frame: Frame) -> Series | LineSeries | None:
        """Return the series of a message; see `SeriesInterpreter`."""
        found = self.decode(frame)
        if found is None:
            return None
        packet, _ = found
        name, is_timed = self._timed.get(packet.name, _ALWAYS_TIMED)
        (tow,) = (field for field in packet.fields if field.name == _TIME_OF_WEEK)

        def follow(tow_s: float, status: Value) -> Followed:
            return packet, *self._time(packet, tow_s, None, is_timed=is_timed(status))

        def follow_steady(tow_s: "NDArray[Any]", statuses: "NDArray[Any]") -> Span | None:
            if (statuses != statuses[0]).any():
                return None
            return self._steady_span(packet, tow_s, is_timed=is_timed(statuses[0].item()))

        def follow_count(count: Value, status: Value) -> Followed:
            return follow(float(tow.to_value(count)), status)

        def follow_steady_counts(counts: "NDArray[Any]", statuses: "NDArray[Any]") -> Span | None:
            return follow_steady(counts if tow.scale is None else counts * tow.scale + tow.offset, statuses)

        if not frame.raw.startswith(self._binary.beginning):
            lines = self._binary.lines
            return None if lines is None else lines(frame.kind, follow, follow_steady, self)
        words = tuple(packet.place(word, self._binary.payload_at) for word in (tow.name, name))
        fixed = range(self.head_bytes)
        return Series(fixed, words, self._binary.are_intact, follow_count, follow_steady_counts, self)

    def _steady_span(self, packet: Packet, tow_s: "NDArray[Any]", *, is_timed: bool) -> Span | None:
        """Process successive messages of a recording; None, with nothing processed, if one may be missing."""
        if not is_timed:
            self.messages += len(tow_s)
            self._cadences[packet.name].missing(None)
            return Span(packet, None, None)
        tow_ms = 1e3 * tow_s
        if not ((tow_ms >= 0.0) & (tow_ms < _MS_PER_WEEK - 1)).all():
            return None
        totals = self._clock.steady_totals(tow_ms.round(), _NS_PER_MS)
        if totals is None or not self._cadences[packet.name].is_steady(_NS_PER_MS * totals):
            return None
        self.messages += len(totals)
        self._clock.go_to(int(totals[-1]))
        return Span(packet, _NS_PER_MS * int(totals[0]), _NS_PER_MS * int(totals[-1]))

    def _time(self, packet: Packet, tow_s: float, host_ns: int | None, *, is_timed: bool) -> tuple[int | None, int]:
        """Return time, ns, and number of missing messages of the next message."""
        self.messages += 1
        t_device_ns = None
        if is_timed and abs(tow_s) <= _LARGEST_TOW_S:
            self._clock.advance(round(1e3 * tow_s) % _MS_PER_WEEK, _NS_PER_MS, host_ns)
            t_device_ns = _NS_PER_MS * self._clock.total
        return t_device_ns, self._cadences[packet.name].missing(t_device_ns)

    def reconnected(self) -> Operation[None] | None:
        """Return the operation that sets the rate again; see `engine.Interpreter`."""
        self._clock.interrupt()
        for cadence in self._cadences.values():
            cadence.interrupt()
        return retry(lambda: set_rate(self, self.rate_hz), 3, 0.0) if self.rate_hz else None

    def forget_cadence(self) -> None:
        """Discard the usual times between messages; the rate has changed."""
        self._cadences.clear()


async def identify(unit: ReceiverUnit) -> dict[str, str]:
    """Return model, serial number and version of a receiver; a key is absent if the receiver does not tell it.

    Raises:
        NoAnswerError: the receiver does not respond.
    """
    commands = unit.commands
    request = command(commands.question, lambda frame: frame.kind == commands.identity, "the question for the model")
    return commands.describe((await request)[-1])


async def set_rate(unit: ReceiverUnit, hz: float) -> None:
    """Set the rate of position and velocity, until power-off; it is restored after a reconnection.

    Raises:
        RefusedError: the receiver does not have this rate.
        NoAnswerError: the receiver does not respond.
    """
    if not 0.0 < hz <= 100.0:
        raise DeviceError(f"rate {hz:g} Hz: choose a rate above 0 and up to 100 Hz")
    unit.rate_hz = hz
    await unit.commands.set_rate(hz)
    unit.forget_cadence()


async def keep_rate(unit: ReceiverUnit) -> None:
    """Set the rate again whenever the receiver falls silent: its UART is always there, but its settings may be lost."""
    while True:
        before = unit.messages
        await Sleep(max(_SILENCE_S, 3.0 / (unit.rate_hz or 1.0)))
        if unit.rate_hz and unit.messages == before:
            with contextlib.suppress(NoAnswerError, RefusedError):
                await set_rate(unit, unit.rate_hz)


async def start(unit: ReceiverUnit) -> None:
    """Make a receiver send position and velocity once per second, unless it sends them already."""
    if not await responds(wait_for(lambda frame: unit.decode(frame) is not None, "start", _STREAM_S)):
        await set_rate(unit, 1.0)


async def put(unit: ReceiverUnit, values: Mapping[str, str]) -> list[Setting]:
    """Set the rate; receivers have no other setting here."""
    for name in values:
        if name != _RATE:
            raise DeviceError(f"unknown setting {name!r}; choose from {_RATE}")
    try:
        hz = float(values[_RATE].lower().removesuffix("hz"))
    except ValueError:
        raise DeviceError(f"{_RATE}: {values[_RATE]!r} is not a number") from None
    await set_rate(unit, hz)
    return [Setting(_RATE, hz, f"{hz:g} Hz", "rate of position and velocity")]


async def _probe(unit: ReceiverUnit, title: str) -> Found:
    """Detect a receiver by its identity, or by its messages."""
    commands = unit.commands

    def is_mine(frame: Frame) -> bool:
        return frame.kind in commands.signs or frame.kind == commands.identity or unit.decode(frame) is not None

    (frame,) = await Request(commands.question, accept_if(is_mine), "command", commands.probe_s, 1, what="the model")
    if frame.kind != commands.identity:
        request = wait_for(lambda one: one.kind == commands.identity, "command", _STREAM_S)
        try:
            (frame,) = await request
        except NoAnswerError:
            return Found("", f"{title}; does not respond to commands")
    identity = commands.describe(frame)
    return Found(identity.get("serial_number", ""), " ".join(filter(None, map(identity.get, ("model", "version")))))


def receiver_family(
    name: str,
    title: str,
    *,
    bauds: tuple[int, ...],
    wire: Wire,
    packets: Sequence[Packet],
    decode: Callable[[Frame], tuple[Packet, Values] | None],
    timed: Timed,
    binary: framing.BinaryFrames,
    commands: Commands,
    quiet_bauds: tuple[int, ...] = (),
) -> Family:
    """Return a family of receivers; for the arguments see `Family`, `ReceiverUnit` and `Commands`."""
    default_baud = bauds[0]

    def make_unit(_: int = 0) -> ReceiverUnit:
        return ReceiverUnit(decode, timed, binary, commands)

    def connect(url: str, baud: int = default_baud) -> tuple[Engine, ReceiverUnit]:
        """Open a receiver. It sends what it is configured to send.

        Args:
            url: serial path, `socket://host:port`, `rfc2217://host:port`, `file://recording.raw`.
            baud: baud rate of the line; on USB, any.

        Raises:
            PortError: the port cannot be opened.
        """
        unit = make_unit()
        engine = Engine(url, baud, wire, unit)
        engine.run_while_connected(partial(keep_rate, unit))
        return engine, unit

    opener: Opener[...] = Opener(connect)

    class ReceiverMethods(UnitDevice[ReceiverUnit]):
        """Methods of the synchronous and the asyncio API."""

        open = opener
        identify = method(identify)
        set_rate = method(set_rate)

    class Receiver(ReceiverMethods, BlockingDevice):
        """Synchronous driver."""

    class AsyncReceiver(ReceiverMethods, AsyncDevice):
        """Driver for asyncio."""

    return Family(
        name=name,
        title=title,
        bauds=bauds,
        wire=wire,
        packets=tuple(packets),
        device=Receiver,
        async_device=AsyncReceiver,
        interpreter=make_unit,
        probe=lambda: _probe(make_unit(), title),
        quiet_bauds=quiet_bauds,
        controls=Controls(
            describe=identify,
            start=start,
            stream=lambda unit, hz: set_rate(unit, float(hz)),
            set=put,
        ),
    )
