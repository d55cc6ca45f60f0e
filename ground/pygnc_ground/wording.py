"""Formatting of numbers, times and causes of rejection for people."""

import math
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc_cli.text import printable

NONE: Final = "–"
_THIN_SPACE: Final = "\u202f"
_CAUSES: Final = tomllib.loads(Path(__file__).with_name("causes.toml").read_text(encoding="utf-8"))
_UNKNOWN_SHOWN: Final = 40

Part: TypeAlias = Literal["orbit", "attitude", "range"]


def number(value: float | None, digits: int = 3) -> str:
    """Return the value with significant digits, without an exponent where it can be avoided."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0.0:
        return "0"
    scientific = f"{value:.{digits - 1}e}"
    magnitude = int(scientific.partition("e")[2])
    text = f"{value:.{max(0, digits - 1 - magnitude)}f}" if -4 <= magnitude < 7 else scientific
    return text.replace("-", "−")


def fixed(value: float | None, decimals: int) -> str:
    """Return the value with a fixed number of decimals and separated thousands."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:,.{decimals}f}".replace(",", _THIN_SPACE).replace("-", "−")


def whole(value: int) -> str:
    """Return a count with separated thousands."""
    return fixed(value, 0)


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{whole(count)} {noun}" if count == 1 else f"{whole(count)} {noun}s"


def percent(share: float) -> str:
    """Return a fraction in percent; 0 % and 100 % only if exact."""
    if not math.isfinite(share):
        return NONE
    if share in {0.0, 1.0}:
        return f"{100 * share:.0f} %"
    return f"{min(max(100 * share, 0.1), 99.9):.1f} %"


NEGLIGIBLE: Final = 1e-12
"""Probability below which the figure is rounding."""


def probability(value: float) -> str:
    """Return a small probability with two digits."""
    return f"{value:.1e}" if value >= NEGLIGIBLE else f"below {NEGLIGIBLE:.0e}"


def compared(value: float, low: float, high: float) -> str:
    """Return "as large as" for a value from `low` to `high`, otherwise "larger than" or "smaller than"."""
    if low <= value <= high:
        return "as large as"
    return "larger than" if value > high else "smaller than"


def utc(gps_ms: int) -> str:
    """Return UTC to the millisecond, or to the second if it is whole."""
    return utc_iso_from_gps_ms(gps_ms).replace(".000Z", "Z").replace("T", " ").replace("Z", " UTC")


def duration(milliseconds: float) -> str:
    """Return a duration in hours and minutes, minutes and seconds, or seconds."""
    seconds = round(milliseconds / 1000)
    if seconds >= 3600:
        minutes = round(seconds / 60)
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{seconds // 60} min {seconds % 60:02d} s" if seconds >= 60 else f"{seconds} s"


def meaning(cause: str, part: Part = "orbit") -> str:
    """Return the meaning of a cause of rejection; unknown causes are returned as printable text."""
    return str(_CAUSES[part].get(cause, printable(cause.replace("_", " "))[:_UNKNOWN_SHOWN]))


def by_cause(counts: Mapping[str, int], part: Part, form: Callable[[int], str] = whole) -> str:
    """Return counts with the meanings of their causes, such as "repeated: 28, without a time: 2"."""
    return ", ".join(f"{meaning(cause, part)}: {form(count)}" for cause, count in counts.items())
