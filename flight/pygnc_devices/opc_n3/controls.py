"""The controls of an OPC-N3: who it is, how fan and laser stand, how it is configured."""

from collections.abc import Sequence
from typing import Final

from pygnc_devices.controls import Controls, Setting
from pygnc_devices.declaration import Packet, Value
from pygnc_devices.errors import DeviceError
from pygnc_devices.opc_n3.packets import CONFIGURATION, STATUS
from pygnc_devices.opc_n3.procedures import identify, read_configuration, read_status
from pygnc_devices.opc_n3.unit import OpcUnit
from pygnc_devices.procedure import Procedure


def describe(unit: OpcUnit) -> Procedure[dict[str, str]]:
    """Return who the counter is and how it is set."""
    who = yield from identify(unit)
    interval_s = unit.settings.interval_s or unit.settings.sample_s
    return {
        "serial_number": who.serial_number,
        "model": "OPC-N3",
        "version": who.firmware,
        "information": who.information,
        "adapter": who.adapter,
        "rate": "on request" if interval_s is None else f"every {interval_s:g} s",
    }


def get(unit: OpcUnit, names: Sequence[str]) -> Procedure[list[Setting]]:
    """Return configuration variables, and the state of fan, laser and gain.

    Raises:
        DeviceError: there is no such value, or the counter does not answer.
    """
    status = yield from read_status(unit)
    configuration = yield from read_configuration(unit)
    settings = _settings(STATUS, status) + _settings(CONFIGURATION, configuration)
    unknown = set(names) - {setting.name for setting in settings}
    if unknown:
        raise DeviceError(f"a counter has no value called {', '.join(sorted(unknown))}")
    return [setting for setting in settings if not names or setting.name in names]


def _settings(packet: Packet, values: dict[str, Value]) -> list[Setting]:
    found = []
    for field in packet.fields:
        value = values[field.name]
        if not isinstance(value, bytes):
            kept = round(value, 2) if isinstance(value, float) else value
            found.append(Setting(field.name, kept, meaning=field.meaning))
    return found


CONTROLS: Final = Controls(describe=describe, get=get)
