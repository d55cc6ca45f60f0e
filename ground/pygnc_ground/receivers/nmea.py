"""Sentences of NMEA 0183: GGA, GST, RMC, ZDA.

No sentence has a vertical velocity, so these logs give positions without velocities. Source: NMEA 0183, version 4.11.
"""

import math
import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Final

from pygnc.inputs.receivers.parts import COMPUTED, Part, Position, Spread, ecef_from_geodetic
from pygnc_devices.framing import Frame
from pygnc_devices.receivers import framing
from pygnc_ground.receivers.epochs import UTC_DAYS
from pygnc_ground.receivers.protocol import Protocol

_TIME: Final = re.compile(r"(\d\d)(\d\d)(\d\d)(\.\d+)?")
_QUALITIES: Final = {"0": "none", "1": COMPUTED, "2": COMPUTED, "3": COMPUTED, "4": COMPUTED, "5": COMPUTED}
_UNIX_DAY: Final = date(1970, 1, 1).toordinal()


def _time_ms(text: str) -> int:
    """Return the time of day in ms.

    Raises:
        ValueError: The text is not a time.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time of day")
    hours, minutes, seconds = (int(part) for part in match.groups()[:3])
    return 1000 * (3600 * hours + 60 * minutes + seconds) + round(1000 * float(match[4] or 0))


def _angle(text: str, side: str) -> float:
    """Return an angle of degrees and minutes, ddmm.mmm, in radians."""
    point = text.index(".") if "." in text else len(text)
    degrees = float(text[: point - 2]) + float(text[point - 2 :]) / 60.0
    return math.radians(-degrees if side in {"S", "W"} else degrees)


def _day(year: int, month: int, day: int) -> int:
    return date(year, month, day).toordinal() - _UNIX_DAY


def _gga(words: Sequence[str]) -> Part:
    solution, satellites = _QUALITIES.get(words[6], "estimated"), int(words[7] or 0)
    if solution != COMPUTED:
        return Part(_time_ms(words[1]), position=Position(solution, ecef_from_geodetic(0.0, 0.0, 0.0)))
    latitude, longitude = _angle(words[2], words[3]), _angle(words[4], words[5])
    height_m = float(words[9]) + float(words[11] or 0.0)
    return Part(
        _time_ms(words[1]),
        position=Position(solution, ecef_from_geodetic(latitude, longitude, height_m)),
        satellites=(satellites, satellites),
    )


def _gst(words: Sequence[str]) -> Part:
    north, east, up = (float(word) for word in words[6:9])
    return Part(_time_ms(words[1]), position_spread=Spread.of((east, north, up), is_local=True))


def _rmc(words: Sequence[str]) -> Part:
    text = words[9]
    # The year has two digits; GPS began in 1980.
    year = int(text[4:]) + (1900 if int(text[4:]) >= 80 else 2000)
    return Part(_time_ms(words[1]), _day(year, int(text[2:4]), int(text[:2])) if words[2] == "A" else None)


def _zda(words: Sequence[str]) -> Part:
    return Part(_time_ms(words[1]), _day(int(words[4]), int(words[3]), int(words[2])))


_SENTENCES: Final[dict[str, Callable[[Sequence[str]], Part]]] = {"GGA": _gga, "GST": _gst, "RMC": _rmc, "ZDA": _zda}


def _part(frame: Frame) -> Part | None:
    known = _SENTENCES.get(frame.kind)
    if known is None:
        return None
    try:
        return known(frame.payload.decode("ascii").split(","))
    except (ValueError, IndexError):
        return None  # empty fields: the receiver does not know them yet


NMEA: Final = Protocol("nmea", "NMEA 0183", framing.NMEA_BEGINNING, framing.nmea, _part, UTC_DAYS, tuple(_SENTENCES))
