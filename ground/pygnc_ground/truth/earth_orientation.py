"""Earth orientation for ephemerides in inertial axes, from the table that brahe brings along (IERS finals2000A)."""
# mypy: disable-error-code="operator"
# brahe's stubs declare properties as methods.

from functools import cache

import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.environment.earth_orientation import EarthOrientationTable

_UNIX_EPOCH_MJD = 40_587
_GPS_EPOCH_MJD = 44_244


def earth_orientation(last_gps_ms: int) -> EarthOrientationTable:
    """Daily values since 1980, if they reach to `last_gps_ms`.

    Raises:
        ValueError: brahe is not installed, or its table ends earlier; the message names the remedy.
    """
    table = _bundled()
    end_gps_ms = table.expires_gps_ms or 0
    if last_gps_ms > end_gps_ms:
        raise ValueError(
            f"the Earth's orientation is known to {utc_iso_from_gps_ms(end_gps_ms)[:10]} only and the ephemeris goes to"
            f" {utc_iso_from_gps_ms(last_gps_ms)[:10]}: install a newer brahe, or take the ephemeris in ITRF"
        )
    return table


@cache
def _bundled() -> EarthOrientationTable:
    try:
        import brahe  # noqa: PLC0415 - Earth-fixed ephemerides do without it
    except ModuleNotFoundError as error:
        raise ValueError(
            "an ephemeris in inertial axes needs the Earth's orientation from the library brahe:"
            " pip install 'pygnc[scenario]', or take the ephemeris in ITRF"
        ) from error
    provider = brahe.FileEOPProvider.from_default_standard(interpolate=False, extrapolate="Error")
    days_mjd = np.arange(float(_GPS_EPOCH_MJD), provider.mjd_max() + 1.0)
    # The offsets of the celestial pole are predicted for some weeks only; later their last value stands.
    rows = [
        (
            provider.get_ut1_utc(day),
            *provider.get_pm(day),
            *provider.get_dxdy(min(day, provider.mjd_last_dxdy())),
        )
        for day in days_mjd.tolist()
    ]
    return EarthOrientationTable("IERS finals2000A in brahe", days_mjd, np.array(rows))
