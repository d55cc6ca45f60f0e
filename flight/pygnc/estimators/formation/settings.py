"""Settings of the formation estimator."""

from dataclasses import dataclass

from pygnc.common.constants import PARTNER_IDS
from pygnc.common.validation import require_positive


@dataclass(frozen=True, slots=True)
class FormationSettings:
    """Settings of the formation estimator."""

    own_id: int = 74
    """Radio id of our satellite."""
    range_bias_m: float = 1000.0
    """Expected bias of a range in m: the delay that the radios of a pair add to every measurement."""
    range_bias_sigma_m: float = 600.0
    """Standard deviation of the bias from pair to pair, in m."""
    calibrated_pairs: tuple[tuple[int, int, float, float], ...] = ()
    """Calibrated pairs of radios, each as (radio id, radio id, bias in m, its standard deviation in m)."""
    range_noise_m: float = 10.0
    """Expected standard deviation of a range in m. The estimator refines it for each pair."""
    range_noise_min_m: float = 0.3
    """Lower limit of the estimated range noise, in m."""
    range_noise_max_m: float = 100.0
    """Upper limit of the estimated range noise, in m."""
    range_gate_sigma: float = 5.0
    """Ranges with a residual larger than this many standard deviations are rejected."""
    fix_scale_max: float = 10.0
    """Largest factor by which the receivers' standard deviations are enlarged if their fixes scatter more."""
    arc_max_s: float = 43_200.0
    """Length of the arc in s. Older observations are not used."""
    own_fixes_min: int = 10
    """Minimum number of our own fixes in the arc. With fewer, the orbit estimate serves as the prior of our orbit."""
    log_drag_sigma: float = 0.8
    """Standard deviation of the logarithm of the drag factor that all satellites share."""
    differential_log_drag_sigma: float = 0.35
    """Standard deviation of each satellite's own part of the logarithm of its drag factor; 0.5 in the logarithm of the
    ratio of two satellites."""
    differential_share: float = 0.1
    """Fraction, 0 to 1, of the empirical accelerations and at least of the density variation that differs between
    satellites. Set a larger value for satellites of different designs."""
    certain_chi_square: float = 30.0
    """A solution is certain if the chi-square of every other solution is larger by at least this margin."""
    solved_sigma_ratio: float = 1.0
    """A partner is solved if the standard deviation of its position is less than its distance times this ratio."""

    def __post_init__(self) -> None:
        if self.own_id not in PARTNER_IDS:
            raise ValueError(f"own_id must be {PARTNER_IDS[0]} to {PARTNER_IDS[-1]}, not {self.own_id}")
        require_positive(self, "range_bias_sigma_m", "range_noise_min_m", "range_gate_sigma", "arc_max_s")
        require_positive(self, "log_drag_sigma", "differential_log_drag_sigma")
        require_positive(self, "certain_chi_square", "solved_sigma_ratio")
        if not 0.0 <= self.differential_share <= 1.0:
            raise ValueError(f"differential_share is {self.differential_share:g}; it must be from 0 to 1")
        for one, other, _, sigma_m in self.calibrated_pairs:
            if one == other or not sigma_m > 0.0:
                text = "needs two different radio ids and a positive standard deviation"
                raise ValueError(f"calibrated_pairs: the pair {one}, {other} with a sigma of {sigma_m:g} m {text}")
        if not self.range_noise_min_m <= self.range_noise_m <= self.range_noise_max_m:
            limits = (
                f"range_noise_min_m ({self.range_noise_min_m:g}) and range_noise_max_m ({self.range_noise_max_m:g})"
            )
            raise ValueError(f"range_noise_m is {self.range_noise_m:g}; it must be between {limits}")
        for name in ("fix_scale_max", "own_fixes_min"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be at least 1")
