"""Settings of the ranging radio and of the satellites it measures."""

from typing import Annotated

import msgspec

from pygnc_ground.scenario.section import Fraction, NonNegative, Section, Vector3

RadioId = Annotated[int, msgspec.Meta(ge=0x4A, le=0x4D)]


class Partner(Section, frozen=True):
    """A satellite to which ranges are measured."""

    id: RadioId
    position_rtn_m: Vector3
    """Relative to this satellite at the start: radial, transverse, normal."""
    velocity_rtn_mps: Vector3 = (0.0, 0.0, 0.0)
    """In the rotating RTN frame."""
    delay_bias_m: float = 1050.0
    """What the pair's radios add to every range."""
    frequency_offset_hz: float = 190.0
    """By which this satellite's radio receives it too high when they are at rest relative to each other."""
    boot_before_start_s: NonNegative = 3600.0
    """Of its own clock, which otherwise is as `[clock]` says; matters when it writes files of its own."""


class Ranging(Section, frozen=True):
    """How ranges to the partners are taken: a fix, then one range to each partner."""

    interval_s: Annotated[int, msgspec.Meta(ge=1)] = 60
    noise_m: NonNegative = 30.0
    outlier_rate: Fraction = 0.0
    """Of the ranges that are off by `outlier_m`, to either side."""
    outlier_m: NonNegative = 500.0
    missing_rate: Fraction = 0.0
    """Of the exchanges that gave no range."""


class Formation(Section, frozen=True):
    """Files of the other satellites too."""

    all_satellites: bool = False
    """Each satellite's files, with the ranges to all others, go into a folder of their own, named by its id."""
    own_id: RadioId = 0x4A
    """Of this satellite, as the others' range packets name it."""
    pair_bias_spread_m: NonNegative = 15.0
    """A pair of two partners has the mean of the biases that they have with this satellite, and a constant drawn with
    this standard deviation."""
