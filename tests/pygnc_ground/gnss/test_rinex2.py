"""RINEX 2 observation files."""

import gzip

import numpy as np
import pytest

from pygnc_ground.gnss.measurements import L1_WAVELENGTH_M, LOST_LOCK
from pygnc_ground.gnss.rinex2 import is_rinex2, read_rinex2

HEADER = """\
     2.20           OBSERVATION DATA    GPS                 RINEX VERSION / TYPE
CUBE                                                        MARKER NAME
     6    L1    L2    C1    P1    P2    S1                  # / TYPES OF OBSERV
                                                            END OF HEADER
"""
EPOCH = """\
 10 07 27 00 00 10.0000000  0  2G11 14
 107576007.03748  83825474.87148  20471032.92149  20471033.58948  20471037.27648
        48.000
 112972191.77545                  21497892.81848
        47.000
"""


def test_values_are_in_their_units() -> None:
    seen = read_rinex2((HEADER + EPOCH).encode())
    assert seen.satellite.tolist() == ["G11", "G14"]
    assert seen.gps_ms.tolist() == [964_224_010_000] * 2
    assert seen.code_l1_m.tolist() == [20471032.921, 21497892.818]
    assert seen.phase_l1_m[0] == pytest.approx(107576007.037 * L1_WAVELENGTH_M)
    assert np.isnan(seen.code_p2_m[1])
    assert np.isnan(seen.phase_l2_m[1])
    assert (seen.loss_of_lock_l1 & LOST_LOCK).tolist() == [0, 0]
    assert seen.facts.marker == "CUBE"


def test_power_failure_and_indicator_lose_lock() -> None:
    seen = read_rinex2((HEADER + EPOCH.replace(".0000000  0", ".0000000  1")).encode())
    assert (seen.loss_of_lock_l1 & LOST_LOCK).tolist() == [1, 1]
    seen = read_rinex2((HEADER + EPOCH.replace("6007.03748", "6007.03718")).encode())
    assert (seen.loss_of_lock_l1 & LOST_LOCK).tolist() == [1, 0]


def test_damage_is_reported_and_the_rest_is_read() -> None:
    later = EPOCH.replace("10.0000000", "20.0000000")
    text = HEADER + EPOCH + "noise\n" + later.replace("20471032.921", "2047x032.921")
    seen = read_rinex2(text.encode())
    assert len(seen) == 4
    assert np.isnan(seen.code_l1_m[2])
    assert [one.detail for one in seen.damage] == [
        "line 10: not an epoch line",
        "line 12: a field is not a number",
    ]
    start, stop = seen.damage[0].start, seen.damage[0].stop
    assert text[start:stop] == "noise\n"


def test_lines_that_end_as_on_windows_are_read_and_their_damage_has_its_place() -> None:
    text = (HEADER + EPOCH + "noise\n").replace("\n", "\r\n")
    seen = read_rinex2(text.encode())
    assert seen.code_p2_m[0] == pytest.approx(20471037.276)
    (noise,) = seen.damage
    assert text[noise.start : noise.stop] == "noise\r\n"


def test_file_that_ends_inside_an_epoch_is_used_up_to_it() -> None:
    seen = read_rinex2((HEADER + EPOCH + EPOCH[:100]).encode())
    assert len(seen) == 2
    assert seen.damage[0].detail == "line 10: the file ends inside an epoch"


def test_compressed_file_is_unpacked() -> None:
    content = (HEADER + EPOCH).encode()
    assert len(read_rinex2(gzip.compress(content))) == 2
    assert is_rinex2(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER[:100].encode(), "END OF HEADER"),
        (HEADER.encode(), "no epoch with a satellite"),
        (HEADER.replace("     6 ", "     7 ").encode() + EPOCH.encode(), "names 6 of 7"),
        (b"\x1f\x8b broken", "cannot be unpacked"),
    ],
)
def test_unusable_files_are_named(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_rinex2(content)
