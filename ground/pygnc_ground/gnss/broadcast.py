"""Orbits and clocks of GPS satellites from broadcast ephemerides (LNAV).

Sources: IS-GPS-200N, 20.3.3.3.3 (clock, group delay), table 20-IV (position); velocities are the time derivatives of
table 20-IV. The periodic relativistic effect of the clock is left to the user, as with precise orbits.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc_ground.gnss.measurements import FloatArray, IntArray, OrbitReference, SatelliteStates

EPHEMERIS: Final = np.dtype(
    [
        ("prn", np.int64),
        ("toe_gps_ns", np.int64),
        ("toc_gps_ns", np.int64),
        ("sent_gps_ns", np.int64),
        ("iode", np.int64),
        ("iodc", np.int64),
        ("health", np.int64),
        ("accuracy_m", np.float64),
        ("fit_interval_h", np.float64),
        ("tgd_s", np.float64),
        ("af0_s", np.float64),
        ("af1", np.float64),
        ("af2_per_s", np.float64),
        ("sqrt_a_sqrt_m", np.float64),
        ("eccentricity", np.float64),
        ("m0_rad", np.float64),
        ("delta_n_rad_s", np.float64),
        ("omega0_rad", np.float64),
        ("i0_rad", np.float64),
        ("omega_rad", np.float64),
        ("omega_dot_rad_s", np.float64),
        ("idot_rad_s", np.float64),
        ("cuc_rad", np.float64),
        ("cus_rad", np.float64),
        ("crc_m", np.float64),
        ("crs_m", np.float64),
        ("cic_rad", np.float64),
        ("cis_rad", np.float64),
    ]
)
"""Message of one satellite: `prn` 1 to 32, times in GPS time, `sent_gps_ns` the begin of its transmission."""
SQRT_A_RANGE_SQRT_M: Final = (5000.0, 5300.0)
MOST_ECCENTRIC: Final = 0.1
"""Limits of orbits of GPS satellites: about 5153.6 sqrt(m), and less than 0.03."""

_MU_M3_S2: Final = 3.986005e14
_EARTH_RATE_RAD_S: Final = 7.2921151467e-5
"""Constants of IS-GPS-200, which belong to the elements; they are not the best known values."""
_NS_PER_S: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000
_NS_PER_H: Final = 3600 * _NS_PER_S
_KEPLER_STEPS: Final = 6
"""Newton's method converges to rounding errors in four steps for eccentricities up to 0.1."""
_SIGMA_PER_ACCURACY: Final = 0.25
"""The accuracy that GPS satellites state is a limit, mostly 2.4 m. The errors are about 0.6 m along the line of sight:
Montenbruck, Steigenberger, Hauschild, Broadcast versus precise ephemerides, GPS Solutions 19, 2015.
"""


class Klobuchar(NamedTuple):
    """Coefficients of the broadcast model of the ionosphere: s, s per semicircle, and so on."""

    alpha: tuple[float, ...]
    beta: tuple[float, ...]


class BroadcastOrbits:
    """Orbits and clocks of a set of ephemerides, a `GnssOrbits`.

    Repeated messages are used once. A message of which IODE and IODC contradict each other is a mixture of two and is
    not used.
    """

    reference: Final = OrbitReference.ANTENNA
    clock_interval_ms: Final = 0

    def __init__(self, ephemerides: npt.NDArray[np.void], klobuchar: Klobuchar | None = None) -> None:
        """Store ephemerides, shape (n,), with the type `EPHEMERIS`."""
        table = np.sort(ephemerides, order=("prn", "toe_gps_ns", "sent_gps_ns"))
        key = table[["prn", "toe_gps_ns", "iodc"]]
        first = np.ones(len(table), bool)
        first[1:] = key[1:] != key[:-1]
        self.mixed = table["iode"] != table["iodc"] & 0xFF
        self.table = table[first & ~self.mixed]
        self.klobuchar = klobuchar

    @property
    def satellites(self) -> tuple[str, ...]:
        """Names of all satellites, such as "G05"."""
        return tuple(f"G{prn:02d}" for prn in np.unique(self.table["prn"]))

    @property
    def span_gps_ms(self) -> tuple[int, int] | None:
        """First and last time at which a healthy satellite is known; None for none."""
        healthy = self.table[self.table["health"] == 0]
        if not len(healthy):
            return None
        half_ns = _half_fit_ns(healthy)
        first_ns, last_ns = (healthy["toe_gps_ns"] - half_ns).min(), (healthy["toe_gps_ns"] + half_ns).max()
        return -(-int(first_ns) // _NS_PER_MS), int(last_ns) // _NS_PER_MS

    def choose(self, satellite: str, gps_ns: IntArray) -> IntArray:
        """Return the row of `table` for a satellite at each time, -1 for none, shape (n,).

        Only ephemerides of a healthy satellite within the fit interval around `toe` are used; of several, that with the
        nearest `toe`.
        """
        rows = np.flatnonzero((self.table["prn"] == int(satellite[1:])) & (self.table["health"] == 0))
        if satellite[:1] != "G" or not len(rows):
            return np.full(len(gps_ns), -1)
        known, times = self.table[rows], gps_ns[:, np.newaxis]
        cost = np.abs(times - known["toe_gps_ns"])
        usable = cost <= _half_fit_ns(known)
        best = np.where(usable, cost, np.iinfo(np.int64).max).argmin(axis=1)
        return np.where(usable[np.arange(len(gps_ns)), best], rows[best], -1)

    def states(self, satellite: str, gps_ms: IntArray, offset_s: FloatArray) -> SatelliteStates:
        """Return the states at GPS times `gps_ms` plus `offset_s`, each (n,); NaN where no ephemeris can be used."""
        gps_ns = gps_ms * _NS_PER_MS + np.rint(1e9 * offset_s).astype(np.int64)
        index = self.choose(satellite, gps_ns)
        found = np.flatnonzero(index >= 0)
        values = np.full((len(gps_ns), 8), np.nan)
        if len(found):
            row = self.table[index[found]]
            values[found, :7] = evaluated(row, gps_ns[found])
            values[found, 7] = _SIGMA_PER_ACCURACY * row["accuracy_m"]
        return SatelliteStates(values[:, :3], values[:, 3:6], values[:, 6], values[:, 7], np.zeros(len(gps_ns)))


def _half_fit_ns(table: npt.NDArray[np.void]) -> IntArray:
    half: IntArray = (0.5 * _NS_PER_H * table["fit_interval_h"]).astype(np.int64)
    return half


def evaluated(row: npt.NDArray[np.void], gps_ns: IntArray) -> FloatArray:
    """Return position, velocity and clock of each row at its time, shape (n, 7)."""
    after_s = 1e-9 * (gps_ns - row["toe_gps_ns"])
    semi_major_m, e = row["sqrt_a_sqrt_m"] ** 2, row["eccentricity"]
    motion_rad_s = np.sqrt(_MU_M3_S2 / semi_major_m**3) + row["delta_n_rad_s"]
    mean = row["m0_rad"] + motion_rad_s * after_s
    eccentric = mean + e * np.sin(mean)
    for _ in range(_KEPLER_STEPS):
        eccentric -= (eccentric - e * np.sin(eccentric) - mean) / (1.0 - e * np.cos(eccentric))
    sine, cosine = np.sin(eccentric), np.cos(eccentric)
    eccentric_rate = motion_rad_s / (1.0 - e * cosine)
    argument = np.arctan2(np.sqrt(1.0 - e**2) * sine, cosine - e) + row["omega_rad"]
    argument_rate = eccentric_rate * np.sqrt(1.0 - e**2) / (1.0 - e * cosine)

    double_sine, double_cosine = np.sin(2.0 * argument), np.cos(2.0 * argument)

    def corrected(name: str, unit: str, value: FloatArray, rate: FloatArray | float) -> tuple[FloatArray, FloatArray]:
        of_sine, of_cosine = row[f"c{name}s_{unit}"], row[f"c{name}c_{unit}"]
        change = 2.0 * argument_rate * (of_sine * double_cosine - of_cosine * double_sine)
        return value + of_sine * double_sine + of_cosine * double_cosine, rate + change

    latitude, latitude_rate = corrected("u", "rad", argument, argument_rate)
    radius_m = semi_major_m * (1.0 - e * cosine)
    radius_m, radius_mps = corrected("r", "m", radius_m, semi_major_m * e * sine * eccentric_rate)
    tilt, tilt_rate = corrected("i", "rad", row["i0_rad"] + row["idot_rad_s"] * after_s, row["idot_rad_s"])
    node_rate = row["omega_dot_rad_s"] - _EARTH_RATE_RAD_S
    toe_s = 1e-9 * (row["toe_gps_ns"] % (604_800 * _NS_PER_S))
    node = row["omega0_rad"] + node_rate * after_s - _EARTH_RATE_RAD_S * toe_s

    along_m, across_m = radius_m * np.cos(latitude), radius_m * np.sin(latitude)
    along_mps = radius_mps * np.cos(latitude) - across_m * latitude_rate
    across_mps = radius_mps * np.sin(latitude) + along_m * latitude_rate
    flat_m = across_m * np.cos(tilt)
    flat_mps = across_mps * np.cos(tilt) - across_m * np.sin(tilt) * tilt_rate
    x_m = along_m * np.cos(node) - flat_m * np.sin(node)
    y_m = along_m * np.sin(node) + flat_m * np.cos(node)
    z_m = across_m * np.sin(tilt)
    x_mps = along_mps * np.cos(node) - flat_mps * np.sin(node) - y_m * node_rate
    y_mps = along_mps * np.sin(node) + flat_mps * np.cos(node) + x_m * node_rate
    z_mps = across_mps * np.sin(tilt) + across_m * np.cos(tilt) * tilt_rate

    since_s = 1e-9 * (gps_ns - row["toc_gps_ns"])
    clock_s = row["af0_s"] + (row["af1"] + row["af2_per_s"] * since_s) * since_s
    return np.stack((x_m, y_m, z_m, x_mps, y_mps, z_mps, clock_s), axis=1)
