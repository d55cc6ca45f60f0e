"""Operations of a Control Unit: identity, sentences, cells, event log, statistics, parameters, changes."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeAlias, TypeVar

from pygnc_devices.declaration import Value
from pygnc_devices.emus.cells import CellData, CellTable
from pygnc_devices.emus.framing import make_sentence
from pygnc_devices.emus.labels import EVENTS, name_of
from pygnc_devices.emus.sentences import SENTENCES, SUMMARY, UNKNOWN
from pygnc_devices.emus.unit import EmusUnit
from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError, WriteForbiddenError
from pygnc_devices.family import Found
from pygnc_devices.framing import Frame
from pygnc_devices.scheduler import Claim, Operation, Request, Sleep


@dataclass(frozen=True, slots=True)
class Kind:
    """Kind of a long-term statistic: value = word * scale + offset."""

    name: str
    unit: str = ""
    scale: float = 1
    offset: float = 0


@dataclass(frozen=True, slots=True)
class Statistic:
    """A long-term statistic of a unit (SS1).

    Attributes:
        number: number of the statistic.
        name: name, or its number if it is unknown.
        value: value in `unit`.
        unit: unit, "" for counts.
        cells: numbers of the cells that it concerns.
        t_local_s: time of the last change, by the unit's local clock since 1970, without a zone.
    """

    number: int
    name: str
    value: float | None
    unit: str
    cells: tuple[int, ...]
    t_local_s: int | None


STATISTICS: Final[Mapping[int, Kind]] = {
    0: Kind("total discharge", "Ah"), 1: Kind("total charge", "Ah"),
    2: Kind("total discharge energy", "Wh"), 3: Kind("total charge energy", "Wh"),
    4: Kind("total discharge time", "s"), 5: Kind("total charge time", "s"),
    6: Kind("total distance", "pulses"), 7: Kind("times the statistics were cleared"),
    8: Kind("largest discharge current", "A", 0.1), 9: Kind("largest charge current", "A", 0.1),
    10: Kind("lowest cell voltage", "V", 0.01, 2.0), 11: Kind("highest cell voltage", "V", 0.01, 2.0),
    12: Kind("largest cell voltage difference", "V", 0.01),
    13: Kind("lowest pack voltage", "V", 0.01), 14: Kind("highest pack voltage", "V", 0.01),
    15: Kind("lowest module temperature", "°C", 1, -100), 16: Kind("highest module temperature", "°C", 1, -100),
    17: Kind("largest module temperature difference", "°C"),
    18: Kind("BMS starts"), 19: Kind("under-voltage protections"), 20: Kind("over-voltage protections"),
    21: Kind("discharge over-current protections"), 22: Kind("charge over-current protections"),
    23: Kind("module overheat protections"), 24: Kind("leakage protections"),
    25: Kind("protections for lack of cell communication"), 26: Kind("low-voltage power reductions"),
    27: Kind("high-current power reductions"), 28: Kind("module-temperature power reductions"),
    29: Kind("charger connects"), 30: Kind("charger disconnects"), 31: Kind("pre-heating stages"),
    32: Kind("pre-charging stages"), 33: Kind("main charging stages"), 34: Kind("balancing stages"),
    35: Kind("charges finished"), 36: Kind("charging errors"), 37: Kind("charging retries"), 38: Kind("trips"),
    39: Kind("charging restarts"), 45: Kind("cell overheat protections"),
    46: Kind("cell-temperature power reductions"),
    47: Kind("lowest cell temperature", "°C", 1, -100), 48: Kind("highest cell temperature", "°C", 1, -100),
    49: Kind("largest cell temperature difference", "°C"),
}  # fmt: skip
"""For 13 and 14 sources differ by a factor of ten; this is the scale of the same quantity in BV1 and CV1."""

_OF_A_CELL: Final = {10, 11, 15, 16, 47, 48}


def statistic(values: Mapping[str, Value | None]) -> Statistic:
    """Return the statistic in the values of a sentence SS1."""
    number, word, info, t_local_s = (_whole(values[name]) for name in ("number", "word", "info", "t_local_s"))
    kind = STATISTICS.get(-1 if number is None else number, Kind(f"statistic {number}"))
    value = None if word is None else round(word * kind.scale + kind.offset, 2)
    cells = (info,) if number in _OF_A_CELL and info is not None else ()
    return Statistic(-1 if number is None else number, kind.name, value, kind.unit, cells, t_local_s)


def _whole(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None


CELL_TIMEOUT_S: Final = 6.0
"""The unit may query its cells for 5 s before it answers."""
TIMEOUT_S: Final = 1.0
TRIES: Final = 3
SILENCE_S: Final = 0.25
"""Silence that ends an answer of an unknown number of sentences."""
LIST_SILENCE_S: Final = 0.5
CELL_SENTENCES: Final = frozenset({"BB1", "BB2", "BT1", "BT2", "BT3", "BT4", "BV1", "BV2"})


def request_sentence(
    name: str,
    text: str = "?",
    *,
    accept: Callable[[Frame], Claim] | None = None,
    tries: int | None = None,
    timeout_s: float | None = None,
    grace_s: float = SILENCE_S,
) -> Request:
    """Return a request that is answered by a sentence of the same name."""
    is_slow = name in CELL_SENTENCES
    return Request(
        b"\r\n" + make_sentence(name, text),
        accept or (lambda frame: Claim.LAST if frame.kind == name else Claim.NO),
        name,
        timeout_s or (CELL_TIMEOUT_S if is_slow else TIMEOUT_S),
        tries or (1 if is_slow else TRIES),
        grace_s,
        what=f"{name} from the Control Unit",
    )


def request_list(name: str) -> Request:
    """Return a request that is answered by several sentences, which silence ends."""
    return request_sentence(
        name, accept=lambda frame: Claim.PART if frame.kind == name else Claim.NO, grace_s=LIST_SILENCE_S
    )


def request_parameter(number: str, data: str = "?") -> Request:
    """Return CF2, which reads a parameter, or writes it. A write is sent once: read it back to check."""
    wanted = number.upper().encode()

    def accept(frame: Frame) -> Claim:
        is_mine = frame.kind == "CF2" and frame.payload.upper().split(b",")[0] == wanted
        return Claim.LAST if is_mine else Claim.NO

    return request_sentence("CF2", f"{number},{data}", accept=accept, tries=TRIES if data == "?" else 1)


Values: TypeAlias = dict[str, Value | None]
CELL_TRIES: Final = 2
_PROBE_S: Final = 0.3
_BETWEEN_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity of a unit, by its own texts. The serial number may be hexadecimal."""

    hardware: str
    serial_number: str
    firmware: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry of the event log.

    Attributes:
        number: number of the entry.
        event: label of the event.
        t_local_s: time, by the unit's local clock since 1970, without a zone.
    """

    number: int | None
    event: str
    t_local_s: int | None


async def identify(unit: EmusUnit) -> Identity:
    """Return the identity of the unit.

    Raises:
        NoAnswerError: no answer came.
    """
    values = await ask(unit, "VR1")
    hardware, serial_number, firmware = (str(values[name] or "") for name in ("hardware", "serial_number", "firmware"))
    return Identity(hardware, serial_number, firmware)


async def ask(unit: EmusUnit, name: str) -> Values:  # noqa: ARG001 - a method of the device
    """Request a sentence and return its values; a broadcast one counts, too. Empty fields are None.

    Raises:
        DeviceError: `name` cannot be the name of a sentence.
        NoAnswerError: no answer came.
    """
    check_name(name)
    return _values((await request_sentence(name))[-1])


async def read_cells(unit: EmusUnit, name: str = "BV2") -> CellData:
    """Return voltages (BV2), module temperatures (BT2), cell temperatures (BT4) or balancing rates (BB2) of all cells.

    Lost sentences are requested once more; `CellData.missing` lists cells that are still missing then.

    Raises:
        DeviceError: `name` is none of these.
        NoAnswerError: the unit sent nothing for 6 s, in both attempts.
    """
    if name not in SUMMARY:
        raise DeviceError(f"{name} has no values of single cells; choose from {', '.join(SUMMARY)}")
    expected = await _expected_cells(unit, name)
    table = CellTable(name)
    last_try = CELL_TRIES - 1
    for attempt in range(CELL_TRIES):
        try:
            await request_sentence(name, accept=_collector(table, expected))
        except NoAnswerError:
            if attempt == last_try and not table.data(expected).values:
                raise
        if table.is_complete(expected) or not table.has_communication:
            break
    return table.data(expected, is_valid=unit.is_valid(name, time.monotonic_ns()))


async def read_log(unit: EmusUnit) -> list[LogEntry]:  # noqa: ARG001 - a method of the device
    """Return the event log.

    Raises:
        NoAnswerError: no answer came.
    """
    entries = []
    for frame in await request_list("LG1"):
        values = _values(frame)
        number, event, t_local_s = values["number"], values["event"], values["t_local_s"]
        if isinstance(event, int):
            entries.append(LogEntry(_whole(number), name_of(event, EVENTS), _whole(t_local_s)))
    return entries


async def read_statistics(unit: EmusUnit, number: int | None = None) -> list[Statistic]:  # noqa: ARG001 - a method
    """Return all long-term statistics, or one of them.

    Raises:
        NoAnswerError: no answer came.
    """
    request = request_list("SS1") if number is None else request_sentence("SS1", f"{number:02X}")
    return [statistic(_values(frame)) for frame in (await request)]


async def read_parameter(unit: EmusUnit, number: str) -> str:  # noqa: ARG001 - a method of the device
    """Return a parameter of the configuration as the unit's text; "1600" are the function flags.

    Raises:
        NoAnswerError: no answer came.
    """
    return str(_values((await request_parameter(number))[-1])["data"] or "")


async def is_logged_in(unit: EmusUnit) -> bool:
    """Return whether the unit is unlocked by the password.

    Raises:
        NoAnswerError: no answer came.
    """
    return bool((await ask(unit, "PW1"))["authentication"])


async def poll(unit: EmusUnit, names: Sequence[str], every_s: float) -> None:
    """Request sentences at an interval. The answers are readings like broadcast ones; missing answers are skipped."""
    next_s = time.monotonic()
    while True:
        for name in names:
            try:
                await _ask_once(unit, name)
            except NoAnswerError:
                continue
            await Sleep(_BETWEEN_S)
        next_s = max(next_s + every_s, time.monotonic())
        await Sleep(next_s - time.monotonic())


async def probe() -> Found:
    """Identify a unit.

    Raises:
        NoAnswerError: no unit answers.
    """
    frames = await request_sentence("VR1", tries=2, timeout_s=_PROBE_S)
    values = _values(frames[-1])
    serial_number, hardware, firmware = (str(values[key] or "") for key in ("serial_number", "hardware", "firmware"))
    return Found(serial_number, f"EMUS {hardware} {firmware}")


async def _ask_once(unit: EmusUnit, name: str) -> None:
    if name in SUMMARY:
        await read_cells(unit, name)
    else:
        await ask(unit, name)


async def _expected_cells(unit: EmusUnit, name: str) -> int | None:
    known = unit.expected_cells(name)
    if known is not None:
        return known
    try:
        answer = await request_sentence(SUMMARY[name])
    except NoAnswerError:
        return None
    return _whole(_values(answer[-1])["cells"])


def _collector(table: CellTable, expected: int | None) -> Callable[[Frame], Claim]:
    def accept(frame: Frame) -> Claim:
        if frame.kind != table.name:
            return Claim.NO
        table.add(_values(frame))
        return Claim.LAST if table.is_complete(expected) or not table.has_communication else Claim.PART

    return accept


def _values(frame: Frame) -> Values:
    sentence = SENTENCES.get(frame.kind)
    if sentence is None:
        return dict(zip((field.name for field in UNKNOWN.fields), (frame.kind, frame.payload.decode()), strict=True))
    return sentence.decode(frame.payload)


def check_name(name: str) -> None:
    """Check the name of a sentence.

    Raises:
        DeviceError: it is not two capital letters and a digit.
    """
    if len(name) != 3 or not (name[:2].isalpha() and name[:2].isupper() and name.isascii() and name[2].isdigit()):
        raise DeviceError(f"{name!r} is not the name of a sentence, two capital letters and a digit")


P = ParamSpec("P")
T = TypeVar("T")

FUNCTION_FLAGS: Final = "1600"
CONTACTOR_BIT: Final = 27
"""Bit of the function flags that holds the battery's contactor open; if it is clear, protections decide."""
_LONGEST_TEXT: Final = 64


def _writes(
    procedure: Callable[Concatenate[EmusUnit, P], Operation[T]],
) -> Callable[Concatenate[EmusUnit, P], Operation[T]]:
    """Reject an operation on a device that was not opened for writing."""

    @wraps(procedure)
    async def guarded(unit: EmusUnit, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if not unit.allow_writes:
            what = procedure.__name__.replace("_", " ")
            raise WriteForbiddenError(f"{what} changes the Control Unit; open it with allow_writes=True to allow that")
        return await procedure(unit, *args, **kwargs)

    return guarded


@_writes
async def write_parameter(unit: EmusUnit, number: str, data: str) -> None:
    """Write a parameter of the configuration and read it back.

    Raises:
        DeviceError: number or data is not hexadecimal.
        RefusedError: it reads back with another value.
        NoAnswerError: no answer came.
    """
    for text in (number, data):
        if not text or not all(digit in "0123456789ABCDEFabcdef" for digit in text):
            raise DeviceError(f"{text!r}: number and data of a parameter must be hexadecimal")
    await request_parameter(number, data.upper())
    found = await read_parameter(unit, number)
    if found.lstrip("0").upper() != data.lstrip("0").upper():
        raise RefusedError(f"parameter {number}: wrote {data}, read back {found or 'nothing'}")


@_writes
async def write_function_flag(unit: EmusUnit, bit: int, is_set: bool) -> int:  # noqa: FBT001 - that is what is written
    """Set or clear one bit of the function flags, and return all of them.

    Raises:
        DeviceError: the bit does not exist, or the answer contains no flags.
        RefusedError: it reads back with another value.
        NoAnswerError: no answer came.
    """
    if not 0 <= bit < 32:
        raise DeviceError(f"bit {bit}: the function flags have bits 0 to 31")
    text = await read_parameter(unit, FUNCTION_FLAGS)
    try:
        flags = int(text, 16)
    except ValueError:
        raise DeviceError(f"the unit's function flags are not hexadecimal: {text!r}") from None
    flags = flags | 1 << bit if is_set else flags & ~(1 << bit)
    await write_parameter(unit, FUNCTION_FLAGS, f"{flags:08X}")
    return flags


@_writes
async def open_contactor(unit: EmusUnit) -> None:
    """Force the battery's contactor open. All consumers of the battery lose power.

    Raises:
        RefusedError: it reads back with another value.
        NoAnswerError: no answer came.
    """
    await write_function_flag(unit, CONTACTOR_BIT, is_set=True)


@_writes
async def release_contactor(unit: EmusUnit) -> None:
    """Return control of the battery's contactor to the protections.

    Raises:
        RefusedError: it reads back with another value.
        NoAnswerError: no answer came.
    """
    await write_function_flag(unit, CONTACTOR_BIT, is_set=False)


@_writes
async def log_in(unit: EmusUnit, password: str) -> bool:  # noqa: ARG001 - a method of the device
    """Send the password; return whether the unit accepts it.

    Raises:
        DeviceError: the text cannot be a password.
        NoAnswerError: no answer came.
    """
    frame = (await request_sentence("PW1", _secret(password), tries=1))[-1]
    return frame.payload.strip(b"0") != b""


@_writes
async def log_out(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Lock the unit again.

    Raises:
        NoAnswerError: no answer came.
    """
    await request_sentence("PW1", "", tries=1)


@_writes
async def set_password(unit: EmusUnit, password: str) -> bool:  # noqa: ARG001 - a method of the device
    """Set a new password, or clear it with an empty one; return whether the unit accepted it.

    Raises:
        DeviceError: the text cannot be a password.
        NoAnswerError: no answer came.
    """
    frame = (await request_sentence("PW2", _secret(password) if password else "", tries=1))[-1]
    return frame.payload.strip(b"0") == b"1"


@_writes
async def set_state_of_charge(unit: EmusUnit, percent: int) -> None:  # noqa: ARG001 - a method of the device
    """Set the state of charge.

    Raises:
        DeviceError: it is not a whole number from 0 to 100.
        NoAnswerError: no answer came.
    """
    if percent not in range(101):
        raise DeviceError(f"state of charge {percent} is not a whole number from 0 to 100 %")
    await request_sentence("SC1", f"{percent:02X}", tries=1)


@_writes
async def zero_current_sensor(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Define the present current as zero.

    Raises:
        NoAnswerError: no answer came.
    """
    await request_sentence("RC1", "", tries=1)


@_writes
async def restart(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Restart the unit; needs the password.

    Raises:
        NoAnswerError: no answer came.
    """
    await request_sentence("RS1", "", tries=1)


@_writes
async def reset_to_factory(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Restore the factory's configuration; needs the password.

    Raises:
        NoAnswerError: no answer came.
    """
    await request_sentence("FD1", "", tries=1)


@_writes
async def clear_log(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Clear the event log.

    Raises:
        NoAnswerError: no answer came.
    """
    await request_sentence("LG1", "c", tries=1)


@_writes
async def clear_statistics(unit: EmusUnit) -> None:  # noqa: ARG001 - a method of the device
    """Clear the long-term statistics that are not protected.

    Raises:
        NoAnswerError: no answer came.
    """
    await request_sentence("SS1", "c", tries=1)


def _secret(text: str) -> str:
    if not text.isascii() or not text.isprintable() or "," in text or not 0 < len(text) <= _LONGEST_TEXT:
        raise DeviceError("a password must be 1 to 64 printable ASCII characters without commas")
    return text
