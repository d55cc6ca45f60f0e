"""Settings of the main controller's clock."""

from typing import Annotated

import msgspec

from pygnc_ground.scenario.section import Fraction, NonNegative, Section


class SpacecraftClock(Section, frozen=True):
    """The main controller's clock, which starts at 2000-01-01 at boot and counts whole seconds."""

    boot_before_start_s: NonNegative = 5130.4
    drift_ppm: float = 0.0
    """Positive runs fast."""
    jumps_s: tuple[tuple[NonNegative, Annotated[float, msgspec.Meta(ge=-9e8, le=3e9)]], ...] = ()
    """Steps, each as time after the start and amount; a negative one sets the clock back."""
    reboots_s: tuple[NonNegative, ...] = ()
    """Times after the start at which the clock starts at 2000-01-01 again; earlier jumps are forgotten."""
    jitter_s: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Late samples are taken, and stamped, up to as many whole seconds after their turn; must be less than
    `sample_interval_s`."""
    jitter_rate: Fraction = 0.02
    """Of the samples that are late; the recorded ones were 3 of 165, by 2 and 3 s."""
