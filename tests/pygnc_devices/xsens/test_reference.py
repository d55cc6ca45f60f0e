"""The tables and the decoder against open libraries, where their checkouts are.

PYGNC_PEERS names a folder with checkouts of github.com/ethz-asl/ethzasl_xsens_driver, a driver in Python, and of
github.com/xsenssupport/Xsens_MTi_ROS_Driver_and_Ntrip_Client, which contains the maker's library xspublic.
"""

import os
import re
import sys
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pygnc_devices.framing import scan_to_end
from pygnc_devices.xsens import items, messages
from pygnc_devices.xsens.framing import item_headers, make_data, scan
from pygnc_devices.xsens.layout import decode, layout_of
from pygnc_devices.xsens.settings import CODE_OF_BAUD

MAKERS = "Xsens_MTi_ROS_Driver_and_Ntrip_Client"
PYTHON = "ethzasl_xsens_driver"
IDENTIFIERS = {
    "UtcTime": "utc",
    "BaroPressure": "pressure",
    "DeltaV": "delta_v",
    "LatLon": "latitude_longitude",
    "GnssSatInfo": "gnss_satellites",
    "GnssPvtPulse": "gnss_pulse",
    "RawAccGyrMagTemp": "raw",
    "RawGyroTemp": "raw_gyro_temperature",
    "VelocityXYZ": "velocity",
    "EulerAngles": "euler",
    "GnssPvtData": "gnss_pvt",
}
"""Names of items that differ from the maker's in more than spelling."""
MESSAGES = {
    "ReqDid": messages.REQUEST_ID,
    "ReqFirmwareRevision": messages.REQUEST_FIRMWARE,
    "ReqProductCode": messages.REQUEST_PRODUCT,
    "ReqHardwareVersion": messages.REQUEST_HARDWARE,
    "GotoMeasurement": messages.GO_TO_MEASUREMENT,
    "GotoConfig": messages.GO_TO_CONFIG,
    "Reset": messages.RESET,
    "SetBaudrate": messages.BAUD,
    "SetNoRotation": messages.NO_ROTATION,
    "RunSelfTest": messages.SELF_TEST,
    "SetOutputConfiguration": messages.OUTPUTS,
    "ReqAvailableFilterProfiles": messages.FILTER_PROFILES,
    "SetFilterProfile": messages.FILTER_PROFILE,
    "ResetOrientation": messages.RESET_ORIENTATION,
    "SetAlignmentRotation": 0xEC,
    "SetLatLonAlt": 0x6E,
    "SetGnssLeverArm": 0x68,
    "SetGnssPlatform": 0x76,
    "SetErrorMode": 0xDA,
    "SetLocationId": 0x84,
    "SetTransmitDelay": 0xDC,
    "GotoMeasurementAck": int(messages.MEASURING, 16),
    "GotoConfigAck": int(messages.CONFIGURING, 16),
    "MtData": int(messages.OLD_DATA, 16),
    "Wakeup": int(messages.WAKE_UP, 16),
    "Error": int(messages.ERROR, 16),
}


def checkout(name: str) -> Path:
    folder = Path(os.environ.get("PYGNC_PEERS", "/nonexistent")) / name
    if not folder.is_dir():
        pytest.skip(f"set PYGNC_PEERS to a folder with a checkout of {name}")
    return folder


def constants(header: str, prefix: str) -> dict[str, int]:
    """Return the enumerators of a header of the maker's library, without their prefix."""
    (path,) = checkout(MAKERS).rglob(f"xspublic/*/{header}")
    found = re.findall(rf"^\W*{prefix}_(\w+)\s*=\s*(0x[0-9A-Fa-f]+|\d+)", path.read_text(), re.MULTILINE)
    return {name: int(value, 0) for name, value in found}


def test_identifiers_are_those_of_the_maker() -> None:
    theirs = constants("xsdataidentifier.h", "XDI")
    names = {
        IDENTIFIERS.get(name, re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()): theirs[name] for name in theirs
    }
    known = {item.name.partition(".")[0]: item.identifier & 0xFFF0 for item in items.ITEMS.values()}
    del known["raw_signed"]  # the maker's RawAccGyrMagTemp with RawSigned
    assert known == {name: names[name] for name in known}
    systems = [theirs[f"CoordSys{name}"] for name in ("Enu", "Ned", "Nwu")]
    assert [items.BY_NAME[f"euler.{name}"].identifier & 0xC for name in ("enu", "ned", "nwu")] == systems
    formats = [theirs[f"SubFormat{name}"] for name in ("Float", "Fp1220", "Fp1632", "Double")]
    assert formats == [0, 1, 2, 3]


def test_messages_errors_and_baud_rates_are_those_of_the_maker() -> None:
    theirs = constants("xsxbusmessageid.h", "XMID")
    assert {name: theirs[name] for name in MESSAGES} == MESSAGES
    assert messages.ERRORS.keys() <= set(constants("xsresultvalue.h", "XRV").values())
    codes = constants("xsbaudcode.h", "XBC")
    assert set(CODE_OF_BAUD.values()) == set(codes.values()) - {codes["921k6Legacy"], codes["Invalid"]}
    flags = constants("xsstatusflag.h", "XSFO")
    assert flags["OffsetClipAccX"] == 8
    assert flags["OffsetClipMagZ"] == 16
    assert items.CLIPPED["mag"] == 0b111 << flags["OffsetClipMagX"]


PEER_NAMES = {
    "temperature": ("Temperature", ["Temp"]),
    "packet_counter": ("Timestamp", ["PacketCounter"]),
    "sample_time_fine": ("Timestamp", ["SampleTimeFine"]),
    "sample_time_coarse": ("Timestamp", ["SampleTimeCoarse"]),
    "utc": ("Timestamp", ["ns", "Year", "Month", "Day", "Hour", "Minute", "Second", "Flags"]),
    "quaternion": ("Orientation Data", ["Q0", "Q1", "Q2", "Q3"]),
    "rotation_matrix": ("Orientation Data", list("abcdefghi")),
    "euler": ("Orientation Data", ["Roll", "Pitch", "Yaw"]),
    "pressure": ("Pressure", ["Pressure"]),
    "delta_v": ("Acceleration", ["Delta v.x", "Delta v.y", "Delta v.z"]),
    "acceleration": ("Acceleration", ["accX", "accY", "accZ"]),
    "acceleration_hr": ("Acceleration", ["accX", "accY", "accZ"]),
    "free_acceleration": ("Acceleration", ["freeAccX", "freeAccY", "freeAccZ"]),
    "altitude_msl": ("Position", ["altMsl"]),
    "altitude_ellipsoid": ("Position", ["altEllipsoid"]),
    "position_ecef": ("Position", ["ecefX", "ecefY", "ecefZ"]),
    "latitude_longitude": ("Position", ["lat", "lon"]),
    "rate_of_turn": ("Angular Velocity", ["gyrX", "gyrY", "gyrZ"]),
    "rate_of_turn_hr": ("Angular Velocity", ["gyrX", "gyrY", "gyrZ"]),
    "delta_q": ("Angular Velocity", ["Delta q0", "Delta q1", "Delta q2", "Delta q3"]),
    "magnetic_field": ("Magnetic", ["magX", "magY", "magZ"]),
    "velocity": ("Velocity", ["velX", "velY", "velZ"]),
    "status_byte": ("Status", ["StatusByte"]),
    "status_word": ("Status", ["StatusWord"]),
}
"""Group and names of the values of an item in the driver in Python."""


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - untyped
    monkeypatch.syspath_prepend(str(checkout(PYTHON) / "src"))
    device = import_module("xsens_driver.mtdevice").MTDevice
    yield device
    for name in [name for name in sys.modules if name.startswith("xsens_driver")]:
        del sys.modules[name]


@pytest.mark.parametrize("number_format", [0, 3])
def test_values_are_those_of_the_driver_in_python(peer: Any, number_format: int) -> None:  # noqa: ANN401 - untyped
    random = Random(number_format)  # noqa: S311 - repeatable
    for item in items.ITEMS.values():
        group, names = PEER_NAMES.get(item.name.partition(".")[0], ("", []))
        if not names:
            continue
        identifier = item.identifier | number_format if item.is_real else item.identifier
        # The driver in Python takes the format from the identifiers of all items.
        values = {field.name: field.to_value(random.randrange(1, 200)) for field in item.fields}
        (frame,) = scan_to_end(scan, make_data(items.encode_items([identifier], values))).frames
        ours = decode(layout_of(item_headers(frame.payload)), frame.payload)
        theirs = peer.parse_MTData2(None, frame.payload)[group]
        words = [float(ours[field.name]) / (field.scale or 1.0) for field in item.fields]  # type: ignore[arg-type]
        assert [theirs[name] for name in names] == pytest.approx(words), item.name


def test_position_velocity_and_time_are_those_of_the_driver_in_python(peer: Any) -> None:  # noqa: ANN401 - untyped
    item = items.BY_NAME["gnss_pvt"]
    octets = Random(5).randbytes(item.layout.size)  # noqa: S311 - repeatable
    theirs = peer.parse_MTData2(None, make_data([(item.identifier, octets)])[4:-1])["GNSS"]
    ours = item.decode(octets)
    scales = {"lon": 1e-7, "lat": 1e-7, "headMot": 1e-5, "headVeh": 1e-5} | {f"{k}dop": 0.01 for k in "gptvhne"}
    words = [float(ours[field.name]) / (field.scale or 1.0) for field in item.fields if field.name != "gnss_reserved"]
    assert [value / scales.get(name, 1.0) for name, value in theirs.items()] == pytest.approx(words)
