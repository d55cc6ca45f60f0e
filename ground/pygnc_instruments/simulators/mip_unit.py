"""Simulated MicroStrain unit with the MIP protocol."""

import math
import struct
from collections.abc import Iterable
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.errors import SettingError
from pygnc_devices.mip.actions import ACTIONS, Action
from pygnc_devices.mip.fields import DATA_SETS, FIELDS
from pygnc_devices.mip.settings import BAUD, SETTINGS, SettingCommand, parse_format
from pygnc_instruments.simulators.declared_unit import values_at
from pygnc_instruments.simulators.unit import SimulatedUnit, motion

_PREAMBLE: Final = b"ue"
_ACKNOWLEDGEMENT: Final = 0xF1
_UNKNOWN, _INVALID = 1, 3
_WRITE, _READ, _SAVE, _LOAD, _DEFAULT = range(1, 6)
_BASE_HZ: Final = {0x80: 500, 0x81: 4, 0x82: 500, 0x91: 2, 0x92: 2}
_TICK_HZ: Final = 500
_RESTART_S: Final = 0.3
_START_TOW_S: Final = 345_600.0
_WEEK: Final = 2400
_INTERNAL_HZ: Final = 62_500
_DATA_SETS: Final = (0x80, 0x81, 0x82)
_SHARED: Final = 0xD0
"""First descriptor of the fields of all data sets, which older models do not have."""
_DESCRIPTOR_BYTES: Final = 248
_RESET, _POLL, _BAUD = (0x01, 0x7E), (0x0C, 0x0D), (0x0C, 0x40)
_LEGACY_RATES: Final = {0x06: 0x80, 0x07: 0x81, 0x0B: 0x82}
_MISSING: Final = {
    *(
        f"{kind}.{name}"
        for kind in ("format", "stream")
        for key, (name, _) in DATA_SETS.items()
        if key not in _DATA_SETS
    ),
    *("range.gyro", "range.mag", "range.pressure", "filter.gnss_source"),
}
"""Settings that the simulated models do not have."""
_DEFAULTS: Final = {
    "format.sensor": "scaled_accel:5,scaled_gyro:5,scaled_mag:5,sensor_timestamp:5",
    "format.filter": "euler:5,status:5,filter_timestamp:5",
    "stream.sensor": "on",
    "soft_iron": "1,0,0,0,1,0,0,0,1",
    "coning_sculling": "on",
    "range.accel": "2",
    "baud": "115200",
    "filter.dynamics": "portable",
    "filter.heading": "mag",
    "aiding_echo": "acknowledgement",
    "filter.auto_init": "on",
    "filter.estimation": "gyro_bias+accel_bias",
    "filter.reference_point": "vehicle,0,0,0",
    "filter.rotation.matrix": "1,0,0,0,1,0,0,0,1",
    "filter.rotation.quaternion": "1,0,0,0",
    "transformation.matrix": "1,0,0,0,1,0,0,0,1",
    "transformation.quaternion": "1,0,0,0",
    "filter.declination": "wmm,0",
    "filter.inclination": "wmm,0",
    "filter.magnitude": "wmm,0",
}
"""Factory defaults; those of other settings are zero."""


_RESULTS: Final = {
    "event_support": "8,1:8,2:8,3:8",
    "event_triggers": "threshold:active+enabled,none:none",
    "event_actions": "message:1,none:0",
    "gyro_bias_capture": "0.001,-0.002,0.003",
    "sensor_ranges": "1:2,2:8",
}
"""Responses to commands."""
_ACTIONS: Final = {
    (entry.descriptor_set, entry.command): entry for entry in ACTIONS.values() if entry.name != "filter.run"
}
"""Commands that the simulated models have."""
_HARD_IRON: Final = "0.01,-0.02,0.03"
"""Estimate of the simulated filter, G."""


def _known_settings(*, is_legacy: bool) -> dict[tuple[int, int], list[SettingCommand]]:
    """Return the commands of settings that a generation has, by descriptor set and command."""
    known: dict[tuple[int, int], list[SettingCommand]] = {}
    for entry in SETTINGS.values():
        if entry.name not in _MISSING:
            used = entry.alternative if is_legacy and entry.alternative and entry.name != BAUD else entry
            known.setdefault((used.descriptor_set, used.command), []).append(used)
    return known


class MipSimulator(SimulatedUnit):
    """Simulated unit, which streams sensor data at 100 Hz after power-up.

    Args:
        model: name of the model.
        serial_number: serial number.
        is_legacy: True for a unit of the generation of the 3DM-GX4, with a command for each data set's format.
        formats: stored formats of data sets: descriptors and dividers; such a set is streamed.
        is_deaf: True for a unit that does not respond to commands.
    """

    _input_gap_s = 0.1

    def __init__(
        self,
        model: str = "3DM-CV7-AHRS",
        serial_number: str = "6286.00001",
        *,
        is_legacy: bool = False,
        formats: dict[int, list[tuple[int, int]]] | None = None,
        is_deaf: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.serial_number = serial_number
        self.is_legacy = is_legacy
        self.is_deaf = is_deaf
        self._known = _known_settings(is_legacy=is_legacy)
        self._factory = {
            entry.name: entry.to_bytes(_DEFAULTS[entry.name]) if entry.name in _DEFAULTS else entry.values.zero()
            for entries in self._known.values()
            for entry in entries
        }
        self.stored = dict(self._factory)
        for data_set, entries in (formats or {}).items():
            name, _ = DATA_SETS[data_set]
            packed = b"".join(struct.pack(">BH", *entry) for entry in entries)
            self.stored[f"format.{name}"] = bytes([len(entries)]) + packed
            self.stored[f"stream.{name}"] = b"\x01"
        self.commands: list[tuple[int, int, bytes]] = []
        self._restart(0.0)

    def _restart(self, now_s: float) -> None:
        self.values = dict(self.stored)
        self._boot_s, self._ticks, self._is_idle = now_s, 0, False
        self._ready_s = now_s
        self.baud = int.from_bytes(self.values[BAUD], "big")

    def _take(self, now_s: float) -> bool:
        begin = self._input.find(_PREAMBLE)
        if begin < 0:
            self._input = self._input[-1:] if self._input.endswith(_PREAMBLE[:1]) else b""
            return False
        self._input = self._input[begin:]
        end = 6 + self._input[3] if len(self._input) > 3 else math.inf
        if len(self._input) < end:
            return False
        packet = self._input[: int(end)]
        if _checksum(packet[:-2]) != packet[-2:]:
            self._input = self._input[1:]
            return True
        self._input = self._input[len(packet) :]
        if not self.is_deaf and now_s >= self._ready_s:
            self._obey(packet[2], packet[4:-2], now_s)
        return True

    def _obey(self, descriptor_set: int, fields: bytes, now_s: float) -> None:
        """Carry out the commands of a packet; one packet has all responses."""
        replies, polled = b"", b""
        while len(fields) > 1 and fields[0] > 1:
            command, data, fields = fields[1], fields[2 : fields[0]], fields[fields[0] :]
            self.commands.append((descriptor_set, command, data))
            error, reply = self._carry_out(descriptor_set, command, data)
            replies += _field(_ACKNOWLEDGEMENT, bytes([command, error])) + reply
            if (descriptor_set, command) == _POLL:
                polled += self._data_packet(data[0], data[3 : 3 + data[2]], now_s - self._boot_s)
        self._send(_packet(descriptor_set, replies) + polled, now_s)
        if self.commands[-1][:2] == _RESET:
            self._restart(now_s)
            self._ready_s = now_s + _RESTART_S
        elif self.commands[-1][:2] == _BAUD:
            self.baud = int.from_bytes(self.values[BAUD], "big")

    def _carry_out(self, descriptor_set: int, command: int, data: bytes) -> tuple[int, bytes]:
        """Return error code and fields of the response."""
        fixed = {
            (0x01, 0x01): b"",
            (0x01, 0x02): b"",
            (0x01, 0x06): b"",
            (0x01, 0x03): _field(0x81, self._identity()),
            (0x01, 0x04): _field(0x82, self._descriptors()[:_DESCRIPTOR_BYTES]),
            (0x01, 0x07): _field(0x86, self._descriptors()[_DESCRIPTOR_BYTES:]),
            (0x01, 0x05): _field(0x83, bytes(4)),
            _RESET: b"",
            _POLL: b"",
        }
        key = descriptor_set, command
        if key in {(0x01, 0x02), (0x01, 0x06)}:
            self._is_idle = command == 0x02
        if key in fixed:
            return 0, fixed[key]
        if key == (0x0C, 0x30):
            return self._save_or_restore(data[0], self._factory)
        if key == (0x0C, 0x0E) and not self.is_legacy and data[0] in _BASE_HZ:
            return 0, _field(0x8E, data + _BASE_HZ[data[0]].to_bytes(2, "big"))
        if self.is_legacy and descriptor_set == 0x0C and command in _LEGACY_RATES:
            reply = {0x06: 0x83, 0x07: 0x84, 0x0B: 0x8A}[command]
            return 0, _field(reply, _BASE_HZ[_LEGACY_RATES[command]].to_bytes(2, "big"))
        if key in _ACTIONS:
            return self._act(_ACTIONS[key], data)
        return self._setting(descriptor_set, command, data)

    def _act(self, action: Action, data: bytes) -> tuple[int, bytes]:
        try:
            text = action.values.read(action.name, data)
        except SettingError:
            return _INVALID, b""
        result = action.result.write(action.name, _RESULTS[action.name]) if action.name in _RESULTS else b""
        if action.name == "gyro_bias_capture":
            self.values["gyro_bias"] = result
        elif action.name == "filter.mag_capture" and text == "use":
            self.values["hard_iron"] = SETTINGS["hard_iron"].to_bytes(_HARD_IRON)
        elif action.name == "filter.mag_capture":
            self._save_or_restore(_SAVE, ("hard_iron", "soft_iron"))
        reply = b"" if action.reply is None else _field(action.reply, data[: action.echo] + result)
        return 0, reply

    def _setting(self, descriptor_set: int, command: int, data: bytes) -> tuple[int, bytes]:
        """Carry out a command of a setting."""
        known = self._known.get((descriptor_set, command))
        if known is None or not data:
            return _UNKNOWN, b""
        function, parameters = data[0], data[1:]
        entry = next((entry for entry in known if parameters.startswith(entry.selector)), None)
        if entry is None or not 0 < function <= len(entry.functions):
            return _INVALID, b""
        values = parameters[len(entry.selector) :]
        if function == _READ:
            return 0, _field(entry.reply, entry.selector + bytes(entry.read_only) + self.values[entry.name])
        if function != _WRITE:
            return self._save_or_restore(function, [entry.name])
        if not self._accepts(entry, values):
            return _INVALID, b""
        self.values[entry.name] = values
        return 0, b""

    def _save_or_restore(self, function: int, names: Iterable[str]) -> tuple[int, bytes]:
        for name in names:
            if function == _SAVE:
                self.stored[name] = self.values[name]
            elif function == _LOAD:
                self.values[name] = self.stored[name]
            elif function == _DEFAULT:
                self.values[name] = self._factory[name]
            else:
                return _INVALID, b""
        return 0, b""

    def _accepts(self, entry: SettingCommand, values: bytes) -> bool:
        try:
            entry.to_text(values)
        except SettingError:
            return False
        known = next((FIELDS[key] for key, (name, _) in DATA_SETS.items() if entry.name == f"format.{name}"), None)
        has_new = self.is_legacy and any(key >= _SHARED for key, _ in parse_format(values))
        return known is None or (not has_new and all(key in known for key, _ in parse_format(values)))

    def _identity(self) -> bytes:
        texts = (self.model, "6286-9999", self.serial_number, "I042Y", "8g, 500d/s")
        return struct.pack(">H", 1105) + b"".join(text.encode().rjust(16) for text in texts)

    def _descriptors(self) -> bytes:
        commands = [(0x01, 0x01), (0x01, 0x02), (0x01, 0x03), *_ACTIONS, *self._known]
        data = ((data_set, key) for data_set in _DATA_SETS for key in FIELDS[data_set])
        return b"".join(bytes(pair) for pair in sorted({*commands, *data}))

    def _tick_s(self) -> float:
        return max(self._ready_s, self._boot_s + (self._ticks + 1) / _TICK_HZ)

    def _tick(self) -> bytes:
        self._ticks += 1
        if self._is_idle:
            return b""
        sent = b""
        for data_set in _DATA_SETS:
            name, every = DATA_SETS[data_set][0], _TICK_HZ // _BASE_HZ[data_set]
            if self.values[f"stream.{name}"] == b"\x00" or self._ticks % every:
                continue
            entries = parse_format(self.values[f"format.{name}"])
            due = bytes(key for key, divider in entries if divider and self._ticks // every % divider == 0)
            if due:
                sent += self._data_packet(data_set, due, self._ticks / _TICK_HZ)
        return sent

    def _data_packet(self, data_set: int, descriptors: bytes, t_s: float) -> bytes:
        parts = [FIELDS[data_set][key] for key in descriptors]
        values = self._values(t_s) | {part.validity: 1 for part in parts if part.validity}
        fields = (_field(part.descriptor, part.encode(values_at(part, t_s) | values)) for part in parts)
        return _packet(data_set, b"".join(fields))

    def _values(self, t_s: float) -> dict[str, Value]:
        """Return the measurements and the clocks at a time since the start, s."""
        times: dict[str, Value] = {
            f"{prefix}{name}": value
            for prefix in ("", "gps_")
            for name, value in (("tow_s", _START_TOW_S + t_s), ("week", _WEEK), ("time_flags", 0x1F))
        }
        return (
            motion(t_s)
            | times
            | {
                "reference_time_ns": round(t_s * 1e9),
                "internal_ticks": round(t_s * _INTERNAL_HZ) & 0xFFFFFFFF,
                "pressure_pa": 101_325.0,
            }
        )


def _field(descriptor: int, data: bytes) -> bytes:
    return bytes([len(data) + 2, descriptor]) + data


def _packet(descriptor_set: int, fields: bytes) -> bytes:
    body = _PREAMBLE + bytes([descriptor_set, len(fields)]) + fields
    return body + _checksum(body)


def _checksum(octets: bytes) -> bytes:
    first = second = 0
    for octet in octets:
        first = (first + octet) & 0xFF
        second = (second + first) & 0xFF
    return bytes([first, second])
