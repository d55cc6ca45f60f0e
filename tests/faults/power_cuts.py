"""Power cut after each step of a run or of uploads, with every image of the disk that may remain.

`strace` records the steps. main.py starts again from each image of a run, and the settings are loaded from each
image of uploads.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from pygnc.common.constants import LAST_BATCH
from pygnc.formats import journal
from pygnc.host.settings_slots import load_settings
from tests.e2e.conftest import ROOT
from tests.e2e.conftest import minute_after as time_of_start
from tests.faults.lost_writes import TRACER, Cut, Disk, cuts_of, read_steps
from tests.faults.operations import ForkedFlight, Share, ShortFlights, Sweep, Tried

SETTINGS: Final = "[formation]\nown_id = {}\n"
RANGES: Final = "range/partner_75/rng00007.bin"
UPLOADING: Final = """\
import sys, zlib
from pathlib import Path
from pygnc.host.home_files import HomeFiles
from pygnc.host.parameters import encode_slot
from pygnc.host.settings_slots import write_slot
from pygnc.host.transfer import Upload

home = Path(sys.argv[1])
files = HomeFiles(home, 0)
for name, content in (("pygnc.toml", sys.argv[2].encode()), ("range/partner_75/rng00007.bin", bytes(5000))):
    upload = Upload(name, len(content), zlib.crc32(content))
    files.prepare(upload)
    for offset in range(0, len(content), 2000):
        files.append(upload, content[offset : offset + 2000])
    assert files.complete(upload)
    (home / f"acknowledged-{upload.crc:08x}").touch()
for generation in (1, 2, 3):
    write_slot(home, generation % 2, encode_slot(generation, f"attitude.start.window_samples = {generation + 20}\\n"))
    (home / f"acknowledged-{generation}").touch()
"""
"""Uploads settings and ranges as the host link does, then changes a setting three times; notes each acknowledgement."""


def record(
    home: Path, command: Sequence[str], trace: Path, text: str = ""
) -> tuple[list[Cut], "subprocess.CompletedProcess[str]"]:
    """Run a program in a home, and return the images after power cuts, and the outcome."""
    start = Disk.read(home)
    done = subprocess.run(
        [*TRACER, str(trace), *command],
        input=text,
        env=os.environ | {"HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    disk, steps = read_steps(start, home, trace)
    if disk.key() != Disk.read(home).key():
        raise RuntimeError(f"{trace}: the steps do not lead to the content of {home}")
    return list(cuts_of(start, steps)), done


def cut_run(flights: ShortFlights, share: Share) -> Iterator[Sweep]:
    """Yield the sweep over the images of a run."""
    home = flights.fresh().home
    command = [sys.executable, str(ROOT / "flight" / "main.py"), "10", str(time_of_start(flights.produced.intact))]
    cuts, done = record(home, [*command, "--exit-when-done"], flights.folder / "trace")
    if done.returncode:
        raise RuntimeError(f"the recorded run failed: {done.stderr}")
    yield Sweep("power cut of a run", len(cuts), map(partial(_recover, flights), share.of("run", cuts)))


def _recover(flights: ShortFlights, cut: Cut) -> Tried:
    flight = ForkedFlight(flights.folder / "home")
    shutil.rmtree(flight.home)
    cut.image.write(flight.home)
    reasons = flights.judge(flight, flight.fly(flights.produced)) + lost_records(cut, Disk.read(flight.home))
    for path in (flight.home / LAST_BATCH).rglob("*"):
        if path.is_file() and path.read_bytes() not in {flights.produced.sense, flights.produced.ranges}:
            reasons.append(f"{path.relative_to(flight.home)} is not complete")
    return Tried(cut.what, reasons)


def lost_records(cut: Cut, disk: Disk) -> list[str]:
    """Return the journals of which a disk lacks records that had been synced before the power cut."""
    found = _records_of(disk)
    missing = {name: len(records - found.get(name, set())) for name, records in _records_of(cut.synced).items()}
    return [f"{name}: {count} synced records are missing" for name, count in missing.items() if count]


def _records_of(disk: Disk) -> dict[str, set[tuple[int, bytes]]]:
    """Return numbers and contents of the messages in all journals, by run and journal."""
    found: dict[str, set[tuple[int, bytes]]] = {}
    for name, node in disk.files():
        if name.startswith("pygnc_logs/") and ".pgj" in name:
            records = journal.scan(disk.contents.get(node, b"")).records
            of_journal = found.setdefault(name.rpartition("-")[0], set())
            of_journal |= {(record.seq, record.payload) for record in records if record.kind is journal.Kind.MESSAGE}
    return found


def cut_uploads(flights: ShortFlights, share: Share) -> Iterator[Sweep]:
    """Yield the sweep over the images of uploads and of changed settings."""
    home = flights.folder / "uploads"
    home.mkdir()
    (home / "pygnc.toml").write_text(SETTINGS.format(74))
    command = [sys.executable, "-c", UPLOADING, str(home), SETTINGS.format(75)]
    cuts, done = record(home, command, flights.folder / "trace")
    if done.returncode:
        raise RuntimeError(f"the uploads failed: {done.stderr}")
    yield Sweep("power cut of uploads", len(cuts), map(partial(_load, home), share.of("uploads", cuts)))


def _load(home: Path, cut: Cut) -> Tried:
    shutil.rmtree(home)
    cut.image.write(home)
    loaded = load_settings(None, home)
    reasons = [loaded.fault] if loaded.fault else []
    own_id = loaded.settings.formation.own_id
    generation = loaded.settings.attitude.start.window_samples - 20
    acknowledged = [name.partition("-")[2] for name, _ in cut.synced.files() if name.startswith("acknowledged-")]
    changed = max((int(number) for number in acknowledged if len(number) == 1), default=0)
    if own_id not in ({75} if acknowledged else {74, 75}):
        reasons.append(f"own_id is {own_id}")
    if changed and generation not in {changed, changed + 1}:
        reasons.append(f"the change {changed} was acknowledged, but it is {generation}")
    if len(acknowledged) > 1 and (not (home / RANGES).exists() or (home / RANGES).read_bytes() != bytes(5000)):
        reasons.append(f"{RANGES} was acknowledged and is not complete")
    return Tried(cut.what, reasons)
