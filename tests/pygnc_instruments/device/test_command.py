"""`pygnc device`: description, settings and recordings, with simulated devices."""

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pygnc_cli.exit_codes import ExitCode
from pygnc_devices.device import BlockingDevice
from pygnc_devices.family import Setting
from pygnc_devices.ucb.framing import make_frame
from pygnc_instruments.device import terminal
from pygnc_instruments.simulators.endpoints import PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.mip_unit import MipSimulator
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.pygnc_instruments.device.running import UCB, run, run_json


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


@pytest.mark.parametrize("columns", [None, 80])
def test_values_of_settings_are_never_truncated(
    columns: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Console(force_terminal=columns is not None, width=columns or 40, highlight=False, color_system=None)
    monkeypatch.setattr(terminal, "console", shown)
    value = ",".join(f"field_{number}:5" for number in range(20))
    terminal.print_settings("in effect", [Setting("format.sensor", value, "", "fields of the packets")], as_json=False)
    lines = [line.split("│") for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert "".join(cells[2].strip() for cells in lines) == value
    assert (len(lines) == 1) == (columns is None)


def test_an_interrupted_restore_says_that_settings_may_be_partly_written(
    line: PtyEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("snapshot", line.url, tmp_path / "saved.json", *UCB)

    def interrupted(_: BlockingDevice, operation: Any) -> None:  # noqa: ANN401 - any operation
        operation.close()
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(BlockingDevice, "run", interrupted)
    for command in (("restore", line.url, tmp_path / "saved.json"), ("write", line.url, "orientation=-y-x-z")):
        assert "settings may be partly written" in run(*command, *UCB, code=ExitCode.INTERRUPTED).stderr


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
        (["upgrade", "PORT", "/dev/null"], "image", ExitCode.INPUT),
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
        assert run_json("command", *port, "event_support=triggers") == {"event_support": "8,1:8,2:8,3:8"}
        assert "choose from poll.sensor" in run("command", *port, "tare", code=ExitCode.DEVICE).stderr
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
        for command in (
            ["get", line.url],
            ["snapshot", line.url],
            ["calibrate-mag", line.url],
            ["command", line.url, "x"],
        ):
            assert "these devices do not support" in run(*command, "--family", "monodrive", code=ExitCode.DEVICE).stderr


def test_snapshot_is_saved_and_restored(
    line: PtyEndpoint, gx2: PtyEndpoint, unit: UcbSimulator, tmp_path: Path
) -> None:
    run("snapshot", line.url, tmp_path / "ucb.json", *UCB)
    unit.eeprom[8] = 3
    assert run_json("restore", line.url, tmp_path / "ucb.json", *UCB)["user_behaviour"]["value"] == 0
    assert unit.eeprom[8] == 0
    unchanged = run("restore", line.url, tmp_path / "ucb.json", *UCB)
    assert (unchanged.stdout, "already" in unchanged.stderr) == ("", True)
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
        "rate": "100 Hz z1",
        "missing": "1",
        "bad_checksums": "0",
        "skipped_bytes": "7",
    }


@pytest.mark.parametrize("source", ["log", "stream"])
def test_rows_of_a_recording_have_the_time_of_the_device_or_none(source: str, tmp_path: Path) -> None:
    frames = [make_frame("z1", k.to_bytes(4, "little") + bytes(36)) for k in range(7_000_000, 7_500_000, 10_000)]
    (tmp_path / "x.raw").write_bytes(b"".join(frames))
    if source == "log":
        result = run("log", tmp_path / "x.raw", "--out", tmp_path, "--name", "x")
        assert "50 readings, 100.0 Hz, 0 missing" in result.stderr
        lines = (tmp_path / "x.csv").read_text().splitlines()
    else:
        lines = run("stream", tmp_path / "x.raw", "--csv").stdout.splitlines()
    rows = list(csv.DictReader(line for line in lines if "," in line and line[0] != "#"))
    assert [row["time"] for row in rows[:3]] == ["", "", ""]  # the tick is found by the steps
    assert [float(row["time"]) for row in rows[3:]] == pytest.approx([0.01 * k for k in range(3, 50)])
    assert {row["measured"] for row in rows} == {""}


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


def test_magnetometer_alignment_is_stored_on_request(line: PtyEndpoint, unit: UcbSimulator) -> None:
    unit.align_s = 0.1
    result = run("calibrate-mag", line.url, *UCB)
    assert "0.10010 G" in result.stdout
    assert "not stored" in result.stderr
    assert run_json("calibrate-mag", line.url, "--store", *UCB)["stored"] == "yes"


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
