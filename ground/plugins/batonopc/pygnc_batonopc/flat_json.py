"""Flat JSON of readings, as batonopc's own server lists them to its clients."""

from typing import Any, Final

from pygnc_station.store.readings import PlainValue, StoredReading, Stream, number_of

_BINS: Final = 24
_FIELDS: Final = (
    "temp", "rh", "pm_01", "pm_25", "pm_10", *(f"bin_{number}" for number in range(_BINS)),
    *(f"bin{number}_mtof" for number in (1, 3, 5, 7)),
    "samplingperiod", "sampleflowrate", "rejectcountglitch", "rejectcountlong",
)  # fmt: skip
"""Values that every reading has there; those that a device does not measure are null."""
_NAMES: Final = {
    # batonopc's table
    "sampling_period": "samplingperiod", "sample_flow_rate": "sampleflowrate",
    "reject_count_glitch": "rejectcountglitch", "reject_count_longtof": "rejectcountlong",
    # our driver
    "temperature_degc": "temp", "humidity_percent": "rh",
    "pm_1_ug_m3": "pm_01", "pm_2_5_ug_m3": "pm_25", "pm_10_ug_m3": "pm_10",
    **{f"mtof_bin_{number}_us": f"bin{number}_mtof" for number in (1, 3, 5, 7)},
    "period_s": "samplingperiod", "flow_ml_s": "sampleflowrate",
    "reject_glitch": "rejectcountglitch", "reject_long_tof": "rejectcountlong",
}  # fmt: skip
"""Names at batonopc's server by our names; the units are the same."""
_COUNTS: Final = frozenset({"histogram", "average"})
"""Kinds of readings of our driver; their bins are counts, those of batonopc are concentrations in 1/ml."""


def flat_json(reading: StoredReading, stream: Stream) -> dict[str, Any]:
    """Return one JSON object of time, device and values under batonopc's names; other values keep their names."""
    ours = dict(zip(stream.layout.names, reading.values, strict=False))
    if stream.layout.kind in _COUNTS and "bin_0" in ours:
        ours |= {f"bin_{number}": value for number, value in enumerate(_concentrations(ours))}
    values = {_NAMES.get(name, name): value for name, value in ours.items()}
    return {"timestamp": reading.time, "gadget_id": stream.gadget_id, "source_ref": None} | {
        name: values.get(name) for name in dict.fromkeys((*_FIELDS, *values))
    }


def _concentrations(ours: dict[str, PlainValue]) -> list[float | None]:
    """Return the number concentrations of the bins in 1/ml; None without a sampled volume."""
    known = {name: number for name, value in ours.items() if (number := number_of(value)) is not None}
    volume_ml = known.get("volume_ml") or known.get("period_s", 0.0) * known.get("flow_ml_s", 0.0)
    counts = [known.get(f"bin_{number}") for number in range(_BINS)]
    return [count / volume_ml if volume_ml and count is not None else None for count in counts]
