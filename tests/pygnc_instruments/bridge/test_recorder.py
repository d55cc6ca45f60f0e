"""Logs that clients start and stop, on a bridge in a separate process."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pygnc_devices.reading import Reading
from pygnc_devices.ucb.unit import PACKETS
from pygnc_instruments.bridge import recorder as recorder_module
from pygnc_instruments.bridge.device_link import DeviceLink, LinkState
from pygnc_instruments.bridge.messages import BridgeError, Event
from pygnc_instruments.bridge.recorder import Recorder
from pygnc_instruments.device.connection import DeviceSelection
from pygnc_instruments.device.csv_log import CsvLog
from pygnc_instruments.device.log_files import LogError
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.pygnc_instruments.bridge.running import PATIENCE_S, RunningBridge, until

pytestmark = pytest.mark.slow

Start = Callable[..., RunningBridge]
READING = Reading(PACKETS["S1"], b"", PACKETS["S1"].decode(bytes(24)), 0, 0)
SECRETS = {"access_token": "hush-1", "storage": "az://logs/place"}


def rows(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


def test_log_is_started_stopped_listed_and_loaded(bridge: RunningBridge) -> None:
    with bridge.connect() as client, bridge.connect() as other:
        begun = client.ask("start_log", {"file_name": "drive", "user": "ann"})
        assert (begun["active"], begun["file"]) == (True, "drive.csv")
        assert other.wait(lambda message: message["cmd"] == "log")["data"]["file"] == "drive.csv"
        assert other.ask("status")["log"]["active"] is True
        until(lambda: client.ask("status")["log"]["rows"] > 20, "rows")
        ended = client.ask("stop_log")
        assert (ended["active"], ended["closed"]) == (False, ["drive.csv"])
        assert [entry["name"] for entry in client.ask("list_files")] == ["drive.csv"]
        text = client.ask("load_file", {"name": "drive.csv"})["text"]
    assert text == (bridge.folder / "drive.csv").read_text()
    assert "# serial_number: 2008705635" in text
    assert "# user: ann" in text
    table = rows(bridge.folder / "drive.csv")
    assert table[0].startswith("time,xAccel,yAccel,zAccel,xRate")
    assert len(table) - 1 == ended["rows"] > 20


def test_protocols_v1_and_v2_start_and_stop_logs(bridge: RunningBridge) -> None:
    with bridge.connect("v1") as old, bridge.connect("v2") as newer:
        old.send("start_log")
        name = old.wait(lambda message: "logfile" in message)["logfile"]
        assert name.startswith("data-")
        newer.send({"messageType": "serverStatus"})
        data = newer.wait(lambda message: message["messageType"] == "serverStatus")["data"]
        assert (data["logging"], data["fileName"]) == (True, name)
        newer.send({"messageType": "requestAction", "data": {"stopLog": {}}})
        assert newer.wait(lambda message: "logfile" in message["data"])["data"]["logfile"] == ""
        newer.send({"messageType": "requestAction", "data": {"listFiles": {}}})
        assert newer.wait(lambda message: "listFiles" in message["data"])["data"]["listFiles"] == [name]
        newer.send({"messageType": "requestAction", "data": {"loadFile": {"graph_id": name}}})
        assert "xAccel" in newer.wait(lambda message: "loadFile" in message["data"])["data"]["loadFile"]


def test_reports_why_a_log_cannot_be_started(bridge: RunningBridge) -> None:
    with bridge.connect() as client:
        assert client.ask_in_full("stop_log")["err"]["code"] == "logging"
        assert client.ask_in_full("start_log", {"file_name": "../x"})["err"]["code"] == "logging"
        for storage in ("file:///etc", "memory:///", "https://evil.example/x", "az://logs?sig=hush-1"):
            refused = client.ask_in_full("start_log", {"storage": storage})["err"]
            assert refused["code"] == "storage"
            assert "hush" not in str(refused)
        client.ask("start_log")
        assert client.ask_in_full("start_log")["err"]["code"] == "logging"
        client.ask("stop_log")
        client.ask("SF", [[1, 0]])
        client.wait(lambda message: message["cmd"] == "device" and message["data"]["state"] == "silent")
        assert client.ask_in_full("start_log")["err"]["code"] == "logging"
        client.ask("SF", [[1, 1]])
        client.ask("start_log")


def test_reports_a_folder_that_cannot_be_created(bridge: RunningBridge) -> None:
    bridge.folder.write_text("not a folder")
    with bridge.connect() as client:
        for _ in range(2):  # the first failure must not affect the second attempt
            refused = client.ask_in_full("start_log")["err"]
            assert refused["code"] == "logging"
            assert str(bridge.folder) in refused["message"]
        bridge.folder.unlink()
        client.ask("start_log")


def test_a_full_disk_ends_the_log_and_is_reported(tmp_path: Path) -> None:
    class Full(CsvLog):
        def write(self, reading: Reading) -> None:
            if self.rows == 2:
                raise LogError("no space left")
            super().write(reading)

    async def run() -> None:
        events: list[Event] = []
        link = DeviceLink(DeviceSelection(), events.append)
        link.device, link.state = SimpleNamespace(is_connected=True, url="x"), LinkState.STREAMING  # type: ignore[assignment]
        recorder = Recorder(link, tmp_path, events.append)
        starting = asyncio.create_task(recorder.start("a"))
        while not starting.done() or recorder.summary()["active"]:
            for tap in link.listeners:
                tap(READING)
            await asyncio.sleep(0.01)
        assert starting.result()["file"] == "a.csv"
        assert events[-1].data["error"] == "no space left"
        assert not link.listeners
        with pytest.raises(BridgeError, match="no log is active"):
            await recorder.stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder_module, "CsvLog", Full)
        asyncio.run(run())


def test_a_finished_log_is_uploaded_under_the_users_prefix(start: Start, line: PtyEndpoint, tmp_path: Path) -> None:
    store = tmp_path / "store"
    place = (line.url, "--baud", "115200", "--family", "ucb", "--port", "0")
    bridge = start(*place, PYGNC_STORE_URL=f"file://{store}").with_unit()
    with bridge.connect() as client:
        client.ask("start_log", {"fileName": "a", "id": "ann"})
        client.ask("stop_log")
        result = client.wait(lambda message: message["cmd"] == "log" and "upload" in message["data"])["data"]["upload"]
    assert result.startswith("sent: a.csv")
    assert (store / "ann" / "a.csv").read_text() == (bridge.folder / "a.csv").read_text()


def test_the_access_token_is_not_written_to_any_file(bridge: RunningBridge, tmp_path: Path) -> None:
    with bridge.connect() as client, bridge.connect() as other:
        client.ask("start_log", {"fileName": "a", "id": "ann", **SECRETS})
        client.ask("stop_log")
        # The store does not exist, so the file stays in the spool.
        result = other.wait(lambda message: message["cmd"] == "log" and "upload" in message["data"])["data"]["upload"]
        assert result.startswith("not sent")
        assert "hush" not in result
    bridge.process.send_signal(signal.SIGTERM)
    assert bridge.process.wait(PATIENCE_S) == 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name.endswith(".job.json") for path in written)
    assert not [path for path in written if b"hush" in path.read_bytes()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_the_bridge_completes_the_log(bridge: RunningBridge, number: signal.Signals) -> None:
    with bridge.connect() as client:
        client.ask("start_log", {"fileName": "a"})
        bridge.process.send_signal(number)
        assert bridge.process.wait(PATIENCE_S) == 0
    assert [path.name for path in bridge.folder.iterdir()] == ["a.csv"]
    assert len(rows(bridge.folder / "a.csv")) > 1


def test_a_log_continues_after_reconnection(bridge: RunningBridge, line: PtyEndpoint, unit: UcbSimulator) -> None:
    with bridge.connect() as client:
        client.ask("start_log", {"fileName": "a"})
        line.unplug()
        client.wait(lambda message: message["cmd"] == "device" and not message["data"]["connected"])
        noticed_s = time.monotonic()
        before = client.ask("status")["log"]["rows"]
        time.sleep(0.3)
        unplugged_s = time.monotonic() - noticed_s
        line.plug_in()
        until(lambda: client.ask("status")["log"]["rows"] > before, "more rows")
        client.ask("stop_log")
    assert unit.ram[1] == 1
    assert [path.name for path in bridge.folder.iterdir()] == ["a.csv"]
    header, *content = (line.split(",") for line in rows(bridge.folder / "a.csv"))
    times_s = [float(row[header.index("time")]) for row in content]
    assert times_s == sorted(times_s)
    (gap,) = (row for row in content if row[header.index("gap")] != "0")
    gap_s = float(gap[header.index("gap")])
    assert gap_s > unplugged_s
    # The unit restarts, so that only times of arrival remain, which vary on a busy computer.
    assert int(gap[header.index("lost_before")]) == pytest.approx(gap_s * 100.0, rel=0.5)
