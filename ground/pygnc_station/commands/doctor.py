"""What helps when a driver doubts its readings.

What is wrong with a station, in plain words, each with what helps.
"""

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from pygnc_devices.emus import unit as emus
from pygnc_devices.errors import DeviceError, NoAnswerError, PortBusyError, PortError
from pygnc_devices.family import Found, family
from pygnc_devices.opc_n3 import evaluation as opc
from pygnc_station.commands.common import SettingsOption, app, reported_errors
from pygnc_station.errors import StationError, StoreError, TransferError
from pygnc_station.logger.devices import identify, read_one
from pygnc_station.settings import Device, StationSettings
from pygnc_station.settings_file import read_settings
from pygnc_station.sinks.influx import InfluxSink
from pygnc_station.store import query
from pygnc_station.store.cursors import INFLUX, SYNC
from pygnc_station.store.store import Store
from pygnc_station.upload.retry import retry_state
from pygnc_station.upload.sync import dead_letters

FLAG_REMEDIES: Final = {
    opc.NO_PARTICLES: "no particle at all: the fan or the laser does not run (listen!), or the air is very clean",
    opc.LASER: "the laser does not shine as working ones do: power off and on; else the counter needs service",
    opc.FLOW: "the fan moves too little or too much air: dust, a blocked inlet, a weak supply (5 V, short cable)",
    opc.NO_VOLUME: "the counter says that no air went through: the fan does not turn",
    opc.MASS_DIFFERS: "mass and counts contradict each other: its configuration has been changed, or the cable is bad",
    opc.PERIOD: "the sampling period is wrong: does another program talk to the counter?",
    opc.HUMID: "more than 85 % humidity: particles swell, and the mass is too high",
    opc.FULL: "a bin is full: sample more often (interval_s)",
    emus.NO_CELLS: "the unit does not reach its cells: look at the cell communication cable",
    emus.NOT_VALID: "the unit itself says that these values are not valid now",
    emus.IMPLAUSIBLE: "values contradict each other: look at the number of cells in the unit's configuration",
}
"""By the driver's words."""


_EARLIEST_SANE_S: Final = 1_704_067_200
_LITTLE_BYTES: Final = 200_000_000
_SYNCHRONISED: Final = Path("/run/systemd/timesync/synchronized")
_SYSTEMD: Final = Path("/run/systemd/system")
_TRIES: Final = 3
_READING_S: Final = 40.0
_LATE_S: Final = 300.0
_ANSWER_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    is_good: bool
    text: str


def _good(what: str, text: str) -> Finding:
    return Finding(what, True, text)  # noqa: FBT003 - named here


def _bad(what: str, text: str) -> Finding:
    return Finding(what, False, text)  # noqa: FBT003 - named here


def examine(settings: StationSettings, now_s: float) -> Iterator[Finding]:
    """Look at everything that a station needs, the likeliest culprit first."""
    is_logging = False
    for device in settings.device:
        for finding in _examine_device(device):
            is_logging |= "is in use" in finding.text
            yield finding
    if not settings.device:
        yield _bad("settings", "no device is named: add a [[device]] table")
    yield _examine_clock(now_s)
    yield from _examine_store(settings, now_s, is_logging=is_logging)
    yield from _examine_key(settings)
    if settings.influx.url:
        yield _examine_influx(settings)


def _examine_device(device: Device) -> Iterator[Finding]:
    name = f"device {device.gadget}"
    try:
        kind = family(device.family)
        found = _identified(device)
    except PortBusyError as error:
        yield _good(name, f"{error} - right if that is this station's logger")
        return
    except NoAnswerError as error:
        text = f"{device.port} can be opened, but no {kind.title} answers: is it powered, and is it this one? ({error})"
        yield _bad(name, text)
        return
    except (DeviceError, StationError) as error:
        yield _bad(name, str(error))
        return
    who = f"{found.text or kind.title} {found.serial_number}".rstrip()
    yield _good(name, f"{who} at {device.port}")
    yield _examine_reading(device)


def _identified(device: Device) -> Found:
    """Ask who is there; a single broken answer is no finding.

    Raises:
        DeviceError: nobody answers, or the port cannot be opened.
    """
    for _ in range(_TRIES - 1):
        try:
            return identify(device)
        except PortError:
            raise
        except DeviceError:
            continue
    return identify(device)


def _examine_reading(device: Device) -> Finding:
    """Take a reading: what its driver doubts (fan, laser, a part that does not answer) is named in it."""
    name = f"device {device.gadget}"
    try:
        reading = read_one(device, _READING_S)
    except (DeviceError, StationError) as error:
        return _bad(name, f"it answers, but gives no reading: {error}")
    if reading.flags:
        doubts = "; ".join(FLAG_REMEDIES.get(flag, flag) for flag in reading.flags)
        return _bad(name, f"it reads, but the reading is doubtful: {doubts}")
    return _good(name, "it reads")


def _examine_clock(now_s: float) -> Finding:
    if now_s < _EARLIEST_SANE_S:
        told = time.strftime("%Y-%m-%d %H:%M", time.gmtime(now_s))
        return _bad("clock", f"it is not {told}: connect the network, or set the time by hand")
    if _SYSTEMD.exists() and not _SYNCHRONISED.exists():
        return _good("clock", "plausible, but no time server has confirmed it (timedatectl)")
    return _good("clock", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_s)))


def _examine_store(settings: StationSettings, now_s: float, *, is_logging: bool) -> Iterator[Finding]:
    yield from _examine_disk(settings)
    try:
        with Store.open(settings.store_url) as store:
            yield _examine_age(store, now_s, is_logging=is_logging)
            for name, what in ((SYNC, "central store"), ("upload", "upload"), (INFLUX, "InfluxDB")):
                state = retry_state(store, name)
                if state.problem:
                    yield _bad(what, f"{state.attempts} failures in a row, the last: {state.problem}")
            refused = len(dead_letters(store))
            if refused:
                text = f"{refused} readings were refused: pygnc station sync --dead-letters tries them again"
                yield _bad("central store", text)
    except StoreError as error:
        yield _bad("store", str(error))


def _examine_disk(settings: StationSettings) -> Iterator[Finding]:
    if "://" in settings.store_url:
        return
    folder = Path(settings.store_url).absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        yield _bad("disk", f"{folder} cannot be written: chown it to the user who logs")
    free = shutil.disk_usage(folder).free
    if free < _LITTLE_BYTES:
        text = f"{free // 1_000_000} MB are free at {folder}: set keep_days in [store], or make room"
        yield _bad("disk", text)
    else:
        yield _good("disk", f"{free / 1e9:.1f} GB free at {folder}")


def _examine_age(store: Store, now_s: float, *, is_logging: bool) -> Finding:
    newest = query.recent(store, query.streams(store), 1)
    if not newest:
        return Finding("store", not is_logging, "it has no readings yet: pygnc station log")
    age_s = now_s - newest[0].t_utc_ms / 1000
    if is_logging and age_s > _LATE_S:
        return _bad("store", f"a logger runs, but the newest reading is {age_s / 60:.0f} min old")
    return _good("store", f"the newest reading is of {newest[0].time}")


def _examine_key(settings: StationSettings) -> Iterator[Finding]:
    if not settings.upload.url or settings.upload.kind == "object_store":
        return
    path = settings.path(settings.upload.key_file)
    if not path.exists():
        yield _bad("key", f"{path} is missing: pygnc station register (logging works without it)")
    elif stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield _bad("key", f"others can read {path}: chmod 600 it")
    else:
        yield _good("key", f"{path} is there")


def _examine_influx(settings: StationSettings) -> Finding:
    try:
        with contextlib.closing(InfluxSink(settings, _ANSWER_S)) as sink:
            sink.check()
            return _good("InfluxDB", f"{sink.name.removeprefix('InfluxDB at ')} answers and lets us in")
    except (StationError, TransferError) as error:
        return _bad("InfluxDB", str(error).removeprefix("InfluxDB at "))


@app.command()
def doctor(settings: SettingsOption = None) -> None:
    """Say in plain words what is wrong (port, permission, device, clock, disk, store); exit code 1 if something is."""
    with reported_errors("doctor"):
        is_well = True
        for finding in examine(read_settings(settings), time.time()):
            typer.echo(f"{'ok     ' if finding.is_good else 'PROBLEM'}  {finding.what}: {finding.text}")
            is_well &= finding.is_good
        if not is_well:
            raise typer.Exit(1)
