from pathlib import Path

import numpy as np
import pytest

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.configuration.data_files import data_file
from pygnc.configuration.earth_orientation_file import (
    COLUMNS,
    PACKAGED,
    UPLOADED,
    EarthOrientationFileError,
    load_earth_orientation,
    read_earth_orientation,
)
from tests.pygnc.environment.authority import orientation_table

HEAD = f"# IERS test\n{COLUMNS}\n"
DAY = "61000,0.1,0.2,0.3,0.4,0.5\n"
MAS_RAD = np.pi / 648e6


def test_the_packages_own_table_is_the_iers_as_another_library_has_it() -> None:
    ours, theirs = read_earth_orientation(data_file(PACKAGED)), orientation_table()
    assert ours.identification.startswith("IERS finals2000A 20")
    days = np.arange(gps_ms_from_utc_iso("2017-01-02T00:00:00Z"), gps_ms_from_utc_iso("2025-01-01T00:00:00Z"), 777e5)
    apart = np.array([np.subtract(ours.at(int(ms)), theirs.at(int(ms))) for ms in days])
    # Every fifth day is kept: UT1 in s, pole and pole offsets in mas.
    assert np.sqrt((apart[:, 0] ** 2).mean()) < 5e-4
    assert np.sqrt((apart[:, 1:3] ** 2).mean()) < 0.5 * MAS_RAD
    assert np.sqrt((apart[:, 3:] ** 2).mean()) < 0.5 * MAS_RAD


def test_an_uploaded_table_goes_before_the_packages_own(tmp_path: Path) -> None:
    assert load_earth_orientation(tmp_path).table.identification.startswith("IERS finals2000A")
    (tmp_path / UPLOADED).write_text(HEAD + DAY)
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
        ("", "no table"),
        ("61000,0.1\n", "no table"),
        (HEAD, "no table"),
        (HEAD + DAY + "61001,0.1,0.2\n", "line 4: not a day and five numbers"),
        (HEAD + "x,0.1,0.2,0.3,0.4,0.5\n", "line 3: not a day and five numbers"),
        (HEAD + DAY + DAY, "days must ascend"),
        (HEAD + "61000,nan,0.2,0.3,0.4,0.5\n", "finite"),
        (HEAD + "inf,0.1,0.2,0.3,0.4,0.5\n", "not a day"),
        (HEAD + "1e300,0.1,0.2,0.3,0.4,0.5\n", "not a day"),
        ("\xff\xfe" * 50, "no table"),
    ],
)
def test_a_damaged_upload_is_named_and_not_used(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / UPLOADED
    path.write_text(content, encoding="latin-1")
    with pytest.raises(EarthOrientationFileError, match=says):
        read_earth_orientation(path)
    table, fault = load_earth_orientation(tmp_path)
    assert table.identification.startswith("IERS finals2000A")
    assert str(path) in fault
    assert "the package's own is used" in fault


def test_without_any_table_the_flight_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Path:
        raise FileNotFoundError(f"{name}: missing")

    monkeypatch.setattr("pygnc.configuration.earth_orientation_file.data_file", missing)
    table, fault = load_earth_orientation(tmp_path)
    assert table.expires_gps_ms is None
    assert "some metres" in fault
