"""`pygnc device stream` and `log` with simulated devices and recordings."""

import contextlib
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
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pygnc_cli.exit_codes import ExitCode
from pygnc_devices.reading import Reading
from pygnc_devices.ucb.framing import make_frame
from pygnc_instruments.device import connection, log_files, readings_commands
from pygnc_instruments.device.connection import ConnectedDevice, DeviceSelection, connect
from pygnc_instruments.device.csv_log import CsvLog
from pygnc_instruments.simulators.endpoints import PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from pygnc_instruments.simulators.unit import SimulatedUnit
from tests.pygnc_instruments.device.running import UCB, run, run_json

ROOT = Path(__file__).resolve().parents[3]
OF_THE_RUN = ("time", "utc", "measured", "measured_sigma")
"""Columns that a replay does not have as its log has them."""


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
        assert {name: row[name] for name in row if name not in OF_THE_RUN} == {
            name: other[name] for name in other if name not in OF_THE_RUN
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


def test_several_devices_are_logged_with_one_time_base(tmp_path: Path) -> None:
    left, right = UcbSimulator(), Gx2Simulator(eeprom={0xFCA6: 0xC2})
    with PtyEndpoint(left, tmp_path / "left"), PtyEndpoint(right, tmp_path / "right"):
        arguments = ("--out", tmp_path / "logs", "--name", "run", "--raw", "--count", 60)
        printed = run("log", tmp_path / "left", tmp_path / "right", *arguments, "--json").stdout
    results = [json.loads(line) for line in printed.splitlines()]
    names = [[Path(path).name for path in result["files"]] for result in results]
    assert names == [["run-left.csv", "run-left.raw"], ["run-right.csv", "run-right.raw"]]
    assert [result["rows"] for result in results] == [60, 60]
    for result in results:
        (rate,) = result["clock_rates"].values()
        assert abs(rate[0]) < 0.1  # the clock of a simulated unit is this computer's, and the line is short
        lines = [text for text in Path(result["files"][0]).read_text().splitlines() if not text.startswith("#")]
        rows = list(csv.DictReader(lines))
        first = next(number for number, row in enumerate(rows) if row["measured"])
        assert first < 20  # the tick of the clock of a GX2 is known after some readings
        rows = rows[first:]
        measured = [datetime.fromisoformat(row["measured"]) for row in rows]
        assert measured == sorted(measured)
        for row, at in zip(rows, measured, strict=True):
            delay = datetime.fromisoformat(row["utc"]) - at
            assert timedelta() - timedelta(milliseconds=1) <= delay < timedelta(seconds=1)
            assert 0.0 < float(row["measured_sigma"]) <= 1.0


def test_readings_that_arrive_before_all_ports_are_open_are_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[float] = []

    def connect_slowly(selection: DeviceSelection) -> ConnectedDevice:
        time.sleep(0.5 * len(opened))
        opened.append(time.time())
        return connect(selection)

    monkeypatch.setattr(readings_commands, "connect", connect_slowly)
    with PtyEndpoint(UcbSimulator(), tmp_path / "left"), PtyEndpoint(UcbSimulator(), tmp_path / "right"):
        arguments = ("--out", tmp_path / "logs", "--name", "run", "--raw", "--count", 60, *UCB)
        run("log", tmp_path / "left", tmp_path / "right", *arguments)
    text = (tmp_path / "logs" / "run-left.csv").read_text()
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    assert datetime.fromisoformat(rows[0]["utc"]).timestamp() < opened[1] - 0.2
    assert all(row["lost_before"] == "0" for row in rows)
    replayed = run("stream", tmp_path / "logs" / "run-left.raw").stdout.splitlines()
    assert len(replayed) >= len(rows)


def test_a_port_that_cannot_be_opened_leaves_no_file_of_the_others(line: PtyEndpoint, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    run("log", line.url, missing, "--out", tmp_path / "logs", "--raw", *UCB, code=ExitCode.DEVICE)
    assert not (tmp_path / "logs").exists()


def test_ports_with_the_same_name_are_refused(line: PtyEndpoint, tmp_path: Path) -> None:
    result = run("log", line.url, line.url, "--out", tmp_path, *UCB, code=ExitCode.USAGE)
    assert "name each port once" in result.stderr


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
        command = ("log", line.url, "--family", family, "--baud", 115200, "--out", out, "--name", "run", "--count", 150)
        messages = run(*command).stderr
        thread.join()
    assert [path.name for path in out.iterdir()] == ["run.csv"]
    lines = [line for line in (out / "run.csv").read_text().splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(lines))
    times_s = [float(row["time"]) for row in rows]
    assert times_s == sorted(times_s)
    assert all(row["utc"].endswith("Z") for row in rows)
    (gap,) = (row for row in rows if row["gap"] != "0")
    assert float(gap["gap"]) > 0.3
    estimates = sum(row["estimate"] == "1" for row in rows)
    assert (f"rows marked as estimates: {estimates};" in messages) == (estimates > 0)
    # A unit that restarts leaves times of arrival only, which vary on a busy computer.
    sent = 1 + round((times_s[-1] - times_s[0]) * 100.0)
    assert len(rows) + sum(int(row["lost_before"]) for row in rows) == pytest.approx(sent, abs=10)


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
    monkeypatch.setattr(gx2.unit, "_continuous", 0)
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


class Faltering(UcbSimulator):
    """Unit that sends other bytes instead of packets as soon as these bytes are set."""

    others: bytes | None = None

    def _tick(self) -> bytes:
        packet = super()._tick()
        return packet if self.others is None else self.others


@pytest.mark.parametrize(("octets", "reason"), [(b"", "no data"), (bytes(range(200, 240)), "no valid frame")])
def test_the_reason_for_silence_is_that_of_the_bytes_since_the_last_reading(
    octets: bytes, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connection, "_SILENCE_S", 0.3)
    unit = Faltering()
    with (
        PtyEndpoint(unit, tmp_path / "port") as line,
        connect(DeviceSelection(line.url, "ucb", 115200)) as connected,
        contextlib.closing(connected.readings(count=1)) as first,
    ):
        assert any(reading is not None for reading in first)
        unit.others = octets
        list(connected.readings(seconds=1.0))
    assert reason in capsys.readouterr().err


def test_the_statistics_of_a_log_end_with_its_rows(line: PtyEndpoint, tmp_path: Path) -> None:
    with PtyEndpoint(UcbSimulator(2008705636, eeprom={1: 10}), tmp_path / "slow") as slow:
        lines = run("log", slow.url, line.url, "--out", tmp_path, "--count", 15, "--json", *UCB).stdout.splitlines()
    fast = json.loads(lines[1])  # its log ends 1.3 s before that of the other one
    assert fast["rows"] == 15
    assert fast["statistics"]["readings"] < 100
