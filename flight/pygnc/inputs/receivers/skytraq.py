"""Epochs of the messages of SkyTraq, which have no standard deviations."""

from typing import Final

from pygnc.inputs.receivers.parts import COMPUTED, Part, Position, Values, Velocity, numbers

_FIX_MODES: Final = {0: "none", 1: "2d", 2: COMPUTED, 3: COMPUTED}
_STATES: Final = {0: "none", 1: "prediction", 2: "2d", 3: COMPUTED, 4: COMPUTED}


def _navigation(values: Values) -> Part:
    part = _part(values, _FIX_MODES.get(values["fix_type"], "none"))
    return part._replace(satellites=(values["satellites"],) * 2)


def _receiver(values: Values) -> Part:
    return _part(values, _STATES.get(values["state"], "none"))


def _part(values: Values, solution: str) -> Part:
    tow_ms = round(1e3 * values["tow_s"])
    return Part(
        tow_ms,
        values["week"],
        late_s=values["tow_s"] - 1e-3 * tow_ms,
        position=Position(solution, numbers(values, "ecef", "m")),
        velocity=Velocity(solution, numbers(values, "velocity", "mps")),
    )


PARTS: Final = {"receiver state": _receiver, "navigation data": _navigation}
