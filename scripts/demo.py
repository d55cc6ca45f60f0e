"""Process the demonstration batch in a temporary home, print the results, and replay it against the truth."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np

from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import Event
from pygnc.formats.sense import SENSOR_PACKET

ROOT = Path(__file__).resolve().parent.parent
BATCH = ROOT / "data" / "demo"
HOME = ROOT / "build" / "demo-home"
REPLAY = ROOT / "build" / "demo-replay"
TIMEOUT_MIN = 10
SECONDS_AFTER_THE_BATCH = 60


def main() -> int:
    """Copy the batch to a new home, run main.py to the end of the batch, print its output and replay the batch."""
    shutil.rmtree(HOME, ignore_errors=True)
    shutil.copytree(BATCH / "range", HOME / "range")
    for name in ("sense.bin", "pygnc.toml"):
        shutil.copy(BATCH / name, HOME)
    records = np.fromfile(HOME / "sense.bin", np.dtype([("sensors", SENSOR_PACKET, (5,)), ("rest", "V101")]))
    t_spacecraft_s = int(records["sensors"]["t_spacecraft_s"].max()) + SECONDS_AFTER_THE_BATCH
    command = [sys.executable, "flight/main.py", str(TIMEOUT_MIN), str(t_spacecraft_s), "--exit-when-done"]
    print(f"$ HOME={HOME.relative_to(ROOT)} python {' '.join(command[1:])}", flush=True)
    began_ns = time.monotonic_ns()
    code = subprocess.run(command, cwd=ROOT, env=os.environ | {"HOME": str(HOME)}, check=False).returncode
    ended_ns = time.monotonic_ns()
    print(f"exit code {code}\n\n~/pygnc_info.txt")
    print((HOME / "pygnc_info.txt").read_text())
    print("~/pygnc_status.bin, decoded", flush=True)
    subprocess.run([sys.executable, ROOT / "scripts" / "read_status.py", HOME / "pygnc_status.bin"], check=True)
    (run,) = (HOME / "pygnc_logs").iterdir()
    print(f"\nlogs: {run.relative_to(ROOT)}")
    for path in sorted(run.iterdir()):
        print(f"  {path.name:24} {path.stat().st_size:8} bytes   (to inspect: .venv/bin/pygnc inspect FILE)")
    print("\ntime per part")
    for part, seconds in durations(run, began_ns, ended_ns):
        print(f"  {part:24} {seconds:8.3f} s")
    return code or replay()


def replay() -> int:
    """Replay the batch on the ground and print the path of the report."""
    shutil.rmtree(REPLAY, ignore_errors=True)
    words: list[str | Path] = [Path(sys.executable).with_name("pygnc"), "replay", BATCH / "sense.bin"]
    words += ["--config", BATCH / "pygnc.toml", "--ranges", BATCH / "range"]
    words += ["--truth", BATCH / "truth.parquet", "--out", REPLAY]
    shown = [str(word.relative_to(ROOT)) if isinstance(word, Path) else word for word in words]
    print(f"\n$ {' '.join(shown)}", flush=True)
    code = subprocess.run(words, cwd=ROOT, check=False).returncode
    print(f"\nreport (open in a browser): {REPLAY.relative_to(ROOT) / 'report.html'}")
    return code


def durations(run: Path, began_ns: int, ended_ns: int) -> list[tuple[str, float]]:
    """Return the name and the duration in s of each part of a run, from the events journal of the run."""
    records = JournalReader([run], "events").read(1000)
    events = [msgspec.msgpack.decode(record.payload, type=Event) for record in records]
    marks = {event.text if event.name == "phase" else event.name: event.t_mono_ns for event in events}
    parts = [
        ("start, all tasks up", began_ns, marks["batch"]),
        ("the batch", marks["batch"], marks["idle"]),
        ("last status and stop", marks["stop"], ended_ns),
        ("in all", began_ns, ended_ns),
    ]
    return [(name, (end - begin) * 1e-9) for name, begin, end in parts]


if __name__ == "__main__":
    sys.exit(main())
