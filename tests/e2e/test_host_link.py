"""Host link with real processes on a pseudo-terminal: files, live packets, status, settings, stop, killed tasks."""

import fcntl
import os
import re
import signal
import termios
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc.bus.messages import GnssFix, SensorSample, TimeMark
from pygnc.formats import status
from pygnc.formats.status import Phase
from pygnc.host.channel_events import Acknowledged, Lost
from pygnc.host.sentence_types import (
    DNLE,
    DNLS,
    EVNT,
    GPSR,
    GPSS,
    INFO,
    NAKN,
    PING,
    PLST,
    PONG,
    PSET,
    PVAL,
    SENS,
    STAT,
    STOP,
    STRQ,
    TIME,
    NakCause,
)
from pygnc_controller.emulator.host_transfer import DownloadReceiver, TransferState, UploadSender
from scripts.controller.pygnc_controller import Link, Upload
from tests.e2e.conftest import ROOT, SENSE, SENSE_RECORD_BYTES, Flight, copy_first_hour
from tests.e2e.linked_flight import RECORDS, LinkedFlight, record, stream, time_of
from tests.fakes.pty_flight import HostOnPty, start_on_pty

pytestmark = pytest.mark.slow

# The formation starts with the first packet of a partner.
TASKS = {"ingest", "orbit", "attitude", "batch_writer", "status", "host_link"}


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[LinkedFlight]:
    flight = LinkedFlight(tmp_path)
    yield flight
    flight.stop_hard()
    flight.host.close()


def test_a_serial_port_of_the_settings_is_a_line_also_after_silence(linked: LinkedFlight) -> None:
    port = os.ttyname(linked.host.slave)
    (linked.home / "pygnc.toml").write_text(f'[host]\nport = "{port}"\nbaud = 115200\n')
    linked.start("10", str(time_of(RECORDS - 1)))
    linked.host.run(lambda: linked.host.channel.is_ready)
    time.sleep(1.0)  # the task looks at the port several times, in vain
    assert linked.status_over_line()["run_number"] == 1
    assert "line_closed" not in {event.name for event in linked.events()}
    linked.signal(signal.SIGTERM)
    assert linked.wait() == 0


def test_files_go_up_and_come_down_while_it_runs(linked: LinkedFlight) -> None:
    host = linked.connect("10", "1000")
    linked.until_phase(Phase.NO_DATA)  # the batch that goes up now is the next run's
    host.begin(UploadSender("sense.bin", SENSE, 1))
    host.run(host.is_transferred)
    assert (linked.home / "sense.bin").read_bytes() == SENSE
    linked.until_info()
    host.send(DNLS, 0)
    host.run(lambda: any(len(host.received(DNLE)) == answer.body.fields["total"] for answer in host.received(DNLE)))
    names = [answer.body.tail.decode() for answer in host.received(DNLE)]
    assert names[:2] == ["pygnc_status.bin", "pygnc_info.txt"]
    journal = next(name for name in names if re.search(r"/events-", name))
    for transfer, name in enumerate(["pygnc_status.bin", journal], 2):
        download = DownloadReceiver(name, transfer)
        host.begin(download)
        host.run(host.is_transferred)
        assert download.state is TransferState.DONE
        assert download.crc == zlib.crc32(download.content)
        if name == journal:
            assert (linked.home / name).read_bytes().startswith(download.content)
        else:
            assert status.decode(bytes(download.content))["run_number"] == 1
    assert set(linked.tasks()) == TASKS


def test_uploads_with_the_controllers_code(linked: LinkedFlight) -> None:
    linked._process = start_on_pty(linked.host, linked.home, ROOT / "flight" / "main.py", "10", "1000")
    link, master = Link(session=7), linked.host.master
    upload = Upload(
        link, "sense.bin", len(SENSE), zlib.crc32(SENSE), lambda at, count: SENSE[at : at + count], transfer=1
    )
    rest = b""
    deadline = time.monotonic() + 20.0
    while upload.state != "done":
        assert time.monotonic() < deadline, upload.state
        now_ms = int(time.monotonic() * 1e3)
        try:
            heard = os.read(master, 4096)
        except BlockingIOError:
            heard = b""
        for event in link.feed(heard, now_ms):
            upload.take(event, now_ms)
        upload.pump(now_ms)
        rest = rest or link.next_portion(now_ms) or b""
        if rest:
            try:
                rest = rest[os.write(master, rest) :]
            except BlockingIOError:
                continue
    assert (linked.home / "sense.bin").read_bytes() == SENSE


def test_answers_status_info_and_ping(linked: LinkedFlight) -> None:
    host = linked.connect("10", "1000")
    linked.until_phase(Phase.NO_DATA)
    host.run((linked.home / "pygnc_info.txt").exists)
    host.send(STRQ, 0)
    host.send(STRQ, 1)
    host.send(PING, 4711)
    host.run(lambda: all(host.received(kind) for kind in (STAT, INFO, PONG)))
    assert status.decode(host.received(STAT)[0].body.tail)["run_number"] == 1
    assert host.received(INFO)[0].body.tail.startswith(b"PyGNC run 1")
    assert host.received(PONG)[0].body.fields["key"] == 4711
    host.run(lambda: any(b"no_input" in event.body.tail for event in host.received(EVNT)))


def test_changed_settings_apply_at_the_next_start(linked: LinkedFlight) -> None:
    host = linked.connect("10", "1000")
    host.send(PSET, tail=b"radio.bandwidth_hz = 1000.0")
    host.send(PSET, tail=b"radio.bandwidth_hz = 406250.0")
    host.run(lambda: bool(host.received(PVAL)))
    assert host.received(NAKN)[0].body.fields["cause"] == NakCause.VALUE
    assert host.received(PVAL)[0].body.tail == b"radio.bandwidth_hz = 406250.0"
    host.send(PLST, 0)
    host.run(lambda: len(host.received(PVAL)) == 17)
    host.send(STOP)
    assert linked.until_ended() == 0
    again = LinkedFlight(linked.home)
    try:
        again.connect("10", "1000")
        again.host.send(PLST, 2)
        again.host.run(lambda: bool(again.host.received(PVAL)))
        named = dict(answer.body.tail.split(b" = ") for answer in again.host.received(PVAL))
        assert named[b"radio.bandwidth_hz"] == b"406250.0"
    finally:
        again.stop_hard()
        again.host.close()


def test_ignores_changed_settings_that_no_longer_fit(linked: LinkedFlight) -> None:
    host = linked.connect("10", "1000")
    host.send(PSET, tail=b"orbit.measurement.gate = 30.0")
    host.run(lambda: bool(host.received(PVAL)))
    host.send(STOP)
    linked.until_ended()
    for slot in linked.home.glob("pygnc_settings_*.bin"):
        content = slot.read_bytes()
        body = content[:-4].replace(b"gate = 30.0", b"gate = -3.0")
        slot.write_bytes(body + zlib.crc32(body).to_bytes(4, "little"))
    plain = Flight(linked.home)
    assert plain.run("0", "1000") == 9
    assert "ignored" in plain.stderr


@pytest.mark.parametrize("records", [RECORDS - 12, 0])
def test_estimates_orbit_and_attitude_from_live_packets(linked: LinkedFlight, records: int) -> None:
    first = RECORDS - 12
    if records:
        (linked.home / "sense.bin").write_bytes(SENSE[: first * SENSE_RECORD_BYTES])
    host = linked.connect("10", str(time_of(first)))
    linked.until_phase(Phase.IDLE if records else Phase.NO_DATA)
    sent = stream(host, range(first, RECORDS))
    linked.until_phase(Phase.IDLE)
    host.run(lambda: len(linked.live_inputs()) >= len(sent))
    inputs = linked.live_inputs()
    assert [message.raw for message in inputs if not isinstance(message, TimeMark)] == sent
    newest_gps = [message.seq for message in inputs if isinstance(message, GnssFix)][-1]
    host.run(lambda: [estimate.input_seq for estimate in linked.estimates()][-1:] == [newest_gps])
    newest_sample = [message.seq for message in inputs if isinstance(message, SensorSample)][-1]
    host.run(lambda: [attitude.input_seq for attitude in linked.attitudes()][-1:] == [newest_sample])
    assert linked.estimates()[-1].accepted
    assert linked.attitudes()[-1].mode == ("fine" if records else "coarse")  # clouds are not known after a minute
    assert host.lost() == []
    assert not any(event.name in {"clock_fell_back", "gps_time_apart"} for event in linked.events())


def test_each_live_packet_is_processed_once_when_tasks_are_killed(linked: LinkedFlight) -> None:
    copy_first_hour(linked.home)
    first = RECORDS - 9
    (linked.home / "sense.bin").write_bytes(SENSE[: first * SENSE_RECORD_BYTES])
    host = linked.connect("10", str(time_of(first)))
    linked.until_phase(Phase.IDLE)
    sent = stream(host, range(first, first + 3))
    hit = linked.tasks()["ingest"]
    os.kill(hit, signal.SIGKILL)
    sent += stream(host, range(first + 3, first + 6))
    host.run(lambda: linked.tasks().get("ingest", hit) != hit)
    hit = linked.tasks()["host_link"]
    os.kill(hit, signal.SIGKILL)
    host.run(lambda: linked.tasks().get("host_link", hit) != hit)
    before = len(host.received(PONG))
    host.run(lambda: host.channel.is_ready)
    host.send(PING, 1)
    host.run(lambda: len(host.received(PONG)) > before or bool(host.lost()))
    host.send(PING, 2)
    host.run(lambda: len(host.received(PONG)) > before)
    sent += stream(host, range(first + 6, first + 9))
    host.run(lambda: len(linked.live_inputs()) >= len(sent))
    assert [message.raw for message in linked.live_inputs() if not isinstance(message, TimeMark)] == sent
    numbers = [message.seq for message in linked.inputs()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_packets_are_recorded_once_or_reported_lost_if_the_link_is_killed_while_they_arrive(
    linked: LinkedFlight,
) -> None:
    first, numbers = 2, range(2, 8)
    (linked.home / "sense.bin").write_bytes(SENSE[: first * SENSE_RECORD_BYTES])
    host = linked.connect("10", str(time_of(first)))
    linked.until_phase(Phase.IDLE)
    sent: dict[int, bytes] = {}

    def is_settled() -> bool:
        return {each.ticket for each in host.outcomes if isinstance(each, Acknowledged | Lost)} >= sent.keys()

    def recorded_packets() -> list[bytes]:
        return [message.raw for message in linked.live_inputs() if not isinstance(message, TimeMark)]

    for number in numbers:
        sensors, gps = record(number)
        sent |= {host.send(SENS, tail=packet): packet for packet in sensors}
        sent[host.send(GPSS, tail=gps)] = gps
        if number in {3, 6}:
            host.turn()
            os.kill(linked.tasks()["host_link"], signal.SIGKILL)
        host.run(is_settled)
    arrived = [sent[each.ticket] for each in host.outcomes if isinstance(each, Acknowledged) and each.ticket in sent]
    assert len(arrived) + len(host.lost()) == len(sent)
    assert host.lost()
    host.run(lambda: len(recorded_packets()) >= len(arrived))
    recorded = Counter(recorded_packets())
    assert [recorded[packet] for packet in arrived] == [1] * len(arrived)
    assert max(recorded.values()) == 1  # a packet that was reported lost may have been recorded


def test_a_restarted_link_continues_the_upload(linked: LinkedFlight) -> None:
    content = b"".join((SENSE, SENSE, SENSE))
    host = linked.connect("10", "1000")
    upload = UploadSender("sense.bin", content, 3)
    host.begin(upload)
    host.run(lambda: upload.offset > len(content) // 3)
    hit = linked.tasks()["host_link"]
    os.kill(hit, signal.SIGKILL)
    assert upload.state is not TransferState.DONE
    host.run(host.is_transferred, 30.0)
    assert (linked.home / "sense.bin").read_bytes() == content
    assert linked.tasks()["host_link"] != hit
    assert not is_echoing(host)


def test_reports_a_restarted_clock_and_another_day(linked: LinkedFlight) -> None:
    (linked.home / "sense.bin").write_bytes(SENSE)
    host = linked.connect("10", "1000")
    linked.until_phase(Phase.IDLE)
    _, gps = record(RECORDS - 1)
    next_week = (int.from_bytes(gps[5:7], "little") + 1).to_bytes(2, "little")
    host.send(GPSS, tail=(100).to_bytes(4, "big") + gps[4:5] + next_week + gps[7:])
    host.send(TIME, 100, 0)
    host.send(GPSR, tail=bytes(102))
    host.run(lambda: bool(host.received(NAKN)) and len(linked.live_inputs()) == 2)
    expected = {"clock_fell_back", "gps_time_apart", "clock_apart"}
    linked.until(lambda: expected <= {event.name for event in linked.events()})
    assert isinstance(linked.live_inputs()[-1], TimeMark)


def test_only_ctrl_c_has_an_effect(linked: LinkedFlight) -> None:
    host = linked.connect("10", "1000")
    host.write(bytes(octet for octet in range(256) if octet != 3))
    host.write(b"\x04\x1a\x1c\x13\x00\r")
    host.send(PING, 1)
    host.run(lambda: bool(host.received(PONG)))
    assert not is_echoing(host)
    assert b"\x1a" not in host.heard
    host.write(b"\x03")
    assert linked.until_ended() == 0
    assert termios.tcgetattr(host.slave) == host.before
    assert linked.status()["phase"] == Phase.STOPPED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_restores_the_terminal_after_a_signal(linked: LinkedFlight, number: signal.Signals) -> None:
    host = linked.connect("10", "1000")
    assert is_raw(host)
    linked.signal(number)
    assert linked.until_ended() == 0
    assert termios.tcgetattr(host.slave) == host.before


def test_restores_the_terminal_after_the_link_was_killed(linked: LinkedFlight) -> None:
    host = linked.connect("10", "1000")
    hit = linked.tasks()["host_link"]
    os.kill(hit, signal.SIGKILL)
    host.run(lambda: linked.tasks().get("host_link", hit) != hit)
    assert is_raw(host)
    linked.signal(signal.SIGTERM)
    assert linked.until_ended() == 0
    assert termios.tcgetattr(host.slave) == host.before


@pytest.mark.parametrize("has_job_control", [False, True])
def test_restores_the_terminal_after_main_was_killed(linked: LinkedFlight, *, has_job_control: bool) -> None:
    host = linked.host
    shell = linked.start_below_shell("10", "1000", has_job_control=has_job_control)
    host.run(lambda: host.channel.is_ready)
    (main,) = children(shell)
    assert is_raw(host)
    guard = next(pid for pid in children(main) if comm(pid) == "pygnc-terminal")
    os.kill(main, signal.SIGKILL)
    host.run(lambda: not is_raw(host))
    host.run(lambda: comm(guard) != "pygnc-terminal")
    assert termios.tcgetattr(host.slave) == host.before


def test_restores_the_terminal_without_the_guard(linked: LinkedFlight) -> None:
    host = linked.connect("10", "1000")
    guard = next(pid for pid in children(linked.process.pid) if comm(pid) == "pygnc-terminal")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(guard, number)
    assert comm(guard) == "pygnc-terminal"
    os.kill(guard, signal.SIGKILL)
    linked.signal(signal.SIGTERM)
    assert linked.until_ended() == 0
    assert termios.tcgetattr(host.slave) == host.before


def test_does_not_change_the_shells_descriptor(linked: LinkedFlight) -> None:
    host = linked.connect("10", "1000")
    assert not fcntl.fcntl(host.slave, fcntl.F_GETFL) & os.O_NONBLOCK


def test_does_not_change_the_terminal_if_the_start_fails(linked: LinkedFlight) -> None:
    linked._process = start_on_pty(linked.host, linked.home, ROOT / "flight" / "main.py", "ten")
    assert linked.until_ended() == 2
    assert termios.tcgetattr(linked.host.slave) == linked.host.before


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def comm(pid: int) -> str:
    """Return the name of a process, "" if there is none."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def is_raw(host: HostOnPty) -> bool:
    return not termios.tcgetattr(host.slave)[3] & termios.ICANON


def is_echoing(host: HostOnPty) -> bool:
    """Return True if the terminal has echoed anything that the host sent."""
    ready_at = host.heard.index(b"<HELO")
    return b">" in host.heard[ready_at:]
