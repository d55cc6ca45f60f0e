"""Live packets with real processes: late, missing, repeated, swapped, partners' packets, latency."""

import os
import signal
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq

from pygnc.bus.messages import FormationEstimate, GnssFix, OrbitMessage, RangeMeasurement, SensorSample
from pygnc.bus.streams import LOOK_INTERVAL_S, StreamReader
from pygnc.configuration.settings import Settings
from pygnc.formats.sense_assembler import no_fix
from pygnc.formats.sense_scan import scan
from pygnc.formats.status import Phase
from pygnc.host.sentence_types import GPSR, GPSS, PGPS, PRNG, RANG, SENS, SentenceType
from pygnc.launch.workspace import runtime_folder
from pygnc_controller.emulator.host_transfer import DownloadReceiver
from pygnc_ground.replay.inputs import from_files
from tests.e2e.conftest import SENSE, SENSE_RECORD_BYTES, Flight
from tests.e2e.linked_flight import RECORDS, LinkedFlight, record, stream, time_of
from tests.fakes.pty_flight import HostOnPty
from tests.pygnc.navigation import formation_batch
from tests.pygnc.navigation.formation_batch import true_place_m

EARLY = RECORDS - 80
"""Less to fly."""
WHOLE = SENSE[EARLY * SENSE_RECORD_BYTES :]
FIRST = RECORDS - 14
BEGIN = RECORDS - 8


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[LinkedFlight]:
    flight = LinkedFlight(tmp_path)
    yield flight
    flight.stop_hard()
    flight.host.close()


def settle(host: HostOnPty, tickets: int) -> None:
    """Speak until so many packets more are acknowledged or lost."""
    wanted = len(host.outcomes) + tickets
    host.run(lambda: len(host.outcomes) >= wanted)


def packets(numbers: range) -> list[tuple[SentenceType, bytes]]:
    """The live packets of records."""
    found: list[tuple[SentenceType, bytes]] = []
    for number in numbers:
        sensors, gps = record(number)
        found += [*((SENS, sensor) for sensor in sensors), (GPSS, gps)]
    return found


def undisturbed(folder: Path) -> dict[int, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Return the orbit at each fix, by its time, if nothing is wrong with any packet."""
    flight = Flight(folder)
    folder.mkdir()
    (folder / "sense.bin").write_bytes(WHOLE)
    assert flight.run("10", str(time_of(FIRST)), "--exit-when-done") == 0
    return {one.gps_ms: np.array(one.position_ecef_m) for one in flight.estimates()}


@pytest.mark.slow
def test_processes_late_missing_repeated_and_swapped_packets(linked: LinkedFlight) -> None:
    (linked.home / "sense.bin").write_bytes(SENSE[EARLY * SENSE_RECORD_BYTES : BEGIN * SENSE_RECORD_BYTES])
    host = linked.connect("10", str(time_of(BEGIN)))
    linked.until_phase(Phase.IDLE)
    hit: set[bytes] = set()

    def spoiled(line: bytes) -> bytes:
        """The first of every second pair does not arrive at first: it comes late, however often others are repeated."""
        number = line.partition(b"*")[0].upper().split(b",")[2:3]
        if line[:5] in {b">SENS", b">GPSS"} and int(number[0][1:], 16) % 4 == 3 and number[0] not in hit:
            hit.add(number[0])
            return b"~" + line[1:]
        return line

    host.spoil = spoiled
    whole = packets(range(BEGIN, RECORDS))
    sent = whole.copy()
    lost = [sent[6 + 2], sent[18 + 5]]  # a sensor packet of the second record, the GPS packet of the fourth
    sent[30:32] = [sent[31], sent[30]]
    sent[40:40] = sent[36:40]
    sent = [packet for packet in sent if packet not in lost]
    for start in range(0, len(sent), 2):  # the second of two may overtake the first
        for kind, raw in sent[start : start + 2]:
            host.send(kind, tail=raw)
        settle(host, len(sent[start : start + 2]))
    host.spoil = lambda line: line
    assert hit
    assert host.lost() == []
    host.run(lambda: len(linked.live_inputs()) == len(sent))
    last_fix = max(m.seq for m in linked.live_inputs() if isinstance(m, GnssFix))
    host.run(lambda: linked.orbit_messages()[-1].last_input_seq >= last_fix)
    host.run(lambda: linked.attitudes()[-1].mode == "fine")
    linked.signal(signal.SIGTERM)
    assert linked.until_ended() == 0

    heard = [m.raw for m in linked.live_inputs() if isinstance(m, SensorSample | GnssFix)]
    assert sorted(heard) == sorted(raw for _, raw in sent)
    assert linked.status()["lost_messages"] == 0
    assert int(linked.status()["samples_not_later"]) >= 3
    best = next(one for one in reversed(linked.estimates()) if one.accepted)
    where = undisturbed(linked.home / "whole")
    assert best.gps_ms >= sorted(where)[-3]
    assert np.linalg.norm(np.array(best.position_ecef_m) - where[best.gps_ms]) < 5.0

    content = (linked.home / "pygnc_batch" / "sense.bin").read_bytes()
    found = scan(content)
    assert found.damage == ()
    assert content.startswith(SENSE[EARLY * SENSE_RECORD_BYTES : BEGIN * SENSE_RECORD_BYTES])
    written = {raw.tobytes() for one in found.records for raw in (*one["sensors"], one["gps"])}
    missing = {raw for _, raw in sent} - written
    assert len(missing) <= len(hit)  # those that came later than their record could wait
    times = {int.from_bytes(raw[:4], "big") for raw in written}
    assert {raw for raw in written if raw not in SENSE} <= {no_fix(t) for t in times}


def test_the_next_run_begins_with_the_live_packets_of_the_last(linked: LinkedFlight) -> None:
    (linked.home / "sense.bin").write_bytes(SENSE[EARLY * SENSE_RECORD_BYTES : FIRST * SENSE_RECORD_BYTES])
    host = linked.connect("10", str(time_of(FIRST)))
    linked.until_phase(Phase.IDLE)
    stream(host, range(FIRST, RECORDS))
    host.run(lambda: (linked.home / "pygnc_batch" / "sense.bin").read_bytes() == WHOLE)
    download = DownloadReceiver("pygnc_batch/sense.bin", 1)
    host.begin(download)
    host.run(host.is_transferred)
    assert download.content == WHOLE
    os.kill(linked.process.pid, signal.SIGKILL)  # as if the power had gone
    linked.process.wait()
    assert (linked.home / "pygnc_batch" / "sense.bin").read_bytes() == WHOLE
    again = Flight(linked.home)
    assert again.run("10", str(time_of(RECORDS - 1)), "--exit-when-done", "--from-last-run") == 0
    assert [m.raw for m in again.inputs() if isinstance(m, SensorSample | GnssFix)] == [
        raw for _, raw in packets(range(EARLY, RECORDS))
    ]
    assert again.status()["fixes_accepted"] == RECORDS - EARLY
    replayed = from_files([again.home / "pygnc_batch" / "sense.bin"], None, Settings())
    assert [m.raw for m in replayed.messages if isinstance(m, SensorSample | GnssFix)] == [
        raw for _, raw in packets(range(EARLY, RECORDS))
    ]
    assert (again.home / "pygnc_batch" / "sense.bin").read_bytes() == WHOLE


def test_keeps_the_samples_of_a_record_that_a_power_cut_left_open(linked: LinkedFlight) -> None:
    (linked.home / "sense.bin").write_bytes(WHOLE[: 20 * SENSE_RECORD_BYTES])
    host = linked.connect("10", str(time_of(EARLY + 20)))
    linked.until_phase(Phase.IDLE)
    heard = packets(range(EARLY + 20, EARLY + 22))[:9]  # a record, and three samples of the next
    for kind, raw in heard:
        host.send(kind, tail=raw)
    host.run(lambda: len(linked.live_inputs()) == len(heard))
    host.run(lambda: (linked.home / "pygnc_batch" / "sense.bin").read_bytes() == WHOLE[: 21 * SENSE_RECORD_BYTES])
    os.kill(linked.process.pid, signal.SIGKILL)  # as if the power had gone
    linked.process.wait()
    again = Flight(linked.home)
    assert again.run("10", str(time_of(EARLY + 22)), "--exit-when-done", "--from-last-run") == 0
    samples = [m.raw for m in again.inputs() if isinstance(m, SensorSample)]
    assert samples[-5:] == [raw for _, raw in heard[6:]] + [heard[8][1]] * 2
    assert "last_run_files" in {event.name for event in again.events()}
    found = scan((again.home / "pygnc_batch" / "sense.bin").read_bytes())
    assert (len(found.records), found.damage) == (22, ())


@pytest.mark.slow
def test_estimates_the_formation_from_live_packets(linked: LinkedFlight) -> None:
    (linked.home / "sense.bin").write_bytes((formation_batch.home() / "sense.bin").read_bytes())
    host = linked.connect("10", "1000")
    linked.until_phase(Phase.IDLE)
    kinds = {(False, False): GPSR, (False, True): RANG, (True, False): PGPS, (True, True): PRNG}
    sent = 0
    for message in formation_batch.inputs():
        if not isinstance(message, GnssFix | RangeMeasurement) or message.source == "sense.bin":
            continue
        kind = kinds[bool(message.satellite_id), isinstance(message, RangeMeasurement)]
        host.send(kind, *([message.satellite_id] if message.satellite_id else []), tail=message.raw)
        sent += 1
        if sent % 16 == 0:
            settle(host, 16)
    host.run(lambda: len(linked.live_inputs()) == sent)

    def errors_m() -> dict[int, float]:
        """Return the distances of the newest places from the truth."""
        newest = {m.partner_id: m for m in linked.partners() if isinstance(m, FormationEstimate)}
        certain = [m for m in newest.values() if m.position_gcrf_m is not None and not m.ambiguous]
        return {
            m.partner_id: float(np.linalg.norm(np.array(m.position_gcrf_m) - true_place_m(m.gps_ms, m.partner_id)))
            for m in certain
            if m.gps_ms in formation_batch.truth(m.partner_id)
        }

    host.run(lambda: set(errors_m()) == set(formation_batch.PARTNERS), 60.0)
    assert max(errors_m().values()) < 30.0

    def content(home: Path, partner: int) -> bytes:
        folder = home / "range" / f"partner_{partner}"
        return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))

    homes = (formation_batch.home(), linked.home / "pygnc_batch")  # the estimates do not wait for the files
    host.run(lambda: all(content(homes[0], each) == content(homes[1], each) for each in formation_batch.PARTNERS))


class Watch:
    """Reads the orbit stream of a run like a task."""

    def __init__(self, flight: Flight) -> None:
        decode = msgspec.msgpack.Decoder(OrbitMessage).decode
        runtime = runtime_folder(flight.home)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._reader = StreamReader(self._context, runtime, "orbit", [flight.newest_run(), runtime], decode)

    def news(self) -> list[object]:
        return [m for m in self._reader.receive(100) if m is not None]

    def close(self) -> None:
        self._context.destroy(linger=0)


def delays_s(linked: LinkedFlight, numbers: range) -> list[float]:
    """Measure the time from each GPS packet to the orbit task's answer."""
    host, delays = linked.host, []
    watch = Watch(linked)
    try:
        for number in numbers:
            sensors, gps = record(number)
            for packet in sensors:
                host.send(SENS, tail=packet)
            settle(host, len(sensors))
            host.run(lambda: not watch.news())
            began = time.monotonic()
            host.send(GPSS, tail=gps)
            host.run(watch.news)  # type: ignore[arg-type]
            delays.append(time.monotonic() - began)
            settle(host, 0)
    finally:
        watch.close()
    return delays


@pytest.mark.parametrize("records", [FIRST, 0])
def test_an_estimate_follows_its_packet_without_a_look_into_the_journal(tmp_path: Path, records: int) -> None:
    # scripts/bench/bench_live.py measures the delay itself.
    linked = LinkedFlight(tmp_path)
    try:
        if records:
            (tmp_path / "sense.bin").write_bytes(SENSE[EARLY * SENSE_RECORD_BYTES : FIRST * SENSE_RECORD_BYTES])
        linked.connect("10", str(time_of(FIRST)))
        linked.until_phase(Phase.IDLE if records else Phase.NO_DATA)
        linked.until_info()
        settled = delays_s(linked, range(FIRST, FIRST + 10))[5:]
    finally:
        linked.stop_hard()
        linked.host.close()
    assert statistics.median(settled) < LOOK_INTERVAL_S
