"""Choices and defaults of a replay. This module imports no library, so that the help of a command is quick."""

from enum import StrEnum
from typing import Final

COMBINED_RADIUS_M: Final = 1.0
"""Sum of the radii of spheres around two satellites, by default."""


class FilterName(StrEnum):
    """Filters available in a replay."""

    EKF = "ekf"
    UKF = "ukf"
