"""Driver of MicroStrain 3DM-GX2, Inertia-Link and 3DM-GX3-25: `Gx2`, `AsyncGx2`, their controls and family."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from typing import Annotated, Final, TypeVar

import msgspec

from pygnc_devices.device import AsyncDevice, BlockingDevice, Opener, UnitDevice, method
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.errors import DeviceError, NoAnswerError
from pygnc_devices.family import Controls, Family, Setting
from pygnc_devices.framing import Frame
from pygnc_devices.gx2 import eeprom, framing, operations
from pygnc_devices.gx2.eeprom import COUNTS_PER_S, RATE_ADDRESS, STARTUP_ADDRESS, Sampling
from pygnc_devices.gx2.operations import identify
from pygnc_devices.gx2.packets import LONGEST_FRAME, PACKETS, STREAMABLE
from pygnc_devices.gx2.unit import Gx2Unit
from pygnc_devices.scheduler import responds, wait_for
from pygnc_devices.snapshot import UnitSnapshot, require_owner

T = TypeVar("T")

_SAMPLING: Final = "sampling."
_SAMPLING_NAMES: Final = tuple(_SAMPLING + field.name for field in fields(Sampling))
_STORED_NAMES: Final = ("rate", "startup")
_NO_REPLY: Final = "none"
_FAST_CYCLE_S: Final = 0.25
"""Time in which a unit is heard that streams at 5 Hz or more."""
_CONTINUOUS: Final = "packet sent in every cycle"


async def describe(unit: Gx2Unit) -> dict[str, str]:
    """Return identity and settings of the unit."""
    identity = await identify(unit)
    description = {
        "serial_number": identity.serial_number,
        "model": identity.name,
        "part_number": identity.model,
        "options": identity.options,
        "version": identity.firmware,
        "rate": f"{(await eeprom.get_rate(unit)):g} Hz",
    }
    if unit.is_gx3:
        sampling = await eeprom.get_sampling(unit)
        description["filter"] = f"{sampling.inertial_filter_size} and {sampling.magnetic_filter_size} samples"
    return description


async def start(unit: Gx2Unit) -> None:
    """Start continuous mode, unless the unit streams from power-up on; such a unit may be unable to respond."""
    if unit.stream is None and not await _streams(unit, _FAST_CYCLE_S):
        try:
            await operations.start_continuous(unit)
        except NoAnswerError:
            if not await _streams(unit, operations.CYCLE_S):
                raise


async def _streams(unit: Gx2Unit, timeout_s: float) -> bool:
    """Return True if the unit sends a measurement that was not requested."""

    def is_streamed(frame: Frame) -> bool:
        return frame.kind in STREAMABLE and frame.kind not in unit.polled

    return await responds(wait_for(is_streamed, "stream", timeout_s))


async def get(unit: Gx2Unit, names: Sequence[str]) -> list[Setting]:
    """Return values in effect: the sampling settings of a 3DM-GX3-25; other units do not report them."""
    await identify(unit)
    if not unit.is_gx3:
        raise DeviceError("a 3DM-GX2 does not report values in effect; `read` returns its EEPROM")
    _check(names, _SAMPLING_NAMES)
    found = await _sampling(unit)
    return [found[name] for name in names or _SAMPLING_NAMES]


async def put(unit: Gx2Unit, values: Mapping[str, str]) -> list[Setting]:
    """Set `continuous` (a packet such as CC, or none), rate and sampling settings of a 3DM-GX3-25, until power-off."""
    _check(values, ("continuous", "rate", *_SAMPLING_NAMES))
    settings = await _put_sampling(unit, values, keep=False)
    if "rate" in values:
        settings.append(_rate(await eeprom.set_rate(unit, _hz(values["rate"]), keep=False)))
    if "continuous" in values:
        kind = _reply(values["continuous"])
        if kind is None:
            await operations.stop_continuous(unit)
        else:
            await operations.start_continuous(unit, kind)
        settings.append(Setting("continuous", kind or _NO_REPLY, meaning=_CONTINUOUS))
    return settings


async def read(unit: Gx2Unit, names: Sequence[str]) -> list[Setting]:
    """Return rate, packet streamed from power-up on, sampling settings, and EEPROM words by address (0xFCA2)."""
    await identify(unit)
    sampling = await _sampling(unit) if unit.is_gx3 else {}
    known = (*_STORED_NAMES, *sampling)
    _check(names, known)
    settings = []
    for name in names or known:
        if name in sampling:
            settings.append(sampling[name])
        elif name == "rate":
            settings.append(_rate(await eeprom.get_rate(unit)))
        elif name == "startup":
            settings.append(_startup(await eeprom.get_startup(unit)))
        else:
            settings.append(_word(name, await eeprom.read_word(unit, int(name, 16))))
    return settings


async def write(unit: Gx2Unit, values: Mapping[str, str]) -> list[Setting]:
    """Write to non-volatile memory. A 3DM-GX2 uses its rate from the next power-up on."""
    _check(values, (*_STORED_NAMES, *_SAMPLING_NAMES))
    settings = await _put_sampling(unit, values, keep=True)
    for name, text in values.items():
        if name == "rate":
            settings.append(_rate(await eeprom.set_rate(unit, _hz(text))))
        elif name == "startup":
            await eeprom.set_startup(unit, _reply(text))
            settings.append(_startup(_reply(text)))
        elif _is_address(name):
            word = _number(name, text, partial(int, base=0))
            await eeprom.write_word(unit, int(name, 16), word)
            settings.append(_word(name, word))
    return settings


class Snapshot(UnitSnapshot, frozen=True, tag="pygnc 3DM-GX2 settings 1"):
    """Snapshot of a unit: words of the EEPROM by address, and the sampling settings of a 3DM-GX3-25."""

    serial_number: str
    name: str
    words: dict[Annotated[str, msgspec.Meta(pattern="^0x[0-9a-fA-F]{1,4}$")], int]
    sampling: Sampling | None


async def take_snapshot(unit: Gx2Unit) -> str:
    """Return rate, packet streamed from power-up on and sampling settings as JSON text."""
    identity = await identify(unit)
    addresses = (RATE_ADDRESS, STARTUP_ADDRESS)
    words = {f"{address:#06x}": await eeprom.read_word(unit, address) for address in addresses}
    sampling = await eeprom.get_sampling(unit) if unit.is_gx3 else None
    return Snapshot(identity.serial_number, identity.name, words, sampling).to_json()


async def restore(unit: Gx2Unit, text: str, to_another_unit: bool) -> list[Setting]:  # noqa: FBT001 - see Controls
    """Restore a snapshot.

    Raises:
        SnapshotError: the text is not a snapshot, or it belongs to another unit and `to_another_unit` is not set.
    """
    snapshot, identity = Snapshot.from_json(text), await identify(unit)
    owner = (snapshot.serial_number, snapshot.name)
    require_owner(owner, (identity.serial_number, identity.name), to_another_unit=to_another_unit)
    words = {int(address, 16): word for address, word in snapshot.words.items()}
    changed = []
    for address, word in words.items():
        if (await eeprom.read_word(unit, address)) != word:
            await eeprom.write_word(unit, address, word)
            changed.append(_word(f"{address:#06x}", word))
    if snapshot.sampling is not None and (await eeprom.get_sampling(unit)) != snapshot.sampling:
        await eeprom.set_sampling(unit, snapshot.sampling, keep=True)
        changed += (await _sampling(unit)).values()
    return changed


async def _sampling(unit: Gx2Unit) -> dict[str, Setting]:
    found = asdict(await eeprom.get_sampling(unit))
    return {_SAMPLING + name: Setting(_SAMPLING + name, value) for name, value in found.items()}


async def _put_sampling(unit: Gx2Unit, values: Mapping[str, str], *, keep: bool) -> list[Setting]:
    wanted = {
        name.removeprefix(_SAMPLING): _number(name, text, partial(int, base=0))
        for name, text in values.items()
        if name.startswith(_SAMPLING)
    }
    if not wanted:
        return []
    await identify(unit)
    if not unit.is_gx3:
        raise DeviceError("the unit has no sampling settings; only a 3DM-GX3-25 has them")
    sampling = replace((await eeprom.get_sampling(unit)), **wanted)
    await eeprom.set_sampling(unit, sampling, keep=keep)
    return [Setting(_SAMPLING + name, value) for name, value in wanted.items()]


def _reply(text: str) -> str | None:
    kind = text.upper()
    if kind == _NO_REPLY.upper():
        return None
    if kind not in STREAMABLE:
        raise DeviceError(f"unknown measurement {text!r}; choose from {', '.join(sorted(STREAMABLE))}, {_NO_REPLY}")
    return kind


def _check(names: Iterable[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known and not (_is_address(name) and "startup" in known):
            raise DeviceError(f"unknown setting {name!r}; choose from {', '.join(known)}")


def _is_address(name: str) -> bool:
    return name.lower().startswith("0x")


def _number(name: str, text: str, convert: Callable[[str], T]) -> T:
    try:
        return convert(text.strip())
    except ValueError:
        raise DeviceError(f"{name}: {text!r} is not a number") from None


def _hz(text: str) -> float:
    return _number("rate", text.lower().removesuffix("hz"), float)


def _word(name: str, word: int) -> Setting:
    return Setting(name, word, f"{word:#06x}", "word of the EEPROM")


def _rate(hz: float) -> Setting:
    return Setting("rate", round(hz, 3), f"{hz:g} Hz", f"rate of the calculation cycle, {COUNTS_PER_S} / divider")


def _startup(kind: str | None) -> Setting:
    return Setting("startup", kind or _NO_REPLY, meaning=f"{_CONTINUOUS}, from power-up on")


CONTROLS: Final = Controls(
    describe=describe,
    start=start,
    stream=lambda unit, kind: operations.start_continuous(unit, str(kind)),
    get=get,
    set=put,
    read=read,
    write=write,
    snapshot=take_snapshot,
    restore=restore,
    reset=operations.reset,
)


DEFAULT_BAUD: Final = 115200
WIRE: Final = Wire(framing.scan, LONGEST_FRAME)


def _open(
    url: str, baud: int = DEFAULT_BAUD, *, timer_hz: int | None = None, node: int | None = None
) -> tuple[Engine, Gx2Unit]:
    """Open a unit. It sends nothing until it is polled or streams, unless its EEPROM starts continuous mode.

    Args:
        url: serial path, `socket://host:port`, `rfc2217://host:port`, `file://recording.raw`.
        baud: baud rate of the line.
        timer_hz: frequency of the timer, Hz: `unit.GX2_HZ` or `unit.GX3_HZ`; None: determined from the timer's steps.
        node: address of a wireless node, whose base station is at the port; None: the unit itself is at the port.

    Raises:
        PortError: the port cannot be opened.
    """
    unit = Gx2Unit(timer_hz, node, recover=operations.recover)
    wire = WIRE if node is None else Wire(framing.scanner(node), framing.LONGEST_WRAPPED)
    return Engine(url, baud, wire, unit), unit


class Gx2Methods(UnitDevice[Gx2Unit]):
    """Methods of the blocking and the asynchronous GX2 driver; `gx2.operations` documents them and their errors."""

    open = Opener(_open)

    send = method(operations.send)
    poll = method(operations.poll)
    identify = method(operations.identify)
    ping_node = method(operations.ping_node)
    write_accel_bias = method(operations.write_accel_bias)
    write_gyro_bias = method(operations.write_gyro_bias)
    capture_gyro_bias = method(operations.capture_gyro_bias)
    store_bias = method(operations.store_bias)
    temperatures = method(operations.temperatures)
    built_in_test = method(operations.built_in_test)

    start_continuous = method(operations.start_continuous)
    stop_continuous = method(operations.stop_continuous)
    reset = method(operations.reset)

    read_word = method(eeprom.read_word)
    write_word = method(eeprom.write_word)
    get_rate = method(eeprom.get_rate)
    set_rate = method(eeprom.set_rate)
    get_startup = method(eeprom.get_startup)
    set_startup = method(eeprom.set_startup)
    get_sampling = method(eeprom.get_sampling)
    set_sampling = method(eeprom.set_sampling)


class Gx2(Gx2Methods, BlockingDevice):
    """Synchronous driver."""


class AsyncGx2(Gx2Methods, AsyncDevice):
    """Driver for asyncio."""


FAMILY: Final = Family(
    name="gx2",
    title="MicroStrain 3DM-GX2, Inertia-Link, 3DM-GX3-25",
    bauds=(115200,),
    rare_bauds=(19200, 230_400),
    wire=WIRE,
    packets=tuple(PACKETS.values()),
    device=Gx2,
    async_device=AsyncGx2,
    interpreter=lambda _: Gx2Unit(),
    probe=operations.probe,
    controls=CONTROLS,
)
