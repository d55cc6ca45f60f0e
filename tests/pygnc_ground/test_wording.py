import pytest

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc_ground.wording import duration, fixed, number, percent, plural, utc


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.2345, "1.23"),
        (-0.012345, "−0.0123"),
        (12345.6, "12346"),
        (0.0, "0"),
        (9.996, "10.0"),
        (1.5e-9, "1.50e−09"),
        (3e12, "3.00e+12"),
        (float("nan"), "–"),
        (float("inf"), "–"),
        (None, "–"),
    ],
)
def test_numbers_have_significant_digits(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(1234567.891, 1, "1\u202f234\u202f567.9"), (-12.0, 0, "−12"), (float("nan"), 2, "–"), (None, 2, "–")],
)
def test_fixed_numbers_have_their_thousands_apart(value: float | None, decimals: int, text: str) -> None:
    assert fixed(value, decimals) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.99999, "99.9 %"), (0.00001, "0.1 %"), (0.954, "95.4 %"), (float("nan"), "–")],
)
def test_only_an_exact_whole_is_100_percent(share: float, text: str) -> None:
    assert percent(share) == text


def test_one_is_singular() -> None:
    assert [plural(count, "byte") for count in (0, 1, 1200)] == ["0 bytes", "1 byte", "1\u202f200 bytes"]


@pytest.mark.parametrize(
    ("iso", "text"),
    [
        ("2025-03-20T09:01:28.000Z", "2025-03-20 09:01:28 UTC"),
        ("2025-03-20T09:01:28.250Z", "2025-03-20 09:01:28.250 UTC"),
    ],
)
def test_utc_has_milliseconds_only_where_there_are_any(iso: str, text: str) -> None:
    assert utc(gps_ms_from_utc_iso(iso)) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0 s"), (59_400, "59 s"), (60_000, "1 min 00 s"), (3_599_000, "59 min 59 s"), (10_780_000, "3 h 00 min")],
)
def test_durations_are_given_as_far_as_needed(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text
