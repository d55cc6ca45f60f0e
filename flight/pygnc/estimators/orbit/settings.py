"""Settings of the orbit filter with units, ranges and defaults."""

import math
from dataclasses import dataclass, field, replace
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from pygnc.common.setting_types import ChiSquare, Inflation, LogSigma, Name, Share
from pygnc.environment.frames import EARTH_ROTATION_RAD_S
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.estimators.orbit.force_model import ForceModel, attainable_accuracy_m, select_force_model

RADIUS_RANGE_M: Final = (6.2e6, 5.0e7)
"""Limits of the settings: from below all orbits to beyond geostationary altitude."""
AREA_TO_MASS_MAX_M2_KG: Final = 20.0
"""Largest area by mass; that of balloon satellites is 10 m2/kg, of CubeSats 0.01 m2/kg."""
_SPEED_MARGIN: Final = 0.05
_Octet: TypeAlias = Annotated[int, Meta(ge=0, le=255)]
_Radius: TypeAlias = Annotated[float, Meta(ge=RADIUS_RANGE_M[0], le=RADIUS_RANGE_M[1])]
_Sigma: TypeAlias = Annotated[float, Meta(ge=1.0, le=1e6)]
_Acceleration: TypeAlias = Annotated[float, Meta(ge=1e-12, le=1e-5)]


@dataclass(frozen=True, slots=True)
class ScreeningSettings:
    """Limits of a plausible fix; the defaults are those of low Earth orbit."""

    accept_position_status: Annotated[tuple[_Octet, ...], Meta(min_length=1, max_length=16)] = (0,)
    """Accepted solution statuses of positions and velocities. NovAtel's 0 means "computed"; PyGNC's simulator always
    wrote 1, with which a real receiver reports that it has no fix.
    """
    time_status_min: _Octet = 100
    """Least GPS reference time status; 100 is NovAtel's COARSE, 10 ms. The age of a solution counts as such an error.
    """
    earliest_gps_week: Annotated[int, Meta(ge=0, le=4096)] = 2048
    """First possible GPS week; earlier weeks are corrected by multiples of 1024, because the receiver's
    count has rolled over. 2048 began on 2019-04-07; set it to the week of the launch, or lower for older recordings.
    """
    radius_min_m: _Radius = 6_478_000.0
    """Least distance from the Earth's centre, m."""
    radius_max_m: _Radius = 9_000_000.0
    """Largest distance, m. Set it above the apogee of an elliptical orbit, or to 4.3e7 for a geostationary
    one.
    """
    speed_min_mps: Annotated[float, Meta(ge=0.0, le=20_000.0)] | None = None
    """Least speed relative to the rotating Earth, m/s; by default that of all orbits between the two radii."""
    speed_max_mps: Annotated[float, Meta(ge=0.0, le=20_000.0)] | None = None
    """Largest such speed, m/s."""
    velocity_latency_max_s: Annotated[float, Meta(ge=0.0, le=5.0)] = 2.0

    def __post_init__(self) -> None:
        if self.radius_min_m >= self.radius_max_m:
            text = f"{self.radius_min_m:g} and {self.radius_max_m:g}"
            raise ValueError(f"radius_min_m must be less than radius_max_m, not {text}")
        slowest_mps, fastest_mps = self.speed_limits_mps
        if slowest_mps >= fastest_mps:
            raise ValueError(f"speed_min_mps must be less than speed_max_mps, not {slowest_mps:g} and {fastest_mps:g}")

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

    mass_kg: Annotated[float, Meta(ge=0.01, le=1e6)] = 1.58
    area_m2: Annotated[float, Meta(ge=0.0, le=1e4)] = 0.02
    drag_coefficient: Annotated[float, Meta(ge=0.0, le=10.0)] = 2.2
    reflectivity_coefficient: Annotated[float, Meta(ge=0.0, le=10.0)] = 1.3

    def __post_init__(self) -> None:
        if self.area_m2 > AREA_TO_MASS_MAX_M2_KG * self.mass_kg:
            ratio = f"{self.area_m2 / self.mass_kg:g} m2/kg"
            raise ValueError(f"area_m2 / mass_kg must be at most {AREA_TO_MASS_MAX_M2_KG:g} m2/kg, not {ratio}")


@dataclass(frozen=True, slots=True)
class ElementsSettings:
    """Uploaded mean elements (`~/pygnc_elements.txt`), which give the orbit while there is none from fixes."""

    expected_object: Name = ""
    """Catalogue number or international designator (1998-067A) that the elements must have; empty accepts any."""
    age_max_days: Annotated[float, Meta(ge=0.1, le=60.0)] = 30.0
    """Longest time between the epoch of the elements and their use, days."""
    position_sigma_m: tuple[_Sigma, _Sigma, _Sigma] = (300.0, 1_000.0, 300.0)
    """Standard deviations at the epoch, m: radial, transverse and normal. Errors of a few kilometres
    were found for small satellites in low Earth orbit (Kahr et al., J. Spacecraft Rockets 50, 2013).
    """
    growth_m_per_day: Annotated[float, Meta(ge=0.0, le=1e6)] = 1_000.0
    """Growth of the transverse standard deviation, m per day."""
    drag_error: Share = 0.3
    """Share of the displacement by drag since the epoch that adds to the transverse standard deviation."""


@dataclass(frozen=True, slots=True)
class ProcessNoiseSettings:
    """First-order Gauss-Markov processes: steady-state standard deviation and correlation time of each."""

    drag_log_sigma: LogSigma = 0.8
    """Standard deviation of the natural logarithm of the drag factor: 0.5 for the density, whose table holds for a mean
    Sun only, and the rest for area and drag coefficient.
    """
    drag_log_time_s: Annotated[float, Meta(ge=3_600.0, le=1e8)] = 172_800.0
    density_variation: Share = 0.2
    """Variation of the density along an orbit as a fraction of drag; it adds to the transverse empirical acceleration.
    """
    empirical_sigma_mps2: tuple[_Acceleration, _Acceleration, _Acceleration] = (3.0e-8, 3.0e-8, 3.0e-8)
    """Standard deviations of the empirical acceleration, radial, transverse and normal."""
    empirical_time_s: Annotated[float, Meta(ge=10.0, le=1e6)] = 900.0
    empirical_factor_max: Annotated[float, Meta(ge=1.0, le=1e5)] = 3_000.0
    """Upper limit of the factor by which the filter widens the empirical accelerations while its innovations are
    correlated.
    """
    unknown_force_mps2: Annotated[float, Meta(ge=1e-8, le=1.0)] = 1.0e-4
    """Standard deviation of each component of an unknown force or thrust, as an acceleration."""


@dataclass(frozen=True, slots=True)
class MeasurementSettings:
    """Measurement noise and gate."""

    position_sigma_default_m: Annotated[float, Meta(ge=1e-3, le=1e5)] = 10.0
    """Standard deviation if the receiver reports zero; with that of the velocity it also determines the force model."""
    position_sigma_floor_m: Annotated[float, Meta(ge=1e-3, le=1e5)] = 1.0
    velocity_sigma_default_mps: Annotated[float, Meta(ge=1e-5, le=1e3)] = 0.01
    velocity_sigma_floor_mps: Annotated[float, Meta(ge=1e-5, le=1e3)] = 0.001
    time_sigma_s: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    """Standard deviation of a constant error of the receiver's clock, s; by default what its time status says,
    or 0 without one. Set it for a receiver that does not steer its clock: 1 ms is 7.6 m in low orbit.
    """
    correlated_errors: bool = True
    """Weigh hypotheses on time-correlated errors of the receiver; otherwise all errors are taken as white."""
    slow_velocity_error_mps: Annotated[float, Meta(ge=1e-4, le=100.0)] = 0.1
    """Standard deviation, per axis, of a slow error of the velocity that the receiver does not report, while the
    positions contradict the velocities.
    """
    gate: ChiSquare = 21.1
    """Chi-square limit for position and for velocity; with 3 degrees of freedom, 21.1 is exceeded once in 10 000."""
    noise_scale_min: Annotated[float, Meta(ge=0.01, le=1.0)] = 0.5
    """Lower limit of the adaptive factor on the standard deviations; noise_scale_max is the upper limit."""
    noise_scale_max: Inflation = 10.0


@dataclass(frozen=True, slots=True)
class StartSettings:
    """Settings of the initialisation and re-initialisation of the filter."""

    fixes: Annotated[int, Meta(ge=2, le=12)] = 5
    """Number of fixes that must agree for the initialisation; after twice as many, a majority suffices."""
    restart_fixes: Annotated[int, Meta(ge=2, le=12)] = 3
    """Number of successive rejected fixes that, if they agree with each other, replace the state. Fixes to which no
    manoeuvre leads must be as many as those of the state, or twice `fixes`.
    """
    agreement_sigma: Annotated[float, Meta(ge=1.0, le=100.0)] = 5.0
    """A fix agrees if it is within this many (three-dimensional) standard deviations of the median orbit."""
    span_max_s: Annotated[float, Meta(ge=1.0, le=86_400.0)] = 7_200.0
    """Largest time between the median time of the buffered fixes and a fix used for the initialisation."""
    gap_max_s: Annotated[float, Meta(ge=60.0, le=604_800.0)] = 43_200.0
    """Longest gap over which the state is propagated; after a longer gap the filter re-initialises."""

    def __post_init__(self) -> None:
        if self.restart_fixes > self.fixes:
            raise ValueError(f"restart_fixes must be at most fixes ({self.fixes}), not {self.restart_fixes}")


@dataclass(frozen=True, slots=True)
class ManoeuvreSettings:
    """Manoeuvres that the fixes may show, if `manoeuvre_detection` is set."""

    delta_v_min_mps: Annotated[float, Meta(ge=1e-4, le=1e3)] = 0.01
    """Least expected change of the velocity by an impulse."""
    delta_v_max_mps: Annotated[float, Meta(ge=1e-4, le=1e3)] = 2.0
    """Largest change; larger innovations are damage or need a new orbit."""
    gap_max_s: Annotated[float, Meta(ge=1.0, le=86_400.0)] = 600.0
    """Longest time without fixes across which a manoeuvre is detected: unknown drag changes the orbit, too."""

    def __post_init__(self) -> None:
        if self.delta_v_min_mps > self.delta_v_max_mps:
            text = f"{self.delta_v_min_mps:g} and {self.delta_v_max_mps:g}"
            raise ValueError(f"delta_v_min_mps must be at most delta_v_max_mps, not {text}")


@dataclass(frozen=True, slots=True)
class ArcSettings:
    """Expected length and density of the fixes. The force model is chosen for these and for the default sigmas."""

    duration_s: Annotated[float, Meta(ge=60.0, le=2_592_000.0)] = 10_800.0
    fix_interval_s: Annotated[float, Meta(ge=0.01, le=86_400.0)] = 25.0


@dataclass(frozen=True, slots=True)
class OrbitSettings:
    """Settings of the orbit filter."""

    gravity_degree: Annotated[int, Meta(ge=2, le=70)] | None = None
    """Degree and order of the gravity field; by default chosen from the expected noise and arc."""
    manoeuvre_detection: bool = True
    """Detect changes of the velocity by the innovations, and report them."""
    own_receiver: Name = ""
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
