"""Ephemerides as integers of the GPS navigation message, by the scale factors of IS-GPS-200, tables 20-I and 20-III."""

import math

import numpy as np
import numpy.typing as npt

_ACCURACY_M = (2.4, 3.4, 4.85, 6.85, 9.65, 13.65, 24.0, 48.0, 96.0, 192.0, 384.0, 768.0, 1536.0, 3072.0, 6144.0)
_SCALED = {
    "tgd": ("tgd_s", -31, 1.0), "af2": ("af2_per_s", -55, 1.0), "af1": ("af1", -43, 1.0), "af0": ("af0_s", -31, 1.0),
    "crs": ("crs_m", -5, 1.0), "crc": ("crc_m", -5, 1.0), "cuc": ("cuc_rad", -29, 1.0), "cus": ("cus_rad", -29, 1.0),
    "cic": ("cic_rad", -29, 1.0), "cis": ("cis_rad", -29, 1.0), "e": ("eccentricity", -33, 1.0),
    "sqrt_a": ("sqrt_a_sqrt_m", -19, 1.0), "delta_n": ("delta_n_rad_s", -43, math.pi), "m0": ("m0_rad", -31, math.pi),
    "omega0": ("omega0_rad", -31, math.pi), "i0": ("i0_rad", -31, math.pi), "omega": ("omega_rad", -31, math.pi),
    "omega_dot": ("omega_dot_rad_s", -43, math.pi), "idot": ("idot_rad_s", -43, math.pi),
}  # fmt: skip


def raw_values(row: npt.NDArray[np.void]) -> dict[str, int]:
    """Return the fields of subframes 1 to 3."""
    values = {
        "week": int(row["sent_gps_ns"]) // 604_800_000_000_000 % 1024,
        "accuracy": int(np.argmin(np.abs(np.array(_ACCURACY_M) - float(row["accuracy_m"])))),
        "health": int(row["health"]), "iodc": int(row["iodc"]), "iode": int(row["iode"]),
        "toc": int(row["toc_gps_ns"]) // 1_000_000_000 % 604_800 // 16,
        "toe": int(row["toe_gps_ns"]) // 1_000_000_000 % 604_800 // 16,
    }  # fmt: skip
    for name, (field, power, unit) in _SCALED.items():
        value = float(row[field]) / unit
        if unit == math.pi and abs(value) > 1.0:
            value = math.remainder(value, 2.0)
        values[name] = round(math.ldexp(value, -power))
    return values
