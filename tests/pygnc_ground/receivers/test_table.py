"""Tables of other programs with fixes and readings, whose columns the settings name."""

import math
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pygnc.bus.messages import GnssFix, SensorSample, SourceFile
from pygnc.common.clock import MS_PER_WEEK, unix_ms_from_gps_ms, utc_iso_from_gps_ms
from pygnc.configuration.load import ConfigurationError, settings_from_table
from pygnc.configuration.settings import Settings
from pygnc.estimators.orbit.measurement import RejectCause
from pygnc.estimators.orbit.settings import ScreeningSettings
from pygnc.formats.damage import Damage
from pygnc.navigation.screening import screen
from pygnc_ground.replay.inputs import ReplayError, from_files, log_reader_of
from tests.fakes.receiver_logs import Solution
from tests.pygnc_ground.truth import orbits

ONE = Solution(2359 * MS_PER_WEEK + 86_400_250, (6_500_000.0, 1_000_000.0, 2_000_000.0), (-1000.0, 5000.0, 5600.0))
FIXES = {"time": ["t"], "time_scale": "unix_ms", "position": ["x", "y", "z"], "velocity": ["vx", "vy", "vz"]}
READINGS = {"time": ["t"], "time_scale": "gps_s", "magnetometer": ["bx", "by", "bz"], "gyro": ["wx", "wy", "wz"]}


def settings(**sections: dict[str, Any]) -> Settings:
    return settings_from_table({"columns": sections}, Path("columns.toml"))


def records(path: Path, section: dict[str, Any]) -> list[Any]:
    reader = log_reader_of(path, settings(one=section).columns)
    assert reader is not None
    return list(reader.records(path))


def written(folder: Path, text: str) -> Path:
    path = folder / "log.csv"
    path.write_bytes(text.encode())
    return path


def table(folder: Path, section: dict[str, Any], *rows: str) -> list[Any]:
    """Return the records of a CSV table with all columns of a section."""
    names = [
        column for name, value in section.items() if name != "missing" and isinstance(value, list) for column in value
    ]
    return records(written(folder, "\n".join([",".join(names), *rows, ""])), section)


STATE = "6500000,1000000,2000000,-1000,5000,5600"


@pytest.mark.parametrize(
    ("scale", "cells"),
    [
        ("utc", utc_iso_from_gps_ms(ONE.gps_ms)),
        ("utc", utc_iso_from_gps_ms(ONE.gps_ms).replace("T", " ").rstrip("Z")),
        ("utc", utc_iso_from_gps_ms(ONE.gps_ms).replace("Z", "000+00:00")),
        ("unix_s", f"{unix_ms_from_gps_ms(ONE.gps_ms) / 1000}"),
        ("unix_ms", f"{unix_ms_from_gps_ms(ONE.gps_ms)}"),
        ("gps_s", f"{ONE.gps_ms / 1000}"),
        ("gps_week_s", f"{ONE.week},{ONE.tow_ms / 1000}"),
        ("gps_week_ms", f"{ONE.week}.0,{ONE.tow_ms}"),
    ],
)
def test_each_time_scale_gives_the_same_fix(scale: str, cells: str, tmp_path: Path) -> None:
    section = FIXES | {"time": ["w", "t"] if "week" in scale else ["t"], "time_scale": scale}
    (fix,) = table(tmp_path, section, f"{cells},{STATE}")
    assert fix.gps_ms == ONE.gps_ms
    assert fix.position_ecef_m == pytest.approx(ONE.position_m, abs=2e-3)
    assert fix.velocity_ecef_mps == ONE.velocity_mps
    assert fix.position_sigma_m == (0.0, 0.0, 0.0)
    assert (fix.position_solution, fix.velocity_solution) == ("computed", "computed")


def test_a_fraction_of_a_millisecond_moves_the_position(tmp_path: Path) -> None:
    (fix,) = table(tmp_path, FIXES, f"{unix_ms_from_gps_ms(ONE.gps_ms)}.4,{STATE}")
    assert fix.gps_ms == ONE.gps_ms
    assert fix.position_ecef_m[1] == pytest.approx(1_000_000.0 - 0.4e-3 * 5000.0, abs=2e-3)


def test_geodetic_positions_and_velocities_in_local_axes_with_their_units(tmp_path: Path) -> None:
    section = FIXES | {"position_frame": "geodetic", "position_unit": "km", "position_sigma": ["sn", "se", "su"]}
    section |= {"velocity_frame": "ned", "velocity_unit": "km/s", "velocity_sigma": ["sv"]}
    (latitude, longitude, height), (east, north, up) = ONE.geodetic, ONE.velocity_enu_mps
    place, motion = f"{latitude},{longitude},{height / 1e3}", f"{north / 1e3},{east / 1e3},{-up / 1e3}"
    names = "t,x,y,z,vx,vy,vz,sn,se,su,sv"
    line = f"{unix_ms_from_gps_ms(ONE.gps_ms)},{place},{motion},0.003,0.004,0.012,0.001"
    (fix,) = records(written(tmp_path, f"{names}\n{line}\n"), section)
    assert fix.position_ecef_m == pytest.approx(ONE.position_m, abs=1e-3)
    assert fix.velocity_ecef_mps == pytest.approx(ONE.velocity_mps, abs=1e-6)
    assert math.hypot(*fix.position_sigma_m) == pytest.approx(13.0)
    assert fix.velocity_sigma_mps == pytest.approx([1.0] * 3)


@pytest.mark.parametrize("frame", ["gcrf", "eme2000", "teme"])
def test_inertial_states_become_those_of_the_rotating_earth(frame: str, tmp_path: Path) -> None:
    orbits.earth_data()
    epoch = orbits.brahe.Epoch.from_date(1980, 1, 6, orbits.brahe.TimeSystem.GPS) + 1e-3 * ONE.gps_ms
    gcrf = orbits.brahe.state_itrf_to_gcrf(epoch, np.array([*ONE.position_m, *ONE.velocity_mps]))
    turned = {
        "gcrf": lambda: gcrf,
        "eme2000": lambda: orbits.brahe.state_gcrf_to_eme2000(gcrf),
        "teme": lambda: orbits.brahe.state_gcrf_to_teme(epoch, gcrf),
    }
    inertial = turned[frame]()
    section = FIXES | {"position_frame": frame, "velocity_frame": frame, "position_sigma": ["sx", "sy", "sz"]}
    cells = ",".join(f"{value!r}" for value in inertial.tolist())
    names = "t,x,y,z,vx,vy,vz,sx,sy,sz"
    line = f"{unix_ms_from_gps_ms(ONE.gps_ms)},{cells},3,4,12"
    (fix,) = records(written(tmp_path, f"{names}\n{line}\n"), section)
    assert fix.position_ecef_m == pytest.approx(ONE.position_m, abs=0.02)
    assert fix.velocity_ecef_mps == pytest.approx(ONE.velocity_mps, abs=1e-4)
    assert math.hypot(*fix.position_sigma_m) == pytest.approx(13.0)
    assert fix.position_sigma_m[2] == pytest.approx(12.0, abs=0.05)
    (late,) = records(written(tmp_path, f"{names}\n,{cells},3,4,12\n"), section)
    assert screen(late, ScreeningSettings()) is RejectCause.NO_TIME


@pytest.mark.parametrize("frames", [("teme", "itrf"), ("itrf", "gcrf"), ("geodetic", "teme"), ("gcrf", "eme2000")])
def test_inertial_positions_need_velocities_in_the_same_axes(frames: tuple[str, str]) -> None:
    position, velocity = frames
    with pytest.raises(ValueError, match="velocity_frame and position_frame must be equal"):
        settings(one=FIXES | {"position_frame": position, "velocity_frame": velocity})


@pytest.mark.parametrize(
    ("head", "delimiter"), [("", ","), ("\ufeff", ";"), ("Flight log of SAT-1\n# made by tool\n# ", "\t"), ("", " ")]
)
def test_delimiter_and_lines_before_the_header_are_found(head: str, delimiter: str, tmp_path: Path) -> None:
    names = delimiter.join(["t", "x", "y", "z", "vx", "vy", "vz", "comment"])
    line = delimiter.join([str(unix_ms_from_gps_ms(ONE.gps_ms)), *STATE.split(","), "none"])
    (fix,) = records(written(tmp_path, f"{head}{names}\r\n{line}\r\n"), FIXES)
    assert fix.gps_ms == ONE.gps_ms
    assert fix.position_ecef_m == ONE.position_m


def test_a_table_without_a_header_has_numbered_columns(tmp_path: Path) -> None:
    section = FIXES | {"time": ["1"], "position": ["2", "3", "4"], "velocity": ["5", "6", "7"]}
    text = f"{unix_ms_from_gps_ms(ONE.gps_ms)},{STATE}\n" * 2
    assert [fix.gps_ms for fix in records(written(tmp_path, text), section)] == [ONE.gps_ms] * 2


def test_the_status_column_rejects_positions(tmp_path: Path) -> None:
    section = FIXES | {"status": "fix", "status_computed": ["3D", "4"], "satellites": "n"}
    text = "t,x,y,z,vx,vy,vz,fix,n\n" + "".join(f"{10**12},{STATE},{status},7\n" for status in ("3D", "NO", "4", ""))
    found = records(written(tmp_path, text), section)
    assert [fix.position_solution for fix in found] == ["computed", "NO", "computed", "none"]
    assert {fix.satellites_used for fix in found} == {7}


def test_readings_have_their_units_and_missing_ones_stay_missing(tmp_path: Path) -> None:
    section = READINGS | {"magnetometer_unit": "nT", "gyro_unit": "deg/s", "time_sigma_s": 0.01}
    section |= {"illuminance": ["l1", "l2"], "sun_direction": ["sx", "sy", "sz"], "missing": ["-9999"]}
    rows = ["1e9,30000,-1,2,180,0,-90,500,,0,0,1", "1e9,,nan,-9999.0,1,2,3,500,1,0,0,", "1e9,,,,,,,5,5,,,"]
    full, without_field = table(tmp_path, section, *rows)
    assert (full.t_spacecraft_s, full.time_sigma_s) == (10**9, 0.01)
    assert full.mag_imu_ut == pytest.approx((30.0, -1e-3, 2e-3))
    assert full.gyro_imu_rad_s == pytest.approx((math.pi, 0.0, -math.pi / 2.0))
    assert full.lux == (500.0, -1.0)
    assert full.readings == {"sun_direction": (0.0, 0.0, 1.0)}
    assert np.isnan(without_field.mag_imu_ut).all()
    assert without_field.readings == {}


def test_a_row_without_a_position_reports_that_there_is_none(tmp_path: Path) -> None:
    none, half = table(tmp_path, FIXES, "1e12,,,,1,2,3", "1e12,1,,3,1,2,3")
    assert (none.position_solution, half.position_solution) == ("none", "invalid")
    both = READINGS | {"position": ["x", "y", "z"]}
    (sample,) = table(tmp_path, both, "1e9,1,2,3,4,5,6,,,")
    assert isinstance(sample, SensorSample)


def test_rows_without_a_time_are_rejected_as_such(tmp_path: Path) -> None:
    found = table(tmp_path, FIXES | {"time_scale": "utc"}, f",{STATE}", f"1970-01-01T00:00:05Z,{STATE}")
    assert [fix.gps_ms for fix in found] == [None, None]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (f"abc,{STATE}", "line 3, t: 'abc' is not a time (unix_ms)"),
        ("1e12,1,2,3,4,5 m,6", "line 3, vy: '5 m' is not a number"),
        ("1e12,1,2,inf,4,5,6", "line 3, z: 'inf' is not a number"),
        ("1e12,1,2", "line 3, 3 cells instead of 7"),
        (f"1e12,{STATE},7", "line 3, 8 cells instead of 7"),
        (f"1e19,{STATE}", "line 3, t: '1e19' is too late; check time_scale"),
        ("1" * 70_000, "line 3, longer than 65536 bytes"),
    ],
)
def test_a_bad_cell_costs_its_line_and_is_named(line: str, text: str, tmp_path: Path) -> None:
    good = f"1e12,{STATE}"
    first, damage, last = table(tmp_path, FIXES, good, line, good)
    assert isinstance(damage, Damage)
    assert damage.detail == text
    assert (damage.start, damage.stop) == (first.offset + len(first.raw), last.offset)


def test_the_bytes_of_a_damaged_table_add_up(tmp_path: Path) -> None:
    dice = np.random.default_rng(5)
    whole = bytearray("t,x,y,z,vx,vy,vz\n" + f"1e12,{STATE}\n" * 40, "ascii")
    for at in dice.integers(20, len(whole), 30).tolist():
        whole[at] = int(dice.integers(0, 256))
    path = tmp_path / "log.csv"
    path.write_bytes(bytes(whole[:-3]))
    inputs = from_files([path], None, settings(one=FIXES))
    (source,) = (message for message in inputs.messages if isinstance(message, SourceFile))
    assert source.delivered_bytes + source.damaged_bytes == source.size_bytes == len(whole) - 3
    spans = [(start, stop) for start, stop, _ in source.damage]
    assert sum(stop - start for start, stop in spans) == source.damaged_bytes > 0
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


def test_parquet_is_read_with_its_types_and_a_bad_cell_names_its_row(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    moment = datetime(2025, 3, 24, 1, 2, 3, 500, tzinfo=UTC)
    frame = pl.DataFrame({"t": [moment, None], "x": [6_500_000, 1], "y": [1.5, None], "z": ["2", "x"]})
    section = {"time": ["t"], "time_scale": "utc", "position": ["x", "y", "z"]}
    frame[:1].write_parquet(path)
    (fix,) = records(path, section)
    assert unix_ms_from_gps_ms(fix.gps_ms) == round(1000 * moment.timestamp())
    assert fix.position_ecef_m == (6_500_000.0, 1.5, 2.0)
    frame.write_parquet(path)
    with pytest.raises(ValueError, match="row 2, z: 'x' is not a number; correct the row"):
        records(path, section)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ReplayError, match="no record found"):
        from_files([path], None, settings(one=section))


def test_the_tables_of_a_replay_need_no_section(tmp_path: Path) -> None:
    names = [f"{name}_ecef_{unit}" for name, unit in zip(("x", "y", "z"), "mmm", strict=True)]
    names += [f"v{axis}_ecef_mps" for axis in "xyz"]
    columns: dict[str, list[float]] = {"gps_week": [ONE.week], "gps_tow_ms": [ONE.tow_ms]}
    columns |= {name: [value] for name, value in zip(names, (*ONE.position_m, *ONE.velocity_mps), strict=True)}
    sigma = {f"sigma_{name}": [2.0] for name in names}
    for frame, expected in ((pl.DataFrame(columns | sigma), 2.0), (pl.DataFrame(columns), 0.0)):
        frame.write_parquet(tmp_path / "orbit.parquet")
        frame.write_csv(tmp_path / "orbit.csv")
        for path in (tmp_path / "orbit.parquet", tmp_path / "orbit.csv"):
            reader = log_reader_of(path)
            assert reader is not None
            (fix,) = reader.records(path)
            assert isinstance(fix, GnssFix)
            assert (fix.gps_ms, fix.position_ecef_m) == (ONE.gps_ms, ONE.position_m)
            assert fix.position_sigma_m == (expected,) * 3


def test_two_tables_with_their_own_sections_are_merged_by_time(tmp_path: Path) -> None:
    (tmp_path / "gps.csv").write_text("t,x,y,z,vx,vy,vz\n" + "".join(f"{s}000,{STATE}\n" for s in (10**9, 10**9 + 2)))
    adcs = "".join(f"{10**9 - 315_964_800 + 13 + half / 2},1,2,3,4,5,6\n" for half in range(6))
    (tmp_path / "adcs.csv").write_text("t,bx,by,bz,wx,wy,wz\n" + adcs)
    both = settings(gps=FIXES | {"time_scale": "unix_ms"}, adcs=READINGS)
    messages = from_files([tmp_path / "adcs.csv", tmp_path / "gps.csv"], None, both).messages
    kinds = [type(message).__name__[0] for message in messages if isinstance(message, GnssFix | SensorSample)]
    assert len(kinds) == 8
    assert kinds.index("G") < 3
    assert "".join(kinds).rindex("G") > 3


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            "UTC,Pos X [km],Pos Y [km],Pos Z [km],vx_mps,vy_mps,vz_mps",
            'position = ["Pos X [km]", "Pos Y [km]", "Pos Z [km]"], position_unit = "km", velocity = ["vx_mps", "vy',
        ),
        ("gps_week,tow,lat_deg,lon_deg,alt_km", 'position_frame = "geodetic", position_unit = "km"'),
        ("unix_time,mag_x_nT,mag_y_nT,mag_z_nT,gyro_x,gyro_y,gyro_z", 'magnetometer_unit = "nT"'),
        ("time,a,b,c", "its columns are time, a, b, c"),
    ],
)
def test_a_table_that_no_section_describes_gets_a_proposal(names: str, expected: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"{names}\n{','.join('1' * len(names.split(',')))}\n")
    with pytest.raises(ReplayError) as refused:
        from_files([path], None, settings(gps=FIXES))
    assert expected in str(refused.value)
    assert "[columns.gps] does not apply, because the table has no column" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"time": ["a", "b"]}, "time names 2 columns"),
        ({"position": ["x", "y"]}, "position names 2 columns"),
        ({"time_scale": "tai"}, "time_scale"),
        ({"positon": ["x"]}, "unknown setting columns.one.positon"),
        ({"gyro": ["x", "y", "z"]}, "magnetometer and gyro need each other"),
        ({"status": "fix"}, "status and status_computed need each other"),
        ({"position": []}, "need a position"),
        ({"velocity": [], "velocity_sigma": ["s"]}, "velocity_sigma needs a velocity"),
        ({"illuminance": ["l"]}, "need magnetometer and gyro"),
    ],
)
def test_a_wrong_section_is_refused_by_name(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        settings(one=FIXES | change)
