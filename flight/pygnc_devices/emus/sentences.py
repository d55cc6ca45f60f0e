"""Declarations of the sentences whose fields are documented, up to G1 Serial Protocol 2.0.13.

Older firmware sends fewer fields, newer firmware more: missing values are None, additional fields stay in `raw`.
"""

from collections.abc import Callable, Mapping
from typing import Final

from pygnc_devices.declaration import Field, Labels
from pygnc_devices.emus import labels
from pygnc_devices.text_declaration import Sentence
from pygnc_devices.units import CHARGE, CURRENT, ENERGY, PERCENT, TEMPERATURE, TIME, VOLTAGE, Unit

CELLS_PER_FRAME: Final = 8
EPOCH_S: Final = 946_684_800
"""2000-01-01 in seconds since 1970: epoch of the unit's clock, which is local time without a zone."""
CELL_GROUPS: Final = 32
RESETS: Final = 5

_SPEED: Final = Unit("km/h", "km/h")
_DISTANCE: Final = Unit("km", "km")
_CONSUMPTION: Final = Unit("Wh/km", "Wh/km")


def _bits(names: Mapping[int, str]) -> Labels:
    return Labels(names, is_bit_field=True)


def _pins(names: Mapping[int, str]) -> Labels:
    """Return the labels of pins, marked as uncertain: see labels.PIN_BIT_BASE."""
    return _bits({bit: f"{name}?" for bit, name in names.items()})


def _voltage(name: str, meaning: str, code: str = "u2") -> Field:
    return Field(name, code, VOLTAGE, 0.01, 2.0, meaning)


def _temperature(name: str, meaning: str, code: str = "u2") -> Field:
    return Field(name, code, TEMPERATURE, 1, -100, meaning)


def _rate(name: str, meaning: str, code: str = "u2") -> Field:
    return Field(name, code, PERCENT, 100 / 255, 0.0, meaning)


def _time(name: str, meaning: str) -> Field:
    return Field(name, "u8", TIME, 1, EPOCH_S, meaning + ", local clock of the unit since 1970, no zone")


def _sentence(
    name: str,
    meaning: str,
    *fields: Field,
    reserved: tuple[int, ...] = (),
    is_reading: bool = True,
    slow_s: float = 0.0,
) -> Sentence:
    return Sentence(name, fields, meaning=meaning, reserved=frozenset(reserved), is_reading=is_reading, slow_s=slow_s)


_CLOCK: Final = ("month", "day", "hour", "minute", "second")
_CELLS: Final = Field("cells", "u4", meaning="number of cells")
_GROUP: Final = (
    Field("string", "u2", meaning="string of cells, from 0"),
    Field("first_cell", "u4", meaning="number of the first cell here, from 0"),
    Field("size", "u2", meaning="number of cells here, up to 8"),
)


def _module_or_cell(name: str, what: str) -> Sentence:
    limits = (("min", "lowest"), ("max", "highest"), ("average", "average"))
    fields = (_temperature(f"temperature_{key}_degc", f"{word} {what} temperature") for key, word in limits)
    return _sentence(name, f"{what} temperatures, summary", _CELLS, *fields, slow_s=10)


def _of_each_cell(name: str, kind: Callable[[str, str, str], Field], field: str, what: str) -> Sentence:
    cells = (kind(field.format(k), f"{what}, {k}. cell here", "b") for k in range(1, CELLS_PER_FRAME + 1))
    return _sentence(name, f"{what}s of up to 8 cells", *_GROUP, *cells)


def _can(name: str, which: str) -> Sentence:
    return _sentence(
        name,
        f"{which} CAN frame",
        Field("identifier", "u8", meaning="CAN identifier"),
        Field("is_extended", "u1", meaning="1: 29 bits"),
        Field("is_remote", "u1", meaning="1: remote request"),
        Field("length", "d1", meaning="bytes of data"),
        Field("data", "h", meaning="data"),
    )


_ALL: Final = (
    _sentence(
        "BV1",
        "cell voltages, summary",
        _CELLS,
        _voltage("cell_min_v", "lowest cell voltage"),
        _voltage("cell_max_v", "highest cell voltage"),
        _voltage("cell_average_v", "average cell voltage"),
        Field("pack_v", "u4", VOLTAGE, 0.01, 0.0, "sum of all cells"),
    ),
    _of_each_cell("BV2", _voltage, "voltage_{}_v", "voltage"),
    _module_or_cell("BT1", "cell module"),
    _of_each_cell("BT2", _temperature, "temperature_{}_degc", "cell module temperature"),
    _module_or_cell("BT3", "cell"),
    _of_each_cell("BT4", _temperature, "temperature_{}_degc", "cell temperature"),
    _sentence(
        "BB1",
        "balancing, summary",
        _CELLS,
        _rate("rate_min_percent", "lowest balancing rate"),
        _rate("rate_max_percent", "highest balancing rate"),
        _rate("rate_average_percent", "average balancing rate"),
        _voltage("threshold_v", "cells above this voltage are balanced"),
        reserved=(5,),
        slow_s=10,
    ),
    _of_each_cell("BB2", _rate, "rate_{}_percent", "balancing rate"),
    _sentence(
        "BC1",
        "charge",
        Field("charge_c", "i8", CHARGE, 1, 0, "charge left", "charge"),
        Field("capacity_c", "i8", CHARGE, 1, 0, "capacity", "capacity"),
        Field("state_of_charge_percent", "u4", PERCENT, 0.01, 0.0, "state of charge"),
        slow_s=10,
    ),
    _sentence(
        "CV1",
        "pack voltage and current",
        Field("pack_v", "u8", VOLTAGE, 0.01, 0.0, "pack voltage"),
        Field("current_a", "i4", CURRENT, 0.1, 0.0, "current, positive when charging"),
    ),
    _sentence(
        "CS1",
        "CAN charger",
        Field("chargers", "u2", meaning="CAN chargers connected"),
        Field("charger_status", "u8", meaning="status of the charger, manufacturer-specific"),
        Field("set_v", "u4", VOLTAGE, 0.1, 0.0, "voltage requested"),
        Field("set_a", "u4", CURRENT, 0.1, 0.0, "current requested"),
        Field("actual_v", "u4", VOLTAGE, 0.1, 0.0, "voltage delivered"),
        Field("actual_a", "u4", CURRENT, 0.1, 0.0, "current delivered"),
    ),
    _sentence(
        "DT1",
        "distance and energy of a vehicle; units are not documented and derived from the scales",
        Field("speed_kmh", "u4", _SPEED, 0.1, 0.0, "speed"),
        Field("distance_since_charge_km", "u4", _DISTANCE, 0.01, 0.0, "distance since the last charge"),
        Field("consumption_wh_km", "u4", _CONSUMPTION, 0.1, 0.0, "momentary consumption"),
        Field("distance_left_km", "u4", _DISTANCE, 0.01, 0.0, "estimated distance left"),
        Field("last_charge_wh", "u4", ENERGY, 1, 0.0, "energy of the last charge"),
        Field("last_discharge_wh", "u4", ENERGY, 1, 0.0, "energy of the last discharge"),
        Field("last_trip_consumption_wh_km", "u4", _CONSUMPTION, 0.1, 0.0, "average consumption of the last trip"),
        Field("distance_left_by_last_trip_km", "u4", _DISTANCE, 0.01, 0.0, "distance left by the last trip"),
        Field("average_discharge_wh", "u4", ENERGY, 1, 0.0, "average energy of a discharge"),
        Field("max_discharge_wh", "u4", ENERGY, 1, 0.0, "largest energy of a discharge"),
        Field("trip_consumption_wh_km", "u4", _CONSUMPTION, 0.1, 0.0, "average consumption of this trip"),
        Field("distance_left_by_average_km", "u4", _DISTANCE, 0.01, 0.0, "distance left by average consumption"),
        slow_s=10,
    ),
    _sentence(
        "ST1",
        "status",
        Field("charging_stage", "u2", meaning="stage of charging", labels=Labels(labels.STAGES)),
        Field("charging_error", "u2", meaning="last error in charging", labels=Labels(labels.CHARGING_ERRORS)),
        Field("charging_error_parameter", "u4", meaning="details of the error, for the manufacturer"),
        Field("stage_s", "u8", TIME, 1, 0, "time in this stage"),
        Field("status", "u2", meaning="bits: valid values", labels=_bits(labels.STATUS)),
        Field("protections", "u4", meaning="bits: protections that act", labels=_bits(labels.PROTECTIONS)),
        Field("reductions", "u2", meaning="bits: causes of reduced power", labels=_bits(labels.REDUCTIONS)),
        Field("pins", "u8", meaning="bits: pins that are active", labels=_bits(labels.PINS)),
        slow_s=60,
    ),
    _sentence(
        "IN1",
        "input pins",
        Field("inputs", "u2", meaning="bits of pins; prefer ST1", labels=_pins(labels.INPUTS)),
        slow_s=60,
    ),
    _sentence(
        "OT1",
        "output pins",
        Field("charger", "u2", meaning="bits of pins; prefer ST1", labels=_pins(labels.CHARGER_OUTPUT)),
        Field("outputs", "u2", meaning="bits of pins; prefer ST1", labels=_pins(labels.OUTPUTS)),
        reserved=(2,),
        slow_s=60,
    ),
    _sentence(
        "VR1",
        "identity",
        Field("hardware", "t", meaning="type of the unit"),
        Field("serial_number", "t", meaning="serial number"),
        Field("firmware", "t", meaning="version"),
    ),
    _sentence(
        "TD1",
        "clock",
        Field("year", "d2", meaning="below 100: since 2000"),
        *(Field(name, "d2", meaning="local clock of the unit, no zone") for name in _CLOCK),
        Field("uptime_s", "u8", TIME, 1, 0, "time since power-on"),
        slow_s=60,
    ),
    _sentence(
        "LG1",
        "entry of the event log",
        Field("number", "u2", meaning="number of the entry"),
        Field("event", "u2", meaning="event", labels=Labels(labels.EVENTS)),
        _time("t_local_s", "time of the event"),
        reserved=(3,),
    ),
    _sentence(
        "SS1",
        "long-term statistic",
        Field("number", "u2", meaning="number of the statistic, see operations.STATISTICS"),
        Field("word", "u8", meaning="value of the statistic, scaled as in operations.STATISTICS"),
        Field("info", "u8", meaning="number of the cell, for extremes"),
        _time("t_local_s", "time of the last change"),
    ),
    _sentence(
        "RS2",
        "history of resets",
        *(
            field
            for k in range(1, RESETS + 1)
            for field in (
                _time(f"reset_{k}_t_local_s", f"{k}. reset"),
                Field(f"reset_{k}_causes", "u2", meaning="bits: causes of the reset", labels=_bits(labels.RESETS)),
            )
        ),
    ),
    _sentence(
        "CG1",
        "CAN devices",
        Field("current_sensor_status", "u2", meaning="CAN current sensor", labels=Labels(labels.CAN_STATUS)),
        *(
            field
            for k in range(1, CELL_GROUPS + 1)
            for field in (
                Field(f"group_{k}_cells", "u4", meaning="cells of a CAN cell group"),
                Field(f"group_{k}_status", "u2", meaning="status of the group", labels=Labels(labels.CAN_STATUS)),
            )
        ),
        reserved=(2,),
    ),
    _can("CN1", "received"),
    _can("CN2", "sent"),
    _sentence(
        "CF2",
        "parameter of the configuration",
        Field("parameter", "t", meaning="number of the parameter, as requested"),
        Field("data", "t", meaning="value of the parameter, hexadecimal"),
        is_reading=False,
    ),
    _sentence("PW1", "log-in", Field("authentication", "u2", meaning="0: not logged in"), is_reading=False),
    _sentence("PW2", "change of password", Field("is_set", "u2", meaning="1: done"), is_reading=False),
)

SENTENCES: Final = {sentence.name: sentence for sentence in _ALL}
UNKNOWN: Final = _sentence(
    "unknown",
    "sentence with a right checksum that is not declared",
    Field("name", "t", meaning="name of the sentence"),
    Field("text", "t", meaning="fields of the sentence as received"),
)
SUMMARY: Final = {"BV2": "BV1", "BT2": "BT1", "BT4": "BT3", "BB2": "BB1"}
"""Sentences about single cells, and the summaries with the number of cells."""
