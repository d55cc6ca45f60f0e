"""Settings of a unit. One line declares a setting: name, commands, values, meaning.

A value is a text: numbers, labels such as `airborne`, or, for the format of a data set, fields with the divider of the
base rate: `scaled_accel:1,scaled_gyro:1,scaled_mag:10`; see `values`. Source: MIP SDK of MicroStrain
(`definitions/commands_base.h`, `commands_3dm.h`, `commands_filter.h`).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from pygnc_devices.declaration import Labels, declared
from pygnc_devices.mip.data_field import bits, choice
from pygnc_devices.mip.fields import DATA_SETS, FIELDS
from pygnc_devices.mip.values import LabelledCode, Values

BASE, THREE_DM, FILTER_COMMANDS, AIDING = 0x01, 0x0C, 0x0D, 0x13
"""Descriptor sets of commands."""
_ENTRY: Final = struct.Struct(">BH")
ALL_FUNCTIONS: Final = "wrsld"
"""Write, read, save, load the saved value, load the factory default."""


@dataclass(frozen=True, slots=True)
class SettingCommand:
    """Command of a setting.

    Attributes:
        descriptor_set: descriptor set of the command.
        name: name of the setting.
        command: descriptor of the command.
        reply: descriptor of the field with the value in effect.
        values: layout of the values.
        meaning: description.
        selector: parameters before the values, which the response repeats.
        alternative: command of other models; None: there is none.
        functions: first letters of the functions that the command has.
        is_momentary: True if writing has an effect of its own, so that nothing but the user may repeat it.
        is_view: True if another setting has the same content, so that snapshots do not need it.
        read_only: bytes before the values in the response only.
    """

    descriptor_set: int
    name: str
    command: int
    reply: int
    values: Values
    meaning: str
    selector: bytes = b""
    alternative: "SettingCommand | None" = None
    functions: str = ALL_FUNCTIONS
    is_momentary: bool = False
    is_view: bool = False
    read_only: int = 0

    @property
    def commands(self) -> tuple["SettingCommand", ...]:
        """The command, and that of other models."""
        return (self,) if self.alternative is None else (self, self.alternative)

    @property
    def is_stored(self) -> bool:
        """True if snapshots have the setting."""
        return not self.is_momentary and not self.is_view

    def to_text(self, data: bytes) -> str:
        """Return the text of a value.

        Raises:
            SettingError: the unit sent another layout.
        """
        return self.values.read(self.name, data)

    def to_bytes(self, text: str) -> bytes:
        """Return the value of a text.

        Raises:
            SettingError: the text is not a value of the setting.
        """
        return self.values.write(self.name, text)


def parse_format(data: bytes) -> Iterator[tuple[int, int]]:
    """Return descriptor and divider of the base rate of each field of a format; a cut entry is omitted."""
    count = min(data[0], (len(data) - 1) // _ENTRY.size) if data else 0
    return _ENTRY.iter_unpack(data[1 : 1 + count * _ENTRY.size])


LABELS: Final = {
    "on_off": LabelledCode("B", choice("off", "on")),
    "manual": LabelledCode("B", choice("auto", "manual")),
    "level": LabelledCode("B", choice("low", "high")),
    "dynamics": LabelledCode("B", choice("portable", "automotive", "airborne", "airborne_high_g", start=1)),
    "heading": LabelledCode(
        "B",
        choice("none", "mag", "gnss", "external", "gnss+mag", "gnss+external", "mag+external", "gnss+mag+external"),
    ),
    "message": LabelledCode(
        "B",
        Labels(
            dict(enumerate(("gga", "gll", "gsv", "rmc", "vtg", "hdt", "zda", "gst"), 1)) | {129: "msra", 130: "msrr"}
        ),
    ),
    "talker": LabelledCode("B", choice("none", "gn", "gp", "ga", "gl")),
    "data_set": LabelledCode("B", Labels({key: name for key, (name, _) in DATA_SETS.items()})),
    "constellation": LabelledCode(
        "B", Labels({0: "gps", 1: "sbas", 2: "galileo", 3: "beidou", 5: "qzss", 6: "glonass"})
    ),
    "constellation_options": LabelledCode("H", bits("l1saif")),
    "sbas": LabelledCode("H", bits("ranging", "corrections", "integrity")),
    "pps": LabelledCode("B", choice("off", "receiver1", "receiver2", "gpio", "generated")),
    "event": LabelledCode("B", choice("off", "on", "test", "test_pulse")),
    "trigger": LabelledCode("B", choice("none", "gpio", "threshold", "combination")),
    "pin_trigger": LabelledCode("B", Labels({0: "off", 1: "while_high", 2: "while_low", 4: "edge"})),
    "comparison": LabelledCode("B", choice("window", "interval", start=1)),
    "action": LabelledCode("B", choice("none", "gpio", "message")),
    "pin_action": LabelledCode(
        "B", Labels({0: "off", 1: "high", 2: "low", 5: "oneshot_high", 6: "oneshot_low", 7: "toggle"})
    ),
    "feature": LabelledCode("B", choice("unused", "gpio", "pps", "encoder", "timestamp", "uart")),
    "pin_gpio": LabelledCode("B", choice("input", "output_low", "output_high", start=1)),
    "pin_pps": LabelledCode("B", choice("input", "output", start=1)),
    "pin_encoder": LabelledCode("B", choice("a", "b", start=1)),
    "pin_timestamp": LabelledCode("B", choice("rising", "falling", "either", start=1)),
    "pin_uart": LabelledCode("B", Labels({0x21: "port2_tx", 0x22: "port2_rx", 0x31: "port3_tx", 0x32: "port3_rx"})),
    "pin_mode": LabelledCode("B", bits("open_drain", "pulldown", "pullup")),
    "odometer": LabelledCode("B", Labels({0: "off", 2: "quadrature"})),
    "point": LabelledCode("B", choice("vehicle", start=1)),
    "estimated": LabelledCode(
        "H",
        bits(*("gyro_bias", "accel_bias", "gyro_scale", "accel_scale", "antenna_offset"), *("hard_iron", "soft_iron")),
    ),
    "gnss_source": LabelledCode("B", choice("internal", "external", "receiver1", "receiver2", start=1)),
    "initial": LabelledCode("B", choice("auto", "auto_pitch_roll", "auto_position", "manual")),
    "alignment": LabelledCode("B", bits("dual_antenna", "kinematic", "magnetometer", "external")),
    "frame": LabelledCode("B", choice("ecef", "llh", start=1)),
    "tare": LabelledCode("B", bits("roll", "pitch", "yaw")),
    "model": LabelledCode("B", choice("none", "wmm", "manual", start=1)),
    "limits": LabelledCode("B", choice("off", "fixed", "auto")),
    "altitude": LabelledCode("B", choice("none", "pressure")),
    "pitch_roll": LabelledCode("B", choice("none", "gravity")),
    "acceleration": LabelledCode("B", choice("none", "zero")),
    "velocity": LabelledCode("B", choice("none", "zero", "wheels")),
    "angular": LabelledCode("B", choice("none", "zero")),
    "adaptive": LabelledCode("B", choice("off", "conservative", "moderate", "aggressive")),
    "echo": LabelledCode("B", choice("none", "acknowledgement", "response")),
    "relative": LabelledCode("B", choice("base_station", "manual")),
}
_values: Final = partial(Values.of, labels=LABELS)
_three_dm: Final = partial(SettingCommand, THREE_DM)
_filter: Final = partial(SettingCommand, FILTER_COMMANDS)
_SENSORS: Final = {1: "accel", 2: "gyro", 3: "mag", 4: "pressure"}
_FILTERED: Final = {"accel": 0x04, "gyro": 0x05, "mag": 0x06, "pressure": 0x17}
_PINS: Final = range(1, 5)
_EVENTS: Final = range(1, 9)
_RECEIVERS: Final = (1, 2)
_FRAMES: Final = range(1, 5)
_MEASUREMENTS: Final = (
    *("gnss", "gnss_heading", "altimeter", "speed", "magnetometer", "external_heading"),
    *("external_altimeter", "external_magnetometer", "body_velocity"),
)
_OLD_FORMATS: Final = {0x80: (0x08, 0x80), 0x81: (0x09, 0x81), 0x82: (0x0A, 0x82)}
_OLD_STREAMS: Final = {0x80: 1, 0x81: 2, 0x82: 3}
"""Commands of the formats and numbers of the streams of older models."""


def _format(name: str, data_set: int) -> SettingCommand:
    meaning = "fields of the data set, each with the divider of the base rate"
    known = FIELDS[data_set]
    labels = Labels({key: known[key].name if key in known else f"{key:#04x}" for key in range(256)})
    values = Values.of("", {"field": LabelledCode("B", labels)}, entry="field:field divider:H")
    name = f"format.{name}"
    old = _three_dm(name, *_OLD_FORMATS[data_set], values, meaning) if data_set in _OLD_FORMATS else None
    return _three_dm(name, 0x0F, 0x8F, values, meaning, bytes([data_set]), old)


def _stream(name: str, data_set: int) -> SettingCommand:
    meaning, values = "periodic output of the data set", _values("state:on_off")
    name, number = f"stream.{name}", _OLD_STREAMS.get(data_set)
    old = None if number is None else _three_dm(name, 0x11, 0x85, values, meaning, bytes([number]))
    return _three_dm(name, 0x11, 0x85, values, meaning, bytes([data_set]), old)


def _frame(number: int) -> tuple[SettingCommand, SettingCommand]:
    name, meaning = f"aiding_frame.{number}", "axes of an aiding sensor in those of the vehicle"
    words = "estimate:on_off translation_m:3f"
    angles = Values.of(f"{words} roll_rad:f pitch_rad:f yaw_rad:f", LABELS)
    quaternion = Values.of(f"{words} q:4f", LABELS)
    frame, view = bytes([number, 1]), bytes([number, 2])
    return (
        SettingCommand(AIDING, name, 0x01, 0x81, angles, meaning, frame),
        SettingCommand(AIDING, f"{name}.quaternion", 0x01, 0x81, quaternion, meaning, view, is_view=True),
    )


def _adaptive(unit: str) -> Values:
    limits = " ".join(f"{name}{unit}:f" for name in ("low", "high", "low_sd", "high_sd", "least_sd"))
    return _values(f"limits:limits cutoff_hz:f {limits}")


def _lowpass(name: str, descriptor: int) -> SettingCommand:
    meaning = "low-pass filter of the sensor; auto: half of the data rate"
    field, name = bytes([descriptor]), f"lowpass.{name}"
    old = _values("state:on_off mode:manual cutoff_hz:H reserved:x")
    values = _values("state:on_off mode:manual cutoff_hz:f")
    return _three_dm(
        name, 0x54, 0xD4, values, meaning, b"\x80" + field, _three_dm(name, 0x50, 0x8B, old, meaning, field)
    )


def _pin(number: int) -> tuple[SettingCommand, SettingCommand]:
    pin = bytes([number])
    features = dict(enumerate(("gpio", "pps", "encoder", "timestamp", "uart"), 1))
    variants = {value: f"behavior:pin_{feature} mode:pin_mode" for value, feature in features.items()}
    values = _values("feature:feature", variants={0: "behavior:B mode:pin_mode"} | variants)
    return (
        _three_dm(f"gpio.{number}", 0x41, 0xC1, values, "use of the pin", pin),
        _three_dm(
            f"gpio_state.{number}",
            *(0x42, 0xC2, _values("state:level"), "state of the pin", pin),
            functions="wr",
            is_momentary=True,
        ),
    )


def _event(number: int) -> tuple[SettingCommand, ...]:
    trigger = _values(
        "type:trigger",
        variants={
            1: "pin:B mode:pin_trigger",
            2: "data_set:data_set field:B value:B comparison:comparison low:d high:d",
            3: "truth_table:H inputs:4B",
        },
    )
    action = Values(
        _values("trigger:B type:action").words,
        variants={
            1: _values("pin:B mode:pin_action"),
            2: _values("data_set:data_set divider:H", entry="field:B"),
        },
    )
    instance = bytes([number])
    return (
        _three_dm(f"event.trigger.{number}", 0x2E, 0xB8, trigger, "condition of the trigger", instance),
        _three_dm(f"event.action.{number}", 0x2F, 0xB9, action, "action, and its trigger", instance),
        _three_dm(f"event.control.{number}", 0x2B, 0xB5, _values("state:event"), "use of the trigger", instance),
    )


BAUD: Final = "baud"
_EULER: Final = _values("roll_rad:f pitch_rad:f yaw_rad:f")
_QUATERNION: Final = _values("q:4f")
_MATRIX: Final = _values("m:9f")
_BAUD_VALUES: Final = _values("baud:I")
_TO_VEHICLE: Final = "transformation from sensor to vehicle"
SETTINGS: Final = {
    setting.name: setting
    for setting in (
        *(_format(name, data_set) for data_set, (name, _) in DATA_SETS.items()),
        *(_stream(name, data_set) for data_set, (name, _) in DATA_SETS.items()),
        _three_dm(
            *("nmea", 0x0C, 0x8C, _values("", entry="message:message talker:talker data_set:data_set divider:H")),
            "NMEA sentences, each with the divider of the base rate",
        ),
        _three_dm(
            *("constellations", 0x21, 0xA0),
            _values(
                "channels:H",
                entry="constellation:constellation state:on_off reserved:B most:B options:constellation_options",
            ),
            "channels of the receiver and of each satellite system",
            read_only=2,
        ),
        _three_dm("sbas", 0x22, 0xA1, _values("state:on_off options:sbas", entry="prn:H"), "augmentation systems"),
        _three_dm("assisted_fix", 0x23, 0xA2, _values("state:on_off flags:B"), "assisted fix; flags: 255"),
        _three_dm(
            *("time_assistance", 0x24, 0xA3, _values("tow_s:d week:H accuracy_s:f"), "time for the first fix"),
            functions="wr",
            is_momentary=True,
        ),
        _three_dm("pps_source", 0x28, 0xA8, _values("source:pps"), "source of the pulse per second"),
        _three_dm("transformation", 0x31, 0xB1, _EULER, _TO_VEHICLE),
        _three_dm("transformation.quaternion", 0x32, 0xB2, _QUATERNION, _TO_VEHICLE, is_view=True),
        _three_dm("transformation.matrix", 0x33, 0xB3, _MATRIX, f"{_TO_VEHICLE}, row by row", is_view=True),
        _three_dm("accel_bias", 0x37, 0x9A, _values("bias_g:3f"), "bias of the accelerometer"),
        _three_dm("gyro_bias", 0x38, 0x9B, _values("bias_rad_s:3f"), "bias of the gyro"),
        _three_dm("hard_iron", 0x3A, 0x9C, _values("offset_gauss:3f"), "hard iron offset"),
        _three_dm("soft_iron", 0x3B, 0x9D, _MATRIX, "soft iron matrix, row by row"),
        _three_dm("coning_sculling", 0x3E, 0x9E, _values("state:on_off"), "compensation of coning and sculling"),
        *(setting for number in _PINS for setting in _pin(number)),
        *(setting for number in _EVENTS for setting in _event(number)),
        _three_dm(
            *("odometer", 0x43, 0xC3, _values("mode:odometer pulses_per_m:f relative_sd:f"), "odometer at the pins"),
        ),
        _three_dm(
            *("complementary", 0x51, 0x97),
            _values("pitch_roll:on_off heading:on_off pitch_roll_s:f heading_s:f"),
            "corrections of pitch and roll and of the heading by the complementary filter, time constants",
        ),
        *(
            _three_dm(f"range.{name}", 0x52, 0xD2, _values("number:B"), "number of the range", bytes([number]))
            for number, name in _SENSORS.items()
        ),
        *(_lowpass(name, descriptor) for name, descriptor in _FILTERED.items()),
        _filter("filter.dynamics", 0x10, 0x80, _values("mode:dynamics"), "vehicle dynamics"),
        _filter("filter.rotation", 0x11, 0x81, _EULER, "rotation from sensor to vehicle"),
        _filter("filter.rotation.matrix", 0x4E, 0xBE, _MATRIX, "rotation to the vehicle, row by row", is_view=True),
        _filter("filter.rotation.quaternion", 0x4F, 0xBF, _QUATERNION, "rotation to the vehicle", is_view=True),
        _filter("filter.offset", 0x12, 0x82, _values("offset_m:3f"), "offset of the vehicle's origin"),
        _filter("filter.antenna_offset", 0x13, 0x83, _values("offset_m:3f"), "offset of the antenna"),
        *(
            _filter(
                *(f"filter.antenna_offset.{number}", 0x54, 0xD4, _values("offset_m:3f")),
                "lever arm of the receiver's antenna in the vehicle's axes",
                bytes([number]),
            )
            for number in _RECEIVERS
        ),
        _filter("filter.speed_offset.1", 0x61, 0xE1, _values("offset_m:3f"), "lever arm of the odometer", b"\x01"),
        _filter("filter.reference_point", 0x56, 0xD6, _values("point:point offset_m:3f"), "point of the outputs"),
        _filter("filter.antenna_calibration", 0x64, 0xE4, _values("state:on_off most_m:f"), "estimate lever arms"),
        _filter("filter.estimation", 0x14, 0x84, _values("parameters:estimated"), "estimated parameters"),
        _filter("filter.gnss_source", 0x15, 0x86, _values("source:gnss_source"), "source of the satellite navigation"),
        _filter("filter.heading", 0x18, 0x87, _values("source:heading"), "source of the heading"),
        _filter("filter.auto_init", 0x19, 0x88, _values("state:on_off"), "automatic initialisation"),
        _filter(
            *("filter.initialisation", 0x52, 0xD2),
            _values(
                "wait_for_run:on_off source:initial alignment:alignment heading_deg:f pitch_deg:f roll_deg:f "
                "position:3f velocity:3f frame:frame"
            ),
            "initial state: wait for filter.run, source, alignment of the heading; ECEF in m, else degrees and m",
        ),
        _filter("filter.accel_noise", 0x1A, 0x89, _values("sd_mps2:3f"), "noise of the accelerometer"),
        _filter("filter.gyro_noise", 0x1B, 0x8A, _values("sd_rad_s:3f"), "noise of the gyro"),
        _filter(
            *("filter.accel_bias_model", 0x1C, 0x8B, _values("beta_per_s:3f sd_mps2:3f")), "bias of the accelerometer"
        ),
        _filter("filter.gyro_bias_model", 0x1D, 0x8C, _values("beta_per_s:3f sd_rad_s:3f"), "bias of the gyro"),
        _filter("filter.gravity_noise", 0x28, 0x93, _values("sd:3f"), "noise of the gravity; the SDK states gauss"),
        _filter("filter.pressure_noise", 0x29, 0x94, _values("sd_m:f"), "noise of the pressure altitude"),
        _filter("filter.hard_iron_noise", 0x2B, 0x96, _values("sd_gauss:3f"), "noise of the hard iron offset"),
        _filter("filter.soft_iron_noise", 0x2C, 0x97, _values("sd:9f"), "noise of the soft iron matrix"),
        _filter("filter.mag_noise", 0x42, 0xB1, _values("sd_gauss:3f"), "noise of the magnetometer"),
        _filter("filter.zupt", 0x1E, 0x8D, _values("state:on_off below_mps:f"), "update at zero velocity"),
        _filter(
            *("filter.angular_zupt", 0x20, 0x8E, _values("state:on_off below_rad_s:f")), "update at zero angular rate"
        ),
        _filter(
            *("filter.tare", 0x21, 0xA1, _values("axes:tare"), "take the present attitude as that of the vehicle"),
            is_momentary=True,
        ),
        _filter(
            *("filter.reference_position", 0x26, 0x90),
            _values("state:on_off latitude_deg:d longitude_deg:d altitude_m:d"),
            "position for the models of gravity and magnetic field",
        ),
        _filter(*("filter.declination", 0x43, 0xB2, _values("source:model declination_rad:f")), "magnetic declination"),
        _filter(*("filter.inclination", 0x4C, 0xBC, _values("source:model inclination_rad:f")), "magnetic inclination"),
        _filter(*("filter.magnitude", 0x4D, 0xBD, _values("source:model magnitude_gauss:f")), "magnitude of the field"),
        _filter("filter.accel_adaptive", 0x44, 0xB3, _adaptive("_mps2"), "rejection of specific forces by magnitude"),
        _filter(
            "filter.mag_adaptive",
            0x45,
            0xB4,
            _adaptive(""),
            "rejection of magnetic fields by magnitude; the SDK states m/s²",
        ),
        _filter(
            *("filter.dip_adaptive", 0x46, 0xB5),
            _values("state:on_off cutoff_hz:f high:f high_sd:f least_sd:f"),
            "rejection of magnetic fields by inclination; the SDK states m/s²",
        ),
        _filter("filter.altitude", 0x47, 0xB7, _values("source:altitude"), "aiding of the altitude"),
        _filter("filter.pitch_roll", 0x4B, 0xBB, _values("source:pitch_roll"), "aiding of pitch and roll"),
        *(
            _filter(
                *(f"filter.aiding.{name}", 0x50, 0xD0, _values("state:on_off"), "use of measurements"),
                number.to_bytes(2, "big"),
            )
            for number, name in enumerate(_MEASUREMENTS)
        ),
        _filter(
            *("filter.constraints", 0x51, 0xD1),
            _values("acceleration:acceleration velocity:velocity angular:angular"),
            "constraints of acceleration, velocity and angular rate",
        ),
        _filter("filter.adaptive", 0x53, 0xD3, _values("level:adaptive longest_ms:H"), "rejection of measurements"),
        _filter(
            *("filter.relative_position", 0x55, 0xD5),
            _values("source:relative frame:frame coordinates:3d"),
            "reference of the relative position; in ECEF in m, else in degrees and m",
        ),
        *(setting for number in _FRAMES for setting in _frame(number)),
        SettingCommand(
            AIDING, "aiding_echo", 0x1F, 0x9F, _values("mode:echo"), "response to aiding commands; leave it as it is"
        ),
        _filter("filter.vertical_gyro", 0x62, 0xE2, _values("state:on_off"), "constraint without acceleration"),
        _filter("filter.wheeled_vehicle", 0x63, 0xE3, _values("state:on_off"), "constraint of wheels"),
        _three_dm(
            *(BAUD, 0x40, 0x87, _BAUD_VALUES, "baud rate of the line, bits per second"),
            alternative=SettingCommand(BASE, BAUD, 0x09, 0x89, _BAUD_VALUES, "baud rate of the first port", b"\x01"),
        ),
    )
}
"""Settings by name. Models without the last command change the baud rate of a numbered port."""


def setting(name: str) -> SettingCommand:
    """Return the declaration of a setting.

    Raises:
        SettingError: the setting does not exist.
    """
    return declared(SETTINGS, name, "setting")
