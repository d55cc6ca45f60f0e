"""Settings of a unit: its registers. One line declares a register: name, number, meaning, kind of its words.

A value is a text: words separated by commas, or a label such as `YMR`. The number of words is that of the unit, because
it depends on the firmware. A binary output is `off` or `PORTS,DIVISOR,FIELD,FIELD...`, such as
`1,8,common.time_startup,imu.accel`; the divisor is that of the IMU's rate. Source: VectorNav SDK 0.99
(`Registers.hpp`), programming library 1.2.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pygnc_devices.declaration import declared
from pygnc_devices.errors import SettingError
from pygnc_devices.vectornav.packets import (
    field_names,
    header_at,
    header_of,
    name_of,
    place_of,
    places_of,
    split_header,
)

_OFF: Final = "off"


@dataclass(frozen=True, slots=True)
class Register:
    """Register of a unit.

    Attributes:
        number: number of the register.
        name: name of the setting.
        meaning: description, with the unit of the values.
        kind: words are numbers, a text, or a binary output.
        labels: labels of the first word by its value.
    """

    number: int
    name: str
    meaning: str
    kind: Literal["numbers", "text", "output"] = "numbers"
    labels: Mapping[int, str] = field(default_factory=dict)

    def to_text(self, words: Sequence[str]) -> str:
        """Return the text of the words that a unit reports."""
        if self.kind == "text":
            return ",".join(words)
        if self.kind == "output":
            return _output_text(self.name, words)
        first, *others = (_shortest(word) for word in words)
        return ",".join((self.labels.get(int(first), first) if first.isdecimal() else first, *others))

    def to_words(self, text: str, present: Sequence[str]) -> list[str]:
        """Return the words of a text.

        Args:
            text: value.
            present: words that the unit reports.

        Raises:
            SettingError: the text is not a value of the register.
        """
        if self.kind == "text":
            if any(not " " <= character <= "~" or character in "*$" for character in text):
                raise SettingError(f"{self.name}: {text!r} has characters other than ASCII, or $ or *")
            return [text]
        words = [word.strip() for word in text.split(",")]
        if self.kind == "output":
            return _output_words(self.name, words, present)
        numbers = {label.lower(): str(value) for value, label in self.labels.items()}
        words[0] = numbers.get(words[0].lower(), words[0])
        if len(words) != len(present) or not all(map(_is_number, words)):
            wanted = f"choose from {', '.join(self.labels.values())}" if self.labels else ""
            raise SettingError(
                f"{self.name}: {text!r} is not a value; {wanted or f'expected {len(present)} number(s)'}"
            )
        return words


def _is_number(word: str) -> bool:
    try:
        return abs(float(word)) < float("inf")
    except ValueError:
        return False


def _shortest(word: str) -> str:
    """Return the shortest text of a number: an integer, or a number with the same 32 bits; other words as they are."""
    text = word.strip()
    if text.isdecimal():
        return str(int(text))
    if not _is_number(text):
        return text
    texts = (f"{float(text):.{digits}g}" for digits in range(6, 10))
    return next((short for short in texts if _bits(short) == _bits(text)), text)


def _bits(text: str) -> bytes:
    try:
        return struct.pack(">f", float(text))
    except OverflowError:
        return b""


def _output_text(name: str, words: Sequence[str]) -> str:
    try:
        ports, divisor, *header = words
        octets = _header(header)
        fields = [name_of(place) for place in places_of(octets)] if octets else []
        return ",".join((_shortest(str(int(ports, 16))), _shortest(divisor), *fields)) if int(ports, 16) else _OFF
    except ValueError:
        raise SettingError(f"{name}: the unit sends {','.join(words)!r}, which is not a binary output") from None


def _header(words: Sequence[str]) -> bytes:
    """Return the header whose group bytes and words a unit reports in hexadecimal."""
    octets = b""
    rest = [int(word, 16) for word in words]
    while rest:
        octets += rest[0].to_bytes(1, "little")
        if not rest.pop(0) & 0x80:
            break
    octets += b"".join((word & 0xFFFF).to_bytes(2, "little") for word in rest)
    return header_at(octets, 0) or b""


def _output_words(name: str, words: Sequence[str], present: Sequence[str]) -> list[str]:
    if [word.lower() for word in words] == [_OFF]:
        return ["0", *present[1:]]
    try:
        ports, divisor, *fields = words
        header = header_of(map(place_of, fields))
        numbers = [f"{int(ports):X}", str(int(divisor))]
    except (ValueError, KeyError):
        raise SettingError(
            f"{name}: {','.join(words)!r} is not {_OFF} or PORTS,DIVISOR,FIELD,...; fields: {', '.join(field_names())}"
        ) from None
    if not fields or header_at(header, 0) != header or not 0 <= int(ports) <= 3 or not 0 < int(divisor) <= 0xFFFF:
        raise SettingError(f"{name}: expected ports 0 to 3, a divisor of 1 or more, and up to ten words of fields")
    groups, masks = split_header(header)
    return [*numbers, *(f"{octet:02X}" for octet in groups), *(f"{mask:04X}" for mask in masks)]


ASYNC_TYPES: Final = {
    0: _OFF,
    1: "YPR",
    2: "QTN",
    8: "QMR",
    10: "MAG",
    11: "ACC",
    12: "GYR",
    13: "MAR",
    14: "YMR",
    16: "YBA",
    17: "YIA",
    19: "IMU",
    20: "GPS",
    21: "GPE",
    22: "INS",
    23: "INE",
    28: "ISL",
    29: "ISE",
    30: "DTV",
    32: "G2S",
    33: "G2E",
    34: "HVE",
}
BAUD: Final = "baud"
ASYNC_TYPE: Final = "async.type"
ASYNC_RATE: Final = "async.rate"
TAG: Final = "tag"
PROTOCOL: Final = "protocol"
_INS: Final = {0: "ahrs", 1: "gnss_pressure", 2: "gnss", 3: "dual_gnss", 5: "dual_gnss_pressure"}
_CALIBRATION: Final = "matrix, row by row, and bias x,y,z"
SETTINGS: Final = {
    register.name: register
    for register in (
        Register(0, TAG, "text of the user", "text"),
        Register(6, ASYNC_TYPE, "line sent periodically", labels=ASYNC_TYPES),
        Register(7, ASYNC_RATE, "rate of the line, Hz"),
        Register(75, "binary.1", "binary output 1: ports, divisor of the IMU's rate, fields", "output"),
        Register(76, "binary.2", "binary output 2", "output"),
        Register(77, "binary.3", "binary output 3", "output"),
        Register(21, "reference", "magnetic field, G, and gravity, m/s^2, in north-east-down"),
        Register(23, "calibration.mag", f"magnetometer, G: {_CALIBRATION}"),
        Register(25, "calibration.accel", f"accelerometer, m/s^2: {_CALIBRATION}"),
        Register(84, "calibration.gyro", f"gyro, rad/s: {_CALIBRATION}"),
        Register(26, "rotation", "rotation from the unit's axes to those of the output, row by row; after a restart"),
        Register(30, PROTOCOL, "count and status appended to lines, the same on SPI, checksums of both, error mode"),
        Register(32, "sync", "SyncIn mode, edge, skip; SyncOut mode, polarity, skip, width in ns"),
        Register(35, "vpe", "attitude filter: enable, heading mode (0 absolute, 1 relative, 2 indoor), filter, tuning"),
        Register(36, "vpe.mag", "magnetometer in the attitude filter: base and adaptive tuning, adaptive filter"),
        Register(38, "vpe.accel", "accelerometer in the attitude filter: base and adaptive tuning, adaptive filter"),
        Register(44, "hard_iron", "estimator of hard and soft iron: mode (0 off, 1 run, 2 reset), output, convergence"),
        Register(55, "gnss.config", "mode, source of the PPS, rate, reserved, antenna power"),
        Register(57, "gnss.antenna", "offset of antenna A x,y,z, m"),
        Register(93, "gnss.baseline", "position of antenna B from A x,y,z and its uncertainty, m"),
        Register(67, "ins", "INS: scenario, aiding of the attitude, baseline estimation", labels=_INS),
        Register(105, "ins.offset", "offset of the reference point x,y,z and its uncertainty, m"),
        Register(74, "startup_bias", "bias at the start: gyro, rad/s, accelerometer, m/s^2, pressure, kPa"),
        Register(82, "deltas", "integrals: frame (0 body, 1 NED), corrections of gyro, accelerometer, Earth rate"),
        Register(83, "model", "reference models: magnetic, gravity, ..., year, latitude, longitude, deg, altitude, m"),
        Register(85, "filter", "window of magnetometer, accelerometer, gyro, temperature, pressure; mode of each"),
        Register(51, "velocity_aiding", "velocity aiding: enable, tuning"),
        Register(116, "heave", "heave filter: periods, s, amplitudes, m, cut-off frequencies"),
        Register(5, BAUD, "baud rate of this port, bits per second"),
    )
}
"""Settings by name; the baud rate is the last."""


def setting(name: str) -> Register:
    """Return the declaration of a setting.

    Raises:
        SettingError: the setting does not exist.
    """
    return declared(SETTINGS, name, "setting")
