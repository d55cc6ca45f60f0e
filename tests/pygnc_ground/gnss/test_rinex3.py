"""RINEX 3 observation files: reader and writer."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.formats.damage import Damage
from pygnc_ground.gnss.measurements import LOST_LOCK, GnssMeasurements
from pygnc_ground.gnss.rinex2 import read_rinex2
from pygnc_ground.gnss.rinex3 import is_rinex3, read_rinex3
from pygnc_ground.gnss.rinex_writer import write_rinex3
from tests.fakes.gnss_measurements import measurements
from tests.reference import recording


def assert_equal(found: GnssMeasurements, expected: GnssMeasurements) -> None:
    for field in fields(GnssMeasurements):
        if isinstance(value := getattr(expected, field.name), np.ndarray):
            np.testing.assert_array_equal(getattr(found, field.name), value, err_msg=field.name)


def edited(content: bytes, number: int, line: bytes | None) -> bytes:
    """Return the content with another line after the header, or without it."""
    lines = content.split(b"\n")
    at = next(k for k, one in enumerate(lines) if b"END OF HEADER" in one) + number
    return b"\n".join([*lines[:at], *([] if line is None else [line]), *lines[at + 1 :]])


def test_what_is_written_is_read() -> None:
    content = write_rinex3(measurements(), "A comment.")
    assert is_rinex3(content)
    found = read_rinex3(content)
    assert_equal(found, measurements())
    assert found.facts == measurements().facts
    assert found.damage == ()


def test_times_have_a_fraction() -> None:
    shifted = replace(measurements(), fraction_s=np.full(12, 1.234e-4))
    found = read_rinex3(write_rinex3(shifted))
    assert found.gps_ms.tolist() == shifted.gps_ms.tolist()
    assert found.fraction_s == pytest.approx(shifted.fraction_s, abs=1e-12)


def test_one_frequency_is_written_without_the_columns_of_the_other() -> None:
    content = write_rinex3(measurements().without_l2())
    assert b"G    3 C1C L1C S1C" in content
    assert_equal(read_rinex3(content), measurements().without_l2())


def test_the_recording_of_grace_b_is_the_same_in_both_versions() -> None:
    pytest.importorskip("hatanaka")
    recorded = read_rinex2(recording("../grace_b/GRCB2080.10D").read_bytes())
    assert_equal(read_rinex3(write_rinex3(recorded)), recorded)


def test_other_systems_events_and_header_lines_between_epochs_are_passed_over() -> None:
    lines = write_rinex3(measurements(1)).split(b"\n")
    at = next(k for k, one in enumerate(lines) if one.startswith(b">"))
    event = [b">                              4  2", b"A" * 60 + b"COMMENT", b"B" * 60 + b"COMMENT"]
    lines[at] = lines[at].replace(b" 0  3", b" 1  4")
    found = read_rinex3(b"\n".join([*lines[:at], *event, lines[at], b"R07  20471032.921", *lines[at + 1 :]]))
    assert found.damage == ()
    assert found.satellite.tolist() == ["G05", "G17", "G31"]
    assert (found.loss_of_lock_l1 & LOST_LOCK).all()


def test_each_satellite_has_one_signal_and_scale_factors_divide() -> None:
    header = (
        f"{3.04:9.2f}{'':11}{'O':20}{'M':20}RINEX VERSION / TYPE\n"
        f"{'G    4 C2L C2W L1C S1C':60}SYS / # / OBS TYPES\n"
        f"{'R    1 C1C':60}SYS / # / OBS TYPES\n"
        f"{'G   10   1 L1C':60}SYS / SCALE FACTOR\n"
        f"{'':60}END OF HEADER\n"
    )
    rows = {"G01": ("      1.000", "           "), "G02": ("      1.000", "      2.000")}
    epochs = "".join(
        f"> 2020 01 01 00 00 {second:10.7f}  0  2\n"
        + "".join(f"{name}{l2:>14}  {w:>14}  {100.0:14.3f}7 {45.0:14.3f}\n" for name, (l2, w) in rows.items())
        for second in (0.0, 1.0)
    )
    found = read_rinex3((header + epochs).encode())
    assert found.code_p2_m.tolist() == [1.0, 2.0, 1.0, 2.0]
    assert found.phase_l1_m == pytest.approx(np.full(4, 10.0 * 0.190293673), rel=1e-8)
    assert found.loss_of_lock_l1.tolist() == [7] * 4
    assert found.signal_to_noise_l1_db_hz.tolist() == [45.0] * 4


@pytest.mark.parametrize(
    ("number", "line", "detail", "rows"),
    [
        (1, b"> 2020 xx", "not an epoch line", 9),
        (1, None, "before the first epoch", 9),
        (5, None, "fewer satellites", 6 + 3),
        (2, b"G05  2047103?.921", "not a number", 12),
        (2, b"?", "neither an epoch nor a satellite", 11),
        (3, b"G05  20471032.921", "twice in the epoch", 11),
    ],
)
def test_damage_names_line_and_reason(number: int, line: bytes | None, detail: str, rows: int) -> None:
    found = read_rinex3(edited(write_rinex3(measurements()), number, line))
    assert any(detail in one.detail for one in found.damage), found.damage
    assert len(found) == rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((b"END OF HEADER", b"END"), "no line 'END OF HEADER'"),
        ((b"G    7 C1C", b"G    8 C1C"), "the header names 7 of 8 observations"),
        ((b"     GPS", b"     GLO"), "the time system GLO is not supported"),
        ((b"\n>", b"\n?"), "no epoch with a satellite"),
    ],
)
def test_a_file_that_cannot_be_read_names_the_remedy(change: tuple[bytes, bytes], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_rinex3(write_rinex3(measurements()).replace(*change))


def test_values_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="ten digits"):
        write_rinex3(replace(measurements(), code_l1_m=np.full(12, 1e10)))


def require_accounted(damage: tuple[Damage, ...], size: int) -> None:
    assert all(0 <= one.start < one.stop <= size for one in damage)
    assert all(one.stop <= other.start for one, other in pairwise(damage))


@given(data=st.data())
def test_any_damage_leaves_the_other_lines_right(data: st.DataObject) -> None:
    content, expected = write_rinex3(measurements(6)), measurements(6)
    begin = content.index(b"END OF HEADER") + 14
    octets = bytearray(content)
    places = data.draw(st.lists(st.integers(begin, len(octets) - 1), max_size=4))
    for place in places:
        octets[place] = data.draw(st.integers(0, 255))
    octets = octets[: data.draw(st.integers(begin, len(octets)))]
    try:
        found = read_rinex3(bytes(octets))
    except ValueError as error:
        assert "no epoch" in str(error)  # noqa: PT017 - the message is the assertion
        return
    require_accounted(found.damage, len(octets))
    damaged_lines = len({content.count(b"\n", 0, place) for place in places}) + 1
    whole = {
        (ms, name, code) for ms, name, code in zip(expected.gps_ms, expected.satellite, expected.code_l1_m, strict=True)
    }
    wrong = [row for row in zip(found.gps_ms, found.satellite, found.code_l1_m, strict=True) if row not in whole]
    # A damaged epoch line may show another time for its three satellites.
    assert len(wrong) <= 3 * damaged_lines
