"""Labels of codes and bits. Bits that are not listed are reserved or not documented; `bit_names` gives their number."""

from collections.abc import Mapping
from typing import Final

from pygnc_devices.declaration import Labels

STAGES: Final[Mapping[int, str]] = {
    0: "charger disconnected", 1: "pre-heating", 2: "pre-charging", 3: "main charging", 4: "balancing", 5: "finished",
    6: "charging error",
}  # fmt: skip

CHARGING_ERRORS: Final[Mapping[int, str]] = {
    0: "none",
    1: "no cell communication at the start, or lost in pre-charging (CAN charger)",
    2: "no cell communication (other charger)",
    3: "stage took too long",
    4: "cell communication lost in main charging or balancing (CAN charger)",
    5: "balancing threshold cannot be set",
    6: "cell or cell module too hot",
    7: "cell communication lost in pre-heating (CAN charger)",
    8: "number of cells is not as configured",
    9: "cell over-voltage",
    10: "protection",
}

STATUS: Final[Mapping[int, str]] = {
    0: "cell voltages valid", 1: "module temperatures valid", 2: "balancing rates valid", 3: "number of cells valid",
    4: "charging finished", 5: "cell temperatures valid",
}  # fmt: skip

PROTECTIONS: Final[Mapping[int, str]] = {
    0: "cell under-voltage", 1: "cell over-voltage", 2: "discharge over-current", 3: "charge over-current",
    4: "module overheat", 5: "leakage", 6: "no cell communication", 11: "cell overheat", 12: "no current sensor",
    13: "pack under-voltage",
}  # fmt: skip

REDUCTIONS: Final[Mapping[int, str]] = {
    0: "low voltage", 1: "high current", 2: "high module temperature", 5: "high cell temperature",
}  # fmt: skip

PINS: Final[Mapping[int, str]] = {
    0: "no function", 1: "speed sensor", 2: "fast charge switch", 3: "ignition key", 4: "charger mains",
    5: "heater enable", 6: "buzzer", 7: "battery low", 8: "charging indication", 9: "charger enable", 10: "SOC output",
    11: "battery contactor", 12: "battery fan", 13: "current sensor", 14: "leakage sensor", 15: "power reduction",
    16: "charging interlock", 17: "analog charger control", 18: "ZVU boost charge", 19: "ZVU slow charge",
    20: "ZVU buffer mode", 21: "BMS failure", 22: "equalization enable", 23: "DC/DC control",
    24: "ESM rectifier current limit", 25: "contactor pre-charge",
}  # fmt: skip
"""The lower half is certain, the upper half is not."""

PIN_BIT_BASE: Final = 0
"""Number of the first bit of IN1 and OT1: sources differ between 0 and 1, not verified on a unit. Prefer ST1."""
INPUTS: Final[Mapping[int, str]] = {
    PIN_BIT_BASE + 4: "charger mains", PIN_BIT_BASE + 5: "ignition key", PIN_BIT_BASE + 6: "fast charge switch",
}  # fmt: skip
CHARGER_OUTPUT: Final[Mapping[int, str]] = {PIN_BIT_BASE + 7: "charger"}
OUTPUTS: Final[Mapping[int, str]] = {
    PIN_BIT_BASE + 4: "heater", PIN_BIT_BASE + 5: "battery low", PIN_BIT_BASE + 6: "buzzer",
    PIN_BIT_BASE + 7: "charging indication",
}  # fmt: skip

EVENTS: Final[Mapping[int, str]] = {
    0: "none", 1: "BMS started", 2: "cell communication lost", 3: "cell communication established",
    4: "cell voltage critically low", 5: "cell voltage recovered from low", 6: "cell voltage critically high",
    7: "cell voltage recovered from high", 8: "discharge current critically high", 9: "discharge current recovered",
    10: "charge current critically high", 11: "charge current recovered", 12: "module temperature critically high",
    13: "module temperature recovered", 14: "leakage detected", 15: "leakage recovered",
    16: "power reduced: low voltage", 17: "low-voltage reduction over", 18: "power reduced: high current",
    19: "high-current reduction over", 20: "power reduced: module temperature",
    21: "module-temperature reduction over", 22: "charger connected", 23: "charger disconnected",
    24: "pre-heating started", 25: "pre-charging started", 26: "main charging started", 27: "balancing started",
    28: "charging finished", 29: "charging error", 30: "charging retried", 31: "charging restarted",
    42: "cell temperature critically high", 43: "cell temperature recovered", 44: "power reduced: cell temperature",
    45: "cell-temperature reduction over",
}  # fmt: skip

RESETS: Final[Mapping[int, str]] = {
    0: "power-on", 1: "external", 2: "brown-out", 3: "watchdog", 4: "JTAG", 5: "stack overflow", 6: "user",
}  # fmt: skip

CAN_STATUS: Final[Mapping[int, str]] = {0: "not configured", 1: "ok", 2: "error", 3: "no response"}


def bit_names(word: int, table: Mapping[int, str]) -> tuple[str, ...]:
    """Return the labels of the bits set in a word, the lowest first; `bit 10` for a bit without a label."""
    return Labels(table, is_bit_field=True).bit_names(word)


def name_of(number: int, table: Mapping[int, str]) -> str:
    """Return the label of a code; the code itself if it has none."""
    return table.get(number, str(number))
