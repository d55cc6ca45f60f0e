from contextlib import suppress
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc_ground.truth.sp3 import read_sp3
from tests.pygnc_ground.truth import orbits
from tests.pygnc_ground.truth.writers import every, sp3

NOON = datetime(2025, 3, 20, 12)  # noqa: DTZ001 - in the file's time system, whichever it is
NOON_GPS_MS = gps_ms_from_utc_iso("2025-03-20T12:00:00Z") - 18_000
"""GPS time at which a GPS clock reads the date and time of `NOON`."""
EPOCHS = every(NOON, 60.0, 30)
T_S = 60.0 * np.arange(30)
STATES = orbits.circular(T_S)

# Written by hand after the layout of the published examples; the numbers are those of a circle of 7000 km.
SAMPLE = """\
#dV2025  3 20 12  0  0.00000000       3 ORBIT IGS20 FIT  TST
## 2358 388800.00000000    30.00000000 60754 0.5000000000000
+    2   L47L48  0  0  0  0  0  0  0  0  0  0  0  0  0  0  0
++         7  7  0  0  0  0  0  0  0  0  0  0  0  0  0  0  0
%c L  cc GPS ccc cccc cccc cccc cccc ccccc ccccc ccccc ccccc
%c cc cc ccc ccc cccc cccc cccc cccc ccccc ccccc ccccc ccccc
%f  1.2500000  1.025000000  0.00000000000  0.000000000000000
%f  0.0000000  0.000000000  0.00000000000  0.000000000000000
%i    0    0    0    0      0      0      0      0         0
%i    0    0    0    0      0      0      0      0         0
/* comments may be longer than sixty characters in SP3-d, and there may be any number of them
*  2025  3 20 12  0  0.00000000
PL47   4200.000000      0.000000   5600.000000 999999.999999  6  6  6
EP    55   55   55     222  1234567 -1234567  5999999      -30       21 -1230000
VL47      0.000000  77000.000000      0.000000 999999.999999
PL48  -4200.000000      0.000000   5600.000000 999999.999999
VL48      0.000000  77000.000000      0.000000 999999.999999
*  2025  3 20 12  0 30.00000000
PL47   4197.713308    230.958076   5596.951077 999999.999999                   P
VL47  -1524.323300  76958.077305  -2032.431067 999999.999999
PL48      0.000000      0.000000      0.000000 999999.999999
VL48      0.000000      0.000000      0.000000 999999.999999
*  2025  3 20 12  1  0.00000000
PL47   4190.855720    461.664661   5587.807627 999999.999999                  MP
VL47  -3046.986763  76832.354868  -4062.649017 999999.999999
PL48  -4190.855720    461.664661   5587.807627 999999.999999
VL48   3046.986763  76832.354868  -4062.649017 999999.999999
EOF
"""


def lines(text: str, *, change: dict[int, str]) -> str:
    """Return the sample with some lines replaced, counted from 1."""
    rows = text.splitlines()
    return "\n".join(change.get(number, row) for number, row in enumerate(rows, start=1)) + "\n"


def test_a_file_written_by_hand_is_read() -> None:
    ephemeris = read_sp3(SAMPLE, "L47")
    found = ephemeris.at(NOON_GPS_MS + np.array([0, 30_000, 60_000]))
    expected = orbits.circular([0.0, 30.0, 60.0])
    np.testing.assert_allclose(found.position_ecef_m, expected[:, :3], atol=6e-4)
    np.testing.assert_allclose(found.velocity_ecef_mps, expected[:, 3:], atol=6e-8)
    assert ephemeris.description.startswith("SP3-d of TST, satellite L47, IGS20, 2 predicted, 2025-03-20T11:59:42.000Z")


def test_a_flagged_manoeuvre_ends_the_arc() -> None:
    assert read_sp3(SAMPLE, "L47").description.endswith("3 samples in 2 arcs")
    assert read_sp3(SAMPLE.replace("MP\n", " P\n"), "L47").description.endswith("3 samples")


def test_an_epoch_without_a_position_is_a_gap() -> None:
    assert read_sp3(SAMPLE, "L48").description.endswith("2 samples in 2 arcs")


@pytest.mark.parametrize("version", ["c", "d"])
@pytest.mark.parametrize("velocities", [True, False])
def test_written_files_are_read(version: str, velocities: bool) -> None:  # noqa: FBT001
    text = sp3(EPOCHS, {"L47": STATES}, version=version, velocities=velocities)
    ephemeris = read_sp3(text, None)
    begin_ms, end_ms = ephemeris.span_gps_ms
    assert end_ms - begin_ms == 1_740_000
    t_ms = np.arange(0, 1_740_001, 7000)
    found = ephemeris.at(begin_ms + t_ms)
    expected = orbits.circular(t_ms * 1e-3)
    # The file's decimals: 0.5 mm, and 0.05 um/s if there are velocities, else what positions give.
    np.testing.assert_allclose(found.position_ecef_m, expected[:, :3], atol=2e-3)
    np.testing.assert_allclose(found.velocity_ecef_mps, expected[:, 3:], atol=1e-4 if velocities else 1e-3)


def test_velocities_by_differentiation_are_those_of_a_real_orbit() -> None:
    t_s = np.arange(0.0, 7001.0, 30.0)
    text = sp3(every(NOON, 30.0, len(t_s)), {"L47": orbits.states_itrf(t_s)}, interval_s=30.0, velocities=False)
    ephemeris = read_sp3(text, None)
    asked_s = orbits.between(30.0)
    found = ephemeris.at_ns(ephemeris.span_gps_ms[0] * 1_000_000 + np.round(asked_s * 1e9).astype(np.int64))
    expected = orbits.states_itrf(asked_s)
    # Positions to a millimetre in the file make velocities to some hundredths of a millimetre per second.
    np.testing.assert_allclose(found.velocity_ecef_mps, expected[:, 3:], atol=2e-4)


@pytest.mark.parametrize(
    ("time_system", "ahead_of_gps_s"),
    [("GPS", 0), ("GAL", 0), ("QZS", 0), ("TAI", 19), ("UTC", -18), ("GLO", -18), ("BDT", -14)],
)
def test_times_are_in_the_system_that_the_file_names(time_system: str, ahead_of_gps_s: int) -> None:
    (begin_ms, _) = read_sp3(sp3(EPOCHS, {"L47": STATES}, time_system=time_system), None).span_gps_ms
    assert begin_ms == NOON_GPS_MS - 1000 * ahead_of_gps_s


def test_utc_runs_through_a_leap_second() -> None:
    utc = [f"2016-12-31T23:59:{second:02d}.000000" for second in range(50, 61)]
    utc += [f"2017-01-01T00:00:{second:02d}.000000" for second in range(10)]
    t_s = np.arange(21.0)
    ephemeris = read_sp3(sp3(utc, {"L47": orbits.circular(t_s)}, time_system="UTC", interval_s=1.0), None)
    begin_ms = gps_ms_from_utc_iso("2016-12-31T23:59:50Z")
    assert ephemeris.span_gps_ms == (begin_ms, begin_ms + 20_000)
    found = ephemeris.at(begin_ms + np.arange(0, 20_001, 250))
    np.testing.assert_allclose(found.position_ecef_m, orbits.circular(np.arange(0.0, 20.1, 0.25))[:, :3], atol=2e-3)


def test_the_satellite_is_chosen_by_name_and_the_error_lists_them() -> None:
    names = [f"G{number:02d}" for number in range(1, 33)] + ["L47"]
    states = {name: STATES * (1.0 + 1e-3 * row) for row, name in enumerate(names)}
    text = sp3(EPOCHS, states, version="d")
    found = read_sp3(text, "G20").at(np.array([read_sp3(text, "G20").span_gps_ms[0]]))
    assert np.linalg.norm(found.position_ecef_m) == pytest.approx(7e6 * 1.019, abs=1e-3)
    for wanted, complaint in ((None, "several objects"), ("L48", "unknown object 'L48'")):
        with pytest.raises(ValueError, match=complaint + ".*G01, G02.*L47"):
            read_sp3(text, wanted)


def test_a_satellite_name_without_its_zero_is_accepted() -> None:
    text = sp3(EPOCHS, {"G 1": STATES})
    assert read_sp3(text, "G01").description == read_sp3(text, None).description


@pytest.mark.parametrize(
    ("no_position_m", "no_velocity_mps"), [(np.nan, np.nan), (999_999_999.999_999, 99_999.999_999_9)]
)
def test_missing_positions_make_gaps_and_missing_velocities_an_arc_of_positions(
    no_position_m: float, no_velocity_mps: float
) -> None:
    states = STATES.copy()
    states[12, :3], states[20, 3:] = no_position_m, no_velocity_mps
    ephemeris = read_sp3(sp3(EPOCHS, {"L47": states}), None)
    asked = ephemeris.span_gps_ms[0] + 60_000 * np.array([11, 12, 13, 20])
    asked = np.append(asked, asked[:3] + 30_000)
    found = ephemeris.at(asked)
    known = [True, False, True, True, False, False, True]
    np.testing.assert_array_equal(np.isfinite(found.position_ecef_m[:, 0]), known)
    np.testing.assert_allclose(found.velocity_ecef_mps[3], STATES[20, 3:], atol=1e-3)


def test_a_missing_epoch_is_a_gap() -> None:
    keep = np.arange(30) != 15
    text = sp3([epoch for epoch, kept in zip(EPOCHS, keep, strict=True) if kept], {"L47": STATES[keep]})
    assert read_sp3(text, None).description.endswith("29 samples in 2 arcs")


@pytest.mark.parametrize(
    ("number", "line", "complaint"),
    [
        (1, "#aV2025  3 20 12  0  0.00000000       3 ORBIT IGS20 FIT  TST", "line 1: SP3-a"),
        (1, "/*", "line 12: the header lacks"),
        (2, "## 2358 388800.00000000     0.00000000 60754 0.5", "line 2: the epoch interval 0.0+ s"),
        (2, "## 2358 388800.00000000    3x.00000000 60754 0.5", "line 2: '3x.00000000' is not a number"),
        (2, "/*", "line 12: the header lacks"),
        (3, "+    0     0  0  0", "line 12: unknown object 'L47'.* none"),
        (5, "%c L  cc XXX ccc cccc cccc", "line 5: .*'XXX'.*GPS"),
        (11, "PL47   4200.000000      0.000000   5600.000000", "line 11: .*before the first epoch"),
        (12, "*  2025  3 32 12  0  0.00000000", "line 12: 2025-03-32 is not a date"),
        (12, "*  2025  3 20 12 60  0.00000000", "line 12: .* does not exist in GPS"),
        (12, "*  2025  3 2x 12  0  0.00000000", "line 12: .*is not an epoch"),
        (13, "PL47   4200.000000      0.0x0000   5600.000000", "line 13: '0.0x0000' is not a number"),
        (13, "PL47   4200.000000      0.000000", "line 13: '' is not a number"),
        (13, "PL47   4200.000000           nan   5600.000000", "line 13: 'nan' is not a number"),
        (18, "*  2025  3 20 11  0 30.00000000", "line 18: .* is not later than the previous epoch"),
        (18, "Q  2025  3 20 11  0 30.00000000", "line 18: 'Q  2025  3 20 11  0 '"),
        (28, "", "line 28: .*EOF"),
        (1, "#dV2025  3 20 12  0  0.00000000       3 ORBIT J2000 FIT  TST", "line 12: .*J2000 is inertial"),
    ],
)
def test_damage_is_reported_with_its_line(number: int, line: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_sp3(lines(SAMPLE, change={number: line}), "L47")


def test_a_satellite_without_any_position_is_rejected() -> None:
    states = {"L47": STATES, "L48": np.full_like(STATES, np.nan)}
    with pytest.raises(ValueError, match="no position of satellite L48"):
        read_sp3(sp3(EPOCHS, states), "L48")


@given(st.integers(0, len(SAMPLE) - 1), st.text(max_size=3), st.integers(0, 200))
def test_a_damaged_file_is_read_or_rejected(place: int, inserted: str, removed: int) -> None:
    damaged = SAMPLE[:place] + inserted + SAMPLE[place + removed :]
    with suppress(ValueError):
        assert read_sp3(damaged, "L47").span_gps_ms[0] > 0


@given(st.text())
def test_any_other_text_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"line|no epoch"):
        read_sp3(text, None)
