"""Operations of a unit: identity, single packets, continuous mode, biases, temperatures, built-in test.

Commands are those of the MicroStrain Data Communications Protocol 1.19. A response arrives at the end of the
calculation cycle in which the command is carried out: up to a second later at the slowest rate. Continuous mode is
volatile; the EEPROM can start it at power-up. Each operation raises NoAnswerError if the unit does not respond, and
RefusedError if the base station does not reach the node.
"""

import contextlib
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError
from pygnc_devices.family import Found
from pygnc_devices.gx2.framing import ACK, NACK, NODE_IS_THERE
from pygnc_devices.gx2.packets import PACKETS, STREAMABLE
from pygnc_devices.gx2.unit import GX2_HZ, GX3_HZ, Gx2Unit, Values, decode
from pygnc_devices.scheduler import Claim, Request, accept_if, retry, wait_for
from pygnc_devices.units import STANDARD_GRAVITY_MPS2

_TIMEOUT_S: Final = 0.4
_TRIES: Final = 4
CYCLE_S: Final = 1.3
"""Longer than the longest calculation cycle."""
_GUARD: Final = b"\xc1\x29"
"""Two guard bytes, so that noise is not mistaken for a command that changes something."""
_NOT_STORED: Final = 0xFFFF


def command(
    kind: str,
    data: bytes = b"",
    *,
    fits: Callable[[bytes], bool] = lambda _: True,
    timeout_s: float = _TIMEOUT_S,
    tries: int = _TRIES,
    queue: str = "",
) -> Request:
    """Return the request of a command; the response is a packet of the same kind whose payload `fits` accepts."""
    accept = accept_if(lambda frame: frame.kind == NACK or (frame.kind == kind and fits(frame.payload)))
    return Request(bytes.fromhex(kind) + data, accept, queue or kind, timeout_s, tries, what=f"command {kind}")


Vector = tuple[float, float, float]
CAPTURE_MS: Final = (10_000, 30_000)
TEST_BITS: Final = {
    "magnetometer": 1 << 2,
    "magnetometer reversed": 1 << 3,
    "accelerometer and gyros": 1 << 4,
    "gyros reversed": 1 << 5,
}
_BIASES: Final = {"accel": 1, "gyro": 2}
_PROBE_S: Final = 0.12
_STREAMED_PACKETS: Final = 3
_WAITING_COMMANDS: Final = 6
_VOLTS_PER_COUNT: Final = 3.3 / 4096


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity of a unit, as the unit reports it; `firmware` is a version such as 2.1.03."""

    model: str
    serial_number: str
    name: str
    options: str
    firmware: str


@dataclass(frozen=True, slots=True)
class Temperatures:
    """A/D counts of four temperature sensors; conversion requires the gyro model, which the unit does not report."""

    raw_accel: int
    raw_gyro: tuple[int, int, int]

    @property
    def accel_degc(self) -> float:
        """Temperature of the accelerometer, degC."""
        return (self.raw_accel * _VOLTS_PER_COUNT - 0.5) * 100.0

    def gyro_degc(self, *, is_adxrs61x: bool) -> Vector:
        """Return the temperatures of the x, y and z gyro, degC, for ADXRS61x or else for ADXRS150, 300 and 401."""
        volts = tuple(raw * _VOLTS_PER_COUNT for raw in self.raw_gyro)
        x, y, z = ((volt - 2.5) / 0.009 + 25.0 if is_adxrs61x else volt / 0.0084 - 273.0 for volt in volts)
        return x, y, z


async def ask(unit: Gx2Unit, request: Request) -> bytes:
    """Return the payload of the response to a command.

    Raises:
        RefusedError: the base station does not reach the node.
        NoAnswerError: no response arrived.
    """
    frame = (await unit.wrap(request))[-1]
    if frame.kind == NACK:
        raise RefusedError(f"the base station does not reach node {unit.node}; check its power and its distance")
    return frame.payload


async def send(unit: Gx2Unit, kind: str, data: bytes = b"") -> bytes:
    """Send any command with its data (guard bytes included), unchecked, and return the payload of the response.

    Raises:
        DeviceError: the response to this command is not declared.
    """
    if kind not in PACKETS:
        raise DeviceError(f"unknown command {kind}; choose from {', '.join(PACKETS)}")
    return await ask(unit, command(kind, data))


async def poll(unit: Gx2Unit, kind: str = "CC") -> Values:
    """Request one packet and return its values. If that kind is streamed, the packet may belong to the stream.

    Raises:
        DeviceError: `kind` is not a measurement.
    """
    check_kind(kind)
    if kind != unit.stream:
        unit.polled.add(kind)
    return decode(PACKETS[kind], await ask(unit, command(kind)))


def check_kind(kind: str) -> None:
    """Raise DeviceError unless `kind` is a measurement."""
    if kind not in STREAMABLE:
        raise DeviceError(f"unknown measurement {kind!r}; choose from {', '.join(sorted(STREAMABLE))}")


async def identify(unit: Gx2Unit) -> Identity:
    """Return the identity of the unit (EA, E9). Its name determines the frequency of its timer."""
    texts = [_as_text(await ask(unit, _ask_text(selector))) for selector in range(4)]
    model, serial_number, name, options = texts
    (number,) = struct.unpack(">I", await ask(unit, command("E9")))
    if unit.timer.hz is None:
        unit.timer.hz = GX3_HZ if "GX3" in name else GX2_HZ
    return Identity(model, serial_number, name, options, f"{number // 1000}.{number // 100 % 10}.{number % 100:02}")


async def probe() -> Found:
    """Detect and identify a unit, for a search; a stream of 3 Hz or more is found without a response, too.

    The checksum of one packet proves little, and the frames of monoDrive's simulator contain packets C2. Therefore a
    stream needs several packets of one kind, and is not certain.
    """
    accept = accept_if(lambda frame: frame.kind == "EA" or frame.kind in STREAMABLE)
    kind = (await replace(_ask_text(2), accept=accept, timeout_s=_PROBE_S, tries=3))[-1].kind
    try:
        return await _identity_for_search(_PROBE_S, 3)
    except NoAnswerError:
        if kind == "EA":
            raise
    start_s = time.monotonic()
    for _ in range(_STREAMED_PACKETS - 1):
        await _streamed(kind, CYCLE_S)
    cycle_s = (time.monotonic() - start_s) / (_STREAMED_PACKETS - 1)
    try:  # a unit carries out one command per cycle, and up to six earlier ones may wait
        return await _identity_for_search(_PROBE_S + _WAITING_COMMANDS * cycle_s, 1)
    except NoAnswerError:
        return Found("", f"streams {kind}; does not respond to commands", is_certain=False)


async def _identity_for_search(timeout_s: float, tries: int) -> Found:
    name = await replace(_ask_text(2), timeout_s=timeout_s, tries=tries)
    serial_number = await replace(_ask_text(1), timeout_s=timeout_s, tries=tries)
    return Found(_as_text(serial_number[-1].payload), _as_text(name[-1].payload))


async def ping_node(unit: Gx2Unit) -> bool:
    """Return True if the base station reaches the node (02).

    Raises:
        DeviceError: the unit is connected by a cable.
    """
    if unit.node is None:
        raise DeviceError("the unit was opened without node=; only a base station has nodes")
    accept = accept_if(lambda frame: frame.kind in {NODE_IS_THERE, NACK})
    octets = b"\x02" + struct.pack(">H", unit.node)
    frames = await Request(octets, accept, "02", CYCLE_S, tries=2, what=f"node {unit.node}")
    return frames[-1].kind == NODE_IS_THERE


async def write_accel_bias(unit: Gx2Unit, bias_mps2: Vector) -> None:
    """Set the bias of the accelerometer, m/s² along x, y, z, until power-off (C9)."""
    await _write_bias(unit, "C9", b"\xb7\x44", [axis / STANDARD_GRAVITY_MPS2 for axis in bias_mps2])


async def write_gyro_bias(unit: Gx2Unit, bias_rad_s: Vector) -> None:
    """Set the bias of the gyros, rad/s about x, y, z, until power-off (CA)."""
    await _write_bias(unit, "CA", b"\x12\xa5", bias_rad_s)


async def capture_gyro_bias(unit: Gx2Unit, seconds: float = 10.0) -> Vector:
    """Measure the bias of the gyros, rad/s, x, y, z, and use it until power-off (CD). The unit must not move.

    Raises:
        DeviceError: the time is not from 10 to 30 s.
    """
    ms = round(seconds * 1000)
    if not CAPTURE_MS[0] <= ms <= CAPTURE_MS[1]:
        raise DeviceError(f"capturing the gyro bias takes 10 to 30 s, not {seconds} s")
    request = command("CD", _GUARD + struct.pack(">H", ms), timeout_s=seconds + 3 * CYCLE_S, tries=1)
    x, y, z = struct.unpack_from(">3f", await ask(unit, request))
    return x, y, z


async def store_bias(unit: Gx2Unit, quantity: str) -> None:
    """Write the bias of `accel` or `gyro` to EEPROM (D0).

    Raises:
        DeviceError: the quantity is unknown.
        RefusedError: the unit did not store it.
    """
    if quantity not in _BIASES:
        raise DeviceError(f"unknown bias {quantity!r}; choose from {', '.join(_BIASES)}")
    number = _BIASES[quantity]

    def fits(payload: bytes) -> bool:
        return struct.unpack_from(">H", payload)[0] in (number, _NOT_STORED)

    request = command("D0", _GUARD + struct.pack(">H", number), fits=fits, timeout_s=CYCLE_S, tries=1)
    if struct.unpack_from(">H", await ask(unit, request))[0] == _NOT_STORED:
        raise RefusedError(f"the unit did not store the {quantity} bias; repeat store_bias")


async def temperatures(unit: Gx2Unit) -> Temperatures:
    """Return the A/D counts of the temperature sensors (D1)."""
    accel, x, y, z = struct.unpack_from(">4H", await ask(unit, command("D1")))
    return Temperatures(accel, (x, y, z))


async def built_in_test(unit: Gx2Unit, tests: Iterable[str] = ()) -> None:
    """Switch on the given tests, which deflect the sensors, and all others off (FB).

    Raises:
        DeviceError: a test is unknown.
    """
    bits = 0
    for test in tests:
        if test not in TEST_BITS:
            raise DeviceError(f"unknown test {test!r}; choose from {', '.join(TEST_BITS)}")
        bits |= TEST_BITS[test]
    octet = bytes([bits])
    await ask(unit, command("FB", _GUARD + octet, fits=lambda payload: payload == octet))


async def _write_bias(unit: Gx2Unit, kind: str, guard: bytes, words: Iterable[float]) -> None:
    payload = struct.pack(">3f", *words)
    await ask(unit, command(kind, guard + payload, fits=lambda received: received[:12] == payload))


def _ask_text(selector: int) -> Request:
    """Return EA, which requests a text: 0 model, 1 serial number, 2 name, 3 options."""
    return command("EA", bytes([selector]), fits=lambda payload: payload[0] == selector)


def _as_text(payload: bytes) -> str:
    return payload[1:].decode("ascii", "replace").strip(" \0")


_STARTS: Final = 4
_POLLS: Final = 2
_STOPS: Final = 10
_RESTART_ATTEMPTS: Final = 5
_RESTART_S: Final = 0.5
_FIRST_S: Final = 1.3
"""Time limit for the first packet of a stream: longer than a cycle of the slowest rate."""
_IDLE_S: Final = 0.15


async def start_continuous(unit: Gx2Unit, kind: str = "CC") -> None:
    """Start sending a packet in every cycle, and wait for the first packet (C4). Other commands work meanwhile.

    Just after power-up a unit may confirm C4 without streaming; after a few polls it streams.

    Raises:
        DeviceError: `kind` is not a measurement.
        NoAnswerError: the unit does not respond, or does not stream.
    """
    check_kind(kind)
    try:
        await _start(unit, kind)
    finally:
        unit.is_waking = False
    unit.stream = kind
    unit.polled.discard(kind)
    unit.reset_rate()


async def _start(unit: Gx2Unit, kind: str) -> None:
    for attempt in range(_STARTS):
        try:
            await ask(unit, _continuous(kind))
            await _streamed(kind, _FIRST_S)
        except NoAnswerError:
            if attempt == _STARTS - 1:
                raise
            await _wake(unit)
        else:
            return


async def stop_continuous(unit: Gx2Unit) -> None:
    """Stop continuous mode and wait until no packets arrive (C4, FA).

    Raises:
        RefusedError: the unit is still streaming; by radio another attempt may succeed.
    """
    kind, unit.stream = unit.stream, None
    for _ in range(_STOPS):
        try:
            await ask(unit, _continuous("00"))
        except NoAnswerError:
            await _stop_without_reply(unit)
        try:
            await _streamed(kind or "CC", _IDLE_S)
        except NoAnswerError:
            return
    raise RefusedError(f"the unit is still streaming after {_STOPS} stop commands; repeat stop_continuous")


async def recover(unit: Gx2Unit) -> None:
    """Restore continuous mode after a reconnection; the unit may have lost its power."""
    if unit.stream is not None:
        await start_continuous(unit, unit.stream)


async def reset(unit: Gx2Unit) -> None:
    """Restart a 3DM-GX3-25 and wait until it responds; values set until power-off are lost (FE).

    Raises:
        DeviceError: the unit is not a 3DM-GX3-25.
    """
    await identify(unit)
    if not unit.is_gx3:
        raise DeviceError("a 3DM-GX2 has no command for a restart; switch it off and on")
    with contextlib.suppress(NoAnswerError):  # it has no response
        await unit.wrap(Request(b"\xfe\x9e\x3a", lambda _: Claim.NO, "FE", 0.0, tries=1, what="command FE"))
    unit.stream = None
    unit.timer.restart()
    unit.reset_rate()
    await retry(partial(identify, unit), _RESTART_ATTEMPTS, _RESTART_S)


async def _wake(unit: Gx2Unit) -> None:
    unit.is_waking = True
    for _ in range(_POLLS):
        with contextlib.suppress(NoAnswerError):
            await ask(unit, command("C2", tries=1))


async def _stop_without_reply(unit: Gx2Unit) -> None:
    """Send FA, which has no response; the base station of a node acknowledges it."""
    octets = b"\xfa\x75\xb4" if unit.is_gx3 else b"\xfa"
    accept = accept_if(lambda frame: unit.node is None or frame.kind in {ACK, NACK})
    timeout_s = 0.05 if unit.node is None else 0.3
    with contextlib.suppress(NoAnswerError):
        await unit.wrap(Request(octets, accept, "FA", timeout_s, tries=1, what="command FA"))


def _continuous(kind: str) -> Request:
    """Return C4, which starts streaming packets of a kind; "00" ends continuous mode."""
    octet = bytes.fromhex(kind)
    return command("C4", _GUARD + octet, fits=lambda payload: payload[:1] == octet, tries=2)


def _streamed(kind: str, wait_s: float) -> Request:
    """Return a request that waits for a streamed packet."""
    return wait_for(lambda frame: frame.kind == kind, f"next {kind}", wait_s, f"a streamed packet {kind}")
