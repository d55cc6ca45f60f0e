"""`pygnc station doctor`: checks of devices, clock, disk, store, transfers and key, with remedies."""

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import typer

from pygnc_cli.exit_codes import ExitCode
from pygnc_devices.emus import unit as emus
from pygnc_devices.errors import DeviceError, NoAnswerError, PortBusyError, PortError
from pygnc_devices.family import Found, family
from pygnc_devices.opc_n3 import evaluation as opc
from pygnc_station.commands.common import SettingsOption, command
from pygnc_station.errors import StationError, StoreError, TransferError
from pygnc_station.logger.devices import identify, read_one
from pygnc_station.settings import Device, StationSettings, read_settings
from pygnc_station.sinks.influx import InfluxSink
from pygnc_station.store import query
from pygnc_station.store.cursors import INFLUX, SYNC
from pygnc_station.store.readings import EARLIEST_PLAUSIBLE_MS
from pygnc_station.store.store import Store
from pygnc_station.upload.retry import retry_state
from pygnc_station.upload.sync import dead_letters
from pygnc_station.upload.uploader import UPLOAD

FLAG_REMEDIES: Final = {
    opc.NO_PARTICLES: "no particles were counted: the fan or the laser does not run, or the air is very clean",
    opc.LASER: "the laser status is unusual: switch the power off and on; if it remains, the counter needs service",
    opc.FLOW: "the air flow is too low or too high: check for dust, a blocked inlet, a weak supply (5 V, short cable)",
    opc.NO_VOLUME: "the counter reports no air flow: the fan does not turn",
    opc.MASS_DIFFERS: "mass and counts do not match: the counter's configuration was changed, or the cable is faulty",
    opc.PERIOD: "the sampling period is wrong: another program may be using the counter",
    opc.HUMID: "the humidity is above 85 %: particles swell, and the mass is too high",
    opc.FULL: "a bin is full: sample more often (interval_s)",
    emus.NO_CELLS: "the unit does not reach its cells: check the cell communication cable",
    emus.NOT_VALID: "the unit reports that the values of this sentence are not valid",
    emus.IMPLAUSIBLE: "values contradict each other: check the number of cells in the unit's configuration",
}
"""Cause and remedy of a reading's flag."""
_LOW_DISK_BYTES: Final = 200_000_000
_SYNCHRONISED: Final = Path("/run/systemd/timesync/synchronized")
_SYSTEMD: Final = Path("/run/systemd/system")
_IDENTIFY_ATTEMPTS: Final = 3
_READING_TIMEOUT_S: Final = 40.0
_MAX_AGE_S: Final = 300.0
_INFLUX_TIMEOUT_S: Final = 5.0


class Finding(NamedTuple):
    """Result of one check.

    Attributes:
        is_good: true if no problem was found.
        subject: checked part, such as `disk` or `device NAME`.
        text: result, and the remedy of a problem.
    """

    is_good: bool
    subject: str
    text: str


_good = partial(Finding, True)  # noqa: FBT003 - named by the function
_bad = partial(Finding, False)  # noqa: FBT003 - likewise


@command()
def doctor(settings: SettingsOption = None) -> None:
    """Check devices, clock, disk, store, transfers and key; exit with code 1 if there is a problem."""
    is_well = True
    for finding in examine(read_settings(settings), time.time()):
        typer.echo(f"{'ok     ' if finding.is_good else 'PROBLEM'}  {finding.subject}: {finding.text}")
        is_well &= finding.is_good
    if not is_well:
        raise typer.Exit(ExitCode.FAILURE)


def examine(settings: StationSettings, now_s: float) -> Iterator[Finding]:
    """Yield the results of all checks, the devices first.

    Args:
        settings: settings of the station.
        now_s: current time, seconds since 1970 (UTC).
    """
    is_logging = False
    for device in settings.device:
        is_logging |= yield from _examine_device(device)
    if not settings.device:
        yield _bad("settings", "the settings contain no device; add a [[device]] table")
    yield _examine_clock(now_s)
    yield from _examine_disk(settings)
    yield from _examine_store(settings, now_s, is_logging=is_logging)
    yield from _examine_key(settings)
    if settings.influx.url:
        yield _examine_influx(settings)


def _examine_device(device: Device) -> Generator[Finding, None, bool]:
    """Yield the results of a device's checks; return True if another program, probably the logger, uses its port."""
    subject = f"device {device.gadget}"
    title = "device"
    try:
        title = family(device.family).title
        found = _identify(device)
        yield _good(subject, f"{found.text or title} {found.serial_number}".rstrip() + f" at {device.port}")
        try:
            flags = read_one(device, _READING_TIMEOUT_S).flags
        except (DeviceError, StationError) as error:
            yield _bad(subject, f"the device responds, but sends no reading ({error}); run `pygnc station test` again")
            return False
        causes = "; ".join(FLAG_REMEDIES.get(flag, flag) for flag in flags)
        yield _bad(subject, f"the reading is doubtful: {causes}") if flags else _good(subject, "the reading is good")
    except PortBusyError as error:
        yield _good(subject, f"{error}; a running logger is no problem")
        return True
    except NoAnswerError as error:
        remedy = "check its power, and that port in [[device]] is its port"
        yield _bad(subject, f"{device.port} can be opened, but no {title} responds; {remedy} ({error})")
    except (DeviceError, StationError) as error:
        yield _bad(subject, str(error))
    return False


def _identify(device: Device) -> Found:
    """Identify a device, in several attempts because a single response may be damaged."""
    for _ in range(_IDENTIFY_ATTEMPTS - 1):
        try:
            return identify(device)
        except PortError:
            raise
        except DeviceError:
            continue
    return identify(device)


def _examine_clock(now_s: float) -> Finding:
    time_utc = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_s))
    if now_s * 1000 < EARLIEST_PLAUSIBLE_MS:
        return _bad("clock", f"the time {time_utc} is wrong; connect the network, or set the clock")
    if _SYSTEMD.exists() and not _SYNCHRONISED.exists():
        return _good("clock", f"{time_utc}, plausible but not synchronised with a time server (timedatectl)")
    return _good("clock", time_utc)


def _examine_disk(settings: StationSettings) -> Iterator[Finding]:
    if "://" in settings.store_url:
        return
    folder = Path(settings.store_url).absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        yield _bad("disk", f"{folder} is not writable; give it to the user that logs (chown)")
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < _LOW_DISK_BYTES:
        remedy = "set keep_days in [store], or free some space"
        yield _bad("disk", f"only {free_bytes // 1_000_000} MB free at {folder}; {remedy}")
    else:
        yield _good("disk", f"{free_bytes / 1e9:.1f} GB free at {folder}")


def _examine_store(settings: StationSettings, now_s: float, *, is_logging: bool) -> Iterator[Finding]:
    try:
        with Store.open(settings.store_url) as store:
            yield _examine_age(store, now_s, is_logging=is_logging)
            for name, subject in ((SYNC, "central store"), (UPLOAD, "upload"), (INFLUX, "InfluxDB")):
                state = retry_state(store, name)
                if state.problem:
                    yield _bad(subject, f"{state.attempts} failures in a row; the last failure: {state.problem}")
            refused = len(dead_letters(store))
            if refused:
                remedy = "`pygnc station sync --dead-letters` sends them again"
                yield _bad("central store", f"{refused} refused readings; {remedy}")
    except StoreError as error:
        yield _bad("store", str(error))


def _examine_age(store: Store, now_s: float, *, is_logging: bool) -> Finding:
    newest = query.recent(store, query.streams(store), 1)
    if not newest:
        return Finding(not is_logging, "store", "the store is empty; `pygnc station log` fills it")
    age_s = now_s - newest[0].t_utc_ms / 1000
    if is_logging and age_s > _MAX_AGE_S:
        return _bad(
            "store",
            f"a logger is running, but the newest reading is {age_s / 60:.0f} min old; check the output of the logger",
        )
    return _good("store", f"newest reading: {newest[0].time}")


def _examine_key(settings: StationSettings) -> Iterator[Finding]:
    if not settings.upload.url or settings.upload.kind == "object_store":
        return
    path = settings.path(settings.upload.key_file)
    if not path.exists():
        yield _bad("key", f"{path} is missing; `pygnc station register` creates it (logging works without it)")
    elif stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield _bad("key", f"other users can read {path}; run chmod 600 {path}")
    else:
        yield _good("key", f"{path} exists")


def _examine_influx(settings: StationSettings) -> Finding:
    try:
        with contextlib.closing(InfluxSink(settings, _INFLUX_TIMEOUT_S)) as sink:
            sink.check()
            return _good("InfluxDB", f"{sink.name.removeprefix('InfluxDB at ')} accepts the login")
    except (StationError, TransferError) as error:
        return _bad("InfluxDB", str(error).removeprefix("InfluxDB at "))
