"""Corrections of values: water in the particles that a counter counts, and the calibration of a unit. Pure functions.

Stored readings are never changed: a correction is computed when values are shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from pygnc_station.server_settings import Calibration, GadgetSettings, Serve
from pygnc_station.settings_types import Location
from pygnc_station.store.export import Additions
from pygnc_station.store.readings import Layout, PlainValue, Stream, number_of

HUMIDITY: Final = "humidity_percent"
CONCENTRATION_UNIT: Final = "µg/m³"
HIGHEST_HUMIDITY_PERCENT: Final = 95.0
"""Growth is not computed for a higher humidity, where it rises without bound."""


def volume_growth(humidity_percent: float, kappa: float) -> float:
    """Return the volume of a wet particle in units of its dry volume, by kappa-Köhler theory.

    It is 1 + kappa a / (1 - a), where the activity of water a is the relative humidity: Petters and Kreidenweis, "A
    single parameter representation of hygroscopic growth and cloud condensation nucleus activity", Atmos. Chem. Phys. 7
    (2007), 1961 to 1971, for particles that are large enough to neglect the curvature of their surface.

    Args:
        humidity_percent: relative humidity; it is limited to 0 to 95 %.
        kappa: hygroscopicity of the particles, 0 or more.
    """
    activity = min(max(humidity_percent, 0.0), HIGHEST_HUMIDITY_PERCENT) / 100
    return 1.0 + kappa * activity / (1.0 - activity)


@dataclass(frozen=True, slots=True)
class Correction:
    """Correction of one value of a kind of readings.

    Attributes:
        humidity: name of the humidity that belongs to the value, "" if the value is not corrected for humidity.
        kappa: hygroscopicity of the particles.
        calibration: calibration of the value, None if there is none.
    """

    humidity: str
    kappa: float
    calibration: Calibration | None

    @classmethod
    def of(cls, layout: Layout, name: str, settings: GadgetSettings, kappa: float) -> Self | None:
        """Return the correction of a value, None if it is not corrected.

        Args:
            layout: layout of the readings.
            name: name of the value; only concentrations of mass are corrected for humidity.
            settings: settings of the gadget.
            kappa: hygroscopicity if `settings` contain none; 0 disables the correction for humidity.
        """
        kappa = kappa if settings.kappa is None else settings.kappa
        units = {column.name: column.unit for column in layout.columns}
        is_wet = units.get(name) == CONCENTRATION_UNIT and HUMIDITY in units and kappa > 0
        calibration = settings.calibration.get(name)
        return cls(HUMIDITY if is_wet else "", kappa, calibration) if is_wet or calibration else None

    def of_values(self, layout: Layout, name: str) -> Callable[[Sequence[PlainValue]], float | None]:
        """Return the function that corrects a value, named `name`, of a reading's values."""
        rank = layout.names.index(name)
        humidity_rank = layout.names.index(self.humidity) if self.humidity else None

        def correct(values: Sequence[PlainValue]) -> float | None:
            value = number_of(values[rank]) if rank < len(values) else None
            is_known = humidity_rank is not None and humidity_rank < len(values)
            humidity = number_of(values[humidity_rank or 0]) if is_known else None
            return None if value is None else self(value, humidity)

        return correct

    def __call__(self, value: float, humidity_percent: float | None) -> float:
        """Return a value without the water in the particles and after its calibration.

        A counter derives mass from the volumes of wet particles and a fixed density, so the dry mass is its value
        divided by the growth of the volume. Without a humidity, only the calibration is applied.
        """
        if self.humidity and humidity_percent is not None:
            value /= volume_growth(humidity_percent, self.kappa)
        return self.calibration.gain * value + self.calibration.offset if self.calibration else value


def additions_of(stream: Stream, serve: Serve, place: Location | None) -> Additions:
    """Return what exports add to the readings of a stream: corrected values, and the place.

    Args:
        stream: the stream.
        serve: settings of the server, whose place of the gadget replaces `place`.
        place: place that the station reports, None if there is none.
    """
    settings, layout = serve.gadget(stream.gadget_id), stream.layout
    found = ((name, Correction.of(layout, name, settings, serve.kappa)) for name in layout.names)
    corrected = {name: correct.of_values(layout, name) for name, correct in found if correct is not None}
    place = settings.location or place
    return Additions(None if place is None else (place.latitude_deg, place.longitude_deg), corrected)
