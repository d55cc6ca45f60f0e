"""What can be set on the calibration of the magnetometer, with units and defaults."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """What is assumed of magnetometer and field model, 1 sigma, and what is asked of a solution."""

    field_error_ut: float = 0.3
    """Of the field model, per axis, constant in inertial axes: it widens the covariance."""
    scale_error: float = 0.05
    """Of each element of the matrix where the data do not tell it."""
    samples_min: int = 60
    gate: float = 4.5
    """Readings off by more sigmas of the others' scatter are left out."""
    bias_sigma_max_ut: float = 3.0
    """An axis whose bias is known less well is unresolved."""
    prior_sigma_max_ut: float = 1.0
    """From here down on a solution is good enough for the attitude filter to start with."""

    def __post_init__(self) -> None:
        positive = (self.scale_error, self.gate, self.bias_sigma_max_ut, self.prior_sigma_max_ut)
        if min(positive) <= 0.0 or self.field_error_ut < 0.0:
            raise ValueError("scale_error, gate and the sigmas are positive, field_error_ut is not negative")
        if self.samples_min < 20:
            raise ValueError("samples_min is at least 20")
