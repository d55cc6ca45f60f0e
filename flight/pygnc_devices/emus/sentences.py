"""Declarations of the sentences whose fields are documented, up to G1 Serial Protocol 2.0.13.

Older firmware sends fewer fields, newer firmware more: missing values are None, additional fields stay in `raw`.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from pygnc_devices.declaration import Field, Labels, Value
from pygnc_devices.emus import labels
from pygnc_devices.framing import Frame
from pygnc_devices.text_declaration import Sentence
from pygnc_devices.units import CHARGE, CURRENT, ENERGY, PERCENT, TEMPERATURE, TIME, VOLTAGE, Unit

Values: TypeAlias = dict[str, Value | None]

CELLS_PER_FRAME: Final = 8
EPOCH_S: Final = 946_684_800
"""2000-01-01 in seconds since 1970: epoch of the unit's clock, which is local time without a zone."""
CELL_GROUPS: Final = 32
RESETS: Final = 5

_SPEED: Final = Unit("km/h", "km/h")
_DISTANCE: Final = Unit("km", "km")
_CONSUMPTION: Final = Unit("Wh/km", "Wh/km")

_STAGES: Final = Labels(labels.STAGES)
_CHARGING_ERRORS: Final = Labels(labels.CHARGING_ERRORS)
_EVENTS: Final = Labels(labels.EVENTS)
_CAN_STATUS: Final = Labels(labels.CAN_STATUS)
_STATUS: Final = Labels(labels.STATUS, is_bit_field=True)
_PROTECTIONS: Final = Labels(labels.PROTECTIONS, is_bit_field=True)
_REDUCTIONS: Final = Labels(labels.REDUCTIONS, is_bit_field=True)
_PINS: Final = Labels(labels.PINS, is_bit_field=True)
_RESETS: Final = Labels(labels.RESETS, is_bit_field=True)


def _pins(names: Mapping[int, str]) -> Labels:
    """Return the labels of pins, marked as uncertain: see labels.PIN_BIT_BASE."""
    return Labels({bit: f"{name}?" for bit, name in names.items()}, is_bit_field=True)


def _voltage(name: str, meaning: str, code: str = "u2") -> Field:
    return Field(name, code, VOLTAGE, 0.01, 2.0, meaning)


def _temperature(name: str, meaning: str, code: str = "u2") -> Field:
    return Field(name, code, TEMPERATURE, 1, -100, meaning)


def _rate(name: str, meaning: str, code: str = "u2") -> Field:
    return Field(name, code, PERCENT, 100 / 255, 0.0, meaning)


def _time(name: str, meaning: str) -> Field:
    return Field(name, "u8", TIME, 1, EPOCH_S, meaning + ", local clock of the unit since 1970, no zone")


_CELLS: Final = Field("cells", "u4", meaning="number of cells")
_GROUP: Final = (
    Field("string", "u2", meaning="string of cells, from 0"),
    Field("first_cell", "u4", meaning="number of the first cell here, from 0"),
    Field("size", "u2", meaning="number of cells here, up to 8"),
)


def _module_or_cell(name: str, what: str) -> Sentence:
    return Sentence(
        name,
        (
            _CELLS,
            _temperature("temperature_min_degc", f"lowest {what} temperature"),
            _temperature("temperature_max_degc", f"highest {what} temperature"),
            _temperature("temperature_average_degc", f"average {what} temperature"),
        ),
        meaning=f"{what} temperatures, summary",
    )


def _of_each_cell(name: str, kind: Callable[[str, str, str], Field], field: str, what: str) -> Sentence:
    cells = (kind(field.format(k), f"{what}, {k}. cell here", "b") for k in range(1, CELLS_PER_FRAME + 1))
    return Sentence(name, (*_GROUP, *cells), meaning=f"{what}s of up to 8 cells")


def _dt1(name: str, unit: Unit, scale: float, meaning: str) -> Field:
    return Field(name, "u4", unit, scale, 0.0, meaning)


def _can(name: str, which: str) -> Sentence:
    return Sentence(
        name,
        (
            Field("identifier", "u8", meaning="CAN identifier"),
            Field("is_extended", "u1", meaning="1: 29 bits"),
            Field("is_remote", "u1", meaning="1: remote request"),
            Field("length", "d1", meaning="bytes of data"),
            Field("data", "h", meaning="data"),
        ),
        meaning=f"{which} CAN frame",
    )


_ALL: Final = (
    Sentence(
        "BV1",
        (
            _CELLS,
            _voltage("cell_min_v", "lowest cell voltage"),
            _voltage("cell_max_v", "highest cell voltage"),
            _voltage("cell_average_v", "average cell voltage"),
            Field("pack_v", "u4", VOLTAGE, 0.01, 0.0, "sum of all cells"),
        ),
        meaning="cell voltages, summary",
    ),
    _of_each_cell("BV2", _voltage, "voltage_{}_v", "voltage"),
    _module_or_cell("BT1", "cell module"),
    _of_each_cell("BT2", _temperature, "temperature_{}_degc", "cell module temperature"),
    _module_or_cell("BT3", "cell"),
    _of_each_cell("BT4", _temperature, "temperature_{}_degc", "cell temperature"),
    Sentence(
        "BB1",
        (
            _CELLS,
            _rate("rate_min_percent", "lowest balancing rate"),
            _rate("rate_max_percent", "highest balancing rate"),
            _rate("rate_average_percent", "average balancing rate"),
            _voltage("threshold_v", "cells above this voltage are balanced"),
        ),
        meaning="balancing, summary",
        reserved=frozenset({5}),
    ),
    _of_each_cell("BB2", _rate, "rate_{}_percent", "balancing rate"),
    Sentence(
        "BC1",
        (
            Field("charge_c", "i8", CHARGE, 1, 0, "charge left", "charge"),
            Field("capacity_c", "i8", CHARGE, 1, 0, "capacity", "capacity"),
            Field("state_of_charge_percent", "u4", PERCENT, 0.01, 0.0, "state of charge"),
        ),
        meaning="charge",
    ),
    Sentence(
        "CV1",
        (
            Field("pack_v", "u8", VOLTAGE, 0.01, 0.0, "pack voltage"),
            Field("current_a", "i4", CURRENT, 0.1, 0.0, "current, positive when charging"),
        ),
        meaning="pack voltage and current",
    ),
    Sentence(
        "CS1",
        (
            Field("chargers", "u2", meaning="CAN chargers connected"),
            Field("charger_status", "u8", meaning="status of the charger, manufacturer-specific"),
            Field("set_v", "u4", VOLTAGE, 0.1, 0.0, "voltage requested"),
            Field("set_a", "u4", CURRENT, 0.1, 0.0, "current requested"),
            Field("actual_v", "u4", VOLTAGE, 0.1, 0.0, "voltage delivered"),
            Field("actual_a", "u4", CURRENT, 0.1, 0.0, "current delivered"),
        ),
        meaning="CAN charger",
    ),
    Sentence(
        "DT1",
        (
            _dt1("speed_kmh", _SPEED, 0.1, "speed"),
            _dt1("distance_since_charge_km", _DISTANCE, 0.01, "distance since the last charge"),
            _dt1("consumption_wh_km", _CONSUMPTION, 0.1, "momentary consumption"),
            _dt1("distance_left_km", _DISTANCE, 0.01, "estimated distance left"),
            _dt1("last_charge_wh", ENERGY, 1, "energy of the last charge"),
            _dt1("last_discharge_wh", ENERGY, 1, "energy of the last discharge"),
            _dt1("last_trip_consumption_wh_km", _CONSUMPTION, 0.1, "average consumption of the last trip"),
            _dt1("distance_left_by_last_trip_km", _DISTANCE, 0.01, "distance left by the last trip's consumption"),
            _dt1("average_discharge_wh", ENERGY, 1, "average energy of a discharge"),
            _dt1("max_discharge_wh", ENERGY, 1, "largest energy of a discharge"),
            _dt1("trip_consumption_wh_km", _CONSUMPTION, 0.1, "average consumption of this trip"),
            _dt1("distance_left_by_average_km", _DISTANCE, 0.01, "distance left by average consumption"),
        ),
        meaning="distance and energy of a vehicle; units are not documented and derived from the scales",
    ),
    Sentence(
        "ST1",
        (
            Field("charging_stage", "u2", meaning="stage of charging", labels=_STAGES),
            Field("charging_error", "u2", meaning="last error in charging", labels=_CHARGING_ERRORS),
            Field("charging_error_parameter", "u4", meaning="details of the error, for the manufacturer"),
            Field("stage_s", "u8", TIME, 1, 0, "time in this stage"),
            Field("status", "u2", meaning="bits: valid values", labels=_STATUS),
            Field("protections", "u4", meaning="bits: protections that act", labels=_PROTECTIONS),
            Field("reductions", "u2", meaning="bits: causes of reduced power", labels=_REDUCTIONS),
            Field("pins", "u8", meaning="bits: pins that are active", labels=_PINS),
        ),
        meaning="status",
    ),
    Sentence(
        "IN1",
        (Field("inputs", "u2", meaning="bits of pins; prefer ST1", labels=_pins(labels.INPUTS)),),
        meaning="input pins",
    ),
    Sentence(
        "OT1",
        (
            Field("charger", "u2", meaning="bits of pins; prefer ST1", labels=_pins(labels.CHARGER_OUTPUT)),
            Field("outputs", "u2", meaning="bits of pins; prefer ST1", labels=_pins(labels.OUTPUTS)),
        ),
        meaning="output pins",
        reserved=frozenset({2}),
    ),
    Sentence(
        "VR1",
        (
            Field("hardware", "t", meaning="type of the unit"),
            Field("serial_number", "t", meaning="serial number"),
            Field("firmware", "t", meaning="version"),
        ),
        meaning="identity",
    ),
    Sentence(
        "TD1",
        (
            Field("year", "d2", meaning="below 100: since 2000"),
            *(
                Field(name, "d2", meaning="local clock of the unit, no zone")
                for name in ("month", "day", "hour", "minute")
            ),
            Field("second", "d2", meaning="local clock of the unit, no zone"),
            Field("uptime_s", "u8", TIME, 1, 0, "time since power-on"),
        ),
        meaning="clock",
    ),
    Sentence(
        "LG1",
        (
            Field("number", "u2", meaning="number of the entry"),
            Field("event", "u2", meaning="event", labels=_EVENTS),
            _time("t_local_s", "time of the event"),
        ),
        meaning="entry of the event log",
        reserved=frozenset({3}),
    ),
    Sentence(
        "SS1",
        (
            Field("number", "u2", meaning="number of the statistic, see operations.STATISTICS"),
            Field("word", "u8", meaning="value of the statistic, scaled as in operations.STATISTICS"),
            Field("info", "u8", meaning="number of the cell, for extremes"),
            _time("t_local_s", "time of the last change"),
        ),
        meaning="long-term statistic",
    ),
    Sentence(
        "RS2",
        tuple(
            field
            for k in range(1, RESETS + 1)
            for field in (
                _time(f"reset_{k}_t_local_s", f"{k}. reset"),
                Field(f"reset_{k}_causes", "u2", meaning="bits: causes of the reset", labels=_RESETS),
            )
        ),
        meaning="history of resets",
    ),
    Sentence(
        "CG1",
        (
            Field("current_sensor_status", "u2", meaning="status of the CAN current sensor", labels=_CAN_STATUS),
            *(
                field
                for k in range(1, CELL_GROUPS + 1)
                for field in (
                    Field(f"group_{k}_cells", "u4", meaning="cells of a CAN cell group"),
                    Field(f"group_{k}_status", "u2", meaning="status of the group", labels=_CAN_STATUS),
                )
            ),
        ),
        meaning="CAN devices",
        reserved=frozenset({2}),
    ),
    _can("CN1", "received"),
    _can("CN2", "sent"),
    Sentence(
        "CF2",
        (
            Field("parameter", "t", meaning="number of the parameter, as requested"),
            Field("data", "t", meaning="value of the parameter, hexadecimal"),
        ),
        meaning="parameter of the configuration",
        is_reading=False,
    ),
    Sentence("PW1", (Field("authentication", "u2", meaning="0: not logged in"),), meaning="log-in", is_reading=False),
    Sentence("PW2", (Field("is_set", "u2", meaning="1: done"),), meaning="change of password", is_reading=False),
)

SENTENCES: Final = {sentence.name: sentence for sentence in _ALL}
UNKNOWN: Final = Sentence(
    "unknown",
    (
        Field("name", "t", meaning="name of the sentence"),
        Field("text", "t", meaning="fields of the sentence as received"),
    ),
    meaning="sentence with a right checksum that is not declared",
)
SUMMARY: Final = {"BV2": "BV1", "BT2": "BT1", "BT4": "BT3", "BB2": "BB1"}
"""Sentences about single cells, and the summaries with the number of cells."""


def decode(frame: Frame) -> Values:
    """Return the values of a sentence: by its declaration, or name and text of a sentence that is not declared."""
    sentence = SENTENCES.get(frame.kind)
    if sentence is None:
        return {"name": frame.kind, "text": frame.payload.decode("ascii")}
    return sentence.decode(frame.payload)
