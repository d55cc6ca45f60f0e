"""Numbers and times as people read them."""

import math
from typing import Final

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc_cli.text import printable
from pygnc_ground.inspection.times import gps_in_words

NONE: Final = "–"
_THIN_SPACE: Final = "\u202f"


def number(value: float | None, digits: int = 3) -> str:
    """Rounded to significant digits, without an exponent where people would not write one."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0.0:
        return "0"
    scientific = f"{value:.{digits - 1}e}"
    magnitude = int(scientific.partition("e")[2])
    text = f"{value:.{max(0, digits - 1 - magnitude)}f}" if -4 <= magnitude < 7 else scientific
    return text.replace("-", "−")


def fixed(value: float | None, decimals: int) -> str:
    """With as many decimals as asked for, thousands apart."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:,.{decimals}f}".replace(",", _THIN_SPACE).replace("-", "−")


def whole(value: int) -> str:
    """A count, thousands apart."""
    return fixed(value, 0)


def plural(count: int, noun: str) -> str:
    """A count and what is counted."""
    return f"{whole(count)} {noun}" if count == 1 else f"{whole(count)} {noun}s"


def percent(share: float) -> str:
    """A share in percent; all and nothing only when it is just that."""
    if not math.isfinite(share):
        return NONE
    if share in {0.0, 1.0}:
        return f"{100 * share:.0f} %"
    return f"{min(max(100 * share, 0.1), 99.9):.1f} %"


def compared(value: float, low: float, high: float) -> str:
    """How a value stands to what is right from `low` to `high`."""
    if low <= value <= high:
        return "as large as"
    return "larger than" if value > high else "smaller than"


def utc(gps_ms: int) -> str:
    """UTC to the millisecond, or to the second where that is all there is."""
    return utc_iso_from_gps_ms(gps_ms).replace(".000Z", "Z").replace("T", " ").replace("Z", " UTC")


def duration(milliseconds: int) -> str:
    """Hours, minutes and seconds, as far as they are needed."""
    seconds = round(milliseconds / 1000)
    if seconds >= 3600:
        minutes = round(seconds / 60)
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{seconds // 60} min {seconds % 60:02d} s" if seconds >= 60 else f"{seconds} s"


__all__ = [
    "NONE",
    "compared",
    "duration",
    "fixed",
    "gps_in_words",
    "number",
    "percent",
    "plural",
    "printable",
    "utc",
    "whole",
]
