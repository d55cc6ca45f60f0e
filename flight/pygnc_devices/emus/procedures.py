"""Reading a Control Unit: who it is, one sentence, all cells, logs, parameters, over and over."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pygnc_devices.declaration import Value
from pygnc_devices.emus import commands
from pygnc_devices.emus.cells import CellData, CellTable
from pygnc_devices.emus.long_term import Statistic, statistic
from pygnc_devices.emus.sentences import SENTENCES, SUMMARY, UNKNOWN
from pygnc_devices.emus.unit import EmusUnit
from pygnc_devices.emus.words import EVENTS, name_of
from pygnc_devices.errors import DeviceError, NoAnswerError
from pygnc_devices.family import Found
from pygnc_devices.frames import Frame
from pygnc_devices.procedure import Pause, Procedure
from pygnc_devices.requests import Claim

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


def identify(unit: EmusUnit) -> Procedure[Identity]:
    """Return who the unit is.

    Raises:
        NoAnswerError: it does not say.
    """
    values = yield from ask(unit, "VR1")
    hardware, serial_number, firmware = (str(values[name] or "") for name in ("hardware", "serial_number", "firmware"))
    return Identity(hardware, serial_number, firmware)


def ask(unit: EmusUnit, name: str) -> Procedure[Values]:  # noqa: ARG001 - a method of the device
    """Return the values of one sentence, asked for; one that is broadcast meanwhile will do. Empty fields are None.

    Raises:
        DeviceError: sentences have no such name.
        NoAnswerError: none came.
    """
    check_name(name)
    return _values((yield commands.question(name))[-1])


def read_cells(unit: EmusUnit, name: str = "BV2") -> Procedure[CellData]:
    """Return voltages (BV2), module temperatures (BT2), cell temperatures (BT4) or balancing rates (BB2) of all cells.

    Sentences that were lost are asked for again; what is still missing then is told.

    Raises:
        DeviceError: `name` is none of these.
        NoAnswerError: the unit said nothing for 6 s, each time.
    """
    if name not in SUMMARY:
        raise DeviceError(f"{name} is not about single cells; {', '.join(SUMMARY)} are")
    expected = yield from _expected_cells(unit, name)
    table = CellTable(name)
    last_try = CELL_TRIES - 1
    for attempt in range(CELL_TRIES):
        try:
            yield commands.question(name, accept=_collector(table, expected))
        except NoAnswerError:
            if attempt == last_try and not table.data(expected).values:
                raise
        if table.is_complete(expected) or not table.has_communication:
            break
    return table.data(expected, is_valid=unit.is_valid(name, time.monotonic_ns()))


def read_log(unit: EmusUnit) -> Procedure[list[LogEntry]]:  # noqa: ARG001 - a method of the device
    """Return the event log.

    Raises:
        NoAnswerError: the unit said nothing.
    """
    entries = []
    for frame in (yield commands.listing("LG1")):
        values = _values(frame)
        number, event, t_local_s = values["number"], values["event"], values["t_local_s"]
        if isinstance(event, int):
            entries.append(LogEntry(_whole(number), name_of(event, EVENTS), _whole(t_local_s)))
    return entries


def read_statistics(unit: EmusUnit, number: int | None = None) -> Procedure[list[Statistic]]:  # noqa: ARG001 - a method
    """Return the long-term statistics, all or one of them.

    Raises:
        NoAnswerError: the unit said nothing.
    """
    request = commands.listing("SS1") if number is None else commands.question("SS1", f"{number:02X}")
    return [statistic(_values(frame)) for frame in (yield request)]


def read_parameter(unit: EmusUnit, number: str) -> Procedure[str]:  # noqa: ARG001 - a method of the device
    """Return a parameter of the configuration, as the unit writes it; "1600" are the function flags.

    Raises:
        NoAnswerError: the unit said nothing.
    """
    return str(_values((yield commands.parameter(number))[-1])["data"] or "")


def is_logged_in(unit: EmusUnit) -> Procedure[bool]:
    """Return whether a password was given.

    Raises:
        NoAnswerError: the unit said nothing.
    """
    return bool((yield from ask(unit, "PW1"))["authentication"])


def ask_over_and_over(unit: EmusUnit, names: Sequence[str], every_s: float) -> Procedure[None]:
    """Ask for sentences again and again; what comes is a reading like any other. What does not come is passed over."""
    next_s = time.monotonic()
    while True:
        for name in names:
            try:
                yield from _ask_once(unit, name)
            except NoAnswerError:
                continue
            yield Pause(_BETWEEN_S)
        next_s = max(next_s + every_s, time.monotonic())
        yield Pause(next_s - time.monotonic())


def probe() -> Procedure[Found]:
    """Ask for the identity.

    Raises:
        NoAnswerError: nobody answers.
    """
    frames = yield commands.question("VR1", tries=2, timeout_s=_PROBE_S)
    values = _values(frames[-1])
    serial_number, hardware, firmware = (str(values[key] or "") for key in ("serial_number", "hardware", "firmware"))
    return Found(serial_number, f"EMUS {hardware} {firmware}")


def _ask_once(unit: EmusUnit, name: str) -> Procedure[None]:
    if name in SUMMARY:
        yield from read_cells(unit, name)
    else:
        yield from ask(unit, name)


def _expected_cells(unit: EmusUnit, name: str) -> Procedure[int | None]:
    known = unit.expected_cells(name)
    if known is not None:
        return known
    try:
        answer = yield commands.question(SUMMARY[name])
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


def _whole(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None
