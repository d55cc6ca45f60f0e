"""Published sentences and sentences made for tests, with their values.

1 and 2: published with their checksums. 3 to 12: bodies from public test and note files, checksums worked out. The
others were worked out by hand.
"""

from typing import Final

from pygnc_devices.declaration import Value

Values = dict[str, Value | None]


def cells(kind: str, string: int, first: int, elements: list[float]) -> Values:
    """Return the values of a sentence about cells."""
    names = {"BV2": "voltage_{}_v", "BB2": "rate_{}_percent"}.get(kind, "temperature_{}_degc")
    padded = [*elements, *[None] * (8 - len(elements))]
    head: Values = {"string": string, "first_cell": first, "size": len(elements)}
    return head | {names.format(k): element for k, element in enumerate(padded, 1)}


def temperatures(count: int, low: int, high: int, mean: int) -> Values:
    """Return the values of a summary of temperatures."""
    names = ("cells", "temperature_min_degc", "temperature_max_degc", "temperature_average_degc")
    return dict(zip(names, (count, low, high, mean), strict=True))


def voltages(count: int, low: float, high: float, mean: float, total: float) -> Values:
    """Return the values of a summary of voltages."""
    names = ("cells", "cell_min_v", "cell_max_v", "cell_average_v", "pack_v")
    return dict(zip(names, (count, low, high, mean, total), strict=True))


SENTENCES: Final[dict[str, Values]] = {
    "BC1,000456F0,00057E40,1EDC,3C": {"charge_c": 284400, "capacity_c": 360000, "state_of_charge_percent": 79.0},
    "BV2,00,0000,08,8B85858585868587,93": cells("BV2", 0, 0, [3.39, 3.33, 3.33, 3.33, 3.33, 3.34, 3.33, 3.35]),
    "CV1,000015AD,0004,01FF,01FD,01FA,03FC,09DA,66CF,0000,0000,DE": {"pack_v": 55.49, "current_a": 0.4},
    "ST1,00,00,0000,000128E3,07,0000,00,00040802,A2": {
        "charging_stage": 0, "charging_error": 0, "charging_error_parameter": 0, "stage_s": 76003,
        "status": 0b111, "protections": 0, "reductions": 0, "pins": 1 << 1 | 1 << 11 | 1 << 18,
    },
    "ST1,03,00,0000,000128E3,05,0000,00,00040802,D2": {"charging_stage": 3, "status": 0b101, "protections": 0},
    "BV1,0008,4A,94,80,335B,,41": voltages(8, 2.74, 3.48, 3.28, 131.47),
    "BC1,000456F0,00057E40,4B,8D": {"state_of_charge_percent": 0.75},
    "BT1,04,12,19,15,99": temperatures(4, -82, -75, -79),
    "BT2,00,0000,08,7878787878787878,87": cells("BT2", 0, 0, [20] * 8),
    "BB2,00,0000,08,0000000000000000,45": cells("BB2", 0, 0, [0] * 8),
    "BV2,00,0000,08,8585858585858585,EC": cells("BV2", 0, 0, [3.33] * 8),
    "BV2,00,0008,08,8686868686868686,7B": cells("BV2", 0, 8, [3.34] * 8),
    "BV1,0028,4A,94,80,335B,,85": voltages(40, 2.74, 3.48, 3.28, 131.47),
    "CV1,000015AD,FFFC,01FF,01FD,01FA,03FC,09DA,66CF,0000,0000,A7": {"pack_v": 55.49, "current_a": -0.4},
    "CV1,00003039,F060,,,,,,,,,D4": {"pack_v": 123.45, "current_a": -400.0},
    "BT1,0028,7C,80,7E,,98": temperatures(40, 24, 28, 26),
    "BT3,0028,5F,7D,73,,7D": temperatures(40, -5, 25, 15),
    "BT4,00,0000,04,5A647D9C,CB": cells("BT4", 0, 0, [-10, 0, 25, 56]),
    "BB1,0008,00,FF,40,,91,34": {
        "cells": 8, "rate_min_percent": 0.0, "rate_max_percent": 100.0, "rate_average_percent": 6400 / 255,
        "threshold_v": 3.45,
    },
    "BV1,,,,,,,39": {"cells": None, "cell_min_v": None, "cell_max_v": None, "cell_average_v": None, "pack_v": None},
    "BV2,,,,,66": {"string": None, "first_cell": None, "size": None, "voltage_1_v": None, "voltage_8_v": None},
    "BV2,01,0008,03,006496,C7": cells("BV2", 1, 8, [2.0, 3.0, 3.5]),
    "ST1,06,09,0000,0000003C,2F,0842,21,00000810,FB": {
        "charging_stage": 6, "charging_error": 9, "stage_s": 60, "status": 0x2F,
        "protections": 1 << 1 | 1 << 6 | 1 << 11, "reductions": 1 << 0 | 1 << 5, "pins": 1 << 4 | 1 << 11,
    },
    "TD1,26,11,20,23,05,59,00015180,B8": {
        "year": 26, "month": 11, "day": 20, "hour": 23, "minute": 5, "second": 59, "uptime_s": 86400,
    },
    "CF2,1600,08000001,46": {"parameter": "1600", "data": "08000001"},
    "SS1,0A,55,0003,2F8A5C00,5A": {"number": 10, "word": 0x55, "info": 3, "t_local_s": 1744281472},
    "VR1,XXXX,00001234,2.4.0,D5": {"hardware": "XXXX", "serial_number": "00001234", "firmware": "2.4.0"},
    "BC1,FFFFFFF0,00057E40,0000,00": {"charge_c": -16, "capacity_c": 360000, "state_of_charge_percent": 0.0},
    "IN1,10,,,,FF": {"inputs": 0x10},
    "OT1,40,,08,,E4": {"charger": 0x40, "outputs": 0x08},
    "LG1,00,01,,2F8A5C00,C0": {"number": 0, "event": 1, "t_local_s": 1744281472},
}  # fmt: skip

REQUESTS: Final = [
    "BB1,?,2C", "BB2,?,A4", "BC1,?,E1", "BT1,?,CC", "BT2,?,44", "BT3,?,CB", "BT4,?,4D", "BV1,?,4F", "BV2,?,C7",
    "CG1,?,C9", "CS1,?,AA", "CV1,?,78", "DT1,?,7E", "IN1,?,F5", "LG1,?,ED", "OT1,?,86", "PW1,?,B7", "RS2,?,4E",
    "SS1,?,F1", "ST1,?,A0", "TD1,?,59", "VR1,?,D7", "RC1,,07", "RS1,,3F", "FD1,,E2", "PW1,,B2", "PW2,,56",
    "LG1,c,D7", "LG1,C,16", "SS1,c,CB", "CF2,1600,?,57", "SC1,64,E5", "SC1,00,0F",
]  # fmt: skip
