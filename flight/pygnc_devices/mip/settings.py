"""Settings of a unit. One line declares a setting: name, commands, layout of the values, meaning.

A value is a text: numbers separated by commas, a label such as `airborne`, or, for the format of a data set, fields
with the divider of the base rate: `scaled_accel:1,scaled_gyro:1,scaled_mag:10`. Source: MIP SDK of MicroStrain
(`definitions/commands_base.h`, `commands_3dm.h`, `commands_filter.h`).
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from pygnc_devices.errors import DeviceError
from pygnc_devices.mip.commands import BASE, FILTER_COMMANDS, THREE_DM
from pygnc_devices.mip.fields import DATA_SETS, FIELDS

_ON_OFF: Final = {0: "off", 1: "on"}
_FORMAT: Final = "format."
_NO_FIELDS: Final = "none"
_ENTRY: Final = struct.Struct(">BH")


class SettingError(DeviceError):
    """Error raised when a setting or its value does not exist."""


@dataclass(frozen=True, slots=True)
class SettingCommand:
    """Command of a setting.

    Attributes:
        descriptor_set: descriptor set of the command.
        name: name of the setting.
        command: descriptor of the command.
        reply: descriptor of the field with the value in effect.
        codes: struct codes of the values; "" for the format of a data set.
        meaning: description, with the unit of the values.
        selector: parameters before the values, which the response repeats.
        labels: labels of the values.
        alternative: command of other models; None: there is none.
    """

    descriptor_set: int
    name: str
    command: int
    reply: int
    codes: str
    meaning: str
    selector: bytes = b""
    labels: Mapping[int, str] = field(default_factory=dict)
    alternative: "SettingCommand | None" = None

    @property
    def data_set(self) -> int:
        """Descriptor set of the data whose format the setting is."""
        name = self.name.removeprefix(_FORMAT)
        return next(key for key, (known, _) in DATA_SETS.items() if known == name)

    def to_text(self, data: bytes) -> str:
        """Return the text of a value.

        Raises:
            SettingError: the unit sent another layout.
        """
        if not self.codes:
            return _format_text(self.data_set, data)
        try:
            values = struct.unpack(">" + self.codes, data)
        except struct.error:
            raise SettingError(f"{self.name}: the unit sends {data.hex()}, which is not {self.codes}") from None
        return ",".join(self.labels.get(value) or _shortest(value) for value in values)

    def to_bytes(self, text: str) -> bytes:
        """Return the value of a text.

        Raises:
            SettingError: the text is not a value of the setting.
        """
        if not self.codes:
            return _format_bytes(self.data_set, text)
        numbers = {label: value for value, label in self.labels.items()}
        words = [word.strip().lower() for word in text.split(",")]
        try:
            values = [numbers[word] if word in numbers else self._number(word) for word in words]
            return struct.pack(">" + self.codes, *values)
        except (ValueError, struct.error):
            size = struct.calcsize(">" + self.codes) // struct.calcsize(">" + self.codes[-1])
            wanted = f"choose from {', '.join(numbers)}" if numbers else f"expected {size} number(s)"
            raise SettingError(f"{self.name}: {text!r} is not a value; {wanted}") from None

    def _number(self, word: str) -> int | float:
        return float(word) if self.codes.endswith("f") else int(word, 0)


def _shortest(value: float) -> str:
    """Return the shortest text of a number; of a float, the shortest that gives the same 32 bits."""
    if isinstance(value, int):
        return str(value)
    texts = (f"{value:.{digits}g}" for digits in range(6, 10))
    return next((text for text in texts if struct.pack(">f", float(text)) == struct.pack(">f", value)), str(value))


def parse_format(data: bytes) -> Iterator[tuple[int, int]]:
    """Return descriptor and divider of the base rate of each field of a format; a cut entry is omitted."""
    count = min(data[0], (len(data) - 1) // _ENTRY.size) if data else 0
    return _ENTRY.iter_unpack(data[1 : 1 + count * _ENTRY.size])


def _format_text(data_set: int, data: bytes) -> str:
    known = FIELDS[data_set]
    entries = (f"{known[key].name if key in known else f'{key:#04x}'}:{divider}" for key, divider in parse_format(data))
    return ",".join(entries) or _NO_FIELDS


def _format_bytes(data_set: int, text: str) -> bytes:
    descriptors = {part.name: key for key, part in FIELDS[data_set].items()}
    entries = []
    for entry in text.split(",") if text.strip().lower() != _NO_FIELDS else ():
        name, _, divider = (part.strip() for part in entry.partition(":"))
        try:
            descriptor = descriptors[name] if name in descriptors else int(name, 16)
            entries.append(_ENTRY.pack(descriptor, int(divider or "1")))
        except (ValueError, struct.error):
            raise SettingError(
                f"{entry!r} is not a field with a divider, such as scaled_accel:10; fields: {', '.join(descriptors)}"
            ) from None
    return bytes([len(entries)]) + b"".join(entries)


_three_dm: Final = partial(SettingCommand, THREE_DM)
_filter: Final = partial(SettingCommand, FILTER_COMMANDS)


def _format(name: str, data_set: int, legacy: tuple[int, int] | None) -> SettingCommand:
    meaning = f"fields of the data set {name}, each with the divider of the base rate"
    name = _FORMAT + name
    old = None if legacy is None else _three_dm(name, *legacy, "", meaning)
    return _three_dm(name, 0x0F, 0x8F, "", meaning, bytes([data_set]), alternative=old)


def _stream(name: str, data_set: int, legacy: int | None) -> SettingCommand:
    meaning = f"periodic output of the data set {name}"
    name = f"stream.{name}"
    old = None if legacy is None else _three_dm(name, 0x11, 0x85, "B", meaning, bytes([legacy]), _ON_OFF)
    return _three_dm(name, 0x11, 0x85, "B", meaning, bytes([data_set]), _ON_OFF, old)


_DYNAMICS: Final = {1: "portable", 2: "automotive", 3: "airborne", 4: "airborne_high_g"}
_HEADING: Final = dict(
    enumerate(("none", "mag", "gnss", "external", "gnss+mag", "gnss+external", "mag+external", "gnss+mag+external"))
)
_SENSORS: Final = {1: "accel", 2: "gyro", 3: "mag", 4: "pressure"}
BAUD: Final = "baud"
SETTINGS: Final = {
    setting.name: setting
    for setting in (
        _format("sensor", 0x80, (0x08, 0x80)),
        _format("gnss", 0x81, (0x09, 0x81)),
        _format("filter", 0x82, (0x0A, 0x82)),
        _format("gnss1", 0x91, None),
        _format("gnss2", 0x92, None),
        _stream("sensor", 0x80, 1),
        _stream("gnss", 0x81, 2),
        _stream("filter", 0x82, 3),
        _stream("gnss1", 0x91, None),
        _stream("gnss2", 0x92, None),
        _three_dm("accel_bias", 0x37, 0x9A, "3f", "bias of the accelerometer x,y,z, g"),
        _three_dm("gyro_bias", 0x38, 0x9B, "3f", "bias of the gyro x,y,z, rad/s"),
        _three_dm("hard_iron", 0x3A, 0x9C, "3f", "hard iron offset x,y,z, G"),
        _three_dm("soft_iron", 0x3B, 0x9D, "9f", "soft iron matrix, row by row"),
        _three_dm("coning_sculling", 0x3E, 0x9E, "B", "compensation of coning and sculling", labels=_ON_OFF),
        _three_dm("transformation", 0x31, 0xB1, "3f", "transformation from sensor to vehicle, roll,pitch,yaw, rad"),
        *(
            _three_dm(f"range.{name}", 0x52, 0xD2, "B", f"range of the {name}, number of the setting", bytes([number]))
            for number, name in _SENSORS.items()
        ),
        _filter("filter.dynamics", 0x10, 0x80, "B", "vehicle dynamics", labels=_DYNAMICS),
        _filter("filter.rotation", 0x11, 0x81, "3f", "rotation from sensor to vehicle, roll,pitch,yaw, rad"),
        _filter("filter.estimation", 0x14, 0x84, "H", "bits of the estimated parameters"),
        _filter("filter.heading", 0x18, 0x87, "B", "source of the heading", labels=_HEADING),
        _filter("filter.auto_init", 0x19, 0x88, "B", "automatic initialisation", labels=_ON_OFF),
        _three_dm(
            BAUD,
            0x40,
            0x87,
            "I",
            "baud rate of the line, bits per second",
            alternative=SettingCommand(BASE, BAUD, 0x09, 0x89, "I", "baud rate of the first port", b"\x01"),
        ),
    )
}
"""Settings by name. Models without the last command change the baud rate of a numbered port."""


def setting(name: str) -> SettingCommand:
    """Return the declaration of a setting.

    Raises:
        SettingError: the setting does not exist.
    """
    try:
        return SETTINGS[name]
    except KeyError:
        raise SettingError(f"unknown setting {name!r}; choose from {', '.join(SETTINGS)}") from None
