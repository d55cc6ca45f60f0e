"""Settings of a unit. One line declares a setting: name, message, layout of the values, meaning.

A value is a text: numbers separated by commas, a label, or, for the outputs, items with their rates in Hz:
`packet_counter,sample_time_fine,acceleration:100,quaternion.ned:50`. An item without a rate is in every message.
Source: MT Low Level Communication Protocol (MT0101P) of Xsens, and the maker's library xspublic (`xsbaudcode.h`,
`xserrormode.h`, `mtibasedevice.cpp`).
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pygnc_devices.declaration import declared
from pygnc_devices.errors import SettingError
from pygnc_devices.xsens import messages
from pygnc_devices.xsens.items import BY_NAME, identifier_of, identifier_text

BAUD: Final = "baud"
OUTPUTS: Final = "outputs"
PROFILE: Final = "filter_profile"
EVERY_MESSAGE: Final = 0xFFFF
"""Rate of an item that is in every message."""
_NO_OUTPUTS: Final = "none"
_ENTRY: Final = struct.Struct(">HH")
CODE_OF_BAUD: Final = {
    4800: 0x0B,
    9600: 0x09,
    14_400: 0x08,
    19_200: 0x07,
    28_800: 0x06,
    38_400: 0x05,
    57_600: 0x04,
    76_800: 0x03,
    115_200: 0x02,
    230_400: 0x01,
    460_800: 0x00,
    921_600: 0x0A,
    2_000_000: 0x0C,
    3_500_000: 0x0E,
    4_000_000: 0x0D,
}
BAUD_OF_CODE: Final = {code: baud for baud, code in CODE_OF_BAUD.items()} | {0x80: 921_600}
"""Baud rates; older firmware has another code for 921600."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Setting of a unit.

    Attributes:
        name: name of the setting.
        message: message that requests the value; with the value, the message sets it.
        codes: struct codes of the value.
        meaning: description, with the unit of the values.
        selector: data before the value, in requests too.
        labels: labels of the value.
    """

    name: str
    message: int
    codes: str
    meaning: str
    selector: bytes = b""
    labels: Mapping[int, str] = field(default_factory=dict)

    def fits(self, data: bytes) -> bool:
        """Return True if data may be a value; the acknowledgement of a written value has none."""
        return bool(data)

    def to_text(self, data: bytes) -> str:
        """Return the text of a value. Older firmware does not repeat the selector, and has fewer digits.

        Raises:
            SettingError: the unit sent another layout.
        """
        value = data.removeprefix(self.selector) if len(data) % 2 else data
        codes = self.codes if len(value) >= struct.calcsize(">" + self.codes) else self.codes.replace("d", "f")
        try:
            values = struct.unpack(">" + codes, value)
        except struct.error:
            raise SettingError(f"{self.name}: the unit sends {data.hex()}, which is not {self.codes}") from None
        return ",".join(self.labels.get(value) or _shortest(value, codes) for value in values)

    def to_bytes(self, text: str) -> bytes:
        """Return the value of a text.

        Raises:
            SettingError: the text is not a value of the setting.
        """
        numbers = {label: value for value, label in self.labels.items()}
        try:
            words = [numbers.get(word.strip()) for word in text.lower().split(",")] if numbers else self._numbers(text)
            return struct.pack(">" + self.codes, *words)
        except (ValueError, struct.error):
            size = struct.calcsize(">" + self.codes) // struct.calcsize(">" + self.codes[-1])
            wanted = f"choose from {', '.join(numbers)}" if numbers else f"expected {size} number(s)"
            raise SettingError(f"{self.name}: {text!r} is not a value; {wanted}") from None

    def _numbers(self, text: str) -> list[float] | list[int]:
        words = [word.strip() for word in text.split(",")]
        return [float(word) for word in words] if self.codes[-1] in "fd" else [int(word, 0) for word in words]


class OutputSetting(Setting):
    """Items that a unit sends, with their rates."""

    __slots__ = ()

    def fits(self, data: bytes) -> bool:
        """Return True if data may be a list of items."""
        return len(data) % _ENTRY.size == 0

    def to_text(self, data: bytes) -> str:
        """Return the text of a list of items."""
        entries = (
            identifier_text(identifier) + (f":{hz}" if hz != EVERY_MESSAGE else "")
            for identifier, hz in parse_outputs(data)
        )
        return ",".join(entries) or _NO_OUTPUTS

    def to_bytes(self, text: str) -> bytes:
        """Return the list of items in a text; see `Setting.to_bytes`."""
        if text.strip().lower() == _NO_OUTPUTS:
            return _ENTRY.pack(0, 0)
        return b"".join(map(_output, text.split(",")))


class ProfileSetting(Setting):
    """Filter profile: a number, or the name that newer models have."""

    __slots__ = ()

    def fits(self, data: bytes) -> bool:
        """Return True if data may be a profile."""
        return bool(data)

    def to_text(self, data: bytes) -> str:
        """Return number or name of a profile."""
        if len(data) == 2 and data[0] == 0:
            return str(data[1])
        return data.decode("latin-1").strip(" \0")

    def to_bytes(self, text: str) -> bytes:
        """Return the profile in a text; see `Setting.to_bytes`."""
        text = text.strip()
        if text.isdecimal() and int(text) < 1 << 8:
            return bytes([0, int(text)])
        if not text or text.isdecimal() or not text.isascii():
            raise SettingError(f"{self.name}: {text!r} is not a profile; name it by its number or its label")
        return text.encode()


class BaudSetting(Setting):
    """Baud rate of the line, by its code."""

    __slots__ = ()

    def to_text(self, data: bytes) -> str:
        """Return the baud rate of a code."""
        return str(BAUD_OF_CODE.get(data[0], f"code {data[0]:#04x}"))

    def to_bytes(self, text: str) -> bytes:
        """Return the code of a baud rate; see `Setting.to_bytes`."""
        code = CODE_OF_BAUD.get(int(text)) if text.strip().isdecimal() else None
        if code is None:
            raise SettingError(
                f"{self.name}: {text!r} is not a baud rate; choose from {', '.join(map(str, CODE_OF_BAUD))}"
            )
        return bytes([code])


def parse_outputs(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield identifier and rate, Hz, of each item in an output configuration; a unit without outputs has none."""
    whole = data[: len(data) - len(data) % _ENTRY.size]
    return ((identifier, hz) for identifier, hz in _ENTRY.iter_unpack(whole) if identifier)


def fastest_hz(outputs: Iterable[tuple[int, int]]) -> int | None:
    """Return the rate of the messages, Hz; None if it does not follow from the rates of the items."""
    return max((hz for _, hz in outputs if 0 < hz < EVERY_MESSAGE), default=None)


def _output(entry: str) -> bytes:
    name, _, hz = (part.strip() for part in entry.partition(":"))
    try:
        return _ENTRY.pack(identifier_of(name), int(hz or EVERY_MESSAGE))
    except (ValueError, struct.error):
        raise SettingError(
            f"{entry!r} is not an item with a rate, such as acceleration:100; items: {', '.join(BY_NAME)}"
        ) from None


def _shortest(value: float, codes: str) -> str:
    """Return the shortest text of a number; of a float, the shortest that gives the same bits."""
    if isinstance(value, int) or codes.endswith("d"):
        return f"{value!r}".removesuffix(".0")
    texts = (f"{value:.{digits}g}" for digits in range(6, 10))
    return next((text for text in texts if struct.pack(">f", float(text)) == struct.pack(">f", value)), str(value))


_ERROR_MODES: Final = {0: "ignore", 1: "count", 2: "report", 3: "stop"}
SETTINGS: Final[dict[str, Setting]] = {
    setting.name: setting
    for setting in (
        OutputSetting(OUTPUTS, messages.OUTPUTS, "", "items of the messages, with their rates in Hz"),
        ProfileSetting(PROFILE, messages.FILTER_PROFILE, "", "filter profile, by its number or its label"),
        Setting("alignment.sensor", 0xEC, "4f", "rotation of the unit's axes, quaternion q0,q1,q2,q3", b"\x00"),
        Setting("alignment.local", 0xEC, "4f", "rotation of the local axes, quaternion q0,q1,q2,q3", b"\x01"),
        Setting("position", 0x6E, "3d", "latitude and longitude, deg, and altitude, m, for gravity and declination"),
        Setting("gnss_lever_arm", 0x68, "3f", "position of the antenna in the unit's axes x,y,z, m"),
        Setting("gnss_platform", 0x76, "H", "number of the receiver's dynamic model"),
        Setting("error_mode", 0xDA, "H", "what the unit does when it misses a sample", labels=_ERROR_MODES),
        Setting("location_id", 0x84, "H", "number of your choice"),
        Setting("transmit_delay", 0xDC, "H", "delay on an RS-485 line, ticks of 1/29.4912 MHz"),
        BaudSetting(BAUD, messages.BAUD, "B", "baud rate of the line, bits per second"),
    )
}
"""Settings by name. All are in non-volatile memory."""


def setting(name: str) -> Setting:
    """Return the declaration of a setting.

    Raises:
        SettingError: the setting does not exist.
    """
    return declared(SETTINGS, name, "setting")
