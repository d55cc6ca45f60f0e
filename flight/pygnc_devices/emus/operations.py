"""Operations of a Control Unit: identity, sentences, cells, event log, statistics, parameters, changes.

Responses are matched by name, because other sentences may arrive in between. It is not documented whether the unit
needs a CR LF before a request; it does no harm. Each operation raises NoAnswerError if the unit does not respond.
Operations that change the unit raise WriteForbiddenError unless the device was opened with `allow_writes=True`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.emus.cells import CellData, CellTable
from pygnc_devices.emus.framing import Values, decode, make_sentence
from pygnc_devices.emus.labels import EVENTS, name_of
from pygnc_devices.emus.sentences import SUMMARY
from pygnc_devices.emus.unit import EmusUnit
from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError, WriteForbiddenError
from pygnc_devices.family import Found
from pygnc_devices.framing import Frame
from pygnc_devices.scheduler import Claim, Request, Sleep, accept_if

FUNCTION_FLAGS: Final = "1600"
CONTACTOR_BIT: Final = 27
"""Bit of the function flags that holds the battery's contactor open; if it is clear, protections decide."""
_CELL_TIMEOUT_S: Final = 6.0
"""The unit may query its cells for 5 s before it responds."""
_TIMEOUT_S: Final = 1.0
_TRIES: Final = 3
_SILENCE_S: Final = 0.25
"""Silence that ends a response of an unknown number of sentences about cells."""
_LIST_SILENCE_S: Final = 0.5
_CELL_TRIES: Final = 2
_PROBE_S: Final = 0.3
_BETWEEN_S: Final = 0.1
_LONGEST_TEXT: Final = 64


@dataclass(frozen=True, slots=True)
class Kind:
    """Kind of a long-term statistic: value = word * scale + offset."""

    name: str
    unit: str = ""
    scale: float = 1
    offset: float = 0


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


@dataclass(frozen=True, slots=True)
class Statistic:
    """Long-term statistic of a unit (SS1).

    Attributes:
        number: number of the statistic.
        name: name, or `statistic` and its number if it is unknown.
        value: value in `unit`.
        unit: unit of the value; "" for counts.
        cells: numbers of the cells to which the value belongs; empty if it does not belong to a cell.
        t_local_s: time of the last change, s since 1970 on the unit's local clock, without a zone.
    """

    number: int
    name: str
    value: float | None
    unit: str
    cells: tuple[int, ...]
    t_local_s: int | None


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity of a unit, as the unit reports it. The serial number may be hexadecimal."""

    hardware: str
    serial_number: str
    firmware: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Entry of the event log.

    Attributes:
        number: number of the entry.
        event: label of the event.
        t_local_s: time of the event, s since 1970 on the unit's local clock, without a zone.
    """

    number: int | None
    event: str
    t_local_s: int | None


def request_sentence(
    name: str,
    text: str = "?",
    *,
    accept: Callable[[Frame], Claim] | None = None,
    tries: int | None = None,
    timeout_s: float | None = None,
    grace_s: float = _SILENCE_S,
) -> Request:
    """Return a request whose response is a sentence of the same name."""
    is_slow = name in SUMMARY or name in SUMMARY.values()
    return Request(
        b"\r\n" + make_sentence(name, text),
        accept or accept_if(lambda frame: frame.kind == name),
        name,
        timeout_s or (_CELL_TIMEOUT_S if is_slow else _TIMEOUT_S),
        tries or (1 if is_slow else _TRIES),
        grace_s,
        what=f"{name} from the Control Unit",
        may_be_equal="?" not in text,
    )


def request_list(name: str) -> Request:
    """Return a request whose response is several sentences; a pause without a sentence ends the response."""
    return request_sentence(
        name, accept=lambda frame: Claim.PART if frame.kind == name else Claim.NO, grace_s=_LIST_SILENCE_S
    )


def request_parameter(number: str, data: str = "?") -> Request:
    """Return CF2, which reads a parameter, or writes `data`. A write is sent once: read it back to check."""
    wanted = number.upper().encode()
    accept = accept_if(lambda frame: frame.kind == "CF2" and frame.payload.upper().split(b",")[0] == wanted)
    return request_sentence("CF2", f"{number},{data}", accept=accept, tries=_TRIES if data == "?" else 1)


async def identify(unit: EmusUnit) -> Identity:
    """Return the identity of the unit."""
    return _identity(await ask(unit, "VR1"))


async def ask(_unit: EmusUnit, name: str) -> Values:
    """Request a sentence and return its values; a broadcast of that sentence serves as well. Empty fields are None.

    Raises:
        DeviceError: `name` cannot be the name of a sentence.
    """
    check_name(name)
    return decode((await request_sentence(name))[-1])


async def read_cells(unit: EmusUnit, name: str = "BV2") -> CellData:
    """Return voltages (BV2), module temperatures (BT2), cell temperatures (BT4) or balancing rates (BB2) of all cells.

    Lost sentences are requested once more; `CellData.missing` lists cells that are still missing then.

    Raises:
        DeviceError: `name` is none of these sentences.
        NoAnswerError: the unit sent nothing for 6 s, in both attempts.
    """
    if name not in SUMMARY:
        raise DeviceError(f"{name} has no values of single cells; choose from {', '.join(SUMMARY)}")
    expected = await _expected_cells(unit, name)
    table = CellTable(name)

    def accept(frame: Frame) -> Claim:
        if frame.kind != name:
            return Claim.NO
        table.add(decode(frame))
        return Claim.LAST if table.is_complete(expected) or not table.has_communication else Claim.PART

    for attempt in range(_CELL_TRIES):
        try:
            await request_sentence(name, accept=accept)
        except NoAnswerError:
            if attempt == _CELL_TRIES - 1 and not table.data(expected).values:
                raise
        if table.is_complete(expected) or not table.has_communication:
            break
    return table.data(expected, is_valid=unit.is_valid(name, time.monotonic_ns()))


async def read_log(_unit: EmusUnit) -> list[LogEntry]:
    """Return the event log."""
    entries = [decode(frame) for frame in await request_list("LG1")]
    return [
        LogEntry(_whole(values["number"]), name_of(event, EVENTS), _whole(values["t_local_s"]))
        for values in entries
        if isinstance(event := values["event"], int)
    ]


async def read_statistics(_unit: EmusUnit, number: int | None = None) -> list[Statistic]:
    """Return all long-term statistics, or only statistic `number`."""
    request = request_list("SS1") if number is None else request_sentence("SS1", f"{number:02X}")
    return [statistic(decode(frame)) for frame in (await request)]


def statistic(values: Mapping[str, Value | None]) -> Statistic:
    """Return the statistic that a sentence SS1 reports, given the values of the sentence."""
    number, word, info, t_local_s = (_whole(values[name]) for name in ("number", "word", "info", "t_local_s"))
    kind = STATISTICS.get(-1 if number is None else number, Kind(f"statistic {number}"))
    value = None if word is None else round(word * kind.scale + kind.offset, 2)
    cells = (info,) if number in _OF_A_CELL and info is not None else ()
    return Statistic(-1 if number is None else number, kind.name, value, kind.unit, cells, t_local_s)


async def read_parameter(_unit: EmusUnit, number: str) -> str:
    """Return a parameter of the configuration, as the hexadecimal text that the unit sends; "1600": function flags."""
    return str(decode((await request_parameter(number))[-1])["data"] or "")


async def is_logged_in(unit: EmusUnit) -> bool:
    """Return True if the unit is unlocked by the password."""
    return bool((await ask(unit, "PW1"))["authentication"])


async def poll(unit: EmusUnit, names: Sequence[str], every_s: float) -> None:
    """Request sentences every `every_s` seconds; their responses are readings. Missing responses are skipped."""
    next_s = time.monotonic()
    while True:
        for name in names:
            try:
                await (read_cells if name in SUMMARY else ask)(unit, name)
            except NoAnswerError:
                continue
            await Sleep(_BETWEEN_S)
        next_s = max(next_s + every_s, time.monotonic())
        await Sleep(next_s - time.monotonic())


async def probe() -> Found:
    """Identify a unit, for a search."""
    frames = await request_sentence("VR1", tries=2, timeout_s=_PROBE_S)
    who = _identity(decode(frames[-1]))
    return Found(who.serial_number, f"EMUS {who.hardware} {who.firmware}")


def check_name(name: str) -> None:
    """Check the name of a sentence.

    Raises:
        DeviceError: it is not two capital letters and a digit.
    """
    if len(name) != 3 or not (name[:2].isalpha() and name[:2].isupper() and name.isascii() and name[2].isdigit()):
        raise DeviceError(f"{name!r} is not the name of a sentence; use two capital letters and a digit, such as BV1")


async def write_parameter(unit: EmusUnit, number: str, data: str) -> None:
    """Write a parameter of the configuration and read it back.

    Raises:
        DeviceError: number or data is not hexadecimal.
        RefusedError: the parameter reads back with another value.
    """
    _require_writes(unit, "write parameter")
    for text in (number, data):
        if not text or not all(digit in "0123456789ABCDEFabcdef" for digit in text):
            raise DeviceError(f"{text!r}: number and data of a parameter must be hexadecimal")
    await request_parameter(number, data.upper())
    found = await read_parameter(unit, number)
    if found.lstrip("0").upper() != data.lstrip("0").upper():
        raise RefusedError(f"parameter {number}: wrote {data}, read back {found or 'nothing'}; repeat the write")


async def write_function_flag(unit: EmusUnit, bit: int, is_set: bool) -> int:  # noqa: FBT001 - the value written
    """Set or clear one bit of the function flags, and return all flags.

    Raises:
        DeviceError: the bit does not exist, or the response contains no flags.
        RefusedError: the flags read back with another value.
    """
    _require_writes(unit, "write function flag")
    if not 0 <= bit < 32:
        raise DeviceError(f"bit {bit}: the function flags have bits 0 to 31")
    text = await read_parameter(unit, FUNCTION_FLAGS)
    try:
        flags = int(text, 16)
    except ValueError:
        raise DeviceError(f"parameter {FUNCTION_FLAGS} (function flags): {text!r} is not hexadecimal") from None
    flags = flags | 1 << bit if is_set else flags & ~(1 << bit)
    await write_parameter(unit, FUNCTION_FLAGS, f"{flags:08X}")
    return flags


async def open_contactor(unit: EmusUnit) -> None:
    """Force the battery's contactor open. All consumers of the battery lose power.

    Raises:
        RefusedError: the function flags read back with another value.
    """
    _require_writes(unit, "open contactor")
    await write_function_flag(unit, CONTACTOR_BIT, is_set=True)


async def release_contactor(unit: EmusUnit) -> None:
    """Return control of the battery's contactor to the protections; raises as `open_contactor`."""
    _require_writes(unit, "release contactor")
    await write_function_flag(unit, CONTACTOR_BIT, is_set=False)


async def log_in(unit: EmusUnit, password: str) -> bool:
    """Send the password; return True if the unit accepts it.

    Raises:
        DeviceError: the text cannot be a password.
    """
    return (await _change(unit, "log in", "PW1", _secret(password))).strip(b"0") != b""


async def log_out(unit: EmusUnit) -> None:
    """Lock the unit again."""
    await _change(unit, "log out", "PW1")


async def set_password(unit: EmusUnit, password: str) -> bool:
    """Set a new password, or clear it with an empty text; return True if the unit accepted it.

    Raises:
        DeviceError: the text cannot be a password.
    """
    return (await _change(unit, "set password", "PW2", _secret(password) if password else "")).strip(b"0") == b"1"


async def set_state_of_charge(unit: EmusUnit, percent: int) -> None:
    """Set the state of charge, %.

    Raises:
        DeviceError: `percent` is not a whole number from 0 to 100.
    """
    if percent not in range(101):
        raise DeviceError(f"state of charge {percent} is not a whole number from 0 to 100 %")
    await _change(unit, "set state of charge", "SC1", f"{percent:02X}")


async def zero_current_sensor(unit: EmusUnit) -> None:
    """Define the current through the sensor as zero."""
    await _change(unit, "zero current sensor", "RC1")


async def restart(unit: EmusUnit) -> None:
    """Restart the unit; needs the password."""
    await _change(unit, "restart", "RS1")


async def reset_to_factory(unit: EmusUnit) -> None:
    """Restore the factory's configuration; needs the password."""
    await _change(unit, "reset to factory", "FD1")


async def clear_log(unit: EmusUnit) -> None:
    """Clear the event log."""
    await _change(unit, "clear log", "LG1", "c")


async def clear_statistics(unit: EmusUnit) -> None:
    """Clear the long-term statistics that are not protected."""
    await _change(unit, "clear statistics", "SS1", "c")


async def _change(unit: EmusUnit, what: str, name: str, text: str = "") -> bytes:
    """Send a sentence that changes the unit, once; return the payload of the response."""
    _require_writes(unit, what)
    return (await request_sentence(name, text, tries=1))[-1].payload


def _require_writes(unit: EmusUnit, what: str) -> None:
    if not unit.allow_writes:
        raise WriteForbiddenError(f"{what} changes the Control Unit; open it with allow_writes=True to allow that")


def _secret(text: str) -> str:
    if not text.isascii() or not text.isprintable() or "," in text or not 0 < len(text) <= _LONGEST_TEXT:
        raise DeviceError(f"a password must be 1 to {_LONGEST_TEXT} printable ASCII characters without commas")
    return text


def _identity(values: Values) -> Identity:
    return Identity(*(str(values[name] or "") for name in ("hardware", "serial_number", "firmware")))


async def _expected_cells(unit: EmusUnit, name: str) -> int | None:
    known = unit.expected_cells(name)
    if known is not None:
        return known
    try:
        return _whole((await ask(unit, SUMMARY[name]))["cells"])
    except NoAnswerError:
        return None


def _whole(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None
