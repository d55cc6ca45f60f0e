"""Mean orbital elements of SGP4, as two-line elements (TLE) and Orbit Mean-elements Messages (OMM) contain them."""

import math
from typing import Final, NamedTuple

import msgspec

RANGES: Final = {
    "mean_motion_rev_per_day": (0.9, 17.0),
    "eccentricity": (0.0, 0.8),
    "inclination_deg": (0.0, 180.0),
    "raan_deg": (0.0, 360.0),
    "argument_of_perigee_deg": (0.0, 360.0),
    "mean_anomaly_deg": (0.0, 360.0),
    "bstar_per_radius": (-1.0, 1.0),
}
"""Permitted values of each element, in the order of `MeanElements`: orbits of the Earth from 200 km to beyond
geostationary altitude.
"""

STATED_HOURS: Final = (6, 12, 18, 24)
"""Hours after the epoch for which the error of fitted elements is stated."""

ELEMENTS_SIZE_MAX: Final = 65_536
"""Maximum size of a file of elements; an OMM in XML has about 3000 bytes."""

PERIGEE_RADIUS_MIN_KM: Final = 6_378.135 + 90.0
"""Minimum perigee radius: 90 km above the WGS 72 radius, which SGP4 uses. Lower orbits decay within a revolution."""
_GM_WGS72_KM3_S2: Final = 398_600.8
_SECONDS_PER_DAY: Final = 86_400.0


class MeanElements(msgspec.Struct, frozen=True):
    """Mean elements in TEME for SGP4 with the constants of WGS 72.

    Attributes:
        epoch_gps_ms: Epoch, milliseconds since 1980-01-06 in GPS time.
        mean_motion_rev_per_day: Mean motion in Kozai's definition, revolutions per day.
        raan_deg: Right ascension of the ascending node, degrees.
        bstar_per_radius: Drag term B*, 1 / Earth radii.
        catalogue_number: Number in the catalogue of the US Space Force; 0 if unknown.
        designator: International designator such as 1998-067A; empty if unknown.
        name: Name of the object; empty if unknown.
    """

    epoch_gps_ms: int
    mean_motion_rev_per_day: float
    eccentricity: float
    inclination_deg: float
    raan_deg: float
    argument_of_perigee_deg: float
    mean_anomaly_deg: float
    bstar_per_radius: float
    catalogue_number: int = 0
    designator: str = ""
    name: str = ""

    @property
    def semi_major_axis_m(self) -> float:
        """Semi-major axis by Kepler's third law, m; the mean value of SGP4 differs from it by less than 0.1 %."""
        mean_motion_rad_s = self.mean_motion_rev_per_day * 2.0 * math.pi / _SECONDS_PER_DAY
        return 1e3 * float((_GM_WGS72_KM3_S2 / mean_motion_rad_s**2) ** (1.0 / 3.0))

    @property
    def description(self) -> str:
        """Name, catalogue number and designator, as far as known, in one line; "unnamed object" without any."""
        parts = [self.name, str(self.catalogue_number or ""), self.designator]
        return " ".join(part for part in parts if part) or "unnamed object"

    def is_object(self, expected: str) -> bool:
        """Return True if `expected` is the catalogue number or the designator of the object, or is empty."""
        is_number = expected.isdecimal() and self.catalogue_number == int(expected)
        return not expected or is_number or self.designator.upper() == expected.upper()


def out_of_range(name: str, value: float) -> str:
    """Return the reason why a value of an element is refused; empty if it is permitted."""
    low, high = RANGES[name]
    return "" if low <= value <= high else f"{name} is {value:g}, outside {low:g} to {high:g}"


def printable_ascii(text: str) -> str:
    """Return a text with a question mark in place of each character that is not printable ASCII."""
    return "".join(character if " " <= character <= "~" else "?" for character in text)


class ElementsError(ValueError):
    """Error raised when a text does not contain usable elements; the message names the line, counted from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")


class ParsedElements(NamedTuple):
    """Elements, and the numbers of the lines that contain the epoch and the identification of the object."""

    elements: MeanElements
    epoch_line: int
    object_line: int


def check_perigee(elements: MeanElements, line: int) -> None:
    """Check that the perigee is above the dense atmosphere; `line` contains the mean motion and is for the message.

    Raises:
        ElementsError: The perigee is below `PERIGEE_RADIUS_MIN_KM`.
    """
    perigee_km = 1e-3 * elements.semi_major_axis_m * (1.0 - elements.eccentricity)
    if perigee_km < PERIGEE_RADIUS_MIN_KM:
        raise ElementsError(
            line, f"the perigee is {perigee_km:.0f} km from the Earth's centre, in the atmosphere; copy it again"
        )
