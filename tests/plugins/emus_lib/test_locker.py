"""Lock files, with several processes."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from emus_lib import config
from emus_lib.serial.locker import Locker

ROOT = Path(__file__).resolve().parents[3]
HOLD = """
import sys
from emus_lib.serial.locker import Locker
Locker.lock("emus")
print("locked", flush=True)
sys.stdin.read()
"""
COUNT = """
import sys
import time
from pathlib import Path
from emus_lib.serial.locker import Locker
count = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(40):
    Locker.lock("emus")
    before = int(count.read_text())
    time.sleep(0.001)
    count.write_text(str(before + 1))
    Locker.unlock("emus")
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(config, "HOME_PATH", tmp_path / "home")
    return tmp_path / "home"


def start(program: str, home: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {
        "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("flight", "ground", "ground/plugins/emus_lib")),
        "PATH": "/usr/bin:/bin",
        "EMUS_HOME": str(home),
    }
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=home.parent
    )


def end(process: "subprocess.Popen[str]") -> None:
    process.communicate()


def hold(home: Path) -> "subprocess.Popen[str]":
    process = start(HOLD, home)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_lock_of_a_running_process_does_not_expire(home: Path) -> None:
    process = hold(home)
    os.utime(home / "emus.LOCK", (0, 0))
    assert Locker.is_locked("emus")
    assert Locker.is_locked("emus", 0.0)
    assert json.loads((home / "emus.LOCK").read_text())["pid"] == process.pid
    Locker.unlock("emus")
    assert (home / "emus.LOCK").exists()  # another process holds it
    end(process)
    assert not Locker.is_locked("emus")


def test_a_lock_is_released_when_its_process_exits(home: Path) -> None:
    end(hold(home))
    assert not (home / "emus.LOCK").exists()


def test_a_lock_of_a_killed_process_is_invalid(home: Path) -> None:
    process = hold(home)
    process.kill()
    end(process)
    assert (home / "emus.LOCK").exists()
    assert not Locker.is_locked("emus")
    Locker.lock("emus")
    assert json.loads((home / "emus.LOCK").read_text())["pid"] == os.getpid()
    Locker.unlock("emus")
    assert not (home / "emus.LOCK").exists()


def test_a_lock_is_invalid_if_its_process_id_was_reused(home: Path) -> None:
    process = hold(home)
    content = json.loads((home / "emus.LOCK").read_text())
    (home / "emus.LOCK").write_text(json.dumps(content | {"started": "1"}))
    assert not Locker.is_locked("emus")
    end(process)


def test_locking_waits_for_the_other_process(home: Path) -> None:
    process = hold(home)
    waiter = threading.Thread(target=Locker.lock, args=("emus",))
    waiter.start()
    waiter.join(0.2)
    assert waiter.is_alive()
    end(process)
    waiter.join(10.0)
    assert not waiter.is_alive()
    Locker.unlock("emus")


def test_only_one_of_many_processes_holds_the_lock(home: Path, tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    processes = [start(COUNT, home, str(tmp_path / "count")) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        end(process)
        assert process.returncode == 0
    assert (tmp_path / "count").read_text() == "160"


def test_a_lock_of_an_unknown_process_expires_after_two_seconds(home: Path) -> None:
    home.mkdir()
    (home / "emus.LOCK").write_text("2022-04-29 10:00:00")
    assert Locker.is_locked("emus")
    os.utime(home / "emus.LOCK", (time.time() - 3, time.time() - 3))
    assert not Locker.is_locked("emus")
    assert Locker.is_locked("emus", 60)


def test_unlocking_an_unlocked_resource_does_nothing() -> None:
    Locker.unlock("emus")
    Locker.lock("emus")
    Locker.lock("emus")  # held by this process
    Locker.unlock("emus")
    Locker.unlock("emus")
