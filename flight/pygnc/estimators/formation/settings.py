"""Settings of the formation estimator."""

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from msgspec import Meta

from pygnc.common.constants import PARTNER_IDS
from pygnc.common.setting_types import ChiSquare, Inflation, LogSigma

_RadioId: TypeAlias = Annotated[int, Meta(ge=PARTNER_IDS[0], le=PARTNER_IDS[-1])]
_Bias: TypeAlias = Annotated[float, Meta(ge=-1e5, le=1e5)]
_BiasSigma: TypeAlias = Annotated[float, Meta(ge=1e-3, le=1e5)]
_Noise: TypeAlias = Annotated[float, Meta(ge=0.01, le=1e3)]
_Pairs: TypeAlias = tuple[tuple[_RadioId, _RadioId, _Bias, _BiasSigma], ...]


@dataclass(frozen=True, slots=True)
class FormationSettings:
    """Settings of the formation estimator."""

    own_id: _RadioId = 74
    """Radio id of our satellite."""
    range_bias_m: _Bias = 1000.0
    """Expected bias of a range in m: the delay that the radios of a pair add to every measurement."""
    range_bias_sigma_m: _BiasSigma = 600.0
    """Standard deviation of the bias from pair to pair, in m."""
    calibrated_pairs: Annotated[_Pairs, Meta(max_length=6)] = ()
    """Calibrated pairs of radios, each as (radio id, radio id, bias in m, its standard deviation in m)."""
    range_noise_m: _Noise = 10.0
    """Expected standard deviation of a range in m. The estimator refines it for each pair."""
    range_noise_min_m: _Noise = 0.3
    """Lower limit of the estimated range noise, in m."""
    range_noise_max_m: _Noise = 100.0
    """Upper limit of the estimated range noise, in m."""
    range_gate_sigma: Annotated[float, Meta(ge=1.0, le=100.0)] = 5.0
    """Ranges with a residual larger than this many standard deviations are rejected."""
    fix_scale_max: Inflation = 10.0
    """Largest factor by which the receivers' standard deviations are enlarged if their fixes scatter more."""
    arc_max_s: Annotated[float, Meta(ge=60.0, le=604_800.0)] = 43_200.0
    """Length of the arc in s. Older observations are not used."""
    own_fixes_min: Annotated[int, Meta(ge=1, le=1000)] = 10
    """Minimum number of our own fixes in the arc. With fewer, the orbit estimate serves as the prior of our orbit."""
    log_drag_sigma: LogSigma = 0.8
    """Standard deviation of the logarithm of the drag factor that all satellites share."""
    differential_log_drag_sigma: LogSigma = 0.35
    """Standard deviation of each satellite's own part of the logarithm of its drag factor; 0.5 in the logarithm of the
    ratio of two satellites."""
    differential_share: Annotated[float, Meta(ge=1e-3, le=1.0)] = 0.1
    """Fraction of the empirical accelerations and at least of the density variation that differs between
    satellites. Set a larger value for satellites of different designs."""
    certain_chi_square: ChiSquare = 30.0
    """A solution is certain if the chi-square of every other solution is larger by at least this margin."""
    solved_sigma_ratio: Annotated[float, Meta(ge=1e-3, le=100.0)] = 1.0
    """A partner is solved if the standard deviation of its position is less than its distance times this ratio."""

    def __post_init__(self) -> None:
        for one, other, _, _ in self.calibrated_pairs:
            if one == other:
                raise ValueError(f"calibrated_pairs: the pair {one}, {other} needs two different radio ids")
        if not self.range_noise_min_m <= self.range_noise_m <= self.range_noise_max_m:
            limits = (
                f"range_noise_min_m ({self.range_noise_min_m:g}) and range_noise_max_m ({self.range_noise_max_m:g})"
            )
            raise ValueError(f"range_noise_m is {self.range_noise_m:g}; it must be between {limits}")
