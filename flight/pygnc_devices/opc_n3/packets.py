"""Packets of an OPC-N3, little-endian. Source: Alphasense, Supplemental SPI Information 072-0503, issue 2."""

from typing import Final

from pygnc_devices.declaration import Field, Packet, word
from pygnc_devices.units import NONE, PERCENT, TEMPERATURE, TIME, Unit

BINS: Final = 24
INFORMATION_BYTES: Final = 60
PM_NAMES: Final = ("pm_1_ug_m3", "pm_2_5_ug_m3", "pm_10_ug_m3")
MTOF_BINS: Final = (1, 3, 5, 7)

_FLOW: Final = Unit("ml/s", "ml/s")
_MASS: Final = Unit("µg/m³", "ug/m^3")
_FLIGHT: Final = Unit("µs", "us")
_SIZE: Final = Unit("µm", "um")
_NUMBER: Final = Unit("1/cm³", "1/cm^3")
_VOLUME: Final = Unit("ml", "ml")


def _packet(name: str, meaning: str, *fields: Field, is_reading: bool = True) -> Packet:
    return Packet(name, fields, "<", meaning=meaning, is_reading=is_reading)


_PM: Final = tuple(
    word(name, "f", f"PM_{which}, mass below {size} µm unless configured otherwise", _MASS)
    for name, which, size in zip(PM_NAMES, "ABC", ("1", "2.5", "10"), strict=True)
)
REJECTS: Final = {
    "reject_glitch": "rejected as noise",
    "reject_long_tof": "rejected: too long in the beam",
    "reject_ratio": "rejected: ratio of the detectors",
    "reject_out_of_range": "rejected: too large or too small",
}

HISTOGRAM: Final = _packet(
    "histogram",
    "counts of one sampling period",
    *(word(f"bin_{k}", "H", f"particles in bin {k}, at most 65535") for k in range(BINS)),
    *(word(f"mtof_bin_{k}_us", "B", f"mean time in the beam, bin {k}", _FLIGHT, 1 / 3) for k in MTOF_BINS),
    word("period_s", "H", "sampling period; about half of the elapsed time", TIME, 0.01),
    word("flow_ml_s", "H", "sample flow", _FLOW, 0.01),
    Field("temperature_degc", "H", TEMPERATURE, 175 / 65535, -45.0, "on the board, which is warmer than the air"),
    word("humidity_percent", "H", "relative humidity, on the board", PERCENT, 100 / 65535),
    *_PM,
    *(word(name, "H", f"particles {meaning}") for name, meaning in REJECTS.items()),
    word("fan_rev_count", "H", "not used by known firmware: 0"),
    word("laser_status", "H", "status of the laser, about 550 to 650"),
    word("checksum", "H", "CRC-16/MODBUS of the bytes before"),
)
HISTOGRAM_BYTES: Final = HISTOGRAM.layout.size

AVERAGE: Final = _packet(
    "average",
    "average of several histograms",
    word("samples", "I", "number of histograms"),
    word("period_s", "d", "sum of the sampling periods", TIME),
    word("volume_ml", "d", "sampled volume", _VOLUME),
    *(word(f"bin_{k}", "Q", f"particles in bin {k}") for k in range(BINS)),
    *(word(f"concentration_{k}_per_cm3", "d", f"number concentration in bin {k}", _NUMBER) for k in range(BINS)),
    word("particles_per_cm3", "d", "number concentration of all bins", _NUMBER),
    *(word(field.name, "d", field.meaning + ", computed from the sums", _MASS) for field in _PM),
    *(
        word(f"{name}{suffix}", "d", f"{which} of the histograms", unit)
        for name, suffix, unit in (("temperature", "_degc", TEMPERATURE), ("humidity", "_percent", PERCENT))
        for name, which in ((name, "mean"), (f"{name}_min", "lowest"), (f"{name}_max", "highest"))
    ),
    *(word(name, "Q", f"particles {meaning}") for name, meaning in REJECTS.items()),
    word("laser_status", "d", "mean of the histograms"),
)

PM: Final = _packet(
    "PM",
    "mass concentrations only; reading them resets the histogram",
    *_PM,
    word("checksum", "H", "CRC-16/MODBUS of the bytes before"),
    is_reading=False,
)

STATUS: Final = _packet(
    "status",
    "power of fan and laser",
    word("fan_is_on", "B", "1: on"),
    word("laser_pot_is_on", "B", "1: on"),
    word("fan_pot", "B", "drive of the fan, 255 from the factory; below about 45 % it does not turn"),
    word("laser_pot", "B", "drive of the laser, different in each unit"),
    word("laser_is_on", "B", "1: on"),
    word("gain", "B", "bit 0: high, bit 1: switched automatically; 3 from the factory"),
    is_reading=False,
)

CONFIGURATION: Final = _packet(
    "configuration",
    "configuration variables",
    *(word(f"adc_boundary_{k}", "H", f"lower boundary of bin {k}, converter") for k in range(BINS + 1)),
    *(word(f"boundary_{k}_um", "H", f"lower boundary of bin {k}, diameter", _SIZE, 0.01) for k in range(BINS + 1)),
    *(word(f"weighting_{k}", "H", f"density of particles in bin {k}", NONE, 0.01) for k in range(BINS)),
    *(word(f"pm_{which}_um", "H", f"diameter of PM_{which.upper()}", _SIZE, 0.01) for which in "abc"),
    word("max_tof", "H", "longest time in the beam, 1/48 µs"),
    word("am_sampling_intervals", "H", "autonomous mode: intervals of sampling"),
    word("am_idle_intervals", "H", "autonomous mode: idle intervals"),
    word("am_max_arrays", "H", "autonomous mode: arrays in a file"),
    word("am_only_pm", "B", "autonomous mode: 1 saves PM only"),
    word("am_fan_in_idle", "B", "autonomous mode: 1 leaves the fan on"),
    word("am_laser_in_idle", "B", "autonomous mode: 1 leaves the laser on"),
    word("tof_to_sfr", "B", "conversion from time in the beam to sample flow"),
    word("validation_period", "B", "validation period of particles, 1/48 µs"),
    word("weighting_index", "B", "set of weightings; 0: the variables weighting_K, 2: 1.65 from the factory"),
    is_reading=False,
)
