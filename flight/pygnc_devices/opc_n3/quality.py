"""What makes a histogram doubtful. It is kept all the same, with the flag."""

from collections.abc import Mapping
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.opc_n3.mass import MassModel, counts_of, volume_ml
from pygnc_devices.opc_n3.packets import BINS, PM_NAMES

NO_VOLUME: Final = "no volume"
"""Flow or sampling period is 0: concentrations are not defined."""
NO_PARTICLES: Final = "no particles"
"""All bins are 0: the air is very clean, or fan or laser do not run."""
MASS_DIFFERS: Final = "mass differs"
"""PM is not what counts and configuration give: the frame, or what is known of the configuration, is wrong."""
LASER: Final = "laser status"
"""It is far from what working lasers show."""
FLOW: Final = "flow"
"""It is far from what working fans give."""
PERIOD: Final = "sampling period"
"""It is neither half of the time since the histogram before (gain switched automatically) nor all of it."""
HUMID: Final = "humid"
"""Above 85 % relative humidity particles swell, and their mass is overestimated."""
FULL: Final = "count at its end"
"""A bin has 65535 particles or more."""

_PM_TOLERANCE: Final = 1e-5
_LASER: Final = (500, 700)
_FLOW_ML_S: Final = (2.0, 10.0)
_RATIOS: Final = ((0.40, 0.55), (0.93, 1.02))
_HUMID_PERCENT: Final = 85.0
_FULL_COUNT: Final = 0xFFFF
_TICK_S: Final = 0.01


def flags(values: Mapping[str, Value | None], model: MassModel, elapsed_s: float | None) -> tuple[str, ...]:
    """Return all that apply.

    Args:
        values: of a histogram.
        model: of the unit's configuration.
        elapsed_s: since the histogram before; None if there was none.
    """
    counts, volume = counts_of(values), volume_ml(values)
    checks = {
        NO_VOLUME: volume <= 0,
        NO_PARTICLES: len(counts) == BINS and not any(counts),
        FULL: _FULL_COUNT in counts,
        MASS_DIFFERS: volume > 0 and not _mass_fits(values, model, counts, volume),
        LASER: not _within(values["laser_status"], _LASER),
        FLOW: not _within(values["flow_ml_s"], _FLOW_ML_S),
        PERIOD: elapsed_s is not None and not _period_fits(values["period_s"], elapsed_s),
        HUMID: not _within(values["humidity_percent"], (0.0, _HUMID_PERCENT)),
    }
    return tuple(flag for flag, applies in checks.items() if applies)


def _within(value: Value | None, limits: tuple[float, float]) -> bool:
    return isinstance(value, int | float) and limits[0] <= value <= limits[1]


def _mass_fits(values: Mapping[str, Value | None], model: MassModel, counts: tuple[int, ...], volume: float) -> bool:
    computed = model.concentrations_ug_m3(counts, volume)
    return all(
        isinstance(said, int | float) and mass is not None and abs(said - mass) <= _PM_TOLERANCE * max(mass, 1e-3)
        for said, mass in zip((values[name] for name in PM_NAMES), computed, strict=True)
    )


def _period_fits(period_s: Value | None, elapsed_s: float) -> bool:
    if not isinstance(period_s, int | float) or elapsed_s <= 0:
        return False
    slack = _TICK_S / elapsed_s
    return any(low - slack <= period_s / elapsed_s <= high + slack for low, high in _RATIOS)
