"""Force model and parameters of the batch.

The forces are the environment models at full accuracy, independent of the flight filter's choice. Earth, Sun and Moon
at the epochs do not change while the orbit is improved, so they are computed once.

Besides the initial state the batch estimates uncertain forces. The logarithm of the drag factor and the empirical
accelerations along radial, transverse and normal are linear between nodes every quarter of an hour, a sixth of a
revolution, or every five minutes if large forces are unknown. Their prior is that of the flight filter's process of the
same name: zero mean, a standard deviation, a correlation time. The variation of the density along the orbit is a
second, faster part of the drag factor.
"""

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import cross_matrix
from pygnc.environment.drag import harris_priester
from pygnc.environment.frames import EarthFrames
from pygnc.environment.gravity import DEGREE_MAX, gravity, gravity_and_gradient, solid_tide_acceleration
from pygnc.environment.solar_radiation import radiation_pressure_acceleration
from pygnc.environment.sun_moon import SunMoon, third_body_acceleration
from pygnc.estimators.orbit.force_model import degree_at
from pygnc.estimators.orbit.settings import OrbitSettings, SpacecraftSettings
from pygnc_ground.orbit.batch.collocation import NODE, SEGMENT_S, LinearForce
from pygnc_ground.orbit.solution import FloatArray, IntArray, rtn_axes

_GRADIENT_DEGREE: Final = 20
"""Degree of the gravity gradient; higher degrees change it by 1e-6 to 1e-4."""
_NEAR_M: Final = 1.0
"""Change of the positions up to which the forces follow from their derivatives: gravity to 1e-10 m/s2, with errors of
short waves, which change a day's orbit by 2 um.
"""

DRAG: Final = 0
EMPIRICAL: Final = slice(1, 4)
RADIATION_COLUMN: Final = 4
"""Columns of the forces' five parameters at a node: logarithm of the drag factor, empirical acceleration along radial,
transverse and normal in m/s2, radiation coefficient.
"""


class _Field(NamedTuple):
    """Forces that depend on the position alone, linearised about n places in GCRF."""

    place_m: FloatArray
    """Places, shape (n, 3)."""
    acceleration_mps2: FloatArray
    """Gravity of Earth, Sun and Moon with solid tides, shape (n, 3)."""
    d_position: FloatArray
    """Derivative of that acceleration by the position in 1/s2, shape (n, 3, 3)."""
    radiation_mps2: FloatArray
    """Solar radiation pressure for a radiation coefficient of 1, shape (n, 3)."""
    density_kg_m3: FloatArray
    """Density of the air, shape (n,)."""
    d_density: FloatArray
    """Derivative of the density by the position, shape (n, 3)."""

    def moved(self, position_m: FloatArray) -> "_Field":
        """Return the field at positions (n, 3) near the places."""
        change_m = position_m - self.place_m
        return self._replace(
            place_m=position_m,
            acceleration_mps2=self.acceleration_mps2 + np.einsum("nij,nj->ni", self.d_position, change_m),
            density_kg_m3=self.density_kg_m3 + np.einsum("ni,ni->n", self.d_density, change_m),
        )


class ArcForces:
    """Force model at n fixed epochs.

    Cost: 60 us per epoch when constructed, 35 us per epoch and call; 2 us if the states have hardly changed.
    """

    def __init__(self, gps_ms: IntArray, offset_s: FloatArray, frames: EarthFrames, craft: SpacecraftSettings) -> None:
        """Compute Earth, Sun and Moon at the epochs `gps_ms` plus `offset_s`, each (n,)."""
        self._ecef_from_gcrf, self._spin_rad_s = frames.at_each(gps_ms, offset_s)
        self._spin_cross = cross_matrix(self._spin_rad_s)
        sun_moon = SunMoon()
        moments = zip(gps_ms.tolist(), offset_s.tolist(), strict=True)
        bodies = np.array([np.concatenate(sun_moon.at(*moment)) for moment in moments])
        self._sun_m, self._moon_m = bodies[:, :3], bodies[:, 3:]
        self._drag_area_per_mass = craft.drag_coefficient * craft.area_m2 / craft.mass_kg
        self._area_per_mass = craft.area_m2 / craft.mass_kg
        self._evaluated: _Field | None = None

    def at(self, states: FloatArray, parameters: FloatArray) -> LinearForce:
        """Return the accelerations at the n epochs, linearised about states in GCRF (n, 6) and parameters (n, 5).

        States are positions in m and velocities in m/s; parameters are those of `DRAG` and the following columns.
        """
        position_m, velocity_mps = states[:, :3], states[:, 3:]
        if self._evaluated is None or np.abs(position_m - self._evaluated.place_m).max() > _NEAR_M:
            self._evaluated = self._field(position_m)
        field = self._evaluated.moved(position_m)
        d_parameter = np.empty((len(states), 3, 5))
        drag, d_drag_d_position, d_velocity = self._drag(field, velocity_mps, parameters[:, DRAG])
        d_parameter[:, :, DRAG] = drag
        d_parameter[:, :, EMPIRICAL] = rtn_axes(states).swapaxes(1, 2)
        d_parameter[:, :, RADIATION_COLUMN] = field.radiation_mps2
        acceleration = field.acceleration_mps2 + drag + parameters[:, RADIATION_COLUMN, None] * field.radiation_mps2
        acceleration += np.einsum("nij,nj->ni", d_parameter[:, :, EMPIRICAL], parameters[:, EMPIRICAL])
        return LinearForce(acceleration, field.d_position + d_drag_d_position, d_velocity, d_parameter)

    def _field(self, position_m: FloatArray) -> _Field:
        """Evaluate the models at positions (n, 3)."""
        position_ecef_m = np.einsum("nij,nj->ni", self._ecef_from_gcrf, position_m)
        radii_m = np.linalg.norm(position_m, axis=1).tolist()
        attraction = np.array(
            [
                gravity(place, degree_at(radius_m, DEGREE_MAX))
                for place, radius_m in zip(position_ecef_m, radii_m, strict=True)
            ]
        )
        gradient = np.array([gravity_and_gradient(place, _GRADIENT_DEGREE)[1] for place in position_ecef_m])
        inverse = self._ecef_from_gcrf.transpose(0, 2, 1)
        acceleration = np.einsum("nij,nj->ni", inverse, attraction)
        places = list(zip(position_m, self._sun_m, self._moon_m, strict=True))
        acceleration += np.array(
            [third_body_acceleration(*place) + solid_tide_acceleration(*place) for place in places]
        )
        radiation = [radiation_pressure_acceleration(*place[:2], self._area_per_mass) for place in places]
        pole = self._spin_rad_s / np.linalg.norm(self._spin_rad_s, axis=1, keepdims=True)
        of_air = [harris_priester(*place) for place in zip(position_m, self._sun_m, pole, strict=True)]
        densities, gradients = zip(*of_air, strict=True)
        return _Field(
            position_m,
            acceleration,
            inverse @ gradient @ self._ecef_from_gcrf,
            np.array(radiation),
            np.array(densities),
            np.array(gradients),
        )

    def _drag(
        self, field: _Field, velocity_mps: FloatArray, log_drag: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the drag acceleration, m/s2, (n, 3), and its derivatives by position and velocity, (n, 3, 3) each."""
        wind_mps = velocity_mps - np.einsum("nij,nj->ni", self._spin_cross, field.place_m)
        speed_mps = np.linalg.norm(wind_mps, axis=1)
        strength = -0.5 * self._drag_area_per_mass * speed_mps * np.exp(log_drag)
        drag = (strength * field.density_kg_m3)[:, None] * wind_mps
        d_velocity = (strength * field.density_kg_m3)[:, None, None] * np.eye(3)
        d_velocity += np.einsum("ni,nj->nij", drag, wind_mps / speed_mps[:, None] ** 2)
        density_part = np.einsum("ni,nj->nij", strength[:, None] * wind_mps, field.d_density)
        return drag, density_part - d_velocity @ self._spin_cross, d_velocity


STATE: Final = slice(0, 6)
RADIATION: Final = 6
FIRST_NODE: Final = 7
PER_NODE: Final = 4
"""Columns of all parameters: position and velocity at the start of the arc, radiation coefficient, then per node the
logarithm of the drag factor and three empirical accelerations.
"""

SEGMENTS_PER_INTERVAL: Final = 3
"""Segments between nodes a quarter of an hour apart."""
_RADIATION_SIGMA: Final = 0.3
_LEAST_VARIATION: Final = 1e-3
"""Least density variation; it keeps the covariance of a nearly constant drag factor invertible."""


class Factors(NamedTuple):
    """Factors on the standard deviations in the settings."""

    density_variation: float = 1.0
    empirical: float = 1.0


class Prior(NamedTuple):
    """Prior of the parameters; uninformative for the state."""

    mean: FloatArray
    """Expected values, shape (p,)."""
    information: FloatArray
    """Inverse of the covariance, zero for the state, shape (p, p)."""
    log_determinant: float
    """Logarithm of the determinant of the information without the state."""


class ArcParameters:
    """Order and meaning of the parameters of an arc of `segments` segments, with `per_interval` between two nodes."""

    def __init__(self, segments: int, per_interval: int = SEGMENTS_PER_INTERVAL) -> None:
        self.interval_s = per_interval * SEGMENT_S
        self.nodes = -(-segments // per_interval) + 1
        self.count = FIRST_NODE + PER_NODE * self.nodes
        interval, place = np.divmod(np.arange(segments), per_interval)
        self.local_columns: IntArray = FIRST_NODE + PER_NODE * interval[:, None] + np.arange(2 * PER_NODE)
        self.local_columns = np.column_stack((self.local_columns, np.full(segments, RADIATION)))
        """Parameters that act in each segment, shape (k, 9)."""
        self._later = (place[:, None] + NODE) / per_interval

    def at_nodes(self, values: FloatArray) -> FloatArray:
        """Return the forces' five parameters at all nodes of all segments, in order, shape (k s, 5)."""
        local = values[self.local_columns]
        earlier, later = local[:, None, :PER_NODE], local[:, None, PER_NODE : 2 * PER_NODE]
        each = (earlier + self._later[:, :, None] * (later - earlier)).reshape(-1, PER_NODE)
        return np.column_stack((each, np.full(len(each), values[RADIATION])))

    def local(self, d_parameter: FloatArray) -> FloatArray:
        """Convert derivatives by the forces' parameters (k, s, 3, 5) to those by `local_columns` (k, s, 3, 9)."""
        later = self._later[:, :, None, None]
        process = d_parameter[..., :PER_NODE]
        radiation = d_parameter[..., RADIATION_COLUMN, None]
        return np.concatenate(((1.0 - later) * process, later * process, radiation), axis=3)

    def prior(self, settings: OrbitSettings, factors: Factors) -> Prior:
        """Return the prior with the settings' standard deviations times the factors."""
        noise, interval_s, drag = settings.process_noise, self.interval_s, _drag_parts(settings, factors)
        empirical = [((factors.empirical * sigma, noise.empirical_time_s),) for sigma in noise.empirical_sigma_mps2]
        mean = np.zeros(self.count)
        mean[RADIATION] = settings.spacecraft.reflectivity_coefficient
        information = np.zeros((self.count, self.count))
        information[RADIATION, RADIATION] = _RADIATION_SIGMA**-2
        log_determinant = -2.0 * np.log(_RADIATION_SIGMA)
        for process, parts in enumerate((drag, *empirical)):
            columns = slice(FIRST_NODE + process, None, PER_NODE)
            information[columns, columns], of_process = _information(self.nodes, interval_s, parts)
            log_determinant += of_process
        return Prior(mean, information, float(log_determinant))

    def lasting_drag(self, settings: OrbitSettings, factors: Factors, at_s: float) -> tuple[FloatArray, float]:
        """Return how the lasting part of the drag follows from the sum at the nodes; the other part ends within hours.

        Returns:
            Weights of the nodes' logarithms for the part at a time after the arc's start, and the variance that the
            nodes leave of it.
        """
        (sigma, time_s), fast = _drag_parts(settings, factors)
        until_s = np.abs(at_s - self.interval_s * np.arange(self.nodes))
        lasting = sigma**2 * np.exp(-until_s / time_s)
        information, _ = _information(self.nodes, self.interval_s, ((sigma, time_s), fast))
        weights: FloatArray = information @ lasting
        return weights, sigma**2 - float(weights @ lasting)


def _drag_parts(settings: OrbitSettings, factors: Factors) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return standard deviation and correlation time of the lasting and of the fast part of the drag's logarithm."""
    noise = settings.process_noise
    variation = max(noise.density_variation * factors.density_variation, _LEAST_VARIATION)
    return (noise.drag_log_sigma, noise.drag_log_time_s), (variation, noise.empirical_time_s)


@lru_cache(32)  # a fit compares factors, most of which it has compared before
def _information(nodes: int, interval_s: float, parts: tuple[tuple[float, float], ...]) -> tuple[FloatArray, float]:
    """Return the information of a sum of Gauss-Markov processes at the nodes, and the logarithm of its determinant.

    The information has the shape (nodes, nodes). A part is the standard deviation and correlation time of a process.
    """
    place_s = interval_s * np.arange(nodes)
    apart_s = np.abs(place_s[:, None] - place_s)
    covariance = np.sum([sigma**2 * np.exp(-apart_s / time_s) for sigma, time_s in parts], axis=0)
    return np.linalg.inv(covariance), -float(np.linalg.slogdet(covariance)[1])
