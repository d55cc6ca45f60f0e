"""Settings of the true motion: orbit, spacecraft and forces."""

from typing import Annotated

import msgspec

from pygnc_ground.scenario.section import NonNegative, Positive, Section


class Orbit(Section, frozen=True):
    """Osculating Keplerian elements at the start, in GCRF."""

    semi_major_axis_m: Annotated[float, msgspec.Meta(gt=6.5e6, lt=5e7)] = 6_898_000.0
    eccentricity: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.001
    inclination_deg: Annotated[float, msgspec.Meta(ge=0.0, le=180.0)] = 97.5
    raan_deg: float = 30.0
    argument_of_perigee_deg: float = 90.0
    mean_anomaly_deg: float = 0.0

    def __post_init__(self) -> None:
        if self.semi_major_axis_m * (1.0 - self.eccentricity) < 6.5e6:
            raise ValueError("the perigee lies below 6 500 000 m, inside the atmosphere")


class Spacecraft(Section, frozen=True):
    """Mass and surface; the defaults are a tumbling 1.5U CubeSat (a quarter of its surface faces the flow)."""

    mass_kg: Positive = 1.58
    area_m2: NonNegative = 0.02
    drag_coefficient: NonNegative = 2.2
    reflectivity_coefficient: NonNegative = 1.3


class Forces(Section, frozen=True):
    """What acts on the satellite besides the Earth's central attraction.

    What each changes in a 500 km orbit after 3 and 12 hours: degrees 71 to 100 0.06 and 1.1 m, solid tides 1.5 and
    6.4 m, relativity 0.3 and 1.3 m. The tides and relativity cost no measurable time, degree 100 a third more than 70.
    """

    gravity_degree: Annotated[int, msgspec.Meta(ge=0, le=120)] = 100
    """Degree and order of EGM2008; 0 is a point mass."""
    sun_and_moon: bool = True
    solid_tides: bool = True
    """Of the solid Earth, with the frequency-dependent part and the pole tide (IERS Conventions 2010, chapter 6)."""
    relativity: bool = True
    drag: bool = True
    """NRLMSISE-00 with the space weather of the day."""
    radiation_pressure: bool = True
    """With conical shadow."""
