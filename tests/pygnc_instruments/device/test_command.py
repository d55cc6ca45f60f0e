"""`pygnc device`: every command against simulated devices."""

import csv
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pygnc_cli.exit_codes import ExitCode
from pygnc_devices.reading import Reading
from pygnc_devices.ucb.framing import make_frame
from pygnc_instruments.device import log_files
from pygnc_instruments.device.command import app
from pygnc_instruments.device.connection import DeviceSelection, connect
from pygnc_instruments.device.log_files import CsvLog
from pygnc_instruments.device.simulate_command import SIMULATORS
from pygnc_instruments.simulators.endpoints import PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.mip_unit import MipSimulator
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from pygnc_instruments.simulators.ucb_bootloader import make_image
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from pygnc_instruments.simulators.unit import SimulatedUnit

ROOT = Path(__file__).resolve().parents[3]
NEW = "IMU381ZA-400 5020-1383-01 11.00.00"
UCB = ("--family", "ucb", "--baud", "115200")


@pytest.fixture
def unit() -> UcbSimulator:
    return UcbSimulator(eeprom={7: 0}, restart_s=0.01, erase_s=0.05)


@pytest.fixture
def line(unit: UcbSimulator, tmp_path: Path) -> Iterator[PtyEndpoint]:
    with PtyEndpoint(unit, tmp_path / "port") as line:
        yield line


@pytest.fixture
def gx2(tmp_path: Path) -> Iterator[PtyEndpoint]:
    with PtyEndpoint(Gx2Simulator(eeprom={0xFCA6: 0xCC}), tmp_path / "gx2") as line:
        yield line


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def run_json(*arguments: object) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(run(*arguments, "--json").stdout)


def test_list_finds_devices_of_all_families(line: PtyEndpoint, gx2: PtyEndpoint, tmp_path: Path) -> None:
    with TcpEndpoint(MonoDriveSimulator()) as network:
        outcome = run_json("list", line.url, gx2.url, network.url, tmp_path / "nothing")
        families = {entry["url"]: (entry["family"], entry["serial_number"]) for entry in outcome["found"]}
        assert families == {
            line.url: ("ucb", "2008705635"),
            gx2.url: ("gx2", "2143-01876"),
            network.url: ("monodrive", ""),
        }
        assert list(outcome["problems"]) == [str(tmp_path / "nothing")]


def test_list_prints_a_table(line: PtyEndpoint) -> None:
    shown = run("list", line.url, "--family", "ucb").stdout
    assert "serial number" in shown
    assert "2008705635" in shown


def test_list_exits_with_1_if_no_device_is_found(tmp_path: Path) -> None:
    result = run("list", tmp_path / "nothing", code=ExitCode.DEVICE)
    assert str(tmp_path / "nothing") in result.stderr


def test_info_reports_identity_and_configuration(line: PtyEndpoint, gx2: PtyEndpoint) -> None:
    report = run_json("info", line.url)
    assert report["serial_number"] == "2008705635"
    assert (report["rate"], report["orientation"], report["status"]) == ("100 Hz", "+x+y+z", "good")
    report = run_json("info", gx2.url, "--family", "gx2")
    assert (report["model"], report["version"], report["rate"]) == ("3DM-GX2", "2.1.03", "100 Hz")
    assert "3DM-GX2" in run("info", gx2.url, "--family", "gx2").stdout


def test_settings_are_read_and_changed(line: PtyEndpoint, unit: UcbSimulator) -> None:
    assert run_json("get", line.url, "packet_type", *UCB)["packet_type"]["text"] == "S1"
    assert len(run_json("get", line.url, *UCB)) > 10
    run("set", line.url, "packet_rate_divider=50Hz", "gyro_filter=25 Hz", "user_behaviour=0x0A", *UCB)
    assert (unit.ram[1], unit.ram[5], unit.ram[8]) == (2, 2142, 10)
    run("write", line.url, "orientation=-y-x-z", *UCB)
    assert (unit.ram[7], unit.eeprom[7]) == (0, 0x6B)
    assert run_json("read", line.url, "orientation", *UCB)["orientation"]["text"] == "-y-x-z"
    assert "-y-x-z" in run("read", line.url, "orientation", *UCB).stdout


def test_openimu_application_parameters_are_settings(line: PtyEndpoint, unit: UcbSimulator) -> None:
    assert run_json("get", line.url, "user.packet_type", *UCB)["user.packet_type"]["value"] == "z1"
    run("set", line.url, "user.packet_rate=50", *UCB)
    assert run_json("get", line.url, "user.*", *UCB)["user.packet_rate"]["value"] == 50
    run("write", line.url, "user.hard_iron_x=-0.5", *UCB)
    assert unit._user.flash[10] == unit._user.ram[10] != bytes(8)


@pytest.mark.parametrize(
    ("arguments", "why", "code"),
    [
        (
            ["set", "PORT", "packet_rate_divider=7"],
            "unknown value 7; choose from 0 (quiet), 1 (100 Hz)",
            ExitCode.DEVICE,
        ),
        (["set", "PORT", "orientation=+x+x+x"], "choose from +x+y+z", ExitCode.DEVICE),
        (["set", "PORT", "colour=red"], "unknown field 'colour'", ExitCode.DEVICE),
        (["set", "PORT", "orientation"], "NAME=VALUE", ExitCode.USAGE),
        (["set", "PORT", "user.packet_rate=x"], "is not of type int", ExitCode.DEVICE),
        (["get", "PORT", "accel_consistency_check"], "97", ExitCode.DEVICE),
        (["read", "PORT", "user.packet_rate"], "cannot be read", ExitCode.DEVICE),
        (["upgrade", "PORT", "/dev/null"], "image", ExitCode.DEVICE),
        (["restore", "PORT", "/dev/null"], "not a snapshot", ExitCode.DEVICE),
        (["restore", "PORT", "/nonexistent"], "/nonexistent: No such file", ExitCode.INPUT),
        (["log", "PORT", "--name", "../x"], "log name '../x' is not allowed", ExitCode.INPUT),
        (["log", "PORT", "--to", "ftp://x"], "'ftp://x' is not the URL of a store", ExitCode.NETWORK),
        (["stream", "PORT", "--user-packets", "/dev/null"], "not JSON", ExitCode.DEVICE),
    ],
)
def test_errors_are_one_line_with_the_reason(arguments: list[str], why: str, code: ExitCode, line: PtyEndpoint) -> None:
    result = run(*(line.url if argument == "PORT" else argument for argument in arguments), *UCB, code=code)
    assert result.stderr.startswith("pygnc device: ")
    assert why in result.stderr
    assert "Traceback" not in result.output


def test_reports_a_port_without_a_device(tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        assert "no device responds" in run("info", os.ttyname(slave), code=ExitCode.DEVICE).stderr
    finally:
        os.close(master)
        os.close(slave)
    assert str(tmp_path / "nothing") in run("info", tmp_path / "nothing", code=ExitCode.DEVICE).stderr


def test_a_mip_unit_is_found_configured_and_logged(tmp_path: Path) -> None:
    with PtyEndpoint(MipSimulator(), tmp_path / "mip") as line:
        assert run_json("list", line.url)["found"][0]["family"] == "mip"
        port = (line.url, "--family", "mip", "--baud", 115200)
        assert run_json("info", *port)["rate"] == "100 Hz"
        run("set", *port, "stream.filter=on", "format.sensor=scaled_accel:5,scaled_mag:50,sensor_timestamp:5")
        assert "scaled_mag:50" in run("get", *port, "format.sensor", "--json").stdout
        run("log", *port, "--out", tmp_path / "logs", "--name", "x", "--count", 60)
    texts = ((tmp_path / "logs" / name).read_text().splitlines() for name in ("x.csv", "x-filter.csv"))
    sensor, attitude = (list(csv.DictReader(row for row in text if row[0] != "#")) for text in texts)
    assert len(sensor) + len(attitude) == 60
    assert {"zAccel", "xMag", "tow_s"} <= sensor[0].keys()
    assert {"rollAngle", "pitchAngle", "yawAngle", "filter_state"} <= attitude[0].keys()
    assert {row["xMag"] == "" for row in sensor} == {True, False}


def test_gx2_settings_are_words_of_its_eeprom(gx2: PtyEndpoint) -> None:
    port = (gx2.url, "--family", "gx2")
    run("write", *port, "rate=50 Hz", "startup=C2", "0xFC1A=0x1234")
    unit: Any = gx2.unit
    assert (unit.eeprom[0xFCA2], unit.eeprom[0xFCA6], unit.eeprom[0xFC1A]) == (1024, 0xC2, 0x1234)
    assert run_json("read", *port, "startup", "0xFC1A")["0xFC1A"]["value"] == 0x1234
    assert "does not report" in run("get", *port, code=ExitCode.DEVICE).stderr
    run("set", *port, "continuous=none")
    assert unit._continuous == 0
    assert "EA" in run("set", *port, "continuous=EA", code=ExitCode.DEVICE).stderr


def test_gx3_has_sampling_settings(tmp_path: Path) -> None:
    with PtyEndpoint(Gx2Simulator("3DM-GX3-25"), tmp_path / "gx3") as line:
        port = (line.url, "--family", "gx2")
        assert run_json("get", *port, "sampling.decimation")["sampling.decimation"]["value"] == 10
        run("set", *port, "sampling.magnetic_filter_size=9")
        assert run_json("info", *port)["filter"] == "15 and 9 samples"


def test_reports_an_unsupported_command() -> None:
    with TcpEndpoint(MonoDriveSimulator()) as line:
        for command in (["get", line.url], ["snapshot", line.url], ["calibrate-mag", line.url]):
            assert "these devices do not support" in run(*command, "--family", "monodrive", code=ExitCode.DEVICE).stderr


def test_snapshot_is_saved_and_restored(
    line: PtyEndpoint, gx2: PtyEndpoint, unit: UcbSimulator, tmp_path: Path
) -> None:
    run("snapshot", line.url, tmp_path / "ucb.json", *UCB)
    unit.eeprom[8] = 3
    assert run_json("restore", line.url, tmp_path / "ucb.json", *UCB)["user_behaviour"]["value"] == 0
    assert unit.eeprom[8] == 0
    again = run("snapshot", line.url, tmp_path / "ucb.json", *UCB, code=ExitCode.INPUT)
    assert "the file exists already" in again.stderr
    text = run("snapshot", gx2.url, "--family", "gx2").stdout
    (tmp_path / "gx2.json").write_text(text)
    gx2_unit: Any = gx2.unit
    gx2_unit.eeprom[0xFCA2] = 1024
    assert "0xfca2" in run("restore", gx2.url, tmp_path / "gx2.json", "--family", "gx2").stdout
    assert gx2_unit.eeprom[0xFCA2] == 512
    gx2_unit.serial_number = "another"
    assert (
        "the snapshot belongs to unit"
        in run("restore", gx2.url, tmp_path / "gx2.json", "--family", "gx2", code=ExitCode.DEVICE).stderr
    )


def test_stream_prints_lines_or_json(line: PtyEndpoint) -> None:
    lines = run("stream", line.url, "--count", 3, *UCB).stdout.splitlines()
    assert len(lines) == 3
    assert all(text.startswith("S1 ") and "accel_z_mps2=9.7" in text for text in lines)
    reading = json.loads(run("stream", line.url, "--count", 1, "--json", *UCB).stdout)
    assert reading["values"]["accel_z_mps2"] == pytest.approx(9.76, abs=0.05)
    assert bytes.fromhex(reading["raw"])[:4] == b"UUS1"


def test_every_line_has_the_time_of_arrival(line: PtyEndpoint) -> None:
    lines = run("stream", line.url, "--count", 3, *UCB).stdout.splitlines()
    before = datetime.now(UTC)
    for text in lines:
        assert abs(datetime.fromisoformat(text.split()[1]) - before) < timedelta(minutes=1)


def test_stream_shows_one_in_n_readings_of_each_kind(tmp_path: Path) -> None:
    frames = [make_frame("xy" if k % 2 else "zz", k.to_bytes(4, "little")) for k in range(20)]
    (tmp_path / "x.raw").write_bytes(b"".join(frames))
    described = [{"name": name, "payload": [{"type": "uint32", "name": "number"}]} for name in ("xy", "zz")]
    (tmp_path / "mine.json").write_text(json.dumps(described))
    arguments = ("stream", tmp_path / "x.raw", "--user-packets", tmp_path / "mine.json", "--every", 4)
    lines = run(*arguments).stdout.splitlines()
    assert lines == [
        f"{name} number={k}" for name, k in (("zz", 0), ("xy", 1), ("zz", 8), ("xy", 9), ("zz", 16), ("xy", 17))
    ]
    assert len(run(*arguments, "--count", 3).stdout.splitlines()) == 3


def test_stream_prints_csv_like_a_log(line: PtyEndpoint, tmp_path: Path) -> None:
    run("log", line.url, "--out", tmp_path, "--name", "run", "--raw", "--count", 5, *UCB)
    logged = [text for text in (tmp_path / "run.csv").read_text().splitlines() if not text.startswith("#")]
    printed = list(csv.DictReader(run("stream", tmp_path / "run.raw", "--csv", "--count", 5).stdout.splitlines()))
    for row, other in zip(csv.DictReader(logged), printed, strict=True):
        assert {name: row[name] for name in row if name not in ("time", "utc")} == {
            name: other[name] for name in other if name not in ("time", "utc")
        }
    assert "exclude each other" in run("stream", line.url, "--csv", "--json", *UCB, code=ExitCode.USAGE).stderr


def test_csv_has_one_kind_of_packet(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes((make_frame("S1", bytes(24)) + make_frame("S0", bytes(30))) * 3)
    result = run("stream", tmp_path / "x.raw", "--csv")
    assert len(result.stdout.splitlines()) == 4
    assert result.stderr.count("S0: omitted") == 1


def test_streams_all_imus_of_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "imus.json"
    with TcpEndpoint(MonoDriveSimulator()) as first, TcpEndpoint(MonoDriveSimulator()) as second:
        imus = [{"type": "IMU", "id": str(k), "listen_port": end._port} for k, end in enumerate((first, second))]
        path.write_text(json.dumps({"sensors": imus}))
        lines = run("stream", path, "--count", 10).stdout.splitlines()
        assert {text.split()[0] for text in lines} == {f"IMU_{first._port}", f"IMU_{second._port}"}
        path.write_text(json.dumps(imus[0]))
        reading = run_json("stream", path, "--count", 1)
        assert (reading["sensor"], reading["packet"]) == (f"IMU_{first._port}", "IMU")
    path.write_text(json.dumps(imus[0] | {"sensor_process": False}))
    assert "sensor_process" in run("stream", path, code=ExitCode.DEVICE).stderr


def test_family_of_a_recording_is_detected(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(make_frame("S1", bytes(24)) * 3)
    assert len(run("stream", tmp_path / "x.raw").stdout.splitlines()) == 3
    (tmp_path / "y.raw").write_bytes(bytes(5000))
    assert "not a recording of a known device family" in run("stream", tmp_path / "y.raw", code=ExitCode.DEVICE).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("get",),
        ("read",),
        ("set", "orientation=-y-x-z"),
        ("write", "orientation=-y-x-z"),
        ("snapshot",),
        ("calibrate-mag",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_recording_refuses_commands_at_once(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(make_frame("S1", bytes(24)) * 3000)
    command, *values = arguments
    result = run(command, tmp_path / "x.raw", *values, code=ExitCode.DEVICE)
    assert "is a recording, which accepts no commands" in result.stderr


def test_info_reads_a_recording_to_its_end(tmp_path: Path) -> None:
    frames = [make_frame("z1", k.to_bytes(4, "little") + bytes(36)) for k in range(0, 5_000_000, 10_000) if k != 50_000]
    (tmp_path / "x.raw").write_bytes(b"noise" + b"".join(frames) + b"UU")
    report = run_json("info", tmp_path / "x.raw")
    assert report | {"port": ""} == {
        "port": "",
        "family": "ucb",
        "title": "Aceinna DMU38x, IMU38x, OpenIMU",
        "readings": "499 z1",
        "duration": "4.990 s",
        "missing": "1",
        "bad_checksums": "0",
        "skipped_bytes": "7",
    }


def test_streams_user_defined_packets(tmp_path: Path) -> None:
    description = {"name": "xy", "payload": [{"type": "uint32", "name": "timer"}, {"type": "float", "name": "level"}]}
    (tmp_path / "mine.json").write_text(json.dumps(description))
    (tmp_path / "x.raw").write_bytes(make_frame("xy", b"\x01\0\0\0\0\0\x80\x3f") * 2)
    lines = run("stream", tmp_path / "x.raw", "--user-packets", tmp_path / "mine.json").stdout.splitlines()
    assert lines == ["xy timer=1 level=1"] * 2


def test_log_has_the_devices_description_in_its_head(line: PtyEndpoint, tmp_path: Path) -> None:
    out = tmp_path / "logs"
    result = run_json("log", line.url, "--out", out, "--name", "run", "--raw", "--count", 20, *UCB)
    assert result["rows"] == 20
    assert [Path(path).name for path in result["files"]] == ["run.csv", "run.raw"]
    lines = (out / "run.csv").read_text().splitlines()
    head = dict(text[2:].split(": ", 1) for text in lines if text.startswith("# "))
    assert head["serial_number"] == "2008705635"
    assert (head["rate"], head["orientation"], head["filter_5"]) == ("100 Hz", "+x+y+z", "50 Hz")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", head["start_utc"])
    assert len(lines) == len(head) + 21
    assert len(run("stream", out / "run.raw").stdout.splitlines()) >= 20


@pytest.mark.parametrize("kind", ["pty", "tcp"])
@pytest.mark.parametrize(
    ("family", "make"),
    [
        ("ucb", UcbSimulator),
        ("gx2", lambda: Gx2Simulator(ignored_starts=1)),
        ("monodrive", MonoDriveSimulator),
    ],
)
def test_a_log_continues_over_a_reconnection(
    family: str, make: Callable[[], SimulatedUnit], kind: str, tmp_path: Path
) -> None:
    unit, out = make(), tmp_path / "logs"
    with PtyEndpoint(unit, tmp_path / "port") if kind == "pty" else TcpEndpoint(unit) as line:

        def disturb() -> None:
            _wait_for(lambda: any(path.stat().st_size > 3000 for path in out.glob("*")))
            line.unplug()
            time.sleep(0.3)
            line.plug_in()

        thread = threading.Thread(target=disturb)
        thread.start()
        run("log", line.url, "--family", family, "--baud", 115200, "--out", out, "--name", "run", "--count", 150)
        thread.join()
    assert [path.name for path in out.iterdir()] == ["run.csv"]
    lines = [line for line in (out / "run.csv").read_text().splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(lines))
    times_s = [float(row["time"]) for row in rows]
    assert times_s == sorted(times_s)
    assert all(row["utc"].endswith("Z") for row in rows)
    (gap,) = (row for row in rows if row["gap"] != "0")
    assert float(gap["gap"]) > 0.3
    sent = 1 + round((times_s[-1] - times_s[0]) * 100.0)
    assert len(rows) + sum(int(row["lost_before"]) for row in rows) == pytest.approx(sent, abs=2)


def test_finished_logs_are_uploaded(line: PtyEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYGNC_STORE_USER", "ann")
    store = ["--to", f"file://{tmp_path}/store", "--spool", str(tmp_path / "spool")]
    run("log", line.url, "--out", tmp_path / "logs", "--name", "run", "--count", 5, *store, *UCB)
    sent = tmp_path / "store/ann/run.csv"
    assert sent.read_bytes() == (tmp_path / "logs/run.csv").read_bytes()
    sent.unlink()
    run("upload", tmp_path / "logs/run.csv", *store)
    assert sent.exists()
    assert "no object store" in run("upload", code=ExitCode.USAGE).stderr


def test_upgrade_replaces_the_firmware(line: PtyEndpoint, unit: UcbSimulator, tmp_path: Path) -> None:
    (tmp_path / "new.bin").write_bytes(make_image(NEW, 3000))
    assert "--write-firmware" in run("upgrade", line.url, tmp_path / "new.bin", *UCB, code=ExitCode.DEVICE).stderr
    result = run(
        "upgrade", line.url, tmp_path / "new.bin", "--write-firmware", "--save-settings", tmp_path / "kept", *UCB
    )
    assert f"now:    {NEW}" in result.stdout
    assert "write (240 of 3000 bytes)" in result.stderr
    assert json.loads((tmp_path / "kept").read_text())["serial_number"] == unit.serial_number


def test_a_dry_run_checks_image_and_unit(line: PtyEndpoint, unit: UcbSimulator, tmp_path: Path) -> None:
    (tmp_path / "new.bin").write_bytes(make_image(NEW, 3000))
    before = unit.text, dict(unit.ram)
    result = run("upgrade", line.url, tmp_path / "new.bin", "--dry-run", *UCB)
    assert "image:  3000 bytes" in result.stdout
    assert f"device: {unit.text}" in result.stdout
    assert (unit.text, unit.ram) == before
    report = run_json("upgrade", line.url, tmp_path / "new.bin", "--dry-run", *UCB)
    assert (report["device"], report["is_in_bootloader"]) == (unit.text, False)
    (tmp_path / "bad.bin").write_bytes(b"<html>" * 1000)
    assert (
        "a web page" in run("upgrade", line.url, tmp_path / "bad.bin", "--dry-run", *UCB, code=ExitCode.DEVICE).stderr
    )
    both = run("upgrade", line.url, tmp_path / "new.bin", "--dry-run", "--write-firmware", *UCB, code=ExitCode.USAGE)
    assert "exclude each other" in both.stderr
    with line.hold():
        unit.bootloader._flash = bytearray(100)
        unit.power_cycle(line.now_s())
    report = run_json("upgrade", line.url, tmp_path / "new.bin", "--dry-run", *UCB)
    assert (report["device"], report["is_in_bootloader"]) == ("", True)
    assert len(unit.bootloader._flash) == 100


def test_reset_restarts_a_unit(line: PtyEndpoint, gx2: PtyEndpoint, unit: UcbSimulator) -> None:
    run("set", line.url, "packet_rate_divider=50Hz", *UCB)
    assert "2008705635" in run("reset", line.url, *UCB).stdout
    assert unit.ram[1] == 1
    assert "switch it off and on" in run("reset", gx2.url, "--family", "gx2", code=ExitCode.DEVICE).stderr


def test_reset_restarts_an_application_with_lower_case_commands_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UcbSimulator, "_obey", lambda unit, *command: unit._user.obey(*command))
    unit = UcbSimulator(77, "OpenIMU300ZI 5020-3885-02 1.1.1", restart_s=0.01)
    with PtyEndpoint(unit, tmp_path / "port") as line:
        run("set", line.url, "user.packet_rate=50", *UCB)
        run("reset", line.url, *UCB)
        assert run_json("get", line.url, "user.packet_rate", *UCB)["user.packet_rate"]["value"] != 50


def test_recovers_a_unit_in_its_bootloader(line: PtyEndpoint, unit: UcbSimulator, tmp_path: Path) -> None:
    (tmp_path / "new.bin").write_bytes(make_image(NEW, 3000))
    with line.hold():
        unit.bootloader._flash = bytearray(100)
        unit.power_cycle(line.now_s())
    assert run_json("list", line.url, "--family", "ucb")["found"][0]["text"] == "in its bootloader"
    assert "--recover" in run("info", line.url, "--family", "ucb", code=ExitCode.DEVICE).stderr
    result = run_json("upgrade", line.url, tmp_path / "new.bin", "--write-firmware", "--recover")
    assert (result["before"], result["after"]) == ("", NEW)


def test_ctrl_c_in_an_upgrade_prints_how_to_continue(unit: UcbSimulator, line: PtyEndpoint, tmp_path: Path) -> None:
    (tmp_path / "new.bin").write_bytes(make_image(NEW, 3000))
    unit.bootloader.erase_s = 600.0
    program = "import sys; from pygnc_cli.app import main; sys.exit(main())"
    environment = {"PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}", "PATH": os.defpath, "HOME": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", program, "device", "upgrade", line.url, str(tmp_path / "new.bin")]
    command += ["--write-firmware", *UCB]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert line.wait_until(lambda: unit.bootloader.erasures == 1, 30.0)
        process.send_signal(signal.SIGINT)
        _, notes = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted" in notes
    assert "--recover" in notes
    assert "Traceback" not in notes


def test_magnetometer_alignment_is_stored_on_request(line: PtyEndpoint, unit: UcbSimulator) -> None:
    unit.align_s = 0.1
    result = run("calibrate-mag", line.url, *UCB)
    assert "0.10010 G" in result.stdout
    assert "not stored" in result.stderr
    assert run_json("calibrate-mag", line.url, "--store", *UCB)["stored"] == "yes"


@pytest.mark.parametrize(
    ("arguments", "why", "code"),
    [
        (["toaster", "--pty", "x"], "choose from dmu380", ExitCode.DEVICE),
        (["dmu380"], "--pty PATH or --tcp PORT", ExitCode.USAGE),
        (["dmu380", "--pty", "x", "--fault", "heat=1"], "KIND is one of lost", ExitCode.DEVICE),
        (["dmu380", "--pty", "/dev/null"], "is not a simulated port", ExitCode.DEVICE),
    ],
)
def test_reports_unusable_simulation_options(arguments: list[str], why: str, code: ExitCode) -> None:
    assert why in run("simulate", *arguments, code=code).stderr


@pytest.mark.parametrize("kind", ["--pty", "--tcp"])
def test_a_second_simulator_at_a_port_is_refused(kind: str, line: PtyEndpoint) -> None:
    with TcpEndpoint(UcbSimulator()) as network:
        place = line.url if kind == "--pty" else network._port
        error = run("simulate", "dmu380", kind, place, "--seconds", 0.01, code=ExitCode.DEVICE).stderr
    assert "another" in error
    assert Path(line.url).exists()


def test_a_link_that_a_killed_simulator_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "port").symlink_to(tmp_path / "gone")
    assert str(tmp_path / "port") in run("simulate", "dmu380", "--pty", tmp_path / "port", "--seconds", 0.01).stdout


def test_simulated_units_have_distinct_serial_numbers() -> None:
    numbers = [getattr(make(), "serial_number", None) for make in SIMULATORS.values()]
    known = [number for number in numbers if number is not None]
    assert len(known) >= 6
    assert len(set(known)) == len(known)


def test_signals_end_simulation_stream_and_log_in_order(tmp_path: Path) -> None:
    program = "import sys; from pygnc_cli.app import main; sys.exit(main())"
    environment = {"PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}", "PATH": os.defpath, "HOME": str(tmp_path)}

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-c", program, "device", *map(str, arguments)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    with start("simulate", "imu383", "--tcp", 0, "--fault", "lost=0.001", "--seed", 3) as simulator:
        assert simulator.stdout is not None
        url = simulator.stdout.readline().strip()
        assert url.startswith("socket://127.0.0.1:")
        with start("log", url, "--out", tmp_path, "--name", "run", *UCB) as logger:
            part = tmp_path / "run.csv.part"
            _wait_for(lambda: part.exists() and part.stat().st_size > 3000)
            logger.send_signal(signal.SIGTERM)
            out, notes = logger.communicate(timeout=20)
        assert (logger.returncode, "Traceback" in notes) == (0, False)
        assert "run.csv" in out
        assert (tmp_path / "run.csv").exists()
        with start("stream", url, *UCB) as stream:
            assert stream.stdout is not None
            assert stream.stdout.readline().startswith("S1 ")
            stream.send_signal(signal.SIGINT)
            _, notes = stream.communicate(timeout=20)
        assert (stream.returncode, "Traceback" in notes) == (0, False)
        assert "readings" in notes
        simulator.send_signal(signal.SIGINT)
        _, notes = simulator.communicate(timeout=20)
        assert (simulator.returncode, "Traceback" in notes) == (0, False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_cut_the_closing_of_a_log(
    number: signal.Signals, line: PtyEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename(path: Path, target: Path) -> None:
        signal.raise_signal(number)
        path.rename(target)
        signal.raise_signal(number)

    def write(log: CsvLog, reading: Reading) -> None:
        original(log, reading)
        if log.rows == 20:
            signal.raise_signal(number)

    original = CsvLog.write
    monkeypatch.setattr(CsvLog, "write", write)
    monkeypatch.setattr(log_files, "durable_rename", rename)
    store = (tmp_path / "store").as_uri()
    arguments = ("--out", tmp_path / "logs", "--name", "run", "--raw", "--to", store, "--spool", tmp_path / "spool")
    result = run_json("log", line.url, *arguments, *UCB)
    assert [Path(path).name for path in result["files"]] == ["run.csv", "run.raw"]
    assert result["rows"] >= 20
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["run.csv", "run.raw"]


def test_a_stop_ends_the_wait_for_a_unit_that_does_not_start(gx2: PtyEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gx2.unit, "receive", lambda *_: None)
    with connect(DeviceSelection(gx2.url, "gx2", 115200)) as connected:
        answers = iter([False, True])
        connected.start_streaming(lambda: next(answers))
        assert next(answers, None) is None


def test_stream_draws_a_live_table_on_a_terminal(line: PtyEndpoint, tmp_path: Path) -> None:
    program = "import sys; from pygnc_cli.app import main; sys.exit(main())"
    environment = {"PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}", "PATH": os.defpath, "HOME": str(tmp_path)}
    environment |= {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    master, slave = pty.openpty()
    command = [sys.executable, "-W", "error", "-c", program, "device", "stream", line.url, "--count", "30", *UCB]
    with subprocess.Popen(command, env=environment, stdout=slave, stderr=slave, stdin=slave) as process:
        os.close(slave)
        shown = b""
        while select.select([master], [], [], 20)[0]:
            try:
                shown += os.read(master, 65536)
            except OSError:  # the other end is closed
                break
        assert process.wait(20) == 0
    os.close(master)
    text = shown.decode()
    assert "scaled sensors" in text
    assert "accel_z_mps2" in text
    assert "m/s²" in text
    assert "readings" in text


def _wait_for(condition: Any) -> None:  # noqa: ANN401 - any callable
    end_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_logs_a_unit_that_only_transmits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UcbSimulator, "receive", lambda *_: None)
    with TcpEndpoint(UcbSimulator()) as line:
        run("log", line.url, *UCB, "--out", tmp_path, "--name", "passive.csv", "--count", 20)
    rows = [row for row in (tmp_path / "passive.csv").read_text().splitlines() if not row.startswith("#")]
    assert len(rows) == 21


def test_logs_a_streaming_gx2_that_only_transmits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gx2Simulator, "receive", lambda *_: None)
    place = ("--family", "gx2", "--baud", 115200)
    with TcpEndpoint(Gx2Simulator(eeprom={0xFCA6: 0xC2})) as line:
        run("log", line.url, *place, "--out", tmp_path, "--name", "passive.csv", "--count", 20)
    rows = [row for row in (tmp_path / "passive.csv").read_text().splitlines() if not row.startswith("#")]
    assert len(rows) == 21


def test_describes_an_application_that_responds_to_lower_case_commands_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UcbSimulator, "_obey", lambda unit, *command: unit._user.obey(*command))
    with PtyEndpoint(UcbSimulator(77, "OpenIMU300ZI 5020-3885-02 1.1.1"), tmp_path / "port") as line:
        report = json.loads(run("info", line.url, *UCB, "--json").stdout)
    assert (report["serial_number"], report["model"]) == ("77", "OpenIMU300ZI")
    assert report["user.packet_type"] == "z1"


def test_sets_the_rate_by_the_name_that_info_shows(line: PtyEndpoint, unit: UcbSimulator) -> None:
    run("set", line.url, "rate=50Hz", *UCB)
    assert unit.ram[1] == 2


def test_suggests_the_nearest_field(line: PtyEndpoint) -> None:
    assert "did you mean orientation?" in run("get", line.url, "orientaton", *UCB, code=ExitCode.DEVICE).stderr


def test_hard_and_soft_iron_have_units(line: PtyEndpoint, unit: UcbSimulator, tmp_path: Path) -> None:
    written = {0x09: 0xFF00, 0x0A: 0x0100, 0x0B: 0x7D71, 0x0C: 0xC000, 0x0E: 0x4000}
    unit.ram |= written
    names = ("hard_iron_x", "hard_iron_y", "soft_iron_ratio", "heading_track_offset", "soft_iron_angle")
    settings = run_json("get", line.url, *names, *UCB)
    assert [settings[name]["text"] for name in names] == [
        "-0.00781 G",
        "0.00781 G",
        "0.98001",
        "-1.57080 rad",
        "1.57080 rad",
    ]
    openimu = UcbSimulator(77, "OpenIMU300ZI 5020-3885-02 1.1.1", eeprom=written)
    with PtyEndpoint(openimu, tmp_path / "openimu") as other:
        assert run_json("get", other.url, "hard_iron_x", *UCB)["hard_iron_x"]["text"] == "-0.07812 G"


def test_the_rate_of_a_gx3_is_set_and_that_of_a_gx2_is_written(gx2: PtyEndpoint, tmp_path: Path) -> None:
    unit = Gx2Simulator("3DM-GX3-25")
    with PtyEndpoint(unit, tmp_path / "gx3") as line:
        run("set", line.url, "rate=50Hz", "--family", "gx2")
        assert run_json("info", line.url, "--family", "gx2")["rate"] == "50 Hz"
        assert "2143-01876" in run("reset", line.url, "--family", "gx2").stdout
        assert run_json("info", line.url, "--family", "gx2")["rate"] == "100 Hz"
    assert (
        "pygnc device write PORT rate=50Hz"
        in run("set", gx2.url, "rate=50Hz", "--family", "gx2", code=ExitCode.DEVICE).stderr
    )
