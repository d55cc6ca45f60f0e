"""Settings of the GPS receiver."""

from typing import Annotated

import msgspec

from pygnc_ground.scenario.section import Fraction, NonNegative, Positive, Section


class Gps(Section, frozen=True):
    """A receiver that gives position and velocity fixes; noise is per ECEF axis, 1 sigma.

    One receiver makes the fixes of the sense and of the range files: outages and coloured noise are common to both,
    white noise and outliers are not.
    """

    position_noise_m: NonNegative = 10.0
    velocity_noise_mps: NonNegative = 0.01
    coloured_position_noise_m: NonNegative = 0.0
    """A first-order Gauss-Markov process that adds to the white noise."""
    coloured_velocity_noise_mps: NonNegative = 0.0
    coloured_noise_time_s: Positive = 600.0
    """Correlation time: after it, 1/e of an error is left."""
    reported_sigma_factor: NonNegative = 1.0
    """What the receiver reports, over the true standard deviation; 0 where it reports none."""
    velocity_latency_s: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.15
    """The velocity is valid this long before the time of the fix."""
    time_status: Annotated[int, msgspec.Meta(ge=0, le=255)] = 180
    """With a fix; in the first minute after a cold start it is 160 instead."""

    cold_start_s: NonNegative = 0.0
    """As long after the start there is no fix."""
    time_unknown_fraction: Fraction = 0.5
    """Of the cold start: in this first part of it the time is not known either."""
    outages_s: tuple[tuple[NonNegative, Positive], ...] = ()
    """Times without a fix, each as begin after the start and duration."""
    outage_rate_per_h: Annotated[float, msgspec.Meta(ge=0.0, le=3600.0)] = 0.0
    """Further outages, at random."""
    outage_mean_s: Positive = 120.0
    """Mean duration of the random outages; they are distributed exponentially."""
    fix_every_records: Annotated[int, msgspec.Meta(ge=1)] = 1
    """The receiver is on during one record of as many, the first one of them, and has no fix during the others."""

    position_outlier_rate: Fraction = 0.0
    """Of the fixes whose position is off by `position_outlier_m` in a random direction."""
    position_outlier_m: NonNegative = 1000.0
    velocity_outlier_rate: Fraction = 0.0
    velocity_outlier_mps: NonNegative = 10.0
    velocity_missing_rate: Fraction = 0.0
    """Of the fixes that come without a velocity."""
