"""Evaluation of histograms: mass concentrations, averages, and flags of doubtful histograms.

The mass model is that of the firmware, identified from 17 413 histograms of two units and exact to single precision.
The diameter d of a bin's particles is the mean of the bin's boundaries. Their mass is multiplied by two fractions: the
inhalable fraction, 0.5 (1 + exp(-0.06 d)), and the probability that a normal variable of mean 0 and standard deviation
ln 1.5 exceeds ln(d / cut). The product of the fractions is rounded down to whole thousandths.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

from pygnc_devices.declaration import Value
from pygnc_devices.opc_n3.packets import AVERAGE, BINS, PM_NAMES, REJECTS
from pygnc_devices.reading import Reading

FACTORY_BOUNDARIES_UM: Final = (
    0.35, 0.46, 0.66, 1.0, 1.3, 1.7, 2.3, 3.0, 4.0, 5.2, 6.5, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0, 22.0, 25.0, 28.0,
    31.0, 34.0, 37.0, 40.0,
)  # fmt: skip
FACTORY_DENSITY: Final = 1.65
FACTORY_CUTS_UM: Final = (1.0, 2.5, 10.0)
_LN_DEVIATION: Final = math.log(1.5)
_INHALABLE_PER_UM: Final = 0.06


@dataclass(frozen=True, slots=True)
class MassModel:
    """Model of the mass of a particle in each bin.

    Attributes:
        boundaries_um: boundaries of the bins, 25 diameters, µm.
        densities: density of the particles in each bin, g/cm³, 24 values.
        cuts_um: cut diameters of the mass concentrations, µm.
    """

    boundaries_um: tuple[float, ...] = FACTORY_BOUNDARIES_UM
    densities: tuple[float, ...] = (FACTORY_DENSITY,) * BINS
    cuts_um: tuple[float, ...] = FACTORY_CUTS_UM

    @classmethod
    def from_configuration(cls, values: Mapping[str, Value | None]) -> Self:
        """Return the mass model that the configuration variables of a unit define."""

        def numbers(names: Sequence[str]) -> tuple[float, ...]:
            return tuple(round(value, 2) for name in names if isinstance(value := values[name], int | float))

        return cls(
            numbers([f"boundary_{k}_um" for k in range(BINS + 1)]),
            numbers([f"weighting_{k}" for k in range(BINS)]),
            numbers([f"pm_{which}_um" for which in "abc"]),
        )

    def concentrations_ug_m3(self, counts: Sequence[int], volume_ml: float) -> tuple[float | None, ...]:
        """Return the mass concentration for each cut diameter, µg/m³; None for each if the volume is 0."""
        if volume_ml <= 0:
            return (None,) * len(self.cuts_um)
        return tuple(
            sum(count * mass for count, mass in zip(counts, masses, strict=True)) / volume_ml
            for masses in masses_pg(self)
        )


@lru_cache(maxsize=16)
def masses_pg(model: MassModel) -> tuple[tuple[float, ...], ...]:
    """Return the mass that one particle adds, pg: a row per cut diameter, a column per bin."""
    bins = list(zip(model.boundaries_um, model.boundaries_um[1:], model.densities, strict=False))
    return tuple(
        tuple(
            density * math.pi / 6 * ((low + high) / 2) ** 3 * permille((low + high) / 2, cut) / 1000
            for low, high, density in bins
        )
        for cut in model.cuts_um
    )


def permille(diameter_um: float, cut_um: float) -> int:
    """Return the fraction of a particle's mass that the concentration below `cut_um` contains, in whole thousandths."""
    inhalable = 0.5 * (1 + math.exp(-_INHALABLE_PER_UM * diameter_um))
    above = 0.5 * math.erfc(math.log(diameter_um / cut_um) / _LN_DEVIATION / math.sqrt(2))
    return math.floor(1000 * inhalable * above)


def counts_of(values: Mapping[str, Value | None]) -> tuple[int, ...]:
    """Return the particle counts of the 24 bins of a histogram."""
    return tuple(value for k in range(BINS) if isinstance(value := values[f"bin_{k}"], int))


def volume_ml(values: Mapping[str, Value | None]) -> float:
    """Return the sampled volume of a histogram, ml: sampling period times flow."""
    period_s, flow_ml_s = values["period_s"], values["flow_ml_s"]
    if not isinstance(period_s, int | float) or not isinstance(flow_ml_s, int | float):
        return 0.0
    return period_s * flow_ml_s


def number_concentrations(values: Mapping[str, Value | None]) -> tuple[float | None, ...]:
    """Return the number concentration in each bin of a histogram, 1/cm³; None if the volume is 0."""
    volume = volume_ml(values)
    return tuple(count / volume if volume > 0 else None for count in counts_of(values))


def average(readings: Sequence[Reading], model: MassModel | None = None) -> Reading:
    """Return the average of histograms: counts and volumes are summed, and mass follows exactly from the sums.

    The average has the time of the last histogram, and the bytes and flags of all histograms.

    Args:
        readings: histograms, at least one.
        model: mass model of the unit; None: factory settings.

    Raises:
        ValueError: `readings` is empty.
    """
    if not readings:
        raise ValueError("readings is empty; expected at least one histogram")
    values = _values([reading.values for reading in readings], model or MassModel())
    last = readings[-1]
    return Reading(
        AVERAGE,
        b"".join(reading.raw for reading in readings),
        values,
        last.t_mono_ns,
        last.t_wall_ns,
        lost_before=sum(reading.lost_before for reading in readings),
        flags=tuple(dict.fromkeys(flag for reading in readings for flag in reading.flags)),
    )


def _values(samples: Sequence[Mapping[str, Value | None]], model: MassModel) -> dict[str, Value | None]:
    counts = [sum(column) for column in zip(*(counts_of(values) for values in samples), strict=True)]
    volume = sum(volume_ml(values) for values in samples)
    concentrations = [count / volume if volume > 0 else None for count in counts]
    result: dict[str, Value | None] = {
        "samples": len(samples),
        "period_s": sum(_numbers(samples, "period_s")),
        "volume_ml": volume,
        "particles_per_cm3": sum(counts) / volume if volume > 0 else None,
        "laser_status": _mean(_numbers(samples, "laser_status")),
    }
    result |= {f"bin_{k}": counts[k] for k in range(BINS)}
    result |= {f"concentration_{k}_per_cm3": concentrations[k] for k in range(BINS)}
    result |= dict(zip(PM_NAMES, model.concentrations_ug_m3(counts, volume), strict=True))
    result |= {name: round(sum(_numbers(samples, name))) for name in REJECTS}
    for name, suffix in (("temperature", "_degc"), ("humidity", "_percent")):
        numbers = _numbers(samples, name + suffix)
        result |= {f"{name}{suffix}": _mean(numbers), f"{name}_min{suffix}": min(numbers, default=None)}
        result |= {f"{name}_max{suffix}": max(numbers, default=None)}
    return result


def _numbers(samples: Sequence[Mapping[str, Value | None]], name: str) -> list[float]:
    return [value for values in samples if isinstance(value := values[name], int | float)]


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None


NO_VOLUME: Final = "no volume"
"""Flow or sampling period is 0: concentrations are undefined."""
NO_PARTICLES: Final = "no particles"
"""All bins are empty: the air is very clean, or fan or laser do not run."""
MASS_DIFFERS: Final = "mass differs"
"""The mass concentrations do not follow from the counts: the frame or the known configuration is wrong."""
LASER: Final = "laser status"
"""The laser status is outside the range of working lasers."""
FLOW: Final = "flow"
"""The flow is outside the range of working fans."""
PERIOD: Final = "sampling period"
"""The sampling period is neither half (automatic gain) nor all of the time since the previous histogram."""
HUMID: Final = "humid"
"""Above 85 % relative humidity particles swell, and their mass is overestimated."""
CLIMATE: Final = "temperature"
"""The temperature is outside -40 to 85 °C: the sensor of temperature and humidity does not work."""
FULL: Final = "count at its end"
"""A bin has 65535 particles, the largest count."""

_PM_TOLERANCE: Final = 1e-5
_LASER: Final = (500, 700)
_FLOW_ML_S: Final = (2.0, 10.0)
_RATIOS: Final = ((0.40, 0.55), (0.93, 1.02))
_HUMID_PERCENT: Final = 85.0
_TEMPERATURE_DEGC: Final = (-40.0, 85.0)
_FULL_COUNT: Final = 0xFFFF
_TICK_S: Final = 0.01


def flags(values: Mapping[str, Value | None], model: MassModel, elapsed_s: float | None) -> tuple[str, ...]:
    """Return all flags that apply to a histogram.

    Args:
        values: values of the histogram.
        model: mass model of the unit.
        elapsed_s: time since the previous histogram, s; None if it is unknown.
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
        CLIMATE: not _within(values["temperature_degc"], _TEMPERATURE_DEGC),
    }
    return tuple(flag for flag, applies in checks.items() if applies)


def _within(value: Value | None, limits: tuple[float, float]) -> bool:
    return isinstance(value, int | float) and limits[0] <= value <= limits[1]


def _mass_fits(values: Mapping[str, Value | None], model: MassModel, counts: tuple[int, ...], volume: float) -> bool:
    computed = model.concentrations_ug_m3(counts, volume)
    return all(
        isinstance(reported, int | float)
        and mass is not None
        and abs(reported - mass) <= _PM_TOLERANCE * max(mass, 1e-3)
        for reported, mass in zip((values[name] for name in PM_NAMES), computed, strict=True)
    )


def _period_fits(period_s: Value | None, elapsed_s: float) -> bool:
    if not isinstance(period_s, int | float) or elapsed_s <= 0:
        return False
    slack = _TICK_S / elapsed_s
    return any(low - slack <= period_s / elapsed_s <= high + slack for low, high in _RATIOS)
