"""Two-line elements (TLE), with or without a line of the object's name before them.

Columns, checksum and implied decimal points follow CelesTrak's "FAQs: Two-Line Element Set Format". Catalogue numbers
above 99999 are in the Alpha-5 scheme: a letter other than I and O stands for 10 to 33 before four digits.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from pygnc.common.clock import gps_ms_from_unix_ms, midnight_unix_ms
from pygnc.common.mean_elements import (
    ElementsError,
    MeanElements,
    ParsedElements,
    check_perigee,
    out_of_range,
    printable_ascii,
)

LINE_CHARACTERS: Final = 69
ALPHA5: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Letters of the Alpha-5 scheme, for 10 to 33."""
_MS_PER_DAY: Final = 86_400_000
_DAY_DIGITS: Final = 8
_NAME_MAX: Final = 60
_BLANKS: Final = ((2, 9, 18, 33, 44, 53, 62, 64), (2, 8, 17, 26, 34, 43, 52))
"""Columns that must be blank in line 1 and in line 2, counted from 1."""
_EXPONENTIAL: Final = re.compile(r"([ +-])(\d{5})([+-]\d)")
_DESIGNATOR: Final = re.compile(r"(\d\d)(\d{3})([A-Z]{1,3})")


class _Line(NamedTuple):
    """An element line and its number in the text, from 1."""

    number: int
    text: str

    def field(self, first: int, last: int) -> str:
        """Return the characters of columns `first` to `last`, counted from 1."""
        return self.text[first - 1 : last]

    def value(self, name: str, text: str) -> float:
        """Return the number in `text`; raise `ElementsError` if it is outside the range of the element `name`."""
        if not re.fullmatch(r" *[+-]?\d*\.?\d+", text):
            raise ElementsError(self.number, f"{name} is {text!r}, not a number; copy the elements again")
        value = float(text)
        if reason := out_of_range(name, value):
            raise ElementsError(self.number, f"{reason}; copy the elements again")
        return value


def parse_tle(text: str) -> ParsedElements:
    """Return the elements of one object from two lines, or three with the name first.

    Blank lines and comments, which begin with `#`, are ignored.

    Raises:
        ElementsError: A line is missing, too many, or damaged, or a value is out of range.
    """
    lines = [
        _Line(number, line.rstrip())
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip() and line[0] != "#"
    ]
    name = ""
    if lines and not (lines[0].text.startswith(("1 ", "2 ")) and (len(lines) != 3 or len(lines[0].text) > _NAME_MAX)):
        name = printable_ascii(lines.pop(0).text.removeprefix("0 ").strip()[:_NAME_MAX])
    if len(lines) != 2:
        at = lines[2].number if len(lines) > 2 else max((line.number for line in lines), default=1)
        raise ElementsError(at, f"{len(lines)} element lines instead of 2; give one object, line 1 and line 2")
    for place, line in enumerate(lines):
        _check_line(line, str(place + 1), _BLANKS[place])
    one, two = lines
    if one.field(3, 7) != two.field(3, 7):
        raise ElementsError(
            two.number, f"catalogue number {two.field(3, 7)!r} differs from {one.field(3, 7)!r} in the line before"
        )
    if one.field(63, 63) not in {"0", "2", " "}:
        raise ElementsError(one.number, f"ephemeris type {one.field(63, 63)!r} is not SGP4 (0); get elements for SGP4")
    if not re.fullmatch(r"\d{7}", two.field(27, 33)):
        raise ElementsError(two.number, f"eccentricity is {two.field(27, 33)!r}, not seven digits")
    elements = MeanElements(
        epoch_gps_ms=_epoch_gps_ms(one),
        mean_motion_rev_per_day=two.value("mean_motion_rev_per_day", two.field(53, 63)),
        eccentricity=two.value("eccentricity", f"0.{two.field(27, 33)}"),
        inclination_deg=two.value("inclination_deg", two.field(9, 16)),
        raan_deg=two.value("raan_deg", two.field(18, 25)),
        argument_of_perigee_deg=two.value("argument_of_perigee_deg", two.field(35, 42)),
        mean_anomaly_deg=two.value("mean_anomaly_deg", two.field(44, 51)),
        bstar_per_radius=one.value("bstar_per_radius", _decimal(one, one.field(54, 61))),
        catalogue_number=_catalogue_number(one),
        designator=_designator(one.field(10, 17).strip()),
        name=name,
    )
    check_perigee(elements, two.number)
    return ParsedElements(elements, one.number, one.number)


def checksum(line: str) -> int:
    """Return the checksum of the first 68 characters: the sum of the digits, with 1 for each minus sign, modulo 10."""
    return sum(int(c) if c in "0123456789" else int(c == "-") for c in line[: LINE_CHARACTERS - 1]) % 10


def _check_line(line: _Line, first: str, blanks: Sequence[int]) -> None:
    """Raise `ElementsError` if length, line number (`first`), blank columns or checksum are wrong."""
    if not line.text.isascii() or len(line.text) != LINE_CHARACTERS:
        raise ElementsError(line.number, f"{len(line.text)} characters instead of {LINE_CHARACTERS}; copy it again")
    if line.text[0] != first:
        raise ElementsError(line.number, f"begins with {line.text[0]!r} instead of {first!r}; give line 1, then line 2")
    found, expected = line.text[-1], str(checksum(line.text))
    if found != expected:
        raise ElementsError(
            line.number, f"the checksum is {found!r}, but the line adds up to {expected}; copy it again"
        )
    for column in blanks:
        if line.field(column, column) != " ":
            raise ElementsError(line.number, f"column {column} is not blank; copy the line again")


def _decimal(line: _Line, field: str) -> str:
    """Return a field such as " 58680-4", which means 0.58680e-4, as a plain decimal number."""
    match = _EXPONENTIAL.fullmatch(field)
    if match is None:
        raise ElementsError(line.number, f"B* is {field!r}, not a number such as ' 58680-4'; copy the line again")
    sign, digits, exponent = match.groups()
    return f"{sign.strip()}{float(f'0.{digits}e{exponent}'):.15f}"


def _epoch_gps_ms(line: _Line) -> int:
    """Return the epoch, GPS time in ms; rounding to whole ms moves the satellite by at most 4 m."""
    text = line.field(19, 32)
    match = re.fullmatch(r"(\d\d)([ \d]{2}\d)\.(\d{8})", text)
    if match is None or not 1 <= int(match[2]) <= 366:
        raise ElementsError(line.number, f"the epoch is {text!r}, not a year and a day such as '26325.51782528'")
    year = int(match[1]) + (1900 if int(match[1]) >= 57 else 2000)
    fraction_ms = round(int(match[3]) * _MS_PER_DAY / 10**_DAY_DIGITS)
    return gps_ms_from_unix_ms(midnight_unix_ms(f"{year}-01-01") + (int(match[2]) - 1) * _MS_PER_DAY + fraction_ms)


def _catalogue_number(line: _Line) -> int:
    text = line.field(3, 7).strip()
    if re.fullmatch(rf"[{ALPHA5}]\d{{4}}", text):
        return (10 + ALPHA5.index(text[0])) * 10_000 + int(text[1:])
    if not re.fullmatch(r"\d{1,5}", text):
        raise ElementsError(line.number, f"catalogue number {text!r} is not a number of five digits")
    return int(text)


def _designator(text: str) -> str:
    """Return a designator such as 98067A in the form 1998-067A; return any other text unchanged."""
    match = _DESIGNATOR.fullmatch(text)
    if match is None:
        return text
    return f"{'19' if int(match[1]) >= 57 else '20'}{match[1]}-{match[2]}{match[3]}"
