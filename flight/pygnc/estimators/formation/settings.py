"""What can be set on the formation estimator, with units and defaults."""

from dataclasses import dataclass

from pygnc.common.validation import require_positive


@dataclass(frozen=True, slots=True)
class FormationSettings:
    """Who we are, how the radios measure, and when a solution is believed."""

    own_id: int = 74
    """Radio id of our satellite."""
    range_bias_m: float = 1050.0
    """What the radios of a pair add to every range, before anything is measured."""
    range_bias_sigma_m: float = 20.0
    """By how much that differs from pair to pair."""
    range_noise_m: float = 10.0
    """Expected standard deviation of a range. Each pair's own is estimated."""
    range_noise_min_m: float = 0.3
    """Bounds of the estimate."""
    range_noise_max_m: float = 100.0
    range_gate_sigma: float = 5.0
    """Ranges farther off are not used."""
    fix_scale_max: float = 10.0
    """Receivers' standard deviations are widened up to so much where their fixes scatter more."""
    arc_max_s: float = 43_200.0
    """Older observations are not used."""
    own_fixes_min: int = 10
    """With so many fixes of ours in the arc, they alone tell our orbit; with fewer, the given orbit does."""
    log_drag_sigma: float = 0.8
    """Standard deviation of the logarithm of the drag factor that all satellites share."""
    differential_log_drag_sigma: float = 0.1
    """Of each satellite's own part of it."""
    certain_chi_square: float = 30.0
    """A solution is certain when every other one is so much worse."""
    solved_sigma_ratio: float = 1.0
    """A partner is solved when the standard deviation of its place is less than its distance times this."""

    def __post_init__(self) -> None:
        require_positive(self, "range_bias_sigma_m", "range_noise_min_m", "range_gate_sigma", "arc_max_s")
        require_positive(self, "log_drag_sigma", "differential_log_drag_sigma")
        require_positive(self, "certain_chi_square", "solved_sigma_ratio")
        if not self.range_noise_min_m <= self.range_noise_m <= self.range_noise_max_m:
            raise ValueError("range_noise_m lies between range_noise_min_m and range_noise_max_m")
        if self.fix_scale_max < 1.0 or self.own_fixes_min < 1:
            raise ValueError("fix_scale_max and own_fixes_min are at least 1")
