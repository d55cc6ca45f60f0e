"""Several histograms as if they were one: counts and volumes are summed, and mass follows from the sums, exactly."""

from collections.abc import Mapping, Sequence
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.opc_n3.mass import MassModel, counts_of, volume_ml
from pygnc_devices.opc_n3.packets import AVERAGE, BINS, PM_NAMES
from pygnc_devices.reading import Reading

_REJECTS: Final = ("reject_glitch", "reject_long_tof", "reject_ratio", "reject_out_of_range")


def average(readings: Sequence[Reading], model: MassModel | None = None) -> Reading:
    """Return the average of histograms, with the time of the last, the bytes of all and the doubts of each.

    Args:
        readings: histograms, at least one.
        model: of the unit's configuration; None: the factory's.

    Raises:
        ValueError: there is none.
    """
    if not readings:
        raise ValueError("there is no histogram to average")
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
    result |= {name: round(sum(_numbers(samples, name))) for name in _REJECTS}
    for name, suffix in (("temperature", "_degc"), ("humidity", "_percent")):
        numbers = _numbers(samples, name + suffix)
        result |= {f"{name}{suffix}": _mean(numbers), f"{name}_min{suffix}": min(numbers, default=None)}
        result |= {f"{name}_max{suffix}": max(numbers, default=None)}
    return result


def _numbers(samples: Sequence[Mapping[str, Value | None]], name: str) -> list[float]:
    return [value for values in samples if isinstance(value := values[name], int | float)]


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None
