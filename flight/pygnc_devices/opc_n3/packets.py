"""Packets of an OPC-N3, little-endian. Source: Alphasense, Supplemental SPI Information 072-0503, issue 2."""

import math
import struct
from typing import Final

from pygnc_devices.declaration import Field, Packet
from pygnc_devices.framing import Damage, DamageReason, Frame, ReflectedCrc, Scan
from pygnc_devices.units import NONE, PERCENT, TEMPERATURE, TIME, Unit

BINS: Final = 24
HISTOGRAM_BYTES: Final = 86
PM_BYTES: Final = 14
CONFIGURATION_BYTES: Final = 168
STATUS_BYTES: Final = 6
INFORMATION_BYTES: Final = 60
PM_NAMES: Final = ("pm_1_ug_m3", "pm_2_5_ug_m3", "pm_10_ug_m3")
MTOF_BINS: Final = (1, 3, 5, 7)

_FLOW: Final = Unit("ml/s", "ml/s")
_MASS: Final = Unit("µg/m³", "ug/m^3")
_FLIGHT: Final = Unit("µs", "us")
_SIZE: Final = Unit("µm", "um")
_NUMBER: Final = Unit("1/cm³", "1/cm^3")
_VOLUME: Final = Unit("ml", "ml")

_PM: Final = tuple(
    Field(name, "f", _MASS, None, 0.0, f"PM_{which}, mass below {size} µm unless configured otherwise")
    for name, which, size in zip(PM_NAMES, "ABC", ("1", "2.5", "10"), strict=True)
)
_REJECTS: Final = {
    "reject_glitch": "rejected as noise",
    "reject_long_tof": "rejected: too long in the beam",
    "reject_ratio": "rejected: ratio of the detectors",
    "reject_out_of_range": "rejected: too large or too small",
}

HISTOGRAM: Final = Packet(
    "histogram",
    (
        *(Field(f"bin_{k}", "H", NONE, None, 0.0, f"particles in bin {k}, at most 65535") for k in range(BINS)),
        *(Field(f"mtof_bin_{k}_us", "B", _FLIGHT, 1 / 3, 0.0, f"mean time in the beam, bin {k}") for k in MTOF_BINS),
        Field("period_s", "H", TIME, 0.01, 0.0, "sampling period; about half of the elapsed time"),
        Field("flow_ml_s", "H", _FLOW, 0.01, 0.0, "sample flow"),
        Field("temperature_degc", "H", TEMPERATURE, 175 / 65535, -45.0, "on the board, which is warmer than the air"),
        Field("humidity_percent", "H", PERCENT, 100 / 65535, 0.0, "relative humidity, on the board"),
        *_PM,
        *(Field(name, "H", NONE, None, 0.0, f"particles {meaning}") for name, meaning in _REJECTS.items()),
        Field("fan_rev_count", "H", NONE, None, 0.0, "not used by known firmware: 0"),
        Field("laser_status", "H", NONE, None, 0.0, "status of the laser, about 550 to 650"),
        Field("checksum", "H", NONE, None, 0.0, "CRC-16/MODBUS of the bytes before"),
    ),
    "<",
    meaning="counts of one sampling period",
)

AVERAGE: Final = Packet(
    "average",
    (
        Field("samples", "I", NONE, None, 0.0, "number of histograms"),
        Field("period_s", "d", TIME, None, 0.0, "sum of their sampling periods"),
        Field("volume_ml", "d", _VOLUME, None, 0.0, "sampled volume"),
        *(Field(f"bin_{k}", "Q", NONE, None, 0.0, f"particles in bin {k}") for k in range(BINS)),
        *(
            Field(f"concentration_{k}_per_cm3", "d", _NUMBER, None, 0.0, f"number concentration in bin {k}")
            for k in range(BINS)
        ),
        Field("particles_per_cm3", "d", _NUMBER, None, 0.0, "number concentration of all bins"),
        *(Field(field.name, "d", _MASS, None, 0.0, field.meaning + ", computed from the sums") for field in _PM),
        *(
            Field(f"{name}{suffix}", "d", unit, None, 0.0, f"{which} of the histograms")
            for name, suffix, unit in (("temperature", "_degc", TEMPERATURE), ("humidity", "_percent", PERCENT))
            for name, which in ((name, "mean"), (f"{name}_min", "lowest"), (f"{name}_max", "highest"))
        ),
        *(Field(name, "Q", NONE, None, 0.0, f"particles {meaning}") for name, meaning in _REJECTS.items()),
        Field("laser_status", "d", NONE, None, 0.0, "mean of the histograms"),
    ),
    "<",
    meaning="average of several histograms",
)

PM: Final = Packet(
    "PM",
    (*_PM, Field("checksum", "H", NONE, None, 0.0, "CRC-16/MODBUS of the bytes before")),
    "<",
    meaning="mass concentrations only; reading them resets the histogram",
    is_reading=False,
)

STATUS: Final = Packet(
    "status",
    (
        Field("fan_is_on", "B", meaning="1: on"),
        Field("laser_pot_is_on", "B", meaning="1: on"),
        Field("fan_pot", "B", meaning="drive of the fan, 255 from the factory; below about 45 % it does not turn"),
        Field("laser_pot", "B", meaning="drive of the laser, different in each unit"),
        Field("laser_is_on", "B", meaning="1: on"),
        Field("gain", "B", meaning="bit 0: high, bit 1: switched automatically; 3 from the factory"),
    ),
    "<",
    meaning="power of fan and laser",
    is_reading=False,
)

CONFIGURATION: Final = Packet(
    "configuration",
    (
        *(Field(f"adc_boundary_{k}", "H", meaning=f"lower boundary of bin {k}, converter") for k in range(BINS + 1)),
        *(
            Field(f"boundary_{k}_um", "H", _SIZE, 0.01, 0.0, f"lower boundary of bin {k}, diameter")
            for k in range(BINS + 1)
        ),
        *(Field(f"weighting_{k}", "H", NONE, 0.01, 0.0, f"density of particles in bin {k}") for k in range(BINS)),
        *(Field(f"pm_{which}_um", "H", _SIZE, 0.01, 0.0, f"diameter of PM_{which.upper()}") for which in "abc"),
        Field("max_tof", "H", meaning="longest time in the beam, 1/48 µs"),
        Field("am_sampling_intervals", "H", meaning="autonomous mode: intervals of sampling"),
        Field("am_idle_intervals", "H", meaning="autonomous mode: intervals between"),
        Field("am_max_arrays", "H", meaning="autonomous mode: arrays in a file"),
        Field("am_only_pm", "B", meaning="autonomous mode: 1 saves PM only"),
        Field("am_fan_in_idle", "B", meaning="autonomous mode: 1 leaves the fan on"),
        Field("am_laser_in_idle", "B", meaning="autonomous mode: 1 leaves the laser on"),
        Field("tof_to_sfr", "B", meaning="conversion from time in the beam to flow"),
        Field("validation_period", "B", meaning="validation period of particles, 1/48 µs"),
        Field("weighting_index", "B", meaning="set of weightings; 0: those above, 2: 1.65 from the factory"),
    ),
    "<",
    meaning="configuration variables",
    is_reading=False,
)


KIND: Final = "histogram"
"""Kind of the frames of recorded histograms."""
crc16: Final = ReflectedCrc(0xA001, seed=0xFFFF)
"""CRC-16/MODBUS"""
_CHECKED: Final = struct.Struct("<48x4xHH4x3f8x2xH2x")
_LARGEST_FLOW: Final = 2000
_LARGEST_PM: Final = 1e7
_LARGEST_LASER: Final = 4096
_LIKELY_LASER: Final = (300, 1000)


def is_intact(octets: bytes) -> bool:
    """Return whether the last two bytes are the checksum of those before them."""
    return crc16(octets[:-2]) == int.from_bytes(octets[-2:], "little")


def scan_histograms(octets: bytes, stalled: bool = False) -> Scan:  # noqa: FBT001, FBT002 - every scanner's signature
    """Find the histograms of a recording: 86 bytes each, recognised by their checksum and by plausible values."""
    frames: list[Frame] = []
    damage: list[Damage] = []
    at, size = 0, len(octets)
    while at < size:
        raw = octets[at : at + HISTOGRAM_BYTES]
        if len(raw) < HISTOGRAM_BYTES:
            if not stalled:
                break
            damage.append(Damage(at, at + 1, DamageReason.CUT))
            at += 1
        elif not is_plausible(raw) or not is_intact(raw):
            damage.append(Damage(at, at + 1, DamageReason.CHECKSUM))
            at += 1
        else:
            frames.append(Frame(KIND, raw, raw, at))
            at += HISTOGRAM_BYTES
        stalled = False
    return Scan(tuple(frames), tuple(damage), at)


def is_plausible(raw: bytes) -> bool:
    """Return whether flow, mass and laser are plausible: one of 65536 damaged histograms has a right checksum."""
    period, flow, *masses, laser = _CHECKED.unpack(raw)
    if flow > _LARGEST_FLOW or laser > _LARGEST_LASER:
        return False
    if period and flow:
        return all(math.isfinite(mass) and 0 <= mass < _LARGEST_PM for mass in masses)
    return bool(_LIKELY_LASER[0] <= laser <= _LIKELY_LASER[1])
