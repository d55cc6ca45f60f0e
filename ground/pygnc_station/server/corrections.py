"""Corrections of values: water in the particles that a counter counts, and the calibration of a unit.

Stored readings are never changed: a correction is computed when values are shown.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Self, TypeAlias

from sqlalchemy import Connection

from pygnc_station.server_settings import Calibration, GadgetSettings, Serve
from pygnc_station.settings_types import Location
from pygnc_station.store.calibrations import DatedCalibration, by_value
from pygnc_station.store.export import Additions
from pygnc_station.store.readings import Layout, PlainValue, Stream, number_of

HUMIDITY: Final = "humidity_percent"
CONCENTRATION_UNIT: Final = "µg/m³"
HIGHEST_HUMIDITY_PERCENT: Final = 95.0
"""Growth is not computed for a higher humidity, where it rises without bound."""
_SINCE: Final = attrgetter("since_ms")
ValueOf: TypeAlias = Callable[[Sequence[PlainValue], int], float | None]
"""Function that returns a value of a reading from all its values and its time, milliseconds since 1970 (UTC)."""


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
        dated: calibrations that replace both from their times on, the earliest first.
    """

    humidity: str
    kappa: float
    calibration: Calibration | None
    dated: tuple[DatedCalibration, ...] = ()

    @classmethod
    def of(
        cls,
        layout: Layout,
        name: str,
        settings: GadgetSettings,
        kappa: float,
        dated: Sequence[DatedCalibration] = (),
    ) -> Self | None:
        """Return the correction of a value, None if it is not corrected.

        Args:
            layout: layout of the readings.
            name: name of the value; only concentrations of mass are corrected for humidity.
            settings: settings of the gadget.
            kappa: hygroscopicity if `settings` contain none; 0 disables the correction for humidity.
            dated: calibrations of the value that replace the settings from their times on, the earliest first.
        """
        kappa = kappa if settings.kappa is None else settings.kappa
        can_be_wet = has_humidity(layout, name)
        calibration = settings.calibration.get(name)
        if not (dated or calibration or (can_be_wet and kappa > 0)):
            return None
        return cls(HUMIDITY if can_be_wet else "", kappa, calibration, tuple(dated))

    def __call__(self, value: float, humidity_percent: float | None, t_ms: int) -> float:
        """Return a value without the water in the particles and after its calibration.

        A counter derives mass from the volumes of wet particles and a fixed density, so the dry mass is its value
        divided by the growth of the volume. Without a humidity, only the calibration is applied.

        Args:
            value: the value as stored.
            humidity_percent: relative humidity; None if it is unknown.
            t_ms: time of the value, milliseconds since 1970 (UTC).
        """
        rank = bisect_right(self.dated, t_ms, key=_SINCE)
        in_effect = self.dated[rank - 1] if rank else None
        kappa = in_effect.kappa if in_effect else self.kappa
        if self.humidity and humidity_percent is not None:
            value /= volume_growth(humidity_percent, kappa)
        calibration = in_effect or self.calibration
        return calibration.gain * value + calibration.offset if calibration else value


def has_humidity(layout: Layout, name: str) -> bool:
    """Return True if a value is a concentration of mass beside a humidity."""
    units = {column.name: column.unit for column in layout.columns}
    return units.get(name) == CONCENTRATION_UNIT and HUMIDITY in units


def value_of(layout: Layout, name: str, correct: Correction | None) -> ValueOf:
    """Return the function that returns a value of a reading, corrected unless `correct` is None."""
    rank = layout.names.index(name)
    humidity_rank = layout.names.index(correct.humidity) if correct and correct.humidity else None

    def read(values: Sequence[PlainValue], t_ms: int) -> float | None:
        value = number_of(values[rank]) if rank < len(values) else None
        if value is None or correct is None:
            return value
        is_known = humidity_rank is not None and humidity_rank < len(values)
        return correct(value, number_of(values[humidity_rank or 0]) if is_known else None, t_ms)

    return read


class Corrections:
    """Corrections of the values of all gadgets, by the settings of the server and the calibrations in its store."""

    def __init__(self, connection: Connection, serve: Serve) -> None:
        self._serve = serve
        self._dated = by_value(connection)

    def of(self, stream: Stream, name: str) -> Correction | None:
        """Return the correction of a value of a stream, None if it is not corrected."""
        gadget = stream.gadget_id
        dated = self._dated.get((gadget.lower(), name), ())
        return Correction.of(stream.layout, name, self._serve.gadget(gadget), self._serve.kappa, dated)

    def additions_to(self, stream: Stream, place: Location | None) -> Additions:
        """Return what exports add to the readings of a stream: corrected values, and the place.

        Args:
            stream: the stream.
            place: place that the station reports, None if there is none; a place in the settings replaces it.
        """
        found = ((name, self.of(stream, name)) for name in stream.layout.names)
        corrected = {name: value_of(stream.layout, name, correct) for name, correct in found if correct is not None}
        place = self._serve.gadget(stream.gadget_id).location or place
        return Additions(None if place is None else (place.latitude_deg, place.longitude_deg), corrected)
