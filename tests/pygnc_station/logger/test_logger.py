import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pygnc_cli.exit_codes import ExitCode
from pygnc_devices.emus.sentences import SENTENCES
from pygnc_devices.errors import PortBusyError
from pygnc_devices.reading import Reading
from pygnc_station.errors import RefusedReadingsError, StationError, StoreError
from pygnc_station.logger.logger import LoggedDevice, Logger
from pygnc_station.settings import Device
from pygnc_station.store import clock, query
from pygnc_station.store.clock import confirm
from pygnc_station.store.readings import DAY_MS, Quality, StoredReading, clock_ms
from pygnc_station.store.store import Store
from tests.fakes.small_disk import disk_of
from tests.pygnc_station.logger.samples import (
    DEADLINE_S,
    line,
    run_logger,
    running,
    start,
    start_logger,
    wait_for,
    wait_for_ctrl_c,
    write_settings,
)

pytestmark = pytest.mark.slow


def _stored(path: Path) -> list[StoredReading]:
    with Store.open(str(path)) as store:
        return query.between(store, query.streams(store))


def test_stores_readings_with_their_bytes_before_it_calls_the_listener(tmp_path: Path) -> None:
    listened: list[tuple[str, Reading]] = []
    with line(tmp_path) as port, Store.open(str(tmp_path / "r.db")) as store:
        logger = Logger(store, [Device("imu", "ucb", port.url)], lambda *reading: listened.append(reading))
        with running(logger):
            wait_for(lambda: len(listened) >= 5, "readings")
        found = query.between(store, query.streams(store, "imu", "S1"))
    assert [item.raw for item in found] == [reading.raw for _, reading in listened]
    assert [item.number for item in found] == list(range(1, len(listened) + 1))
    assert logger.stored == len(listened)


def test_a_killed_logger_leaves_an_intact_store_whose_numbers_continue(tmp_path: Path) -> None:
    settings = write_settings(tmp_path)
    database = tmp_path / "readings.db"
    with line(tmp_path):
        for round_ in range(2):
            process = start_logger("--settings", settings)
            assert process.stdout is not None
            for _ in range(3):
                assert "S1" in process.stdout.readline()
            if round_ == 0:
                process.kill()
            else:
                process.send_signal(signal.SIGTERM)
            rest, errors = process.communicate()
            assert errors == ""
    assert "readings stored" in rest
    assert process.returncode == 0
    numbers = [item.number for item in _stored(database)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 6
    assert not list(tmp_path.glob("*-wal"))


def test_waits_for_a_port_that_is_missing_or_disappears(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Store.open(str(tmp_path / "r.db")) as store:
        logger = Logger(store, [Device("imu", "ucb", str(tmp_path / "port"))])
        with running(logger):
            wait_for(lambda: "retrying" in caplog.text, "the first attempt")
            with line(tmp_path) as port:
                wait_for(lambda: logger.stored >= 2, "readings")
                port.unplug()
                before = logger.stored
                port.plug_in()
                wait_for(lambda: logger.stored > before + 2, "readings after the port is back")
    assert "connected" in caplog.text


def test_logs_silence_and_its_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with line(tmp_path) as port, Store.open(str(tmp_path / "r.db")) as store:
        port.unit.ram[1] = 0  # type: ignore[attr-defined]
        logger = Logger(store, [Device("imu", "ucb", port.url, silence_s=0.5)])
        with running(logger):
            wait_for(lambda: "no reading for" in caplog.text, "the warning")
            port.unplug()
            port.plug_in(power_cycled=True)
            wait_for(lambda: "receiving readings again" in caplog.text, "readings")


def test_readings_wait_while_the_store_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygnc_station.logger.logger._STORE_RETRY_S", 0.1)
    failures = iter([StoreError("the server does not respond")] * 3)
    right = Store.writes

    def flaky(store: Store) -> object:
        for failure in failures:
            raise failure
        return right(store)

    with line(tmp_path) as port, Store.open(str(tmp_path / "r.db")) as store:
        monkeypatch.setattr(Store, "writes", flaky)
        listened: list[Reading] = []
        logger = Logger(store, [Device("imu", "ucb", port.url)], lambda _, reading: listened.append(reading))
        with running(logger):
            wait_for(lambda: logger.stored >= 15, "readings")
        found = query.between(store, query.streams(store))
    counters = [item.values[10] for item in found]
    assert counters == [(int(str(counters[0])) + rank) % 65536 for rank in range(len(counters))]


def test_writes_readings_together_after_the_set_time(tmp_path: Path) -> None:
    writes: list[tuple[float, int]] = []
    with line(tmp_path) as port, Store.open(str(tmp_path / "r.db")) as store:
        logger = Logger(store, [Device("imu", "ucb", port.url)], write_s=1.5)
        logger._listener = lambda *_: writes.append((time.monotonic(), logger.stored))
        with running(logger):
            wait_for(lambda: len({stored for _, stored in writes}) == 4, "four writes")
        found = query.between(store, query.streams(store))
    assert [item.number for item in found] == list(range(1, logger.stored + 1))
    at_s = sorted({stored: at_s for at_s, stored in writes}.values())
    assert all(later - earlier > 1.0 for earlier, later in pairwise(at_s[:4]))


def _battery(kind: str, **values: float) -> Reading:
    sentence = SENTENCES[kind]
    payload = sentence.encode(values)
    return Reading(sentence, payload, sentence.decode(payload), int(values["t_s"] * 1e9), 0)


def test_stores_slow_kinds_of_readings_from_time_to_time_and_when_a_code_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protections = [0] * 100 + [4] * 50
    sent = [
        reading
        for t_s, protection in enumerate(protections)
        for reading in (
            _battery("CV1", pack_v=50.0, current_a=1.0, t_s=t_s),
            _battery("BC1", charge_c=t_s, t_s=t_s),
            _battery("ST1", protections=protection, stage_s=t_s, t_s=t_s),
        )
    ]
    stored = {}
    for thin in (True, False):
        device = LoggedDevice(Device("pack", "emus", str(tmp_path / "port"), thin=thin), lambda: None)
        monkeypatch.setattr(device.connection, "take", lambda: sent)
        stored[thin] = device.take()
    assert stored[False] == sent
    times = {kind: [r.t_mono_ns // 10**9 for r in stored[True] if r.packet.name == kind] for kind in SENTENCES}
    assert times["CV1"] == list(range(150))
    assert times["BC1"] == list(range(0, 150, 10))
    assert times["ST1"] == [0, 60, 100]


def _fill(path: Path) -> None:
    """Fill the disk."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_readings_wait_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pygnc_station.logger.logger._STORE_RETRY_S", 0.1)
    full = "database or disk is full"
    with (
        disk_of(tmp_path / "disk", "1m") as disk,
        line(tmp_path) as port,
        Store.open(str(disk / "readings.db")) as store,
    ):
        logger = Logger(store, [Device("imu", "ucb", port.url)])
        with running(logger):
            wait_for(lambda: logger.stored > 3, "readings")
            _fill(disk / "filler")
            wait_for(lambda: full in caplog.text, "the disk to be full")
            before = logger.stored
            (disk / "filler").unlink()
            wait_for(lambda: logger.stored > before, "readings")
            _fill(disk / "filler")
            wait_for(lambda: caplog.text.count(full) == 2, "the disk to be full again")
        found = query.between(store, query.streams(store))
    counters = [item.values[10] for item in found]
    assert counters == [(int(str(counters[0])) + rank) % 65536 for rank in range(logger.stored)]
    levels = [record.levelname for record in caplog.records]
    assert levels == ["ERROR", "WARNING", "ERROR", "ERROR"]  # full, room again, full, lost at the end


def test_limits_the_number_of_waiting_readings_and_reports_lost_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pygnc_station.logger.logger._STORE_RETRY_S", 0.1)
    monkeypatch.setattr("pygnc_station.logger.logger._REPORT_INTERVAL_S", 0.0)
    monkeypatch.setattr("pygnc_station.logger.logger._MAX_WAITING", 5)
    away = threading.Event()
    away.set()
    right = Store.writes

    def flaky(store: Store) -> object:
        if away.is_set():
            raise StoreError("the server does not respond")
        return right(store)

    with line(tmp_path) as port, Store.open(str(tmp_path / "r.db")) as store:
        monkeypatch.setattr(Store, "writes", flaky)
        logger = Logger(store, [Device("imu", "ucb", port.url)])
        with running(logger):
            wait_for(lambda: "5 readings wait for the store, " in caplog.text, "lost readings")
            assert len(logger._waiting) <= 50
            away.clear()
            wait_for(lambda: logger.stored > 0, "readings")
            wait_for(lambda: "the store can be written again; " in caplog.text, "the end")
    assert " are lost: the server does not respond" in caplog.text


def test_drops_only_refused_readings_and_stores_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listened: list[Reading] = []
    with line(tmp_path) as port, Store.open(str(tmp_path / "r.db")) as store:
        logger = Logger(store, [Device("imu", "ucb", port.url)], lambda _, reading: listened.append(reading))
        writes, faults = store.writes, [StoreError("away"), None, RefusedReadingsError("r.db", "too odd")]

        def failing() -> Any:  # noqa: ANN401 - a context manager of the library
            if len(listened) >= 3 and faults and (fault := faults.pop()) is not None:
                raise fault
            return writes()

        monkeypatch.setattr(store, "writes", failing)
        with running(logger):
            wait_for(lambda: len(listened) >= 12 and not faults, "readings")
        found = query.between(store, query.streams(store, "imu", "S1"))
    assert [item.raw for item in found] == [reading.raw for reading in listened]
    assert len({item.raw for item in found}) == len(found) == logger.stored
    assert "readings wait for the store: away" in caplog.text


@pytest.mark.parametrize("where", ["pipe", "disk"])
def test_continues_when_its_output_cannot_be_written(tmp_path: Path, where: str) -> None:
    settings = write_settings(tmp_path)
    database = tmp_path / "readings.db"
    with line(tmp_path), Store.open(str(database)) as store:
        ready, write = os.pipe() if where == "pipe" else (-1, os.open("/dev/full", os.O_WRONLY))
        process = start_logger("--settings", settings, stdout=write)
        os.close(write)
        if ready != -1:
            os.read(ready, 1)
            os.close(ready)
        before = len(query.between(store, query.streams(store)))
        wait_for(lambda: len(query.between(store, query.streams(store))) >= before + 10, "readings")
        process.terminate()
        _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert len(errors.splitlines()) == 1
    raw = [item.raw for item in _stored(database)]
    assert len(set(raw)) == len(raw)


def test_reports_which_program_uses_the_port(tmp_path: Path) -> None:
    settings = write_settings(tmp_path)
    with line(tmp_path):
        first = start_logger("--settings", settings)
        try:
            assert first.stdout is not None
            assert "S1" in first.stdout.readline()
            second = run_logger("--settings", settings, expected=[ExitCode.DEVICE])
        finally:
            first.send_signal(signal.SIGINT)
            first.communicate()
    assert "is in use by python" in second.stderr


def test_closes_all_devices_when_one_cannot_be_opened(tmp_path: Path) -> None:
    with line(tmp_path) as port, Store.open(str(tmp_path / "r.db")) as store:
        devices = [Device("imu", "ucb", port.url), Device("bad", "ucb", port.url, options={"colour": "red"})]
        with pytest.raises(StationError, match="bad: unknown option 'colour' of ucb"):
            Logger(store, devices).run()
        with pytest.raises(PortBusyError):
            Logger(store, [devices[0], Device("again", "ucb", port.url)]).run()
        logger = Logger(store, [devices[0]])
        with running(logger):
            wait_for(lambda: logger.stored > 0, "a reading")


def test_a_logger_needs_less_than_60_mb(tmp_path: Path) -> None:
    settings = write_settings(tmp_path)
    with line(tmp_path):
        Store.open(str(tmp_path / "readings.db")).close()
        process = start_logger("--settings", settings)
        assert process.stdout is not None
        process.stdout.readline()
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.send_signal(signal.SIGTERM)
        process.communicate()
    kilobytes = next(int(text.split()[1]) for text in status.splitlines() if text.startswith("VmRSS"))
    assert kilobytes < 60_000


def test_ctrl_c_while_the_logger_starts_causes_no_traceback(tmp_path: Path) -> None:
    process = start_logger("--settings", write_settings(tmp_path))
    wait_for_ctrl_c(process.pid, "SigCgt", is_set=True)  # by Python, which raises KeyboardInterrupt
    wait_for_ctrl_c(process.pid, "SigCgt", is_set=False)
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == ""
    assert process.returncode == -signal.SIGINT


def test_ctrl_c_while_python_starts_for_the_logger_causes_no_traceback(tmp_path: Path) -> None:
    process = start("log", "--settings", write_settings(tmp_path))
    wait_for_ctrl_c(process.pid, "SigBlk", is_set=True)
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == ""
    assert process.returncode == -signal.SIGINT


def test_the_log_command_replaces_itself_by_the_logger_process(tmp_path: Path) -> None:
    settings = write_settings(tmp_path)
    with line(tmp_path):
        process = start("log", "--settings", settings)
        assert process.stdout is not None
        process.stdout.readline()
        program = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        process.send_signal(signal.SIGHUP)
        assert process.communicate()[1] == ""
    assert b"pygnc_station.logger" in program
    assert process.returncode == 0


def _log_until(store: Store, url: str, count: int, then: Callable[[], None] | None = None, more: int = 0) -> None:
    """Log until there are `count` new readings; then do something, and log `more` readings."""

    def total() -> int:
        return sum(query.count(store, stream) for stream in query.streams(store))

    before = total()
    with running(Logger(store, [Device("imu", "ucb", url)])):
        wait_for(lambda: total() >= before + count, "readings")
        if then is not None:
            then()
            wait_for(lambda: total() >= before + count + more, "further readings")


def _qualities(store: Store) -> list[int]:
    (stream,) = query.streams(store)
    with store.reads() as connection:
        return [item.quality for item in query.numbered(connection, stream.id, 1, stream.next_number)]


def test_flags_the_first_reading_after_a_pause_of_the_logger(tmp_path: Path) -> None:
    counts = []
    with line(tmp_path) as port:
        for _ in range(2):
            with Store.open(str(tmp_path / "r.db")) as store:
                _log_until(store, port.url, 2)
                found = _qualities(store)
                counts.append(len(found))
    assert [number for number, quality in enumerate(found) if quality & Quality.GAP] == counts[:1]


def test_flags_readings_from_before_the_clock_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time_ns
    with line(tmp_path) as port, Store.open(str(tmp_path / "r.db")) as store:
        _log_until(
            store, port.url, 3, lambda: monkeypatch.setattr(time, "time_ns", lambda: real() + 3_600_000_000_000), 12
        )
        (stream,) = query.streams(store)
        with store.reads() as connection:
            found = query.numbered(connection, stream.id, 1, stream.next_number)
    after = next(rank for rank, item in enumerate(found) if item.t_utc_ms > found[0].t_utc_ms + 1_800_000)
    flagged = [rank for rank, item in enumerate(found) if item.quality & Quality.CLOCK]
    assert flagged == list(range(after + 1))


def test_flags_readings_older_than_the_newest_in_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time_ns
    with line(tmp_path) as port, Store.open(str(tmp_path / "r.db")) as store:
        _log_until(store, port.url, 2)
        count = len(_qualities(store))
        monkeypatch.setattr(time, "time_ns", lambda: real() - 1_800_000_000_000)  # booted with the time saved last
        _log_until(store, port.url, 2)
        found = _qualities(store)
    assert [bool(quality & Quality.CLOCK) for quality in found] == [False] * count + [True] * (len(found) - count)


def test_a_run_with_the_clock_ahead_makes_no_later_reading_doubtful_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with line(tmp_path) as port, Store.open(str(tmp_path / "r.db")) as store:
        counts = []
        for offset_ns in (0, 365 * DAY_MS * 1_000_000, 0):
            with monkeypatch.context() as patch:
                real = time.time_ns
                patch.setattr(time, "time_ns", lambda real=real, offset_ns=offset_ns: real() + offset_ns)
                _log_until(store, port.url, 2)
            counts.append(len(_qualities(store)))
        right, ahead, later = counts
        doubtful = Quality.CLOCK | Quality.UNCONFIRMED
        assert [quality & doubtful for quality in _qualities(store)] == [0] * ahead + [doubtful] * (later - ahead)
        with store.writes() as connection:
            confirm(connection, clock_ms())
        wrong = Quality.CLOCK | Quality.FUTURE
        expected = [0] * right + [wrong] * (ahead - right) + [0] * (later - ahead)
        assert [quality & (doubtful | wrong) for quality in _qualities(store)] == expected
        _log_until(store, port.url, 2)
        assert not any(quality & doubtful for quality in _qualities(store)[later:])


def test_readings_after_a_run_with_the_clock_ahead_are_right_if_the_clock_was_confirmed_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronised = tmp_path / "synchronized"
    monkeypatch.setattr(clock, "SYNCHRONISED", synchronised)
    with line(tmp_path) as port, Store.open(str(tmp_path / "r.db")) as store:
        synchronised.touch()
        _log_until(store, port.url, 2)
        with store.reads() as connection:
            confirmed_ms = clock.confirmed_ms(connection)
        assert 0 <= clock_ms() - confirmed_ms < 20_000
        synchronised.unlink()
        with monkeypatch.context() as patch:
            real = time.time_ns
            patch.setattr(time, "time_ns", lambda: real() + 365 * DAY_MS * 1_000_000)
            _log_until(store, port.url, 2)
        ahead = len(_qualities(store))
        _log_until(store, port.url, 2)
        assert not any(quality & Quality.CLOCK for quality in _qualities(store)[ahead:])
        monkeypatch.setattr(time, "time_ns", lambda: real() - 1_800_000_000_000)  # booted with the time saved last
        later = len(_qualities(store))
        _log_until(store, port.url, 2)
        assert all(quality & Quality.CLOCK for quality in _qualities(store)[later:])
