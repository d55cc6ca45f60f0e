"""The events journal when neither disk nor memory has room."""

import errno
import os
import threading
from functools import partial
from pathlib import Path

import msgspec
import pytest

from pygnc.bus import journal_writer
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.journal_writer import JournalWriter
from pygnc.bus.messages import Event
from pygnc.configuration.run import Run
from pygnc.supervisor.event_log import EventLog
from tests.pygnc.tasks.runs import run_in


def test_lost_events_are_counted_and_do_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_in(tmp_path)
    open_journal = Run.open_journal

    def refuse(_run: Run, _name: str) -> JournalWriter:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    log = EventLog(lambda: run.open_journal("events"))
    log.report("orbit", "info", "first", "")
    assert log.fault is None
    with monkeypatch.context() as full:
        full.setattr(Run, "open_journal", refuse)
        full.setattr(JournalWriter, "append", refuse)
        for name in ("lost", "lost too"):
            log.report("orbit", "info", name, "")
        log.sync_if_due()
    assert Run.open_journal is open_journal
    log.report("orbit", "info", "last", "")
    log.close()
    assert log.fault is not None
    assert "No space" in log.fault
    events = [
        msgspec.msgpack.decode(record.payload, type=Event) for record in JournalReader([run.folder], "events").read(9)
    ]
    assert [(event.name, event.text) for event in events] == [
        ("first", ""),
        ("events_lost", "2 not recorded"),
        ("last", ""),
    ]


def test_an_error_after_the_last_status_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    run = run_in(tmp_path)
    log = EventLog(partial(run.open_journal, "events"))
    log.report("orbit", "info", "first", "")
    monkeypatch.setattr(os, "fsync", refuse)
    log.close()
    assert capsys.readouterr().err == f"pygnc: {run.folder}: Input/output error; not all events are recorded\n"


def test_a_slow_disk_does_not_hold_up_the_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda _: released.wait(30.0))
    monkeypatch.setattr(journal_writer, "SYNC_INTERVAL_S", 0.0)
    log = EventLog(partial(run_in(tmp_path).open_journal, "events"))
    log.report("orbit", "info", "first", "")
    log.sync_if_due()
    log.sync_if_due()
    assert not released.is_set()
    released.set()
    log.finish_sync()
    log.close()
