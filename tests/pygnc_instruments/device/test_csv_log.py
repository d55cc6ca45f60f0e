"""CSV files: columns and units of python-imu380, head, times."""

from pathlib import Path

import pytest

from pygnc_devices.gx2.packets import PACKETS as GX2_PACKETS
from pygnc_devices.reading import Reading
from pygnc_devices.ucb.unit import PACKETS
from pygnc_instruments.device.csv_log import CsvLog

SENSORS = "xAccel,yAccel,zAccel,xRate,yRate,zRate"
TEMPERATURES = "xRateTemp,yRateTemp,zRateTemp"
ANGLES = "rollAngle,pitchAngle,yawAngleMag"
CORRECTED = "xRateCorrected,yRateCorrected,zRateCorrected"
FORCE = "xAccel,yAccel,zAccel"
ROW = "utc,lost_before,gap,estimate,measured,measured_sigma"
NAVIGATION = "nVel,eVel,dVel,longitude,latitude,altitude"
COLUMNS = {
    "S0": f"{SENSORS},xMag,yMag,zMag,{TEMPERATURES},boardTemp,GPSITOW,BITstatus",
    "S1": f"{SENSORS},{TEMPERATURES},boardTemp,counter,BITstatus",
    "A1": f"{ANGLES},{CORRECTED},{FORCE},xMag,yMag,zMag,xRateTemp,timeITOW,BITstatus",
    "A2": f"{ANGLES},{CORRECTED},{FORCE},{TEMPERATURES},timeITOW,BITstatus",
    "A3": f"{ANGLES},xRateScaled,yRateScaled,zRateScaled,{FORCE},{TEMPERATURES},timeITOW,BITstatus",
    "N0": f"{ANGLES},{CORRECTED},{NAVIGATION},iTOW,BITstatus",
    "N1": f"{ANGLES},{CORRECTED},{FORCE},{NAVIGATION},xRateTemp,iTOW,BITstatus",
}
S1 = bytes.fromhex("FFE000160CC0FFFEFFF9FFFF27EB27EB27EB27F728F50002")


def reading(at_s: float = 0.0, kind: str = "S1", device_s: float | None = None) -> Reading:
    packet = PACKETS[kind]
    payload = S1 if kind == "S1" else bytes(packet.layout.size)
    device_ns = None if device_s is None else round(device_s * 1e9)
    return Reading(packet, b"", packet.decode(payload), round(at_s * 1e9), 1_772_366_400_000_000_000, device_ns)


def content(path: Path) -> tuple[dict[str, str], list[str]]:
    lines = path.read_text().splitlines()
    head = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    return head, [line for line in lines if not line.startswith("# ")]


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_are_those_of_python_imu380(kind: str, tmp_path: Path) -> None:
    log = CsvLog(tmp_path, "x.csv")
    log.write(reading(kind=kind))
    log.close()
    assert content(tmp_path / "x.csv")[1][0] == f"time,{COLUMNS[kind]},{ROW}"


def test_values_are_in_the_columns_units(tmp_path: Path) -> None:
    log = CsvLog(tmp_path, "x.csv", {"serial_number": "2008705635", "model": "two\nlines"})
    for k in range(3):
        log.write(reading(0.01 * k))
    log.close()
    head, lines = content(tmp_path / "x.csv")
    assert head["serial_number"] == "2008705635"
    assert head["model"] == "two lines"
    assert head["packet"] == "S1"
    assert head["start_utc"] == "2026-03-01T12:00:00.000Z"
    assert head["units"] == "s,m/s^2,m/s^2,m/s^2,deg/s,deg/s,deg/s,degC,degC,degC,degC,,,UTC,,s,,UTC,s"
    first = "-0.09577,0.06584,9.76834,-0.03845,-0.13458,-0.01923,31.18591,31.18591,31.18591,31.22253,10485,2"
    assert lines[1] == f"0.00000,{first},2026-03-01T12:00:00.000000Z,0,0,0,,"
    assert [line.split(",")[0] for line in lines[1:]] == ["0.00000", "0.01000", "0.02000"]


def test_time_column_follows_the_devices_clock(tmp_path: Path) -> None:
    log = CsvLog(tmp_path, "x.csv")
    for at_s, device_s in ((0.0, None), (0.5, 1.0), (0.7, 1.1), (0.71, 1.2)):
        log.write(reading(at_s, device_s=device_s))
    log.close()
    assert [line.split(",")[0] for line in content(tmp_path / "x.csv")[1][1:]] == [
        "0.00000",
        "0.50000",
        "0.60000",
        "0.70000",
    ]


def test_a_missing_value_is_an_empty_cell(tmp_path: Path) -> None:
    packet = GX2_PACKETS["C7"]
    log = CsvLog(tmp_path, "x.csv")
    log.write(Reading(packet, b"", dict.fromkeys((field.name for field in packet.fields), None), 0, 0))
    log.close()
    assert content(tmp_path / "x.csv")[1] == [
        f"time,xMag,yMag,zMag,timer,{ROW}",
        "0.00000,,,,,1970-01-01T00:00:00.000000Z,0,0,0,,",
    ]
