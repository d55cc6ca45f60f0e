"""The measurement models of the attitude filter."""

from pygnc.estimators.attitude.magnetometer import Magnetometer
from pygnc.estimators.attitude.measurement_model import MeasurementModel
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.star_tracker import StarTracker
from pygnc.estimators.attitude.sun_direction import SunDirection
from pygnc.estimators.attitude.sun_sensors import SunSensors


def measurement_models(settings: AttitudeSettings) -> tuple[MeasurementModel, ...]:
    """Return all models in the order in which their measurements are stacked; the order determines the rounding."""
    return Magnetometer(settings), SunSensors(settings), StarTracker(settings), SunDirection(settings)
