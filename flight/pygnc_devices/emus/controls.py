"""The controls of a Control Unit: who it is, how many cells it has. Parameters have methods of their own."""

from typing import Final

from pygnc_devices.controls import Controls
from pygnc_devices.emus.procedures import ask, identify
from pygnc_devices.emus.unit import EmusUnit
from pygnc_devices.procedure import Procedure


def describe(unit: EmusUnit) -> Procedure[dict[str, str]]:
    """Return who the unit is and what it watches over."""
    who = yield from identify(unit)
    cells = (yield from ask(unit, "BV1"))["cells"]
    return {
        "serial_number": who.serial_number,
        "model": f"EMUS {who.hardware}",
        "version": who.firmware,
        "cells": "no cell communication" if cells is None else str(cells),
        "rate": "as it broadcasts",
    }


CONTROLS: Final = Controls(describe=describe)
