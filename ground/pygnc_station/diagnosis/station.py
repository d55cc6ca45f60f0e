"""Checks of a station: its devices, its store, its batches and its transfers."""

import contextlib
import time
from collections.abc import Generator, Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from pygnc_devices.emus import unit as emus
from pygnc_devices.errors import DeviceError, NoAnswerError, PortBusyError, PortError
from pygnc_devices.family import Found, family
from pygnc_devices.opc_n3 import evaluation as opc
from pygnc_devices.pms5003 import unit as pms
from pygnc_devices.sps30 import unit as sps
from pygnc_station.diagnosis.computer import Finding, bad, good
from pygnc_station.errors import StationError, StoreError, TransferError
from pygnc_station.logger.devices import identify, read_one
from pygnc_station.settings import Device, StationSettings, cursor_of
from pygnc_station.store import query
from pygnc_station.store.batches import BatchState, batches
from pygnc_station.store.clock import FUTURE_MS
from pygnc_station.store.cursors import SYNC
from pygnc_station.store.query import Span
from pygnc_station.store.store import Store
from pygnc_station.upload.names import name_conflicts, renamed
from pygnc_station.upload.retry import retry_state
from pygnc_station.upload.sync import dead_letters
from pygnc_station.upload.uploader import UPLOAD, sender_of
from pygnc_system.files import others_have_access

FLAG_REMEDIES: Final = {
    opc.NO_PARTICLES: "no particles were counted: the fan or the laser does not run, or the air is very clean",
    opc.LASER: "the laser status is unusual: switch the power off and on; if it remains, the counter needs service",
    opc.FLOW: "the air flow is too low or too high: check for dust, a blocked inlet, a weak supply (5 V, short cable)",
    opc.NO_VOLUME: "the counter reports no air flow: the fan does not turn",
    opc.MASS_DIFFERS: "mass and counts do not match: the counter's configuration was changed, or the cable is faulty",
    opc.PERIOD: "the sampling period is wrong: another program may be using the counter",
    opc.HUMID: "the humidity is above 85 %: particles swell, and the mass is too high",
    opc.FULL: "a bin is full: sample more often (interval_s)",
    pms.FAULT: "the counter reports a fault of its fan or laser: clean or replace it",
    pms.IMPLAUSIBLE: "sizes contradict each other: the counter is faulty, or of a model with other values in its frame",
    pms.BEYOND_RANGE: "the concentration is beyond the range of the counter",
    pms.WARMING_UP: "the counter was started less than 30 s ago: wait",
    sps.CLEANING: "the fan is cleaned: wait 12 s",
    emus.NO_CELLS: "the unit does not reach its cells: check the cell communication cable",
    emus.NOT_VALID: "the unit reports that the values of this sentence are not valid",
    emus.IMPLAUSIBLE: "values contradict each other: check the number of cells in the unit's configuration",
}
"""Cause and remedy of a reading's flag."""
_IDENTIFY_ATTEMPTS: Final = 3
_READING_TIMEOUT_S: Final = 40.0
_MAX_AGE_S: Final = 300.0
_MAX_WAIT_S: Final = 86_400.0
_MAX_OFFSET_S: Final = 5.0
_ANSWER_TIMEOUT_S: Final = 5.0


def examine_station(settings: StationSettings, now_s: float) -> Iterator[Finding]:
    """Yield the results of the checks of a station, the devices first; `now_s` is in seconds since 1970 (UTC)."""
    begin_s = time.monotonic()
    is_logging = False
    for device in settings.device:
        is_logging |= yield from examine_device(device)
    yield from _examine_store(settings, now_s, is_logging=is_logging)
    yield from examine_key(settings, now_s + time.monotonic() - begin_s)  # devices may take a minute
    if settings.sync.url:
        yield _examine_central_store(settings)
    if settings.sinks:
        yield from _examine_outputs(settings)


def examine_device(device: Device) -> Generator[Finding, None, bool]:
    """Yield the results of a device's checks; return True if another program, probably the logger, uses its port."""
    subject = f"device {device.gadget}"
    title = "device"
    try:
        title = family(device.family).title
        found = _identify(device)
        yield good(subject, f"{found.text or title} {found.serial_number}".rstrip() + f" at {device.port}")
        try:
            flags = read_one(device, _READING_TIMEOUT_S).flags
        except (DeviceError, StationError) as error:
            yield bad(subject, f"the device responds, but sends no reading ({error}); run `pygnc station test` again")
            return False
        causes = "; ".join(FLAG_REMEDIES.get(flag, flag) for flag in flags)
        yield bad(subject, f"the reading is doubtful: {causes}") if flags else good(subject, "the reading is good")
    except PortBusyError as error:
        yield good(subject, f"{error}; a running logger is no problem")
        return True
    except NoAnswerError as error:
        remedy = "check its power, and that port in [[device]] is its port"
        yield bad(subject, f"{device.port} can be opened, but no {title} responds; {remedy} ({error})")
    except (DeviceError, StationError) as error:
        yield bad(subject, str(error))
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


def _examine_store(settings: StationSettings, now_s: float, *, is_logging: bool) -> Iterator[Finding]:
    try:
        with Store.open(settings.store_url) as store:
            yield _examine_age(store, now_s, is_logging=is_logging)
            outputs = ((cursor_of(name), f"[sinks.{name}]") for name in settings.sinks)
            for name, subject in ((SYNC, "central store"), (UPLOAD, "upload"), *outputs):
                state = retry_state(store, name)
                if state.problem:
                    yield bad(subject, f"{state.attempts} failures in a row; the last failure: {state.problem}")
            refused = len(dead_letters(store))
            if refused:
                remedy = "`pygnc station sync --dead-letters` sends them again"
                yield bad("central store", f"{refused} refused readings; {remedy}")
            yield from _examine_batches(store, now_s)
    except StoreError as error:
        yield bad("store", str(error))


def _examine_age(store: Store, now_s: float, *, is_logging: bool) -> Finding:
    latest_ms = int(now_s * 1000) + FUTURE_MS
    newest = query.recent(store, query.streams(store), 1, Span(stop_ms=latest_ms))
    if not newest:
        return Finding(not is_logging, "store", "the store is empty; `pygnc station log` fills it")
    age_s = now_s - newest[0].t_utc_ms / 1000
    if is_logging and age_s > _MAX_AGE_S:
        return bad(
            "store",
            f"a logger is running, but the newest reading is {age_s / 60:.0f} min old; check the output of the logger",
        )
    return good("store", f"newest reading: {newest[0].time}")


def _examine_batches(store: Store, now_s: float) -> Iterator[Finding]:
    rejected = batches(store, BatchState.REJECTED)
    if rejected:
        last = rejected[-1]
        remedy = f"`pygnc station batch --again {last.name}` makes it ready again"
        yield bad("batches", f"{len(rejected)} rejected batches; the last one, {last.name}: {last.reason}; {remedy}")
    again = [batch for batch in batches(store, BatchState.OPEN, BatchState.READY) if batch.acceptance is not None]
    if again:
        yield bad("batches", f"{len(again)} batches that the server had accepted wait to be sent again")
    waiting = batches(store, BatchState.READY, BatchState.SENT)
    if waiting and now_s - waiting[0].created_ms / 1000 > _MAX_WAIT_S:
        age_days = (now_s - waiting[0].created_ms / 1000) / 86_400
        remedy = "run `pygnc station upload --now`, and check the timer of `pygnc station install`"
        yield bad("batches", f"{len(waiting)} batches wait, the oldest for {age_days:.1f} days; {remedy}")


def examine_key(settings: StationSettings, now_s: float) -> Iterator[Finding]:
    """Check the gateway's key: its file, and that the server responds and accepts it."""
    if not settings.upload.url or settings.upload.kind == "object_store":
        return
    path = settings.path(settings.upload.key_file)
    if not path.exists():
        yield bad("key", f"{path} is missing; `pygnc station register` creates it (logging works without it)")
        return
    if others_have_access(path):
        yield bad("key", f"other users can read {path}; run chmod 600 {path}")
    try:
        with contextlib.closing(sender_of(settings)) as sender:
            date = sender.check()
            server = sender.identify()
    except TransferError as error:
        yield good("key", f"{path} exists")
        yield bad("server", str(error))
    except StationError as error:
        yield bad("key", f"{error}; `pygnc station register` creates a new key")
    else:
        yield good("key", f"{settings.upload.url} accepts the key in {path}")
        yield from examine_offset(date, now_s)
        if server is not None:
            yield from (bad("name", remark) for remark in name_conflicts(server))
            yield from (good("name", remark) for remark in renamed(server))


def examine_offset(date: str, now_s: float) -> Iterator[Finding]:
    """Compare the clock with the date of the server's response."""
    with contextlib.suppress(ValueError):
        offset_s = now_s - parsedate_to_datetime(date).replace(tzinfo=UTC).timestamp()
        if abs(offset_s) > _MAX_OFFSET_S:
            yield bad("clock", f"differs from the server's clock by {offset_s:.0f} s; connect both to a time server")


def _examine_central_store(settings: StationSettings) -> Finding:
    try:
        Store.open(settings.central_url).close()
    except StoreError as error:
        return bad("central store", str(error))
    return good("central store", "the database can be opened")


def _examine_outputs(settings: StationSettings) -> Iterator[Finding]:
    from pygnc_station.sinks.sink import chosen_sinks  # noqa: PLC0415 - imports the clients of all outputs

    for name, kind in chosen_sinks(settings):
        if isinstance(kind, Exception):
            yield bad(f"[sinks.{name}]", str(kind).removeprefix(f"[sinks.{name}]: "))
            continue
        try:
            found = kind.check(settings, _ANSWER_TIMEOUT_S)
        except (StationError, TransferError) as error:
            yield bad(kind.title, str(error).removeprefix(f"{kind.title} at "))
        except Exception as error:  # noqa: BLE001 - an output of another package must not stop the other checks
            yield bad(kind.title, f"the check failed: {type(error).__name__}: {error}")
        else:
            if found:
                yield good(kind.title, found)
