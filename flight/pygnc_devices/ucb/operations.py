"""Operations of a unit: identity, status, packets on request, rate, restarts, level and magnetic alignment.

Each operation raises NoAnswerError if the unit does not respond, and RefusedError if it refuses the command.
"""

import contextlib
import math
import struct
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.errors import NoAnswerError, RefusedError
from pygnc_devices.family import Found
from pygnc_devices.framing import Frame
from pygnc_devices.scheduler import Claim, Request, Sleep, retry, wait_for
from pygnc_devices.ucb import commands, packets
from pygnc_devices.ucb.fields import RATE
from pygnc_devices.ucb.openimu import user_reset
from pygnc_devices.ucb.packets import STATUS_WORDS
from pygnc_devices.ucb.unit import PACKETS, UcbUnit

_RATE_TRIES: Final = 3
_PROBE_S: Final = 0.15
"""Time for a stream or a response; two attempts receive a packet of each stream of 4 Hz or more."""
_NEXT_PACKET_S: Final = 1.2
"""Longer than the step of the slowest stream, 1 Hz."""
_RESTART_S: Final = 0.5
_RESTART_PINGS: Final = 10
_RESTART_TRIES: Final = 3
_LEVEL_START: Final = 0x0006
_MAG_ALIGN_START: Final = 0x0009
_MAG_ALIGN_STOP: Final = 0x000B
_MAG_ALIGN_AUTO: Final = 0x000C
_MAG_ALIGN_STORE: Final = 0x000E
_MAG_ALIGN_LIMIT_S: Final = 150.0
_WORST_HARD_IRON_T: Final = 2.5e-4
_WORST_SOFT_IRON_RATIO: Final = 0.95


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity of a unit: serial number, and the unit's text with model, part number and version."""

    serial_number: int
    text: str

    @property
    def model(self) -> str:
        """Model of the unit: the first word of `text`."""
        return self.text.partition(" ")[0]


@dataclass(frozen=True, slots=True)
class MagAlignment:
    """Result of a magnetic alignment: hard iron in T, soft iron as a ratio and an angle."""

    hard_iron_x_t: float
    hard_iron_y_t: float
    soft_iron_ratio: float
    soft_iron_angle_rad: float

    @property
    def is_acceptable(self) -> bool:
        """True if the manual accepts the result: hard iron below 2.5 G, ratio above 0.95."""
        is_weak = max(abs(self.hard_iron_x_t), abs(self.hard_iron_y_t)) < _WORST_HARD_IRON_T
        return is_weak and self.soft_iron_ratio > _WORST_SOFT_IRON_RATIO


async def follow_rate(unit: UcbUnit) -> None:
    """Read the packet rate when the unit streams packets that contain only their count, and again after a restart.

    The operation runs as long as the port is open. It ends if the unit does not report its rate.
    """
    is_known = False

    def needs_rate(frame: Frame) -> bool:
        packet = unit.packets.get(frame.kind)
        is_streamed = packet is not None and packet.is_reading  # a response belongs to the operation that waits for it
        return is_streamed and unit.counts_packets and not (is_known and unit.period_ns)

    while True:
        await wait_for(needs_rate, "rate", math.inf)
        if unit.is_upgrading:
            return
        for _ in range(_RATE_TRIES):
            with contextlib.suppress(NoAnswerError):
                await replace(commands.ask_fields("GF", [RATE]), tries=1)
                break
        await Sleep(0.0)  # the unit interprets the response after this operation has received it
        if unit.period_ns is None:
            return
        is_known = True


async def ping(_unit: UcbUnit) -> None:
    """Check that the unit responds (PK)."""
    await commands.ping()


async def echo(_unit: UcbUnit, octets: bytes) -> bytes:
    """Send bytes and return the bytes that the unit sends back (CH)."""
    return (await commands.command("CH", octets, fits=lambda payload: payload == octets))[-1].payload


async def identify(unit: UcbUnit) -> Identity:
    """Return the identity of the unit (GP ID); of an application that does not respond to GP, by pG."""
    try:
        values = await get_packet(unit, "ID")
    except NoAnswerError as error:
        try:
            answer = await commands.send(commands.where_are_you())
        except (NoAnswerError, RefusedError):
            raise error from None
        return _application(answer)
    return Identity(int(values["serial_number"]), str(values["text"]))


async def version(unit: UcbUnit) -> str:
    """Return the version of the software, such as `19.0.7`, with stage and build unless it is released (GP VR)."""
    values = await get_packet(unit, "VR")
    major, minor, patch, stage, build = (int(value) for value in values.values())
    return f"{major}.{minor}.{patch}" + (f" stage {stage} build {build}" if stage or build else "")


async def get_packet(unit: UcbUnit, kind: str) -> dict[str, Value]:
    """Request one packet and return its values (GP). If that type is streamed, the packet may belong to the stream.

    Raises:
        RefusedError: the unit does not send this packet.
    """
    frame = (await commands.get_packet(kind))[-1]
    if frame.kind in commands.NAK_KINDS:
        raise RefusedError(f"the unit does not send {kind} packets; its firmware lacks them")
    packet = unit.packets.get(kind)
    if packet is None or not packet.fits(len(frame.payload)):
        raise RefusedError(f"unknown {kind} packet of {len(frame.payload)} bytes; declare it in user_packets")
    return packet.decode(frame.payload)


async def read_words(_unit: UcbUnit, address: int, count: int) -> tuple[int, ...]:
    """Return factory words of the EEPROM (RE). Only the maker can unlock these words for writing.

    Raises:
        RefusedError: the unit does not return the words.
    """
    octets = struct.pack(">HB", address, count)
    payload = (await commands.send(commands.command("RE", octets, fits=lambda payload: payload[:3] == octets))).payload
    if len(payload) != 3 + 2 * count:
        raise RefusedError(f"the unit returned {len(payload) - 3} bytes instead of {count} words at {address:#06x}")
    return struct.unpack_from(f">{count}H", payload, 3)


async def status(unit: UcbUnit) -> dict[str, tuple[str, ...]]:
    """Return the names of the bits set in each BIT and status word (GP T0)."""
    values = await get_packet(unit, "T0")
    return {name: packets.status_bit_names(name, int(values[name])) for name in STATUS_WORDS}


async def reset_algorithm(_unit: UcbUnit) -> None:
    """Restart attitude and navigation; fields do not change (AR)."""
    await commands.send(commands.command("AR"))


async def restart(unit: UcbUnit) -> None:
    """Restart the unit and wait until it responds; volatile fields are lost (SR; rS of an OpenIMU application)."""
    try:
        await commands.send(commands.command("SR", tries=_RESTART_TRIES))
    except (NoAnswerError, RefusedError) as error:
        try:
            await commands.send(commands.where_are_you())
        except (NoAnswerError, RefusedError):
            raise error from None
        await user_reset(unit)
    unit.volatile.clear()
    await retry(partial(identify, unit), _RESTART_PINGS, _RESTART_S)


async def reset_program(_unit: UcbUnit) -> None:
    """Send PR, which some firmware treats as `restart`."""
    await commands.send(commands.command("PR"))


async def level(_unit: UcbUnit) -> None:
    """Define the attitude at this moment as level (WC)."""
    await commands.send(commands.calibrate(_LEVEL_START))


async def align_magnetometer(unit: UcbUnit) -> MagAlignment:
    """Start an alignment and return its result (WC, CD). Turn the unit by 380 degrees within 120 s meanwhile."""
    await commands.send(commands.calibrate(_MAG_ALIGN_AUTO))
    return await _alignment(unit)


async def start_alignment(_unit: UcbUnit) -> None:
    """Start an alignment that ends with `stop_alignment` (WC)."""
    await commands.send(commands.calibrate(_MAG_ALIGN_START))


async def stop_alignment(unit: UcbUnit) -> MagAlignment:
    """End an alignment after a turn of more than 360 degrees; return its result (WC, CD)."""
    await commands.send(commands.calibrate(_MAG_ALIGN_STOP))
    return await _alignment(unit)


async def store_alignment(_unit: UcbUnit) -> None:
    """Write the result of an alignment to EEPROM (WC)."""
    await commands.send(commands.calibrate(_MAG_ALIGN_STORE))


async def _alignment(unit: UcbUnit) -> MagAlignment:
    end = wait_for(
        lambda frame: frame.kind in {"CD", "CC"}, "CD", _MAG_ALIGN_LIMIT_S, "the end of the magnetic alignment"
    )
    values = unit.packets["CD"].decode((await end)[-1].payload)
    names = ("hard_iron_x_t", "hard_iron_y_t", "soft_iron_ratio", "soft_iron_angle_rad")
    return MagAlignment(*(float(values[name]) for name in names))


async def probe() -> Found:
    """Detect a unit by its stream or by its response to PK or pG, and identify it, for a search.

    A unit that streams without responding to commands is found, too. The response to PK has the bytes of the command:
    it does not tell a unit from a line that returns what is sent, but the response to GP does.
    """
    octets = commands.ping().octets + commands.where_are_you().octets
    frames = await Request(
        octets, lambda _: Claim.LAST, "PK", _PROBE_S, 2, what="a stream or PK and pG commands", may_be_equal=True
    )
    with contextlib.suppress(NoAnswerError):
        frame = (await _identity_or_echo())[-1]
        if frame.kind == "GP":
            raise RefusedError("the line returns what is sent, and no unit responds")
        if frame.kind == "ID":
            values = PACKETS["ID"].decode(frame.payload)
            return Found(str(values["serial_number"]), str(values["text"]))
    try:
        answer = (await commands.where_are_you())[-1]
    except NoAnswerError:
        kind = frames[-1].kind
        if kind in ("PK", "pG"):
            return Found("", "")
        # Noise may contain a valid frame; a stream repeats it.
        await wait_for(lambda frame: frame.kind == kind, "stream", _NEXT_PACKET_S, "the stream")
        return Found("", f"streams {kind}; does not respond to commands")
    if commands.is_bootloader(answer):
        return Found("", "in its bootloader")
    identity = _application(answer)
    return Found(str(identity.serial_number or ""), identity.text)


def _identity_or_echo() -> Request:
    """Return the command GP ID; its own echo is accepted, too, if no response follows it in time."""
    request = commands.get_packet("ID")

    def accept(frame: Frame) -> Claim:
        return Claim.PART if frame.raw == request.octets else request.accept(frame)

    return replace(request, accept=accept, grace_s=request.timeout_s)


def _application(answer: Frame) -> Identity:
    """Return the identity in the response to pG; its serial number is 0 if the text has none."""
    text, _, number = answer.payload.partition(b"\0")[0].decode("latin-1").partition("SN:")
    return Identity(int(number) if number.strip().isdecimal() else 0, text.strip())
