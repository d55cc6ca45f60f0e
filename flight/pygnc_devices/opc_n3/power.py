"""Fan and laser: on, off, and whether they obeyed."""

from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.errors import DeviceError
from pygnc_devices.opc_n3 import commands
from pygnc_devices.opc_n3.procedures import read_status_alone
from pygnc_devices.opc_n3.unit import OpcUnit
from pygnc_devices.procedure import Pause, Procedure

FAN_OFF: Final = 0x02
FAN_ON: Final = 0x03
LASER_OFF: Final = 0x06
LASER_ON: Final = 0x07
LOW_GAIN: Final = 0x08
HIGH_GAIN: Final = 0x09
TRIES: Final = 3


class PowerError(DeviceError):
    """Fan or laser did not obey."""


def switch_on(unit: OpcUnit) -> Procedure[None]:
    """Switch the laser on, then the fan, and wait until it turns as it should.

    Raises:
        PowerError: one of them does not obey.
        DeviceError: the counter does not answer.
    """
    yield from unit.alone(switch_on_alone(unit))


def switch_off(unit: OpcUnit) -> Procedure[None]:
    """Switch the laser off, then the fan.

    Raises:
        PowerError: one of them does not obey.
        DeviceError: the counter does not answer.
    """
    yield from unit.alone(switch_off_alone(unit))


def set_gain(unit: OpcUnit, *, is_high: bool) -> Procedure[None]:
    """Fix the gain; only a reset lets the counter switch it by itself again.

    Raises:
        DeviceError: the counter does not answer.
    """
    option = HIGH_GAIN if is_high else LOW_GAIN
    yield from unit.alone(commands.write(unit.link, unit.timing, commands.POWER, bytes([option])))


def switch_on_alone(unit: OpcUnit) -> Procedure[None]:
    """Switch on, with the link for itself already; what is on stays as it is, without the waits."""
    unit.may_be_on = True
    for _ in range(TRIES):
        status = yield from read_status_alone(unit)
        if _is_on(status):
            return
        if not status["laser_is_on"]:
            yield from commands.write(unit.link, unit.timing, commands.POWER, bytes([LASER_ON]))
            yield Pause(unit.timing.laser_s)
        if not status["fan_is_on"]:
            yield from commands.write(unit.link, unit.timing, commands.POWER, bytes([FAN_ON]))
            yield Pause(unit.timing.fan_s)
    if not _is_on((yield from read_status_alone(unit))):
        raise PowerError("fan or laser does not switch on; is the supply strong enough?")


def switch_off_alone(unit: OpcUnit) -> Procedure[None]:
    """Switch off, with the link for itself already. One that fails does not keep the other on.

    A counter that does not become ready, however often it is asked, hears nothing: that is told at once.
    """
    problem: DeviceError | None = None
    for _ in range(TRIES):
        problem = None
        for option in (LASER_OFF, FAN_OFF):
            try:
                yield from commands.write(unit.link, unit.timing, commands.POWER, bytes([option]))
            except commands.BrokenAnswerError as error:
                problem = error
        if problem is None and not _any_on((yield from read_status_alone(unit))):
            unit.may_be_on = False
            return
    raise problem or PowerError("fan or laser does not switch off")


def _is_on(status: dict[str, Value]) -> bool:
    return bool(status["fan_is_on"] and status["laser_is_on"])


def _any_on(status: dict[str, Value]) -> bool:
    return bool(status["fan_is_on"] or status["laser_is_on"])
