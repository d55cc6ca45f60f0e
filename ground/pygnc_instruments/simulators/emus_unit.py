"""A G1 Control Unit that is not there: broadcasts, answers, logs, parameters, a password, and faults of real ones."""

import contextlib
import heapq
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.emus.sentences import EPOCH_S, SENTENCES
from pygnc_instruments.simulators.emus_battery import Battery

BROADCAST: Final = ("BT1", "BV1", "BC1", "CV1", "BB1", "BT3", "ST1", "IN1", "OT1", "DT1")
_EMPTY_FIELDS: Final = {"BV1": 6, "BV2": 4, "BT1": 5, "BT2": 4, "BT3": 5, "BT4": 4, "BB1": 6, "BB2": 4}
_BEHIND: Final = {
    "BV1": ",",
    "BT1": ",",
    "BT3": ",",
    "CV1": ",01FF,01FD,01FA,03FC,09DA,66CF,0000,0000",
    "IN1": ",,,",
    "OT1": ",",
}
"""What follows the fields that the tables have."""
_ANSWER_S: Final = 0.01
_LARGEST_INPUT: Final = 512
_START_OF_CLOCK_S: Final = 1_763_742_000


@dataclass(frozen=True, slots=True)
class EmusFaults:
    """What a unit does wrong.

    Attributes:
        has_no_cells: whether it reaches none of its cells: empty fields, after `no_cells_s`.
        no_cells_s: how long it tries before it says so.
        lost_frames: sentences about cells that are not sent, the first so many of all.
        is_unordered: whether sentences about cells come in reverse.
        has_empty_lines: whether lines of NUL and LF come in between.
        has_further_fields: whether every sentence has two fields more than the tables know.
        unknown: a sentence that it broadcasts besides, name and text.
        can_frames: how many CAN frames it passes on in each broadcast.
        forgets_writes: whether parameters are not kept.
    """

    has_no_cells: bool = False
    no_cells_s: float = 5.0
    lost_frames: int = 0
    is_unordered: bool = False
    has_empty_lines: bool = False
    has_further_fields: bool = False
    unknown: tuple[str, str] | None = None
    can_frames: int = 0
    forgets_writes: bool = False


class EmusSimulator:
    """A unit; see `unit.SimulatedUnit`.

    Args:
        battery: what it watches over.
        broadcast_s: how often it sends the summaries; inf: it is silent until it is asked.
        faults: what it does wrong.
        password: for RS1 and FD1.
        frame_gap_s: between the sentences of one answer.
    """

    def __init__(
        self,
        battery: Battery | None = None,
        *,
        broadcast_s: float = 1.0,
        faults: EmusFaults | None = None,
        password: str = "",
        frame_gap_s: float = 0.005,
    ) -> None:
        self.baud = 57600
        self.battery = battery or Battery()
        self.faults = faults or EmusFaults()
        self.parameters = {"1600": 0x00000001}
        self.password = password
        self.is_logged_in = not password
        self.log = [(22, 10), (26, 12), (28, 3600)]
        self.statistics = {0: 1234, 10: 0x55, 12: 0x10, 18: 7}
        self.commands: list[str] = []
        self._broadcast_s = broadcast_s
        self._frame_gap_s = frame_gap_s
        self._lost_frames = self.faults.lost_frames
        self._next_broadcast_s = 0.0 if math.isfinite(broadcast_s) else math.inf
        self._sending: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()
        self._input = b""
        self._handlers: dict[str, Callable[[str, float], Iterable[str]]] = {
            "LG1": self._log,
            "SS1": self._statistics,
            "CF2": self._parameter,
            "PW1": self._log_in,
            "PW2": self._set_password,
            "SC1": self._state_of_charge,
            "RC1": lambda _, __: [self._command("RC1", "")],
            "RS1": lambda _, __: self._protected("RS1"),
            "FD1": lambda _, __: self._protected("FD1"),
        }

    def receive(self, octets: bytes, now_s: float) -> None:
        """Take bytes from the line: questions, ended by CR or LF. What has a wrong checksum is passed over."""
        *lines, self._input = (self._input + octets).replace(b"\r", b"\n").split(b"\n")
        self._input = self._input[-_LARGEST_INPUT:]
        for line in lines:
            body, _, digits = line.rpartition(b",")
            if len(body) >= 4 and body[3:4] == b"," and digits == b"%02X" % _checksum(body + b","):
                with contextlib.suppress(ValueError):  # one of 256 damaged questions has a right checksum
                    self._answer(body[:3].decode("ascii"), body[4:].decode("ascii"), now_s)

    def run(self, now_s: float) -> bytes:
        """Return what it has sent up to now."""
        while self._next_broadcast_s <= now_s:
            self._broadcast(self._next_broadcast_s)
            self._next_broadcast_s += self._broadcast_s
        sent = []
        while self._sending and self._sending[0][0] <= now_s:
            sent.append(heapq.heappop(self._sending)[2])
        return b"".join(sent)

    def next_s(self) -> float:
        """Return when it will next have something to send."""
        return min(self._next_broadcast_s, self._sending[0][0] if self._sending else math.inf)

    def power_cycle(self, now_s: float) -> None:
        """Start anew."""
        self._sending.clear()
        self._input = b""
        self.is_logged_in = not self.password
        if math.isfinite(self._broadcast_s):
            self._next_broadcast_s = now_s

    def sentence(self, name: str, text: str) -> bytes:
        """Return a sentence as it goes out."""
        further = ",7,x" if self.faults.has_further_fields else ""
        body = f"{name},{text}{further},".encode("latin-1")
        return body + b"%02X\r\n" % _checksum(body)

    def _broadcast(self, now_s: float) -> None:
        for number, name in enumerate(BROADCAST):
            self._send(self.sentence(name, self._text(name, now_s)), now_s + number * self._frame_gap_s)
        if self.faults.unknown is not None:
            self._send(self.sentence(*self.faults.unknown), now_s)
        for number in range(self.faults.can_frames):
            self._send(self.sentence("CN1", f"{0x9B60000 + number:08X},1,0,8,{number:016X}"), now_s)
        if self.faults.has_empty_lines:
            self._send(b"\0\n", now_s)

    def _answer(self, name: str, text: str, now_s: float) -> None:
        self.commands.append(f"{name},{text}")
        is_mute = self.faults.has_no_cells and name in _EMPTY_FIELDS
        at_s = now_s + (self.faults.no_cells_s if is_mute else _ANSWER_S)
        if name in self._handlers:
            texts = list(self._handlers[name](text, now_s))
        elif text != "?":
            return
        elif name in {"BV2", "BT2", "BT4", "BB2"}:
            texts = self._cells(name, now_s)
        elif name in SENTENCES:
            texts = [self._text(name, now_s)]
        else:
            return
        for number, entry in enumerate(texts):
            self._send(self.sentence(name, entry), at_s + number * self._frame_gap_s)

    def _send(self, octets: bytes, at_s: float) -> None:
        heapq.heappush(self._sending, (at_s, next(self._order), octets))

    def _text(self, name: str, now_s: float) -> str:
        if self.faults.has_no_cells and name in _EMPTY_FIELDS:
            return "," * (_EMPTY_FIELDS[name] - 1)
        values: dict[str, Value | None] = {**self.battery.values(name, now_s)}
        if name == "ST1" and self.faults.has_no_cells:
            values |= {"status": 0, "protections": 1 << 6}
        return SENTENCES[name].encode(values).decode("ascii") + _BEHIND.get(name, "")

    def _cells(self, name: str, now_s: float) -> list[str]:
        if self.faults.has_no_cells:
            return ["," * (_EMPTY_FIELDS[name] - 1)]
        texts = [SENTENCES[name].encode(values).decode("ascii") for values in self.battery.groups(name, now_s)]
        if self.faults.is_unordered:
            texts.reverse()
        lost = min(self._lost_frames, len(texts))
        self._lost_frames -= lost
        return texts[lost:]

    def _log(self, text: str, _: float) -> list[str]:
        if text in {"c", "C"}:
            self.log.clear()
            return [""]
        return [f"{k:02X},{event:02X},,{_since_2000(t_s):08X}" for k, (event, t_s) in enumerate(self.log)] or [",,,"]

    def _statistics(self, text: str, _: float) -> list[str]:
        if text == "c":
            self.statistics.clear()
            return [""]
        numbers = list(self.statistics) if text == "?" else [int(text, 16)]
        return [f"{k:02X},{self.statistics.get(k, 0):X},0003,{_since_2000(60):08X}" for k in numbers] or [",,,"]

    def _parameter(self, text: str, _: float) -> list[str]:
        number, data = text.split(",", 1)
        if data not in {"?", ""} and not self.faults.forgets_writes:
            self.parameters[number] = int(data, 16)
        return [f"{number},{self.parameters[number]:08X}"] if number in self.parameters else [f"{number},"]

    def _log_in(self, text: str, _: float) -> list[str]:
        if text != "?":
            self.is_logged_in = text == self.password
        return [f"{int(self.is_logged_in):02X}"]

    def _set_password(self, text: str, _: float) -> list[str]:
        self.password = text
        return ["01"]

    def _state_of_charge(self, text: str, _: float) -> list[str]:
        self.battery.state_of_charge = int(text, 16) / 100
        return [text]

    def _command(self, name: str, text: str) -> str:
        if name == "RC1":
            self.battery.current_offset_a = 0.0
        return text

    def _protected(self, name: str) -> list[str]:
        if not self.is_logged_in:
            return []
        if name == "FD1":
            self.parameters = {"1600": 1}
        return [""]


def _since_2000(t_s: float) -> int:
    return round(_START_OF_CLOCK_S - EPOCH_S + t_s)


def _checksum(octets: bytes) -> int:
    """CRC-8 of 1-Wire, bit by bit: shifted, and the top bit set, as the unit's own description has it."""
    crc = 0
    for octet in octets:
        for _ in range(8):
            feedback = (crc ^ octet) & 1
            crc = ((crc ^ 0x18) if feedback else crc) >> 1 & 0x7F | feedback << 7
            octet >>= 1  # noqa: PLW2901 - shifted out bit by bit
    return crc
