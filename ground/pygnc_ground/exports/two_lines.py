"""Mean elements as two-line elements (TLE), in the columns that `pygnc.formats.tle` reads."""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from pygnc.common.clock import unix_ms_from_gps_ms
from pygnc.common.mean_elements import MeanElements, printable_ascii
from pygnc.formats.tle import ALPHA5, checksum
from pygnc_ground.exports.orbit_messages import error_comments

_DAY_S: Final = 86_400
_NAME_MAX: Final = 24
_NUMBER_MAX: Final = 339_999
"""Largest catalogue number of the Alpha-5 scheme."""
_DESIGNATOR: Final = re.compile(r"(?:19|20)(\d\d)-(\d{3}[A-Z]{1,3})")


def losses(elements: MeanElements) -> list[str]:
    """Return what a TLE cannot carry of the elements, as sentences."""
    found = []
    if elements.catalogue_number > _NUMBER_MAX:
        found.append(
            f"a TLE has catalogue numbers up to {_NUMBER_MAX} only; {elements.catalogue_number} is 00000 in it"
        )
    if elements.designator and not _DESIGNATOR.fullmatch(elements.designator):
        found.append(f"a TLE has designators such as 1998-067A only; {elements.designator} is left out")
    if len(elements.name) > _NAME_MAX:
        found.append(f"a TLE has names of {_NAME_MAX} characters; {elements.name} is cut")
    return found


def tle_text(elements: MeanElements, error_m: Sequence[float], comments: Iterable[str] = ()) -> str:
    """Return comments, the name as far as known, and two lines.

    Comments are lines that begin with `#`: the error of the elements at `STATED_HOURS`, m, and what is lost. Angles are
    rounded to 1e-4 deg, the epoch to 0.9 ms: together at most 15 m along the orbit.
    """
    number = elements.catalogue_number if elements.catalogue_number <= _NUMBER_MAX else 0
    catalogue = f"{number:05d}" if number < 100_000 else f"{ALPHA5[number // 10_000 - 10]}{number % 10_000:04d}"
    known = _DESIGNATOR.fullmatch(elements.designator)
    designator = f"{known[1]}{known[2]}" if known else ""
    one = f"1 {catalogue}U {designator:8} {_epoch(elements.epoch_gps_ms)}  .00000000  00000-0 "
    one += f"{_exponential(elements.bstar_per_radius)} 0    0"
    angles = (elements.raan_deg, elements.argument_of_perigee_deg, elements.mean_anomaly_deg)
    raan, perigee, anomaly = (f"{round(angle, 4) % 360.0:8.4f}" for angle in angles)
    two = f"2 {catalogue} {elements.inclination_deg:8.4f} {raan} {round(1e7 * elements.eccentricity):07d} {perigee}"
    two += f" {anomaly} {elements.mean_motion_rev_per_day:11.8f}    0"
    name = printable_ascii(elements.name)[:_NAME_MAX].strip()
    notes = (f"# {text}" for text in (*comments, *error_comments(error_m), *losses(elements)))
    lines = (*notes, *filter(None, (name,)), *(f"{line}{checksum(line)}" for line in (one, two)))
    return "\n".join(lines) + "\n"


def _epoch(gps_ms: int) -> str:
    """Return year and day of year of a time; a leap second counts as the second after it."""
    unix_s, milliseconds = divmod(unix_ms_from_gps_ms(gps_ms), 1000)
    day = datetime.fromtimestamp(unix_s, UTC).timetuple()
    fraction = (unix_s % _DAY_S + 1e-3 * milliseconds) / _DAY_S
    return f"{day.tm_year % 100:02d}{day.tm_yday + fraction:012.8f}"


def _exponential(value: float) -> str:
    """Return a number such as 5.868e-5 as ` 58680-4`, which means 0.58680e-4."""
    if not value:
        return " 00000-0"
    exponent = math.floor(math.log10(abs(value))) + 1
    digits = round(abs(value) / 10.0**exponent * 1e5)
    if digits == 100_000:
        digits, exponent = 10_000, exponent + 1
    if exponent < -9:
        return " 00000-0"
    return f"{'-' if value < 0 else ' '}{digits:05d}{exponent:+d}"
