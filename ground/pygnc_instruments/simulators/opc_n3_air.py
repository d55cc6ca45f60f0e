"""The air that a simulated OPC-N3 counts in, and what its firmware makes of the counts."""

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.opc_n3.packets import BINS

_BOUNDARIES_UM: Final = (
    0.35, 0.46, 0.66, 1, 1.3, 1.7, 2.3, 3, 4, 5.2, 6.5, 8, 10, 12, 14, 16, 18, 20, 22, 25, 28, 31, 34, 37, 40,
)  # fmt: skip
_ADC: Final = (
    14, 40, 80, 120, 145, 215, 340, 590, 846, 1363, 2029, 2848, 4119, 5527, 7076, 8624, 10204, 11815, 13457, 15897,
    18305, 20698, 22966, 25140, 27158,
)  # fmt: skip
_PARTICLES_PER_ML: Final = (6.2, 1.4, 1.3, 0.6, 0.4, 0.23, 0.05, 0.02, 0.02, 0.01, *(0.002,) * 14)


def counted(volume_ml: float, random: Random) -> list[int]:
    """Return the particles of each size in some air."""
    means = [concentration * volume_ml for concentration in _PARTICLES_PER_ML]
    return [max(0, round(random.gauss(mean, math.sqrt(mean)))) for mean in means]


def masses(configuration: Mapping[str, Value], counts: Sequence[int], volume_ml: float) -> list[float]:
    """Return PM A, B, C in ug/m3 as the firmware makes them: by the boundaries and densities in use."""
    found = []
    for which in "abc":
        cut = float(configuration[f"pm_{which}_um"])
        total = 0.0
        for k, count in enumerate(counts):
            low, high = (float(configuration[f"boundary_{edge}_um"]) for edge in (k, k + 1))
            size = (low + high) / 2
            tail = 0.5 - 0.5 * math.erf(math.log(size / cut) / (math.log(1.5) * math.sqrt(2)))
            share = int(1000 * 0.5 * (1 + math.exp(-0.06 * size)) * tail) / 1000
            density = float(configuration[f"weighting_{k}"])
            total += count * density * math.pi / 6 * size**3 * share
        found.append(total / volume_ml if volume_ml else math.nan)
    return found


def factory_configuration() -> dict[str, Value]:
    """Return what a counter is set to when it is new."""
    values: dict[str, Value] = {f"adc_boundary_{k}": word for k, word in enumerate(_ADC)}
    values |= {f"boundary_{k}_um": float(size) for k, size in enumerate(_BOUNDARIES_UM)}
    values |= {f"weighting_{k}": 1.65 for k in range(BINS)}
    values |= {"pm_a_um": 1.0, "pm_b_um": 2.5, "pm_c_um": 10.0, "max_tof": 4095, "am_sampling_intervals": 1}
    values |= {"am_idle_intervals": 0, "am_max_arrays": 61798, "am_only_pm": 0, "am_fan_in_idle": 0}
    return values | {"am_laser_in_idle": 0, "tof_to_sfr": 56, "validation_period": 48, "weighting_index": 2}
