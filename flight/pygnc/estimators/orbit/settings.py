"""Settings of the orbit filter with units and defaults."""

import math
from dataclasses import dataclass, field, fields, replace
from typing import Final

from pygnc.common.validation import require_positive
from pygnc.environment.frames import EARTH_ROTATION_RAD_S
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.estimators.orbit.force_model import ForceModel, attainable_accuracy_m, select_force_model

RADIUS_RANGE_M: Final = (6.2e6, 5.0e7)
"""Limits of the settings: from below all orbits to beyond geostationary altitude."""
_SPEED_MARGIN: Final = 0.05


@dataclass(frozen=True, slots=True)
class ScreeningSettings:
    """Limits of a plausible fix; the defaults are those of low Earth orbit."""

    accept_position_status: tuple[int, ...] = (0,)
    """Accepted solution statuses of positions and velocities. NovAtel's 0 means "computed"; PyGNC's simulator always
    wrote 1, with which a real receiver reports that it has no fix.
    """
    time_status_min: int = 100
    """Least GPS reference time status; 100 is NovAtel's COARSE."""
    earliest_gps_week: int = 2048
    """First possible GPS week, 0 to 4096; earlier weeks are corrected by multiples of 1024, because the receiver's
    count has rolled over. 2048 began on 2019-04-07; set it to the week of the launch, or lower for older recordings.
    """
    radius_min_m: float = 6_478_000.0
    """Least distance from the Earth's centre, m; 6.2e6 or more."""
    radius_max_m: float = 9_000_000.0
    """Largest distance, m; up to 5e7. Set it above the apogee of an elliptical orbit, or to 4.3e7 for a geostationary
    one.
    """
    speed_min_mps: float | None = None
    """Least speed relative to the rotating Earth, m/s; by default that of all orbits between the two radii."""
    speed_max_mps: float | None = None
    """Largest such speed, m/s."""
    velocity_latency_max_s: float = 2.0

    def __post_init__(self) -> None:
        low_m, high_m = RADIUS_RANGE_M
        if not low_m <= self.radius_min_m < self.radius_max_m <= high_m:
            raise ValueError(
                f"radius_min_m must be less than radius_max_m, both from {low_m:g} to {high_m:g}, not"
                f" {self.radius_min_m:g} and {self.radius_max_m:g}"
            )
        slowest_mps, fastest_mps = self.speed_limits_mps
        if not 0.0 <= slowest_mps < fastest_mps:
            raise ValueError(
                f"speed_min_mps must be at least 0 and less than speed_max_mps, not {slowest_mps:g} and {fastest_mps:g}"
            )
        if not 0 <= self.earliest_gps_week <= 4096:
            raise ValueError(f"earliest_gps_week must be from 0 to 4096, not {self.earliest_gps_week}")

    @property
    def speed_limits_mps(self) -> tuple[float, float]:
        """Least and largest speed relative to the rotating Earth, m/s: 5 % beyond all orbits between the radii."""
        near_m, far_m = self.radius_min_m, self.radius_max_m
        # Both extremes belong to the ellipse that touches both radii (vis-viva equation).
        at_perigee_mps, at_apogee_mps = (
            math.sqrt(2.0 * GM_EARTH_M3_S2 * (1.0 / radius_m - 1.0 / (near_m + far_m))) for radius_m in (near_m, far_m)
        )
        slowest_mps = max(at_apogee_mps - EARTH_ROTATION_RAD_S * far_m, 0.0) * (1.0 - _SPEED_MARGIN)
        fastest_mps = (at_perigee_mps + EARTH_ROTATION_RAD_S * near_m) * (1.0 + _SPEED_MARGIN)
        return (
            slowest_mps if self.speed_min_mps is None else self.speed_min_mps,
            fastest_mps if self.speed_max_mps is None else self.speed_max_mps,
        )


@dataclass(frozen=True, slots=True)
class SpacecraftSettings:
    """Mass and surface of the satellite. The filter estimates a factor on the drag that results from them."""

    mass_kg: float = 1.58
    area_m2: float = 0.02
    drag_coefficient: float = 2.2
    reflectivity_coefficient: float = 1.3

    def __post_init__(self) -> None:
        require_positive(self, zero_allowed=("area_m2", "drag_coefficient", "reflectivity_coefficient"))


@dataclass(frozen=True, slots=True)
class ElementsSettings:
    """Uploaded mean elements (`~/pygnc_elements.txt`), which give the orbit while there is none from fixes."""

    expected_object: str = ""
    """Catalogue number or international designator (1998-067A) that the elements must have; empty accepts any."""
    age_max_days: float = 30.0
    """Longest time between the epoch of the elements and their use, days; 0.1 to 60."""
    position_sigma_m: tuple[float, float, float] = (300.0, 1_000.0, 300.0)
    """Standard deviations at the epoch, m: radial, transverse and normal, 1 to 1e6 each. Errors of a few kilometres
    were found for small satellites in low Earth orbit (Kahr et al., J. Spacecraft Rockets 50, 2013).
    """
    growth_m_per_day: float = 1_000.0
    """Growth of the transverse standard deviation, m per day; 0 to 1e6."""
    drag_error: float = 0.3
    """Share of the displacement by drag since the epoch that adds to the transverse standard deviation; 0 to 1."""

    def __post_init__(self) -> None:
        if len(self.position_sigma_m) != 3 or not all(1.0 <= sigma_m <= 1e6 for sigma_m in self.position_sigma_m):
            raise ValueError(f"position_sigma_m must be three numbers from 1 to 1e6, not {self.position_sigma_m}")
        limits = {"age_max_days": (0.1, 60.0), "growth_m_per_day": (0.0, 1e6), "drag_error": (0.0, 1.0)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low:g} to {high:g}, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class ProcessNoiseSettings:
    """First-order Gauss-Markov processes: steady-state standard deviation and correlation time of each."""

    drag_log_sigma: float = 0.8
    """Standard deviation of the natural logarithm of the drag factor: 0.5 for the density, whose table holds for a mean
    Sun only, and the rest for area and drag coefficient.
    """
    drag_log_time_s: float = 172_800.0
    density_variation: float = 0.2
    """Variation of the density along an orbit as a fraction of drag; it adds to the transverse empirical acceleration.
    """
    empirical_sigma_mps2: tuple[float, float, float] = (3.0e-8, 3.0e-8, 3.0e-8)
    """Standard deviations of the empirical acceleration, radial, transverse and normal."""
    empirical_time_s: float = 900.0
    empirical_factor_max: float = 3_000.0
    """Upper limit of the factor by which the filter widens the empirical accelerations while its innovations are
    correlated.
    """
    unknown_force_mps2: float = 1.0e-4
    """Standard deviation of each component of an unknown force or thrust, as an acceleration."""

    def __post_init__(self) -> None:
        require_positive(self, "drag_log_sigma", "drag_log_time_s", "empirical_time_s", "unknown_force_mps2")
        if len(self.empirical_sigma_mps2) != 3 or min(self.empirical_sigma_mps2) <= 0.0:
            raise ValueError(f"empirical_sigma_mps2 must be three positive numbers, not {self.empirical_sigma_mps2}")
        if self.density_variation < 0.0 or self.empirical_factor_max < 1.0:
            raise ValueError(
                f"density_variation {self.density_variation:g} must be at least 0,"
                f" empirical_factor_max {self.empirical_factor_max:g} at least 1"
            )


@dataclass(frozen=True, slots=True)
class MeasurementSettings:
    """Measurement noise and gate."""

    position_sigma_default_m: float = 10.0
    """Standard deviation if the receiver reports zero; with that of the velocity it also determines the force model."""
    position_sigma_floor_m: float = 1.0
    velocity_sigma_default_mps: float = 0.01
    velocity_sigma_floor_mps: float = 0.001
    time_sigma_s: float | None = None
    """Standard deviation of a constant error of the receiver's clock, s, 0 to 1; by default what its time status says,
    or 0 without one. Set it for a receiver that does not steer its clock: 1 ms is 7.6 m in low orbit.
    """
    correlated_errors: bool = True
    """Weigh hypotheses on time-correlated errors of the receiver; otherwise all errors are taken as white."""
    slow_velocity_error_mps: float = 0.1
    """Standard deviation, per axis, of a slow error of the velocity that the receiver does not report, while the
    positions contradict the velocities.
    """
    gate: float = 21.1
    """Chi-square limit for position and for velocity; with 3 degrees of freedom, 21.1 is exceeded once in 10 000."""
    noise_scale_min: float = 0.5
    """Lower limit of the adaptive factor on the standard deviations; noise_scale_max is the upper limit."""
    noise_scale_max: float = 10.0

    def __post_init__(self) -> None:
        names = (each.name for each in fields(self) if each.name != "time_sigma_s")
        require_positive(self, *names, zero_allowed=("correlated_errors",))
        if self.time_sigma_s is not None and not 0.0 <= self.time_sigma_s <= 1.0:
            raise ValueError(f"time_sigma_s must be from 0 to 1, not {self.time_sigma_s:g}")
        if not self.noise_scale_min <= 1.0 <= self.noise_scale_max:
            raise ValueError(
                f"noise_scale_min {self.noise_scale_min:g} must be at most 1,"
                f" noise_scale_max {self.noise_scale_max:g} at least 1"
            )


@dataclass(frozen=True, slots=True)
class StartSettings:
    """Settings of the initialisation and re-initialisation of the filter."""

    fixes: int = 5
    """Number of fixes that must agree for the initialisation; after twice as many, a majority suffices."""
    restart_fixes: int = 3
    """Number of successive rejected fixes that, if they agree with each other, replace the state. Fixes to which no
    manoeuvre leads must be as many as those of the state, or twice `fixes`.
    """
    agreement_sigma: float = 5.0
    """A fix agrees if it is within this many (three-dimensional) standard deviations of the median orbit."""
    span_max_s: float = 7_200.0
    """Largest time between the median time of the buffered fixes and a fix used for the initialisation."""
    gap_max_s: float = 43_200.0
    """Longest gap over which the state is propagated; after a longer gap the filter re-initialises."""

    def __post_init__(self) -> None:
        require_positive(self)
        if not 2 <= self.restart_fixes <= self.fixes:
            raise ValueError(f"restart_fixes must be from 2 to fixes ({self.fixes}), not {self.restart_fixes}")


@dataclass(frozen=True, slots=True)
class ManoeuvreSettings:
    """Manoeuvres that the fixes may show, if `manoeuvre_detection` is set."""

    delta_v_min_mps: float = 0.01
    """Least expected change of the velocity by an impulse."""
    delta_v_max_mps: float = 2.0
    """Largest change; larger innovations are damage or need a new orbit."""
    gap_max_s: float = 600.0
    """Longest time without fixes across which a manoeuvre is detected: unknown drag changes the orbit, too."""

    def __post_init__(self) -> None:
        require_positive(self)
        if self.delta_v_min_mps > self.delta_v_max_mps:
            text = f"{self.delta_v_min_mps:g} and {self.delta_v_max_mps:g}"
            raise ValueError(f"delta_v_min_mps must be at most delta_v_max_mps, not {text}")


@dataclass(frozen=True, slots=True)
class ArcSettings:
    """Expected length and density of the fixes. The force model is chosen for these and for the default sigmas."""

    duration_s: float = 10_800.0
    fix_interval_s: float = 25.0

    def __post_init__(self) -> None:
        require_positive(self)


@dataclass(frozen=True, slots=True)
class OrbitSettings:
    """Settings of the orbit filter."""

    gravity_degree: int | None = None
    """Degree and order of the gravity field, 2 to 70; by default chosen from the expected noise and arc."""
    manoeuvre_detection: bool = True
    """Detect changes of the velocity by the innovations, and report them."""
    own_receiver: str = ""
    """NAME of the `[devices.NAME]` that is a satellite navigation receiver; its fixes are used beside the host's. Empty
    for none.
    """
    arc: ArcSettings = field(default_factory=ArcSettings)
    screening: ScreeningSettings = field(default_factory=ScreeningSettings)
    spacecraft: SpacecraftSettings = field(default_factory=SpacecraftSettings)
    elements: ElementsSettings = field(default_factory=ElementsSettings)
    process_noise: ProcessNoiseSettings = field(default_factory=ProcessNoiseSettings)
    measurement: MeasurementSettings = field(default_factory=MeasurementSettings)
    manoeuvre: ManoeuvreSettings = field(default_factory=ManoeuvreSettings)
    start: StartSettings = field(default_factory=StartSettings)

    def __post_init__(self) -> None:
        if self.gravity_degree is not None and not 2 <= self.gravity_degree <= 70:
            raise ValueError(f"gravity_degree must be from 2 to 70, not {self.gravity_degree}")

    @property
    def force_model(self) -> ForceModel:
        """The force model of the propagation."""
        accuracy_m = attainable_accuracy_m(
            self.measurement.position_sigma_default_m,
            self.measurement.velocity_sigma_default_mps,
            self.arc.duration_s,
            self.arc.fix_interval_s,
        )
        model = select_force_model(accuracy_m)
        return model if self.gravity_degree is None else replace(model, gravity_degree=self.gravity_degree)
