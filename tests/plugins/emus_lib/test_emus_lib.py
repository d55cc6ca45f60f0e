"""Scripts for emus-bms: usage in its README, queue, labels, settings, logs."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from emus_lib import config, helpers
from emus_lib.queue.responsequeue import ResponseQueue
from emus_lib.serial.emus import EmusSerial
from pygnc_devices.errors import PortError
from pygnc_instruments.simulators.emus_unit import Battery, EmusFaults, EmusSimulator
from pygnc_instruments.simulators.endpoints import PtyEndpoint

ROOT = Path(__file__).resolve().parents[3]
README_WAY = """
import threading
import sys
from emus_lib.config import *
from emus_lib.constants import *
from emus_lib.helpers import *
from emus_lib.serial.emus import EmusSerial

SEN_ONLY = [SEN_BV1, SEN_BV2]
SEN_RESPONSE_DEFINITION = {SEN_BV1: {'length': 1}, SEN_BV2: {'length': 2}}
q = ResponseQueue(SEN_RESPONSE_DEFINITION)
serial = EmusSerial(EMUS_SERIAL_PORT, SEN_ONLY, SEN_RESPONSE_DEFINITION)
serial.open()
serial.set_queue(q)
thread = threading.Thread(target=serial.read, args=[False])
thread.start()
for request in SEN_RESPONSE_DEFINITION.keys():
    serial.write(request)
while not q.is_queue_processed() and not q.has_timed_out():
    pass
serial.close()
print(enc(q.get_items()))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(config, "HOME_PATH", tmp_path / "home")
    return tmp_path / "home"


def run(folder: Path, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        env={
            "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("flight", "ground", "ground/plugins/emus_lib")),
            "PATH": os.defpath,
            "EMUS_HOME": str(folder / "home"),
            **environment,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def ask(line: PtyEndpoint, definition: dict[str, dict[str, int]], timeout: float | None = 20.0) -> ResponseQueue:
    """Request sentences as scripts do, and wait for the responses."""
    queue = ResponseQueue(definition, timeout)
    serial = EmusSerial(line.url, list(definition))
    serial.set_queue(queue)
    assert serial.open()
    assert serial.serial.isOpen()
    thread = threading.Thread(target=serial.read, args=[False])
    thread.start()
    for name in definition:
        serial.write(name)
    while not queue.is_queue_processed() and not queue.has_timed_out():
        pass
    serial.close()
    thread.join(5.0)
    assert not thread.is_alive()
    assert not serial.isOpen()
    return queue


def values(queue: ResponseQueue, name: str) -> Any:  # noqa: ANN401 - a script's own data
    return queue.get_items()[name][0]["values"]


def test_the_usage_in_the_readme_of_emus_bms_works(tmp_path: Path) -> None:
    with PtyEndpoint(EmusSimulator(broadcast_s=0.3), tmp_path / "port") as line:
        (tmp_path / ".env").write_text(f"EMUS_SERIAL_PORT={line.url}\nNO_BT3=False\n")
        done = run(tmp_path, "-c", README_WAY)
    assert (done.returncode, done.stderr) == (0, "")
    items = json.loads(done.stdout)
    assert items["BV1"][0]["name"] == "BV1"
    assert items["BV1"][0]["values"]["NUMBER OF CELLS"] == 16
    assert [group["values"]["CELL NUMBER OF FIRST CELL IN GROUP"] for group in items["BV2"]] == [0, 8]
    assert len(items["BV2"][0]["values"]["INDIVIDUAL CELL VOLTAGE"]) == 8


def test_values_have_the_labels_of_emus_bms(tmp_path: Path) -> None:
    names = ["BB1", "BB2", "BC1", "BT1", "BT2", "BT3", "BT4", "BV1", "CV1", "VR1", "ST1", "OT1", "DT1", "TD1"]
    with PtyEndpoint(EmusSimulator(Battery(cells=4)), tmp_path / "port") as line:
        queue = ask(line, {name: {"length": 1} for name in names})
    assert queue.unanswered == set()
    assert values(queue, "BC1") == {"BATTERY_CHARGE": 284400, "BATTERY CAPACITY": 360000, "STATE OF CHARGE": 79.0}
    assert values(queue, "CV1").keys() == {"TOTAL VOLTAGE", "CURRENT"}
    assert values(queue, "VR1")["FIRMWARE VERSION"] == "2.4.0"
    assert len(values(queue, "BT2")["INDIVIDUAL CELL MODULE TEMPERATURES"]) == 4
    assert values(queue, "BB1")["BALANCING VOLTAGE THRESHOLF"] == 3.45
    assert values(queue, "ST1")["CHARGING STAGE"] == 0
    assert values(queue, "DT1")["SPEED"] is None
    assert values(queue, "OT1")["HEATER"] == 0


def test_without_a_length_the_response_ends_with_the_last_cell(tmp_path: Path) -> None:
    unit = EmusSimulator(Battery(cells=43), faults=EmusFaults(lost_frames=1))
    with PtyEndpoint(unit, tmp_path / "port") as line:
        queue = ask(line, {"BV2": {}})
    numbers = {item["values"]["CELL NUMBER OF FIRST CELL IN GROUP"] for item in queue.get_items()["BV2"]}  # type: ignore[index]
    assert numbers == {0, 8, 16, 24, 32, 40}
    assert queue.unanswered == set()


def test_a_script_does_not_wait_forever_for_an_unanswered_request(tmp_path: Path) -> None:
    with PtyEndpoint(EmusSimulator(Battery(cells=8)), tmp_path / "port") as line:
        queue = ask(line, {"BV2": {"length": 5}}, timeout=None)
    assert queue.unanswered == {"BV2"}
    assert len(queue.get_items()["BV2"]) == 1


def test_polling_the_queue_does_not_occupy_the_processor() -> None:
    queue = ResponseQueue({"BV1": {"length": 1}}, 0.5)
    before_s = time.process_time()
    while not queue.is_queue_processed() and not queue.has_timed_out():
        pass
    assert time.process_time() - before_s < 0.2


def test_the_queue_accepts_only_the_defined_sentences() -> None:
    queue = ResponseQueue({"BV1": {"length": 1}})
    queue.put("BC1", {"name": "BC1"})
    assert not queue.is_queue_processed()
    queue.put("BV1", {"name": "BV1"})
    queue.put("BV1", {"name": "BV1"})
    assert queue.is_queue_processed()
    assert not queue.has_timed_out()
    assert queue.get_items() == {"BV1": [{"name": "BV1"}]}
    queue.init_queue({"BC1": {"length": 1}})
    assert queue.get_items() == {}


def test_finds_the_port_by_usb_ids_or_explains_how_to_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PortError, match="set EMUS_SERIAL_VID and EMUS_SERIAL_PID"):
        EmusSerial().open()
    monkeypatch.setattr(config, "EMUS_SERIAL_VID", "0403")
    monkeypatch.setattr(config, "EMUS_SERIAL_PID", "6001")
    with pytest.raises(PortError, match="usb://0403:6001: no port matches"):
        EmusSerial().open()


@pytest.mark.parametrize(
    ("text", "expected"), [("False", False), ("no", False), ("0", False), ("", False), ("True", True)]
)
def test_false_no_off_and_0_switch_a_setting_off(text: str, expected: bool) -> None:  # noqa: FBT001 - a parameter
    assert config.is_set(text) is expected
    assert not config.is_set(None)


def test_reads_settings_from_the_env_file_of_the_current_folder(tmp_path: Path) -> None:
    settings = {
        "ID": "7", "EMUS_SERIAL_PORT": "/dev/ttyUSB4", "EMUS_SERIAL_VID": "0403", "EMUS_SERIAL_PID": "6001",
        "NO_BT3": "True", "DB_HOST": "db", "DB_LOCAL_NAME": "here", "DB_SYNC_USER": "me", "EMUS_LIVE_INTERVAL": "9",
    }  # fmt: skip
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    program = (
        "from emus_lib.config import *\n"
        "print(ID, EMUS_SERIAL_PORT, EMUS_SERIAL_VID, EMUS_SERIAL_PID, NO_BT3, DB_HOST, DB_LOCAL_NAME, DB_SYNC_USER,"
        " EMUS_LIVE_INTERVAL, EMUS_LIVE_TIMEOUT)"
    )
    assert run(tmp_path, "-c", program).stdout == "7 /dev/ttyUSB4 0403 6001 True db here me 9 2\n"


def test_empty_settings_have_defaults_and_invalid_ones_are_reported(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("EMUS_LIVE_INTERVAL=\nEMUS_SERIAL_PORT=\n")
    program = "from emus_lib.config import *\nprint(EMUS_LIVE_INTERVAL, repr(EMUS_SERIAL_PORT), NO_BT3)"
    assert run(tmp_path, "-c", program).stdout == "5 '' False\n"
    done = run(tmp_path, "-c", program, EMUS_LIVE_INTERVAL="often")
    assert (done.returncode, done.stderr) == (
        1,
        ".env: EMUS_LIVE_INTERVAL must be a non-negative integer, not 'often'\n",
    )


def test_each_logger_writes_its_own_file(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = helpers.init_logging("a_script")
    assert helpers.init_logging("a_script") is logger
    logger.debug("hello")
    assert (home / "log" / "a_script.log").read_text().endswith("a_script - DEBUG - hello\n")
    assert "DEBUG - hello" in capsys.readouterr().out
    for handler in list(logger.handlers):
        handler.close()
        logger.removeHandler(handler)


def test_helpers_provide_json_and_checksum() -> None:
    assert helpers.crc_checksum("BC1,000456F0,00057E40,1EDC,") == 0x3C
    assert helpers.dec(helpers.enc({"a": [1]})) == {"a": [1]}


def test_the_request_example_runs(tmp_path: Path) -> None:
    with PtyEndpoint(EmusSimulator(Battery(cells=20), broadcast_s=0.5), tmp_path / "port") as line:
        done = run(tmp_path, str(ROOT / "examples/emus.py"), EMUS_SERIAL_PORT=line.url)
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["total"] == pytest.approx(20 * summary["avg"], abs=0.2)
    assert summary["min"]["number"] in range(1, 21)
    assert summary["min"]["value"] < summary["avg"] < summary["max"]["value"]
    assert "Package read BV2" in (tmp_path / "home/log/emus.log").read_text()
    assert not (tmp_path / "home/emus.LOCK").exists()


def test_the_broadcast_example_runs(tmp_path: Path) -> None:
    with PtyEndpoint(EmusSimulator(broadcast_s=0.3), tmp_path / "port") as line:
        done = run(tmp_path, str(ROOT / "examples/emus_broadcast.py"), EMUS_SERIAL_PORT=line.url)
    assert (done.returncode, done.stderr) == (0, "")
    items = json.loads(done.stdout.splitlines()[-1])
    assert items.keys() == {"BT1", "BV1", "BC1", "CV1", "BB1", "DT1", "OT1", "BT3"}


@pytest.mark.parametrize("example", ["emus.py", "emus_broadcast.py"])
def test_an_example_reports_why_it_cannot_run(tmp_path: Path, example: str) -> None:
    program = str(ROOT / "examples" / example)
    done = run(tmp_path, program, EMUS_SERIAL_PORT="/dev/no_such_port")
    assert (done.returncode, done.stderr) == (1, "")
    assert "no such port; check the cable" in done.stdout
    assert not (tmp_path / "home/emus.LOCK").exists()
    done = run(tmp_path, program, EMUS_SERIAL_VID="dead", EMUS_SERIAL_PID="beef")
    assert (done.returncode, done.stderr) == (1, "")
    assert "usb://dead:beef: no port matches" in done.stdout
    (tmp_path / "file").touch()
    done = run(tmp_path, program, EMUS_SERIAL_PORT="/dev/no_such_port", EMUS_HOME=str(tmp_path / "file/home"))
    assert done.returncode == 1
    assert done.stderr.endswith("EMUS_HOME names the folder of locks and logs\n")
    assert "Traceback" not in done.stderr
