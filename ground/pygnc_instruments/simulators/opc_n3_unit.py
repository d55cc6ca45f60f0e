"""Simulated OPC-N3 particle counter on its SPI bus: handshake, histograms, fan, laser and faults."""

import math
import struct
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.opc_n3.packets import BINS, CONFIGURATION, HISTOGRAM, PM_NAMES, STATUS

_BOUNDARIES_UM: Final = (
    0.35, 0.46, 0.66, 1, 1.3, 1.7, 2.3, 3, 4, 5.2, 6.5, 8, 10, 12, 14, 16, 18, 20, 22, 25, 28, 31, 34, 37, 40,
)  # fmt: skip
_ADC: Final = (
    14, 40, 80, 120, 145, 215, 340, 590, 846, 1363, 2029, 2848, 4119, 5527, 7076, 8624, 10204, 11815, 13457, 15897,
    18305, 20698, 22966, 25140, 27158,
)  # fmt: skip
_PARTICLES_PER_ML: Final = (6.2, 1.4, 1.3, 0.6, 0.4, 0.23, 0.05, 0.02, 0.02, 0.01, *(0.002,) * 14)
BUSY: Final = 0x31
READY: Final = 0xF3
_READS: Final = {0x10: 60, 0x12: 2, 0x13: 6, 0x30: 86, 0x32: 14, 0x3C: 168, 0x3F: 60}
_WRITES: Final = {0x03: 1, 0x05: 1, 0x11: 60, 0x3A: 167, 0x42: 2, 0x43: 5}
_PLAIN: Final = {0x06, 0x41, 0xCF}
_SAVE_KEY: Final = bytes.fromhex("3f3c3f3c43")
_SILENT_S: Final = 1.0
_MAX_PERIOD_S: Final = 655.35


def masses(configuration: Mapping[str, Value], counts: Sequence[int], volume_ml: float) -> list[float]:
    """Return PM A, B and C in µg/m³, computed like the firmware from bin counts, bin boundaries and densities."""
    found = []
    for which in "abc":
        cut = float(configuration[f"pm_{which}_um"])
        total = 0.0
        for k, count in enumerate(counts):
            low, high = (float(configuration[f"boundary_{edge}_um"]) for edge in (k, k + 1))
            size = (low + high) / 2
            tail = 0.5 - 0.5 * math.erf(math.log(size / cut) / (math.log(1.5) * math.sqrt(2)))
            share = int(1000 * 0.5 * (1 + math.exp(-0.06 * size)) * tail) / 1000
            density = float(configuration[f"weighting_{k}"])
            total += count * density * math.pi / 6 * size**3 * share
        found.append(total / volume_ml if volume_ml else math.nan)
    return found


def factory_configuration() -> dict[str, Value]:
    """Return the variables of the factory configuration by field name."""
    values: dict[str, Value] = {f"adc_boundary_{k}": word for k, word in enumerate(_ADC)}
    values |= {f"boundary_{k}_um": float(size) for k, size in enumerate(_BOUNDARIES_UM)}
    values |= {f"weighting_{k}": 1.65 for k in range(BINS)}
    values |= {"pm_a_um": 1.0, "pm_b_um": 2.5, "pm_c_um": 10.0, "max_tof": 4095, "am_sampling_intervals": 1}
    values |= {"am_idle_intervals": 0, "am_max_arrays": 61798, "am_only_pm": 0, "am_fan_in_idle": 0}
    return values | {"am_laser_in_idle": 0, "tof_to_sfr": 56, "validation_period": 48, "weighting_index": 2}


@dataclass
class OpcFaults:
    """Faults of a simulated counter; each number decreases by one when its fault occurs.

    Attributes:
        busy: number of additional busy responses at the next handshake.
        is_stuck: True if the counter stays busy for ever.
        bad_checksums: number of histograms with a wrong checksum.
        truncated: number of histograms whose last 13 bytes are 0, as if another program had interfered.
        deaf_fan: number of fan-on commands without effect.
        dead_laser: True if the laser emits no light when it is on.
        is_autonomous: True if the counter records autonomously and responds with 0 until a power cycle.
        text: information string.
        forgets_writes: True if new configuration variables are lost.
    """

    busy: int = 0
    is_stuck: bool = False
    bad_checksums: int = 0
    truncated: int = 0
    deaf_fan: int = 0
    dead_laser: bool = False
    is_autonomous: bool = False
    text: str = "OPC-N3 Iss1.1 FirmwareVer=1.17a...........................BS"
    forgets_writes: bool = False


class OpcN3Simulator:
    """Simulated OPC-N3 on its SPI bus, which exchanges single bytes.

    Args:
        faults: faults of the counter.
        seed: seed of the particle counts.
        rest_s: time without traffic after which an interrupted command is abandoned, s.
        serial_number: serial number.
    """

    def __init__(
        self,
        faults: OpcFaults | None = None,
        *,
        seed: int = 0,
        rest_s: float = 2.0,
        serial_number: str = "177700019",
    ) -> None:
        self.faults = faults or OpcFaults()
        self.serial_number = serial_number
        self.rest_s = rest_s
        self.is_in_bootloader = False
        self.saved = factory_configuration()
        self.configuration = dict(self.saved)
        self.fan_on, self.laser_on = False, False
        self.fan_pot, self.laser_pot, self.gain = 255, 140, 3
        self.histograms = 0
        self.commands: list[tuple[int, bytes]] = []
        self._random = Random(seed)  # noqa: S311 - particles, no secrets
        self._is_first = True
        self._since_s = 0.0
        self._now_s = 0.0
        self._silent_until_s = 0.0
        self._restart_exchange()

    @property
    def is_on(self) -> bool:
        """True if fan or laser is on."""
        return self.fan_on or self.laser_on

    def power_cycle(self, now_s: float) -> None:
        """Restart with the saved configuration."""
        self.faults.is_autonomous = False
        self.is_in_bootloader = False
        self._reset(now_s)
        self._restart_exchange()

    def exchange(self, octet: int, now_s: float) -> int:
        """Return the byte that the counter sends in exchange for a received byte."""
        has_rested = now_s - self._now_s >= self.rest_s
        self._now_s = now_s
        if self.faults.is_autonomous or self.is_in_bootloader or now_s < self._silent_until_s:
            return 0x00
        if has_rested:
            self._restart_exchange()
        return self._exchange.send(octet)

    def _restart_exchange(self) -> None:
        self._answer: bytes | None = None
        self._exchange = self._exchange_commands()
        next(self._exchange)

    def _exchange_commands(self) -> Generator[int, int, None]:
        """Carry out commands: yield the byte that the counter sends while it receives the next one."""
        reply = 0x00
        while True:
            command = yield reply
            if command not in _READS and command not in _WRITES and command not in _PLAIN:
                reply = 0x00
                continue
            busy, self.faults.busy = self.faults.busy, 0
            while (octet := (yield BUSY)) == command and (busy or self.faults.is_stuck):
                busy = max(0, busy - 1)
            if octet != command:
                reply = BUSY
                continue
            reply = READY
            if command in _READS:
                self._answer = self._read(command, self._now_s)
                for answer in self._answer:
                    yield reply
                    reply = answer
                self._answer = None
                continue
            echo, received = command, b""
            for _ in range(_WRITES.get(command, 0)):
                octet = yield reply
                reply, echo = echo, octet
                received += bytes([octet])
            self._carry_out(command, received, self._now_s)

    def _carry_out(self, command: int, payload: bytes, now_s: float) -> None:
        self.commands.append((command, payload))
        match command:
            case 0x03:
                self._switch(payload[0] >> 1, is_on=bool(payload[0] & 1), now_s=now_s)
            case 0x05:
                self.configuration["weighting_index"] = payload[0]
            case 0x06:
                self._reset(now_s)
                self._silent_until_s = now_s + min(_SILENT_S, self.rest_s)
            case 0x11:
                self.serial_number = payload.decode("ascii").strip()
            case 0x3A:
                if not self.faults.forgets_writes:
                    index = self.configuration["weighting_index"]
                    self.configuration = CONFIGURATION.decode(payload + b"\0") | {"weighting_index": index}
                self._silent_until_s = now_s + min(_SILENT_S, self.rest_s)
            case 0x41:
                self.is_in_bootloader = True
            case 0x42:
                self.fan_pot, self.laser_pot = (
                    (self.fan_pot, payload[1]) if payload[0] else (payload[1], self.laser_pot)
                )
            case 0x43 if payload == _SAVE_KEY:
                self.saved = dict(self.configuration)

    def _switch(self, target: int, *, is_on: bool, now_s: float) -> None:
        match target:
            case 1 if is_on and self.faults.deaf_fan:
                self.faults.deaf_fan -= 1
            case 1:
                self.fan_on = is_on
                self._is_first, self._since_s = True, now_s
            case 3:
                self.laser_on = is_on
            case 4:
                self.gain = int(is_on)

    def _reset(self, now_s: float) -> None:
        self.configuration = dict(self.saved)
        self.fan_on = self.laser_on = False
        self.gain = 3
        self._is_first, self._since_s = True, now_s

    def _read(self, command: int, now_s: float) -> bytes:
        texts = {0x10: f"OPC-N3 {self.serial_number}", 0x3F: self.faults.text}
        if command in texts:
            return texts[command].ljust(60)[:60].encode("ascii")
        match command:
            case 0x12:
                return bytes([1, 17])
            case 0x13:
                words = (self.fan_on, 1, self.fan_pot, self.laser_pot, self.laser_on, self.gain)
                return STATUS.layout.pack(*words)
            case 0x30:
                return self._histogram(now_s)
            case 0x32:
                return _with_checksum(self._histogram(now_s)[60:72])
            case _:
                return CONFIGURATION.encode(self.configuration)

    def _histogram(self, now_s: float) -> bytes:
        self.histograms += 1
        elapsed_s, self._since_s = now_s - self._since_s, now_s
        period_s = min(round(elapsed_s / 2 if self.gain & 2 else elapsed_s, 2), _MAX_PERIOD_S)
        flow_ml_s = round(self._random.uniform(4.2, 4.6), 2) if self.fan_on else 3.69
        counts = self._counts(period_s * flow_ml_s)
        if self._is_first and self.fan_on:
            counts = [min(65535, 50 * count + 40) for count in counts]
        self._is_first = False
        values: dict[str, Value | None] = {f"bin_{k}": count for k, count in enumerate(counts)}
        values |= {f"mtof_bin_{k}_us": 9.0 if counts[k] else 0.0 for k in (1, 3, 5, 7)}
        values |= {"period_s": period_s, "flow_ml_s": flow_ml_s, "temperature_degc": 24.5, "humidity_percent": 48.0}
        values |= dict(zip(PM_NAMES, masses(self.configuration, counts, period_s * flow_ml_s), strict=True))
        values |= {"reject_glitch": self._random.randrange(20), "reject_ratio": self._random.randrange(200)}
        values |= {"laser_status": self._random.randint(600, 625) if self.laser_on else 621}
        return self._with_faults(_with_checksum(HISTOGRAM.encode(values)[:-2]))

    def _counts(self, volume_ml: float) -> list[int]:
        if not (self.fan_on and self.laser_on) or self.faults.dead_laser:
            return [0] * BINS
        means = [concentration * volume_ml for concentration in _PARTICLES_PER_ML]
        counts = [max(0, round(self._random.gauss(mean, math.sqrt(mean)))) for mean in means]
        return [min(65535, max(counts[0], 1)), *counts[1:]]

    def _with_faults(self, raw: bytes) -> bytes:
        if self.faults.bad_checksums:
            self.faults.bad_checksums -= 1
            return raw[:20] + bytes([raw[20] ^ 0x10]) + raw[21:]
        if self.faults.truncated:
            self.faults.truncated -= 1
            return raw[:73] + bytes(13)
        return raw


def _with_checksum(octets: bytes) -> bytes:
    """Append the CRC-16/MODBUS, computed bit by bit, low byte first."""
    crc = 0xFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return octets + struct.pack("<H", crc)
