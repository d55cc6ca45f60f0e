"""Chi-square gate for one kind of observation, and what its innovations teach about noise and model.

Two successive innovations tell measurement noise and model error apart:

- Their difference, squared and over its predicted variance (von Neumann, 1941), is one on average when the receiver's
  standard deviations are right. A slowly changing model error cancels in it. It steers a factor on those deviations.
- Their product (Mehra, IEEE TAC 15, 1970) is zero on average when the model is right, whatever the noise. It steers the
  process noise.

Were one statistic to steer both, a wrong model would pass for receiver noise and be trusted all the more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.arrays import Array
from pygnc.estimators.orbit.measurement import Observation
from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc.estimators.orbit.square_root import innovation_covariance
from pygnc.estimators.orbit.state import OrbitState
from pygnc.estimators.orbit.update import Innovation

_WEIGHT: Final = 1.0 / 100.0
"""Of one pair of fixes in the factor's square."""
_SPREAD_SUSPICIOUS: Final = 2.0
"""Half a dozen fixes that scatter more than this show that the receiver's standard deviations are too small."""

_MODEL_WEIGHT: Final = 0.2
_MODEL_BIAS: Final = 0.1
"""How fast the empirical accelerations widen when innovations are correlated, and what correlation lets them narrow."""


class Judgement(NamedTuple):
    """What a gate says of an observation.

    Attributes:
        used: The observation as the filter may use it; None when it is too far off.
        innovation: How far off it is.
        gate: The gate for the next one.
    """

    used: Observation | None
    innovation: Innovation
    gate: "Gate"


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate, and the last innovation.

    Attributes:
        factor: Multiplies the receiver's standard deviations.
        residual: Last innovation.
        variance: Its predicted variance; infinite where there is nothing to compare with.
        accepted: Whether it passed. Only two verdicts alike are compared: an outlier among good fixes says nothing on
            noise or model.
        correlation: Product of the last two innovations in standard deviations, averaged over the axes; zero where they
            could not be compared.
    """

    factor: float = 1.0
    residual: tuple[float, ...] = (0.0, 0.0, 0.0)
    variance: tuple[float, ...] = (math.inf, math.inf, math.inf)
    accepted: bool = False
    correlation: float = 0.0

    def restarted(self, spread: float, limits: MeasurementSettings) -> "Gate":
        """The gate for a state made from fixes that scatter by `spread` of their standard deviations."""
        scale = spread if spread > _SPREAD_SUSPICIOUS else 1.0
        return Gate(min(max(self.factor, scale), limits.noise_scale_max))

    def judge(self, observation: Observation, predicted: OrbitState, limits: MeasurementSettings) -> Judgement:
        """Compare an observation with what the predicted state makes expect."""
        scaled = observation.widened(self.factor)
        covariance = innovation_covariance(predicted.sqrt_covariance, scaled.partials, scaled.sigma)
        distance = chi_square(observation.residual, covariance)
        accepted = distance <= limits.gate
        residual = tuple(observation.residual.tolist())
        variance = tuple(np.diagonal(covariance).tolist())
        ratio, correlation = 1.0, 0.0
        if accepted == self.accepted and self.variance[0] < math.inf:
            axes = list(zip(residual, self.residual, variance, self.variance, strict=True))
            ratio = sum((new - old) ** 2 / (var + var_old) for new, old, var, var_old in axes) / len(axes)
            correlation = sum(new * old / math.sqrt(var * var_old) for new, old, var, var_old in axes) / len(axes)
        most = limits.gate / len(residual)
        factor = self.factor * math.sqrt(1.0 + _WEIGHT * (min(ratio, most) - 1.0))
        factor = min(max(factor, limits.noise_scale_min), limits.noise_scale_max)
        correlation = min(max(correlation, -most), most)
        innovation = Innovation(residual, tuple(map(math.sqrt, variance)), distance)
        gate = Gate(factor, residual, variance, accepted, correlation)
        return Judgement(scaled if accepted else None, innovation, gate)


def empirical_factor(factor: float, gates: Sequence[Gate], factor_max: float) -> float:
    """The factor on the empirical accelerations after the gates of one fix: wider while innovations are alike."""
    correlation = sum(gate.correlation for gate in gates) / len(gates)
    factor *= math.exp(0.5 * _MODEL_WEIGHT * (correlation - _MODEL_BIAS))
    return min(max(factor, 1.0), factor_max)


def chi_square(residual: Array, covariance: Array) -> float:
    """Normalised innovation squared r' S^-1 r of three numbers, by Cholesky's factors in plain floats."""
    r0, r1, r2 = residual.tolist()
    (s00, s10, s20), (_, s11, s21), (_, _, s22) = covariance.tolist()
    l00 = math.sqrt(s00)
    l10, l20 = s10 / l00, s20 / l00
    l11 = math.sqrt(s11 - l10 * l10)
    l21 = (s21 - l20 * l10) / l11
    l22 = math.sqrt(s22 - l20 * l20 - l21 * l21)
    y0 = r0 / l00
    y1 = (r1 - l10 * y0) / l11
    y2 = (r2 - l20 * y0 - l21 * y1) / l22
    return float(y0 * y0 + y1 * y1 + y2 * y2)
