"""Into the bootloader and out of it, on a line that may lose any word of either side."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pygnc_devices.errors import DeviceError, NoAnswerError, PortGoneError
from pygnc_devices.procedure import Pause, Procedure, SetBaud
from pygnc_devices.ucb import commands, firmware_commands
from pygnc_devices.ucb.fields import CODE_OF_BAUD
from pygnc_devices.ucb.unit import UcbUnit
from pygnc_devices.ucb.unit_procedures import Identity, identify

_SETTLE_S: Final = 0.05
_LOOK_S: Final = 0.2
_ENTRIES: Final = 4


def is_in_bootloader(baud: int, limit_s: float) -> Procedure[bool]:
    """Tell whether a bootloader says that it is there; one that answers no ping is not found out."""
    yield SetBaud(baud)
    yield Pause(_SETTLE_S)
    request = firmware_commands.where_are_you()
    for attempt in range(max(1, round(limit_s / request.timeout_s))):
        try:
            frame = (yield request)[-1]
        except NoAnswerError:
            continue
        if firmware_commands.is_bootloader(frame):
            return True
        if attempt:
            # Somebody else answers: an application, which may be about to leave after the first of these.
            return False
        yield Pause(_LOOK_S)
    return False


def is_application(baud: int) -> Procedure[bool]:
    """Tell whether an application says who it is; a bootloader has no identity."""
    yield SetBaud(baud)
    yield Pause(_SETTLE_S)
    try:
        return (yield replace(commands.get_packet("ID"), timeout_s=_LOOK_S, tries=3))[-1].kind == "ID"
    except NoAnswerError:
        return False


def enter(home_baud: int, bootloader_baud: int, limit_s: float) -> Procedure[bool]:
    """Bring a unit into its bootloader; False if its application goes on.

    The answer to JI comes at the old speed. If it is lost the bootloader's ping tells; if it has come, and the
    bootloader answers no ping, it is believed.
    """
    for _ in range(_ENTRIES):
        yield SetBaud(home_baud)
        yield Pause(_SETTLE_S)
        try:
            frame = (yield firmware_commands.enter_bootloader())[-1]
            has_agreed = frame.kind == "JI"
        except NoAnswerError:
            has_agreed = False
        if (yield from is_in_bootloader(bootloader_baud, limit_s if has_agreed else limit_s / 2)):
            return True
        is_alive = yield from is_application(home_baud)
        if has_agreed and not is_alive:
            yield SetBaud(bootloader_baud)
            return True
    return False


def jump(bootloader_baud: int, *, swapped_crc: bool) -> Procedure[None]:
    """Tell the bootloader to start the application. Whether it answers or not says little."""
    yield SetBaud(bootloader_baud)
    yield Pause(_SETTLE_S)
    try:
        yield firmware_commands.start_application(swapped_crc=swapped_crc)
    except NoAnswerError:
        return


def find_application(unit: UcbUnit, bauds: Iterable[int], limit_s: float) -> Procedure[tuple[int, Identity] | None]:
    """Look for an application that tells who it is, at several speeds; the first one is the likeliest."""
    likely, *others = dict.fromkeys((*bauds, *sorted(CODE_OF_BAUD, reverse=True)))
    per_round_s = 2 * (_LOOK_S + _SETTLE_S)
    for attempt in range(max(1, round(limit_s / per_round_s))):
        for baud in (likely, others[attempt % len(others)]):
            yield SetBaud(baud)
            yield Pause(_SETTLE_S)
            try:
                yield replace(commands.ping(), timeout_s=_LOOK_S, tries=1)
                return baud, (yield from identify(unit))
            except PortGoneError:
                raise
            except DeviceError:  # nobody, or a bootloader, which has no identity
                continue
    return None
