"""What can be set on the orbit filter, with units and defaults.

How much of the physics an orbit is worth: the better the receiver and the longer the arc, the more of it.

The effort follows from the accuracy that the fixes allow. Fixes with position sigma p and velocity sigma v locate an
orbit of mean motion n as well as positions of sigma e do, 1/e^2 = 1/p^2 + (n/v)^2, and N of them bring the error of
the position down to about 3 e / sqrt(N) (within 15 % of the Cramer-Rao bound at 500 km for arcs of 3 h and more).
What the force model leaves out shall stay below a quarter of that.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Final

from pygnc.common.validation import require_positive

_MEAN_MOTION_RAD_S: Final = 1.1e-3
"""At 500 km; 5 % more or less between 300 and 900 km."""


@dataclass(frozen=True, slots=True)
class ForceModel:
    """What the propagation takes into account.

    Attributes:
        gravity_degree: Degree and order of the gravity field.
        step_max_ms: Longest integration step.
        minor_forces: Whether tides and sunlight count, some 1e-7 m/s^2 each.
    """

    gravity_degree: int
    step_max_ms: int
    minor_forces: bool


_MODELS: Final = (
    (4.0, ForceModel(20, 60_000, minor_forces=False)),
    (2.0, ForceModel(40, 60_000, minor_forces=True)),
    (1.2, ForceModel(50, 30_000, minor_forces=True)),
    (0.0, ForceModel(70, 30_000, minor_forces=True)),
)
"""By the least accuracy in m for which they suffice. What degree 20, 40, 50 and 70 do not hold costs 2, 0.5, 0.1 and
0.06 m in 3 h, five times that in 12 h; steps of 60 s cost 5 cm in 3 h, of 30 s 1 cm."""


def attainable_accuracy_m(
    position_sigma_m: float, velocity_sigma_mps: float, arc_s: float, fix_interval_s: float
) -> float:
    """Error of position (3-D RMS over the arc, smoothed) that fixes every `fix_interval_s` seconds allow."""
    effective_m = 1.0 / math.hypot(1.0 / position_sigma_m, _MEAN_MOTION_RAD_S / velocity_sigma_mps)
    return 3.0 * effective_m / math.sqrt(max(arc_s / fix_interval_s, 1.0))


def model_for(accuracy_m: float) -> ForceModel:
    """The cheapest model that is good enough for an accuracy."""
    return next(model for least_m, model in _MODELS if accuracy_m >= least_m)


@dataclass(frozen=True, slots=True)
class ScreeningSettings:
    """What counts as a plausible fix of a satellite in low Earth orbit."""

    accept_position_status: tuple[int, ...] = (0,)
    """Solution statuses of usable positions, and of usable velocities. NovAtel's 0 is "computed"; PyGNC's simulator
    wrote 1 throughout, with which a real receiver says that it has no fix."""
    time_status_min: int = 100
    """Least GPS time status; 100 is NovAtel's COARSE."""
    radius_min_m: float = 6_478_000.0
    radius_max_m: float = 9_000_000.0
    speed_min_mps: float = 5_000.0
    """Speeds are relative to the rotating Earth."""
    speed_max_mps: float = 9_500.0
    velocity_latency_max_s: float = 2.0

    def __post_init__(self) -> None:
        if not 0.0 < self.radius_min_m < self.radius_max_m or not 0.0 <= self.speed_min_mps < self.speed_max_mps:
            raise ValueError("radius_min_m and speed_min_mps are below their maxima, and the radius is positive")


@dataclass(frozen=True, slots=True)
class SpacecraftSettings:
    """The satellite as air and light see it. Drag is estimated by a factor on what these make expect."""

    mass_kg: float = 1.58
    area_m2: float = 0.02
    drag_coefficient: float = 2.2
    reflectivity_coefficient: float = 1.3

    def __post_init__(self) -> None:
        require_positive(self, "mass_kg")
        if min(self.area_m2, self.drag_coefficient, self.reflectivity_coefficient) < 0.0:
            raise ValueError("area_m2, drag_coefficient and reflectivity_coefficient are not negative")


@dataclass(frozen=True, slots=True)
class ProcessNoiseSettings:
    """First-order Gauss-Markov processes: steady standard deviation and correlation time of each."""

    drag_log_sigma: float = 0.8
    """Of the natural logarithm of the drag factor: 0.5 for the density, which the table knows for a mean Sun only, and
    the rest for area and drag coefficient."""
    drag_log_time_s: float = 172_800.0
    density_variation: float = 0.2
    """Deviation of the density along an orbit as a fraction of drag; adds to the transverse empirical acceleration."""
    empirical_sigma_mps2: tuple[float, float, float] = (3.0e-8, 3.0e-8, 3.0e-8)
    """Of the unmodelled acceleration, radial, transverse and normal."""
    empirical_time_s: float = 900.0
    empirical_factor_max: float = 3_000.0
    """The filter widens the empirical accelerations up to this much while its innovations are correlated."""

    def __post_init__(self) -> None:
        require_positive(self, "drag_log_sigma", "drag_log_time_s", "empirical_time_s")
        if len(self.empirical_sigma_mps2) != 3 or min(self.empirical_sigma_mps2) <= 0.0:
            raise ValueError("empirical_sigma_mps2 is three positive numbers")
        if self.density_variation < 0.0 or self.empirical_factor_max < 1.0:
            raise ValueError("density_variation is not negative, empirical_factor_max at least 1")


@dataclass(frozen=True, slots=True)
class MeasurementSettings:
    """How far the receiver is believed."""

    position_sigma_default_m: float = 10.0
    """Taken where the receiver gives zero or nothing; with that of the velocity it also decides on the force model."""
    position_sigma_floor_m: float = 1.0
    velocity_sigma_default_mps: float = 0.01
    velocity_sigma_floor_mps: float = 0.001
    gate: float = 21.1
    """Chi-square limit for each of position and velocity; 3 degrees of freedom exceed 21.1 once in 10 000."""
    noise_scale_min: float = 0.5
    """Bounds of the adaptive factor on the sigmas."""
    noise_scale_max: float = 10.0

    def __post_init__(self) -> None:
        require_positive(
            self,
            "position_sigma_default_m",
            "position_sigma_floor_m",
            "velocity_sigma_default_mps",
            "velocity_sigma_floor_mps",
            "gate",
            "noise_scale_min",
        )
        if not self.noise_scale_min <= 1.0 <= self.noise_scale_max:
            raise ValueError("noise_scale_min is at most 1, noise_scale_max at least 1")


@dataclass(frozen=True, slots=True)
class StartSettings:
    """How the filter starts, and starts again."""

    fixes: int = 5
    """Fixes gathered before the start."""
    restart_fixes: int = 3
    """Consecutive rejected fixes that agree with each other and then replace the state."""
    span_max_s: float = 7_200.0
    """Fixes farther apart than this do not start a state together."""
    gap_max_s: float = 43_200.0
    """After a longer gap the state is not carried on; the filter starts again."""

    def __post_init__(self) -> None:
        require_positive(self, "span_max_s", "gap_max_s")
        if not 2 <= self.restart_fixes <= self.fixes:
            raise ValueError("restart_fixes is from 2 to fixes")


@dataclass(frozen=True, slots=True)
class ArcSettings:
    """What the receiver is expected to give. The force model is chosen for this and for the default sigmas."""

    duration_s: float = 10_800.0
    fix_interval_s: float = 25.0

    def __post_init__(self) -> None:
        require_positive(self, "duration_s", "fix_interval_s")


@dataclass(frozen=True, slots=True)
class OrbitSettings:
    """All of it."""

    gravity_degree: int | None = None
    """Degree and order of the gravity field, 2 to 70; chosen by the expected noise and arc if not given."""
    arc: ArcSettings = field(default_factory=ArcSettings)
    screening: ScreeningSettings = field(default_factory=ScreeningSettings)
    spacecraft: SpacecraftSettings = field(default_factory=SpacecraftSettings)
    process_noise: ProcessNoiseSettings = field(default_factory=ProcessNoiseSettings)
    measurement: MeasurementSettings = field(default_factory=MeasurementSettings)
    start: StartSettings = field(default_factory=StartSettings)

    def __post_init__(self) -> None:
        if self.gravity_degree is not None and not 2 <= self.gravity_degree <= 70:
            raise ValueError("gravity_degree is from 2 to 70")

    @property
    def force_model(self) -> ForceModel:
        """What the propagation takes into account."""
        accuracy_m = attainable_accuracy_m(
            self.measurement.position_sigma_default_m,
            self.measurement.velocity_sigma_default_mps,
            self.arc.duration_s,
            self.arc.fix_interval_s,
        )
        model = model_for(accuracy_m)
        return model if self.gravity_degree is None else replace(model, gravity_degree=self.gravity_degree)
