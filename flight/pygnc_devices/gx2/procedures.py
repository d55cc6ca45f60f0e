"""Who a unit is, single replies, biases, temperatures, built-in test."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from pygnc_devices.errors import DeviceError, RefusedError
from pygnc_devices.family import Found
from pygnc_devices.frames import Frame
from pygnc_devices.gx2 import commands
from pygnc_devices.gx2.aspp import NACK, NODE_IS_THERE
from pygnc_devices.gx2.packets import PACKETS, STREAMABLE
from pygnc_devices.gx2.timer import GX2_HZ, GX3_HZ
from pygnc_devices.gx2.unit import Gx2Unit, Values, decode
from pygnc_devices.procedure import Procedure
from pygnc_devices.requests import Request
from pygnc_devices.units import STANDARD_GRAVITY_MPS2

Vector = tuple[float, float, float]
CAPTURE_MS: Final = (10_000, 30_000)
TEST_BITS: Final = {
    "magnetometer": 1 << 2,
    "magnetometer reversed": 1 << 3,
    "accelerometer and gyros": 1 << 4,
    "gyros reversed": 1 << 5,
}
_BIASES: Final = {"accel": 1, "gyro": 2}
_NOT_STORED: Final = 0xFFFF
_PROBE_S: Final = 0.12
_VOLTS_PER_COUNT: Final = 3.3 / 4096


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a unit is, as it writes it; `firmware` as in 2.1.03."""

    model: str
    serial_number: str
    name: str
    options: str
    firmware: str


@dataclass(frozen=True, slots=True)
class Temperatures:
    """A/D counts of the four sensors; the unit does not tell which gyros it has, and so what their counts mean."""

    raw_accel: int
    raw_gyro: tuple[int, int, int]

    @property
    def accel_degc(self) -> float:
        """Of the accelerometer."""
        return (self.raw_accel * _VOLTS_PER_COUNT - 0.5) * 100.0

    def gyro_degc(self, *, is_adxrs61x: bool) -> Vector:
        """Of the gyros: ADXRS61x, or ADXRS150, 300, 401."""
        volts = tuple(raw * _VOLTS_PER_COUNT for raw in self.raw_gyro)
        x, y, z = ((volt - 2.5) / 0.009 + 25.0 if is_adxrs61x else volt / 0.0084 - 273.0 for volt in volts)
        return x, y, z


def ask(unit: Gx2Unit, request: Request) -> Procedure[Frame]:
    """Return the answer to a command.

    Raises:
        RefusedError: the base station cannot reach the node.
        NoAnswerError: none came.
    """
    frame = (yield unit.wrap(request))[-1]
    if frame.kind == NACK:
        raise RefusedError(f"the base station does not reach node {unit.node}")
    return frame


def send(unit: Gx2Unit, kind: str, data: bytes = b"") -> Procedure[bytes]:
    """Send any command, with its guard bytes, and return the payload of its reply. It changes what it changes.

    Raises:
        DeviceError: the length of its reply is in no table.
        NoAnswerError: none came.
    """
    if kind not in PACKETS:
        raise DeviceError(f"replies to command {kind} are in no table")
    return (yield from ask(unit, commands.command(kind, data))).payload


def poll(unit: Gx2Unit, kind: str = "CC") -> Procedure[Values]:
    """Return the values of one reply, asked for; one that is streamed too may be the stream's.

    Raises:
        DeviceError: there is no such reply.
        NoAnswerError: none came.
    """
    check_kind(kind)
    if kind != unit.stream:
        unit.polled.add(kind)
    return decode(PACKETS[kind], (yield from ask(unit, commands.command(kind))).payload)


def check_kind(kind: str) -> None:
    """Raise DeviceError unless it is a measurement."""
    if kind not in STREAMABLE:
        raise DeviceError(f"{kind!r} is no measurement; there are {', '.join(sorted(STREAMABLE))}")


def identify(unit: Gx2Unit) -> Procedure[Identity]:
    """Return who the unit is (EA, E9); its name tells how fast its timer runs."""
    model = yield from _text(unit, 0)
    serial_number = yield from _text(unit, 1)
    name = yield from _text(unit, 2)
    options = yield from _text(unit, 3)
    (number,) = struct.unpack(">I", (yield from ask(unit, commands.command("E9"))).payload)
    if unit.timer.hz is None:
        unit.timer.hz = GX3_HZ if "GX3" in name else GX2_HZ
    return Identity(model, serial_number, name, options, f"{number // 1000}.{number // 100 % 10}.{number % 100:02}")


def probe() -> Procedure[Found]:
    """Find out whether a unit is there: only an answer to our question counts.

    Raises:
        NoAnswerError: nobody answers.
    """
    name = yield replace(commands.identify(2), timeout_s=_PROBE_S, tries=3)
    serial_number = yield replace(commands.identify(1), timeout_s=_PROBE_S, tries=3)
    return Found(_as_text(serial_number[-1].payload), _as_text(name[-1].payload))


def ping_node(unit: Gx2Unit) -> Procedure[bool]:
    """Tell whether the base station reaches the node (02).

    Raises:
        DeviceError: the unit hangs on a cable.
    """
    if unit.node is None:
        raise DeviceError("only a base station knows nodes; open the unit with node=")
    return (yield commands.ping_node(unit.node))[-1].kind == NODE_IS_THERE


def write_accel_bias(unit: Gx2Unit, bias_mps2: Vector) -> Procedure[None]:
    """Set the bias of the accelerometer, until power-off (C9)."""
    x, y, z = (axis / STANDARD_GRAVITY_MPS2 for axis in bias_mps2)
    yield from ask(unit, commands.write_bias("C9", (x, y, z)))


def write_gyro_bias(unit: Gx2Unit, bias_rad_s: Vector) -> Procedure[None]:
    """Set the bias of the gyros, until power-off (CA)."""
    yield from ask(unit, commands.write_bias("CA", bias_rad_s))


def capture_gyro_bias(unit: Gx2Unit, seconds: float = 10.0) -> Procedure[Vector]:
    """Measure the bias of the gyros, in rad/s, and use it until power-off; the unit must stand still (CD).

    Raises:
        DeviceError: the unit takes 10 to 30 s.
    """
    ms = round(seconds * 1000)
    if not CAPTURE_MS[0] <= ms <= CAPTURE_MS[1]:
        raise DeviceError(f"the bias of the gyros is captured within 10 to 30 s, not {seconds} s")
    x, y, z = struct.unpack_from(">3f", (yield from ask(unit, commands.capture_gyro_bias(ms))).payload)
    return x, y, z


def store_bias(unit: Gx2Unit, quantity: str) -> Procedure[None]:
    """Keep the bias of `accel` or `gyro` in EEPROM (D0).

    Raises:
        DeviceError: there is no such quantity.
        RefusedError: the unit did not.
    """
    if quantity not in _BIASES:
        raise DeviceError(f"{quantity!r} is no bias; there are {', '.join(_BIASES)}")
    payload = (yield from ask(unit, commands.store_bias(_BIASES[quantity]))).payload
    if struct.unpack_from(">H", payload)[0] == _NOT_STORED:
        raise RefusedError(f"the unit does not store the {quantity} bias")


def temperatures(unit: Gx2Unit) -> Procedure[Temperatures]:
    """Return the temperatures (D1)."""
    payload = (yield from ask(unit, commands.command("D1"))).payload
    accel, x, y, z = struct.unpack_from(">4H", payload)
    return Temperatures(accel, (x, y, z))


def built_in_test(unit: Gx2Unit, tests: Iterable[str] = ()) -> Procedure[None]:
    """Switch tests on, which deflect the sensors; without any, all off (FB).

    Raises:
        DeviceError: there is no such test.
    """
    bits = 0
    for test in tests:
        if test not in TEST_BITS:
            raise DeviceError(f"{test!r} is no test; there are {', '.join(TEST_BITS)}")
        bits |= TEST_BITS[test]
    yield from ask(unit, commands.built_in_test(bits))


def _text(unit: Gx2Unit, selector: int) -> Procedure[str]:
    return _as_text((yield from ask(unit, commands.identify(selector))).payload)


def _as_text(payload: bytes) -> str:
    return payload[1:].decode("ascii", "replace").strip(" \0")
