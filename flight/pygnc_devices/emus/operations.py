"""Long-term statistics (SS1): what each number counts or remembers, and in which unit.

Questions to a Control Unit, and what counts as their answers. Answers are matched by name: others may come between.

Whether the unit demands a CR LF before a question is not public; it does no harm.

Reading a Control Unit: who it is, one sentence, all cells, logs, parameters, over and over.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pygnc_devices.declaration import Value
from pygnc_devices.emus.cells import CellData, CellTable
from pygnc_devices.emus.framing import make_sentence
from pygnc_devices.emus.labels import EVENTS, name_of
from pygnc_devices.emus.sentences import SENTENCES, SUMMARY, UNKNOWN
from pygnc_devices.emus.unit import EmusUnit
from pygnc_devices.errors import DeviceError, NoAnswerError
from pygnc_devices.family import Found
from pygnc_devices.framing import Frame
from pygnc_devices.scheduler import Claim, Request, Sleep


@dataclass(frozen=True, slots=True)
class Kind:
    """A statistic: value = word * scale + offset."""

    name: str
    unit: str = ""
    scale: float = 1
    offset: float = 0


@dataclass(frozen=True, slots=True)
class Statistic:
    """A statistic that a unit has told.

    Attributes:
        number: of the statistic.
        name: what it is; its number if no table has it.
        value: in `unit`.
        unit: "" for counts.
        cells: numbers of the cells it is about.
        t_local_s: when it was set, by the unit's own clock since 1970, without a zone.
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
"""13 and 14: sources differ by a factor of ten; this is the scale of the same quantity in BV1 and CV1."""

_OF_A_CELL: Final = {10, 11, 15, 16, 47, 48}


def statistic(values: Mapping[str, Value | None]) -> Statistic:
    """Return what the values of a sentence SS1 mean."""
    number, word, info, t_local_s = (_whole(values[name]) for name in ("number", "word", "info", "t_local_s"))
    kind = STATISTICS.get(-1 if number is None else number, Kind(f"statistic {number}"))
    value = None if word is None else round(word * kind.scale + kind.offset, 2)
    cells = (info,) if number in _OF_A_CELL and info is not None else ()
    return Statistic(-1 if number is None else number, kind.name, value, kind.unit, cells, t_local_s)


def _whole(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None


CELL_TIMEOUT_S: Final = 6.0
"""The unit may ask its cells for 5 s before it answers."""
TIMEOUT_S: Final = 1.0
TRIES: Final = 3
SILENCE_S: Final = 0.25
"""Ends an answer of several sentences whose number is not told."""
LIST_SILENCE_S: Final = 0.5
CELL_SENTENCES: Final = frozenset({"BB1", "BB2", "BT1", "BT2", "BT3", "BT4", "BV1", "BV2"})


def question(
    name: str,
    text: str = "?",
    *,
    accept: Callable[[Frame], Claim] | None = None,
    tries: int | None = None,
    timeout_s: float | None = None,
    grace_s: float = SILENCE_S,
) -> Request:
    """Return a question that is answered by a sentence of its own name."""
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


def listing(name: str) -> Request:
    """Return a question that is answered by several sentences, ended by silence."""
    return question(name, accept=lambda frame: Claim.PART if frame.kind == name else Claim.NO, grace_s=LIST_SILENCE_S)


def parameter(number: str, data: str = "?") -> Request:
    """CF2: read a parameter, or write it. It is written once: whoever doubts reads it back."""
    wanted = number.upper().encode()

    def accept(frame: Frame) -> Claim:
        is_mine = frame.kind == "CF2" and frame.payload.upper().split(b",")[0] == wanted
        return Claim.LAST if is_mine else Claim.NO

    return question("CF2", f"{number},{data}", accept=accept, tries=TRIES if data == "?" else 1)


Values: TypeAlias = dict[str, Value | None]
CELL_TRIES: Final = 2
_PROBE_S: Final = 0.3
_BETWEEN_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a unit is, as it writes it. The serial number may be hexadecimal."""

    hardware: str
    serial_number: str
    firmware: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry of the event log.

    Attributes:
        number: of the entry.
        event: what happened.
        t_local_s: when, by the unit's own clock since 1970, without a zone.
    """

    number: int | None
    event: str
    t_local_s: int | None


async def identify(unit: EmusUnit) -> Identity:
    """Return who the unit is.

    Raises:
        NoAnswerError: it does not say.
    """
    values = await ask(unit, "VR1")
    hardware, serial_number, firmware = (str(values[name] or "") for name in ("hardware", "serial_number", "firmware"))
    return Identity(hardware, serial_number, firmware)


async def ask(unit: EmusUnit, name: str) -> Values:  # noqa: ARG001 - a method of the device
    """Return the values of one sentence, asked for; one that is broadcast meanwhile will do. Empty fields are None.

    Raises:
        DeviceError: sentences have no such name.
        NoAnswerError: none came.
    """
    check_name(name)
    return _values((await question(name))[-1])


async def read_cells(unit: EmusUnit, name: str = "BV2") -> CellData:
    """Return voltages (BV2), module temperatures (BT2), cell temperatures (BT4) or balancing rates (BB2) of all cells.

    Sentences that were lost are asked for again; what is still missing then is told.

    Raises:
        DeviceError: `name` is none of these.
        NoAnswerError: the unit said nothing for 6 s, each time.
    """
    if name not in SUMMARY:
        raise DeviceError(f"{name} is not about single cells; {', '.join(SUMMARY)} are")
    expected = await _expected_cells(unit, name)
    table = CellTable(name)
    last_try = CELL_TRIES - 1
    for attempt in range(CELL_TRIES):
        try:
            await question(name, accept=_collector(table, expected))
        except NoAnswerError:
            if attempt == last_try and not table.data(expected).values:
                raise
        if table.is_complete(expected) or not table.has_communication:
            break
    return table.data(expected, is_valid=unit.is_valid(name, time.monotonic_ns()))


async def read_log(unit: EmusUnit) -> list[LogEntry]:  # noqa: ARG001 - a method of the device
    """Return the event log.

    Raises:
        NoAnswerError: the unit said nothing.
    """
    entries = []
    for frame in await listing("LG1"):
        values = _values(frame)
        number, event, t_local_s = values["number"], values["event"], values["t_local_s"]
        if isinstance(event, int):
            entries.append(LogEntry(_whole(number), name_of(event, EVENTS), _whole(t_local_s)))
    return entries


async def read_statistics(unit: EmusUnit, number: int | None = None) -> list[Statistic]:  # noqa: ARG001 - a method
    """Return the long-term statistics, all or one of them.

    Raises:
        NoAnswerError: the unit said nothing.
    """
    request = listing("SS1") if number is None else question("SS1", f"{number:02X}")
    return [statistic(_values(frame)) for frame in (await request)]


async def read_parameter(unit: EmusUnit, number: str) -> str:  # noqa: ARG001 - a method of the device
    """Return a parameter of the configuration, as the unit writes it; "1600" are the function flags.

    Raises:
        NoAnswerError: the unit said nothing.
    """
    return str(_values((await parameter(number))[-1])["data"] or "")


async def is_logged_in(unit: EmusUnit) -> bool:
    """Return whether a password was given.

    Raises:
        NoAnswerError: the unit said nothing.
    """
    return bool((await ask(unit, "PW1"))["authentication"])


async def ask_over_and_over(unit: EmusUnit, names: Sequence[str], every_s: float) -> None:
    """Ask for sentences again and again; what comes is a reading like any other. What does not come is passed over."""
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
    """Ask for the identity.

    Raises:
        NoAnswerError: nobody answers.
    """
    frames = await question("VR1", tries=2, timeout_s=_PROBE_S)
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
        answer = await question(SUMMARY[name])
    except NoAnswerError:
        return None
    return _whole(_values(answer[-1])["cells"])


def _collector(table: CellTable, expected: int | None) -> Callable[[Frame], Claim]:
    def accept(frame: Frame) -> Claim:
        if frame.kind != table.name:
            return Claim.NO
        table.take(_values(frame))
        return Claim.LAST if table.is_complete(expected) or not table.has_communication else Claim.PART

    return accept


def _values(frame: Frame) -> Values:
    sentence = SENTENCES.get(frame.kind)
    if sentence is None:
        return dict(zip((field.name for field in UNKNOWN.fields), (frame.kind, frame.payload.decode()), strict=True))
    return sentence.decode(frame.payload)


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a sentence.

    Raises:
        DeviceError: it is none.
    """
    if len(name) != 3 or not (name[:2].isalpha() and name[:2].isupper() and name.isascii() and name[2].isdigit()):
        raise DeviceError(f"{name!r} is no name of a sentence: two capital letters and a digit")
