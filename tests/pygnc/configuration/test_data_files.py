import contextlib
import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.configuration.data_files import (
    COLUMNS,
    EARTH_ORIENTATION_TABLE,
    EARTH_ORIENTATION_UPLOAD,
    MAIN_FIELD_TABLE,
    TABLE_BYTES_MAX,
    DataFileError,
    load_earth_orientation,
    read_earth_orientation,
    read_main_field,
    with_checksum,
)
from pygnc.environment.geomagnetic import COEFFICIENTS, MainField
from pygnc_system.files import data_file
from tests.pygnc.environment.authority import orientation_table

ORIENTATION_HEAD = f"# IERS test\n{COLUMNS}\n"
DAY = "61000,0.1,0.2,0.3,0.4,0.5\n"
MAS_RAD = np.pi / 648e6


def test_the_packages_own_table_is_the_iers_as_another_library_has_it() -> None:
    ours, theirs = read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE)), orientation_table()
    assert ours.identification.startswith("IERS finals2000A 20")
    days = np.arange(gps_ms_from_utc_iso("2017-01-02T00:00:00Z"), gps_ms_from_utc_iso("2025-01-01T00:00:00Z"), 777e5)
    apart = np.array([np.subtract(ours.at(int(ms)), theirs.at(int(ms))) for ms in days])
    # Every fifth day is kept: UT1 in s, pole and pole offsets in mas.
    assert np.sqrt((apart[:, 0] ** 2).mean()) < 5e-4
    assert np.sqrt((apart[:, 1:3] ** 2).mean()) < 0.5 * MAS_RAD
    assert np.sqrt((apart[:, 3:] ** 2).mean()) < 0.5 * MAS_RAD


def test_an_uploaded_table_goes_before_the_packages_own(tmp_path: Path) -> None:
    assert load_earth_orientation(tmp_path)[0].identification.startswith("IERS finals2000A")
    (tmp_path / EARTH_ORIENTATION_UPLOAD).write_text(ORIENTATION_HEAD + DAY)
    table, fault = load_earth_orientation(tmp_path)
    assert (table.identification, fault) == ("IERS test", "")
    at = table.at(gps_ms_from_utc_iso("2025-11-22T00:00:00Z"))
    assert at.x_pole_rad == pytest.approx(200.0 * MAS_RAD)
    assert at.y_pole_rad == pytest.approx(300.0 * MAS_RAD)
    assert at.dy_rad == pytest.approx(0.5 * MAS_RAD)
    assert at.ut1_minus_gps_s == pytest.approx(0.1 - 18.0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not a table"),
        ("61000,0.1\n", "not a table"),
        (ORIENTATION_HEAD, "not a table"),
        (ORIENTATION_HEAD + DAY + "61001,0.1,0.2\n", "line 4: expected a day and five numbers"),
        (ORIENTATION_HEAD + "x,0.1,0.2,0.3,0.4,0.5\n", "line 3: expected a day and five numbers"),
        (ORIENTATION_HEAD + DAY + DAY, "days must ascend"),
        (ORIENTATION_HEAD + "61000,nan,0.2,0.3,0.4,0.5\n", "finite"),
        (ORIENTATION_HEAD + DAY + "61001,0.1,405,0.3,0.4,0.5\n", "line 4: 405 is beyond 1"),
        (ORIENTATION_HEAD + DAY + "61001,5,0.2,0.3,0.4,0.5\n", "line 4: 5 is beyond 1"),
        (ORIENTATION_HEAD + "61000,0.1,0.2,0.3,0.4,-11\n", "line 3: -11 is beyond 10"),
        (ORIENTATION_HEAD + "inf,0.1,0.2,0.3,0.4,0.5\n", "a day and five"),
        (ORIENTATION_HEAD + "1e300,0.1,0.2,0.3,0.4,0.5\n", "a day and five"),
        ("\xff\xfe" * 50, "not a table"),
    ],
)
def test_a_damaged_upload_is_named_and_not_used(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / EARTH_ORIENTATION_UPLOAD
    path.write_text(content, encoding="latin-1")
    with pytest.raises(DataFileError, match=says):
        read_earth_orientation(path)
    table, fault = load_earth_orientation(tmp_path)
    assert table.identification.startswith("IERS finals2000A")
    assert str(path) in fault
    assert "the packaged table is used" in fault


def test_an_upload_that_is_too_large_or_no_file_is_named_and_not_used(tmp_path: Path) -> None:
    path = tmp_path / EARTH_ORIENTATION_UPLOAD
    path.touch()
    os.truncate(path, 1 << 32)
    size = f"{1 << 32} bytes are more than the maximum of {TABLE_BYTES_MAX} bytes"
    assert (
        load_earth_orientation(tmp_path)[1] == f"{path}: {size}; put the right file there; the packaged table is used"
    )
    path.unlink()
    path.mkdir()
    assert load_earth_orientation(tmp_path)[1] == f"{path}: Is a directory; the packaged table is used"


def test_without_any_table_the_flight_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Path:
        raise FileNotFoundError(f"{name}: missing")

    monkeypatch.setattr("pygnc.configuration.data_files.data_file", missing)
    table, fault = load_earth_orientation(tmp_path)
    assert table.expires_gps_ms is None
    assert "some metres" in fault


FIELD_HEAD = "# test\ndegree,order,2000,2010\n"
HARMONICS = [(n, sign * m) for n in range(1, 14) for m in range(n + 1) for sign in ((1, -1) if m else (1,))]
VALUES = np.random.default_rng(1).integers(-3_000, 3_000, (COEFFICIENTS, 2)) / 100.0
ROWS = [f"{n},{m},{a},{b}\n" for (n, m), (a, b) in zip(HARMONICS, VALUES.tolist(), strict=True)]
TEXT = FIELD_HEAD + "".join(ROWS)
POSITION_M = np.array([[3e6, -4e6, 5e6]])


def test_a_file_says_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "field.csv"
    path.write_text(TEXT)
    expected = MainField([gps_ms_from_utc_iso(f"{year}-01-01T00:00:00Z") for year in (2000, 2010)], VALUES.T)
    for year in (2000, 2003, 2010):
        gps_ms = gps_ms_from_utc_iso(f"{year}-01-01T00:00:00Z")
        np.testing.assert_array_equal(read_main_field(path).at(gps_ms, POSITION_M), expected.at(gps_ms, POSITION_M))


def test_the_packages_file_spans_all_of_gps_time() -> None:
    lines = data_file(MAIN_FIELD_TABLE).read_text(encoding="ascii").splitlines()
    assert lines[0].startswith("# IGRF-14, IAGA")
    assert lines[1] == "degree,order," + ",".join(str(year) for year in range(1980, 2031, 5))
    # As published: g10 of 2025, and its change of 12.6 nT a year until 2030.
    assert lines[2].endswith(",-29350.0,-29287.0")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not a table"),
        ("# test\n", "not a table"),
        ("degree,order,2000,2010\n# test\n", "not a table"),
        ("\xff\xfe" * 50, "not a table"),
        (FIELD_HEAD, "0 coefficients; expected 195"),
        (FIELD_HEAD + "".join(ROWS[:-1]), "194 coefficients; expected 195"),
        (TEXT + ROWS[-1], "196 coefficients; expected 195"),
        (TEXT.replace("2010\n", "2010.5\n"), "line 2: the epochs are not years"),
        (TEXT.replace(",2000,2010\n", ",2010,2000\n"), "epochs must ascend"),
        (TEXT.replace("2000,2010\n", "\n"), "line 2: the epochs are not years"),
        (TEXT.replace("2000,2010\n", "2000\n"), "line 3: expected degree 1, order 0 and 1 numbers"),
        (FIELD_HEAD + "".join([ROWS[1], ROWS[0], *ROWS[2:]]), "line 3: expected degree 1, order 0 and 2 numbers"),
        (FIELD_HEAD + "".join([ROWS[0], "1,1,5\n", *ROWS[2:]]), "line 4: expected degree 1, order 1 and 2 numbers"),
        (FIELD_HEAD + "".join([ROWS[0], "1,1,5,x\n", *ROWS[2:]]), "line 4: expected degree 1, order 1 and 2 numbers"),
        (FIELD_HEAD + "".join([*ROWS[:-1], "13,-13,5,nan\n"]), "finite"),
    ],
)
def test_a_damaged_file_is_named_with_its_remedy(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "field.csv"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(DataFileError, match=says) as raised:
        read_main_field(path)
    assert str(path) in str(raised.value)
    assert "scripts/" in str(raised.value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(TEXT) - 1), junk=st.binary(max_size=4), lost=st.integers(0, 4))
def test_no_damage_leads_to_another_error(at: int, junk: bytes, lost: int, tmp_path: Path) -> None:
    path = tmp_path / "field.csv"
    content = TEXT.encode()
    path.write_bytes(content[:at] + junk + content[at + lost :])
    with contextlib.suppress(DataFileError):
        assert np.isfinite(read_main_field(path).at(1_400_000_000_000, POSITION_M)).all()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_main_field(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("seed", range(20))
def test_of_flipped_bits_none_changes_a_table_silently(seed: int, tmp_path: Path) -> None:
    dice, file = random.Random(seed), tmp_path / EARTH_ORIENTATION_UPLOAD  # noqa: S311 - repeatable
    content = bytearray(with_checksum(ORIENTATION_HEAD + DAY + DAY.replace("61000", "61005")), "ascii")
    bit = dice.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    with pytest.raises(DataFileError):
        read_earth_orientation(file)


def test_a_table_without_a_checksum_is_read(tmp_path: Path) -> None:
    file = tmp_path / EARTH_ORIENTATION_UPLOAD
    file.write_text(ORIENTATION_HEAD + DAY + DAY.replace("61000", "61005"))
    assert read_earth_orientation(file).identification == "IERS test"
