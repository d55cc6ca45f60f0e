"""Mass from counts, as the firmware does it; found on 17 413 histograms of two units, exact to single precision.

A bin's particles have the mean of its boundaries as diameter. Of their mass, a share of whole thousandths counts: what
is inhaled, 0.5 (1 + exp(-0.06 d)), times what a normal distribution of ln(d / cut) with the deviation ln 1.5 leaves
above.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

from pygnc_devices.declaration import Value
from pygnc_devices.opc_n3.packets import BINS

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
    """What a particle of each bin weighs.

    Attributes:
        boundaries_um: of the bins, 25.
        densities: of particles in each bin, g/cm³, 24.
        cuts_um: diameters of the mass concentrations.
    """

    boundaries_um: tuple[float, ...] = FACTORY_BOUNDARIES_UM
    densities: tuple[float, ...] = (FACTORY_DENSITY,) * BINS
    cuts_um: tuple[float, ...] = FACTORY_CUTS_UM

    @classmethod
    def of_configuration(cls, values: Mapping[str, Value | None]) -> Self:
        """Return the model of a unit's configuration variables."""

        def numbers(names: Sequence[str]) -> tuple[float, ...]:
            return tuple(round(value, 2) for name in names if isinstance(value := values[name], int | float))

        return cls(
            numbers([f"boundary_{k}_um" for k in range(BINS + 1)]),
            numbers([f"weighting_{k}" for k in range(BINS)]),
            numbers([f"pm_{which}_um" for which in "abc"]),
        )

    def concentrations_ug_m3(self, counts: Sequence[int], volume_ml: float) -> tuple[float | None, ...]:
        """Return the mass concentration of each cut; None where there is no volume."""
        if volume_ml <= 0:
            return (None,) * len(self.cuts_um)
        return tuple(
            sum(count * mass for count, mass in zip(counts, masses, strict=True)) / volume_ml
            for masses in masses_pg(self)
        )


@lru_cache(maxsize=16)
def masses_pg(model: MassModel) -> tuple[tuple[float, ...], ...]:
    """Return for each cut the mass that a particle of each bin counts for."""
    bins = list(zip(model.boundaries_um, model.boundaries_um[1:], model.densities, strict=False))
    return tuple(
        tuple(
            density * math.pi / 6 * ((low + high) / 2) ** 3 * permille((low + high) / 2, cut) / 1000
            for low, high, density in bins
        )
        for cut in model.cuts_um
    )


def permille(diameter_um: float, cut_um: float) -> int:
    """Return the share of a particle's mass that counts, in whole thousandths."""
    inhalable = 0.5 * (1 + math.exp(-_INHALABLE_PER_UM * diameter_um))
    above = 0.5 * math.erfc(math.log(diameter_um / cut_um) / _LN_DEVIATION / math.sqrt(2))
    return math.floor(1000 * inhalable * above)


def counts_of(values: Mapping[str, Value | None]) -> tuple[int, ...]:
    """Return the counts of a histogram's values."""
    return tuple(value for k in range(BINS) if isinstance(value := values[f"bin_{k}"], int))


def volume_ml(values: Mapping[str, Value | None]) -> float:
    """Return the air that a histogram has looked at: sampling period times flow."""
    period_s, flow_ml_s = values["period_s"], values["flow_ml_s"]
    if not isinstance(period_s, int | float) or not isinstance(flow_ml_s, int | float):
        return 0.0
    return period_s * flow_ml_s


def number_concentrations(values: Mapping[str, Value | None]) -> tuple[float | None, ...]:
    """Return particles per cm³ in each bin of a histogram; None without volume."""
    volume = volume_ml(values)
    return tuple(count / volume if volume > 0 else None for count in counts_of(values))
