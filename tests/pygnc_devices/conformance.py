"""Conformance suite of the device families. The tests of a family inherit these classes and provide its objects."""

import asyncio
import contextlib
import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pygnc_devices import engine
from pygnc_devices.declaration import Packet, Record, Value
from pygnc_devices.device import BlockingDevice
from pygnc_devices.errors import PortBusyError, PortError, SilenceError
from pygnc_devices.family import Family
from pygnc_devices.framing import Frame, Scan, scan_to_end
from pygnc_devices.port import Port
from pygnc_devices.ports import open_port
from pygnc_devices.reading import Reading
from pygnc_devices.text_declaration import Sentence
from pygnc_instruments.simulators.endpoints import Endpoint, FaultRates, PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.unit import SimulatedUnit

LINES = ["pty", "tcp"]
SPEED = 4.0
"""Speed of the clocks of simulated units, so that readings arrive sooner."""
EMPTY_LINES = {b"\r\n", b"\r", b"\n"}
"""Frames without content: a flipped bit may divide a line."""
_ENDS = 32
_EVERY = 17
INHERITED = settings(suppress_health_check=[HealthCheck.differing_executors])
"""Each family runs these tests in its own class."""


def feed(scanner: Callable[[bytes, bool], Scan], pieces: Sequence[bytes]) -> tuple[list[Frame], dict[int, str]]:
    """Scan pieces as an engine does; return the frames and the reason for each skipped byte."""
    frames: list[Frame] = []
    reasons: dict[int, str] = {}
    start, tail = 0, b""

    def take(scan: Scan) -> None:
        frames.extend(Frame(f.kind, f.payload, f.raw, f.start + start) for f in scan.frames)
        for damage in scan.damage:
            reasons.update(dict.fromkeys(range(damage.start + start, damage.stop + start), damage.reason))

    for piece in pieces:
        tail += piece
        scan = scanner(tail, False)  # noqa: FBT003 - the signature of every scanner
        take(scan)
        start, tail = start + scan.used, tail[scan.used :]
    take(scan_to_end(scanner, tail))
    return frames, reasons


class ScannerConformance(ABC):
    """Tests of a scanner: it has no state, resynchronises and never raises."""

    family: ClassVar[Family]

    @abstractmethod
    def frames(self) -> list[bytes]:
        """Return some five frames of different kinds and lengths, the longest included."""

    @INHERITED
    @given(data=st.data())
    def test_any_chunking_gives_equal_output(self, data: st.DataObject) -> None:
        octets = data.draw(self._damaged())
        cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=12)))
        pieces = [octets[a:b] for a, b in itertools.pairwise([0, *cuts, len(octets)])]
        assert feed(self.family.scanner, pieces) == feed(self.family.scanner, [octets])

    def test_a_byte_at_a_time_gives_equal_output(self) -> None:
        octets = b"".join(self.frames())
        assert feed(self.family.scanner, [bytes([octet]) for octet in octets]) == feed(self.family.scanner, [octets])

    @INHERITED
    @given(data=st.data())
    def test_every_byte_is_in_one_frame_or_one_damaged_range(self, data: st.DataObject) -> None:
        octets = data.draw(self._damaged())
        frames, reasons = feed(self.family.scanner, [octets])
        inside = [at for frame in frames for at in range(frame.start, frame.start + len(frame.raw))]
        assert sorted([*inside, *reasons]) == list(range(len(octets)))
        assert all(octets[frame.start : frame.start + len(frame.raw)] == frame.raw for frame in frames)

    def test_any_single_flipped_bit_costs_at_most_the_frames_it_touches(self) -> None:
        originals = self.frames()
        octets = b"".join(originals)
        starts = list(itertools.accumulate(map(len, originals), initial=0))
        for at in flipped_places(originals):
            touched = max(index for index, start in enumerate(starts[:-1]) if start <= at)
            for bit in range(8):
                flipped = bytearray(octets)
                flipped[at] ^= 1 << bit
                found = {(f.start, f.raw) for f in scan_to_end(self.family.scanner, bytes(flipped)).frames}
                others = {pair for k, pair in enumerate(zip(starts, originals, strict=False)) if k != touched}
                assert others <= found, f"bit {bit} of byte {at}"
                assert sum(raw not in EMPTY_LINES for _, raw in found) <= len(originals)

    def test_noise_around_frames_costs_none(self) -> None:
        rng = np.random.default_rng(1)
        originals = self.frames()
        octets = b"".join(rng.bytes(int(rng.integers(1, 400))) + frame for frame in originals)
        raws = [frame.raw for frame in scan_to_end(self.family.scanner, octets).frames]
        assert [raw for raw in raws if raw in originals] == originals

    def test_the_longest_frame_is_declared(self) -> None:
        assert max(map(len, self.frames())) == (self.family.recorded or self.family.wire).longest_frame

    def _damaged(self) -> st.SearchStrategy[bytes]:
        noise = st.tuples(st.integers(0, 40), st.integers(0, 2**32)).map(
            lambda d: np.random.default_rng(d[1]).bytes(d[0])
        )
        whole = st.sampled_from(self.frames())
        cut = st.tuples(whole, st.integers(0, 40)).map(lambda pair: pair[0][: pair[1]])
        return st.lists(st.one_of(whole, cut, noise, st.binary(max_size=8)), max_size=10).map(b"".join)


def flipped_places(frames: Sequence[bytes]) -> list[int]:
    """Return the offsets of all bytes of joined frames; of long frames, all at both ends and some between."""
    places, start = [], 0
    for frame in frames:
        inner = range(_ENDS, len(frame) - _ENDS)
        places += [start + at for at in range(len(frame)) if at not in inner or at % _EVERY == 0]
        start += len(frame)
    return places


class PacketConformance:
    """Tests of declarations: decoder and encoder are inverse, tables are complete."""

    family: ClassVar[Family]

    def payload(self, record: Record, rng: np.random.Generator) -> bytes:
        """Return a random payload."""
        return sentence_payload(record, rng) if isinstance(record, Sentence) else packet_payload(record, rng)

    def test_encoding_decoded_values_gives_the_same_bytes(self) -> None:
        rng = np.random.default_rng(2)
        for packet in self.family.packets:
            for _ in range(50):
                payload = self.payload(packet, rng)
                values = packet.decode(payload)
                encoded = packet.encode(values)
                again = packet.decode(encoded)
                for name, value in values.items():
                    assert again[name] == value or again[name] == pytest.approx(value, rel=1e-12)
                if not any(field.code == "d" and field.scale for field in packet.fields):
                    assert encoded == payload, packet.name

    def test_every_field_has_a_column_and_a_line_in_the_table(self) -> None:
        for packet in self.family.packets:
            names = [name for name, _ in packet.columns()]
            assert len(set(names)) == len(packet.fields), packet.name
            assert len(packet.table().splitlines()) == len(packet.fields) + 2
            assert all(field.meaning for field in packet.fields), packet.name
            for field in packet.fields:
                # A name that ends in the SI unit must not name a column in another unit.
                assert field.column or field.unit.column_per_unit == 1.0, field.name

    def test_names_end_in_the_unit(self) -> None:
        suffixes = {
            "m/s²": "_mps2",
            "rad/s": "_rad_s",
            "rad": "_rad",
            "T": "_t",
            "°C": "_degc",
            "m/s": "_mps",
            "m": "_m",
            "s": "_s",
        }
        for packet in self.family.packets:
            for field in packet.fields:
                assert field.name.endswith(suffixes.get(field.unit.name, "")), field.name


def sentence_payload(sentence: Sentence, rng: np.random.Generator) -> bytes:
    """Return random text for all fields, as the sentence encodes it."""
    words: dict[str, Value | None] = {}
    for field in sentence.fields:
        kind, digits = field.code[0], int(field.code[1:] or 2)
        if kind in "th":
            words[field.name] = "text 7" if kind == "t" else rng.bytes(4)
        else:
            base = 10 if kind in "dg" else 16
            low = -(base**digits) // 2 if kind == "i" else 0
            words[field.name] = field.to_value(int(rng.integers(low, base**digits + low)))
    return sentence.encode(words)


def packet_payload(packet: Record, rng: np.random.Generator) -> bytes:
    """Return random words. Floating-point words are numbers, because not every NaN survives a conversion."""
    assert isinstance(packet, Packet)
    words: list[Any] = []
    for field in packet.fields:
        if field.code in "fd":
            words.append(float(np.float32(rng.normal(scale=100.0))))
        elif field.code.endswith("s"):
            words.append(rng.bytes(int(field.code[:-1] or 1)))
        elif field.code != "text":
            info = np.iinfo(np.dtype(packet.byte_order + field.code))
            words.append(int(rng.integers(info.min, info.max, endpoint=True, dtype=np.dtype(field.code))))
    return packet.layout.pack(*words) + (b"model 1.0\0" if packet.has_text else b"")


class DriverConformance(ABC):
    """Tests of a driver and its simulator, on a pseudo-terminal and over TCP.

    A polled device requests the bytes of a reading singly, so its line has fewer faults and its rate is lower.
    """

    family: ClassVar[Family]
    bad_line = FaultRates(lost=0.01, flipped=0.01, doubled=0.01)
    fair_line = FaultRates(lost=0.002, flipped=0.002, doubled=0.002)
    some_readings = 12
    readings_of_a_bad_line = 20
    readings_of_a_fair_line = 60
    patience_s = 10.0

    @abstractmethod
    def simulator(self) -> SimulatedUnit:
        """Return a unit that streams at 50 Hz or more as soon as it has power."""

    @pytest.fixture(params=LINES)
    def line(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Endpoint]:
        with self.make_line(request.param, tmp_path) as line:
            yield line

    def make_line(self, kind: str, folder: Path, faults: FaultRates | None = None) -> Endpoint:
        if kind == "pty":
            return PtyEndpoint(self.simulator(), folder / "port", faults=faults, seed=5, speed=SPEED)
        return TcpEndpoint(self.simulator(), faults=faults, seed=5, speed=SPEED)

    def open(self, url: str) -> Any:  # noqa: ANN401 - each family's own class
        return self.family.device.open(url, self.family.bauds[0])  # type: ignore[attr-defined]

    def test_readings_come_with_bytes_times_and_values(self, line: Endpoint) -> None:
        with self.open(line.url) as device:
            readings = list(itertools.islice(device, self.some_readings))
        assert all(isinstance(reading, Reading) for reading in readings)
        for before, after in itertools.pairwise(readings):
            assert after.t_mono_ns >= before.t_mono_ns
        reading = readings[-1]
        assert abs(time.time_ns() - reading.t_wall_ns) < 5e9
        assert reading.raw
        assert set(reading.values) == {field.name for field in reading.packet.fields}
        device_times = [reading.t_device_ns for reading in readings if reading.t_device_ns is not None]
        assert device_times == sorted(set(device_times))

    def test_a_recording_of_the_line_gives_the_same_readings(self, line: Endpoint, tmp_path: Path) -> None:
        with self.open(line.url) as device:
            readings = list(itertools.islice(device, self.some_readings))
        (tmp_path / "x.raw").write_bytes(b"".join(reading.raw for reading in readings))
        with self.open(f"file://{tmp_path}/x.raw") as device:
            again = list(device)
        assert [reading.values for reading in again] == [reading.values for reading in readings]

    def test_statistics_count_what_came(self, line: Endpoint) -> None:
        with self.open(line.url) as device:
            list(itertools.islice(device, self.some_readings))
            while (seen := device.statistics).rate_hz is None:  # on a busy machine they arrive in one piece
                assert device.read(self.patience_s) is not None
            assert seen.readings >= self.some_readings
            assert seen.bytes_received > 0
            assert seen.age_s is not None
            assert seen.age_s < 10.0
            assert seen.rate_hz > 0.0

    @pytest.mark.parametrize("kind", LINES)
    def test_the_byte_counters_add_up_on_a_bad_line(self, kind: str, tmp_path: Path) -> None:
        with self.make_line(kind, tmp_path, self.bad_line) as line:
            device = self.open(line.url)
            list(itertools.islice(device, self.readings_of_a_bad_line))
            device.close()
        seen = device.statistics
        assert seen.skipped_bytes > 0
        assert seen.bytes_received == seen.frame_bytes + seen.skipped_bytes

    def test_a_silent_device_raises_and_repeats_nothing(self, line: Endpoint) -> None:
        with self.open(line.url) as device:
            assert device.read(self.patience_s) is not None
            with line.hold():  # the unit is stopped in the middle of its work
                readings = device.readings(silence_s=0.3)
                with pytest.raises(SilenceError, match="no reading"):
                    list(readings)
                assert device.latest(0.2) is None
                assert device.read(0.1) is None
            assert device.read(self.patience_s) is not None
            assert device.latest() is not None

    def test_reconnects_to_an_unplugged_device(self, line: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        in_vain = vain_attempts(monkeypatch)
        with self.open(line.url) as device:
            readings = device.readings(silence_s=5.0)
            next(readings)
            line.unplug()
            assert is_soon(lambda: not device.is_connected)
            assert device.latest(0.0) is None
            assert in_vain.acquire(timeout=10.0)
            line.plug_in()
            assert is_soon(lambda: device.is_connected)
            plugged_ns = time.monotonic_ns()
            assert next(reading for reading in readings if reading.t_mono_ns > plugged_ns)
            assert device.statistics.reconnects == 1

    def test_time_continues_over_a_reconnection_and_the_gap_is_marked(self, tmp_path: Path) -> None:
        with PtyEndpoint(self.simulator(), tmp_path / "port") as line, self.open(line.url) as device:
            subscription = device.subscribe()
            before = [subscription.take(self.patience_s) for _ in range(self.some_readings)]
            line.unplug()
            time.sleep(0.3)
            line.plug_in()
            after = [subscription.take(self.patience_s) for _ in range(2 * self.some_readings)]
            lost = device.statistics.lost_readings
        readings = [*before, *after]
        kinds = {reading.packet.name for reading in before}
        gaps = [reading for reading in readings if reading.gap_ns]
        assert gaps
        assert kinds >= {reading.packet.name for reading in gaps}
        for gap in gaps:
            times = [r.t_device_ns for r in readings if r.packet is gap.packet and r.t_device_ns is not None]
            assert times == sorted(set(times))
            assert gap.gap_ns > 0.3e9
        assert lost == sum(reading.lost_before for reading in readings)

    @pytest.mark.parametrize("kind", LINES)
    def test_a_bad_line_loses_readings_but_invents_none(self, kind: str, tmp_path: Path) -> None:
        with self.make_line(kind, tmp_path, self.fair_line) as line:
            with self.open(line.url) as device:
                readings = list(itertools.islice(device.readings(silence_s=15.0), self.readings_of_a_fair_line))
                seen = device.statistics
            assert line.faults.injected > 0
        assert seen.skipped_bytes > 0
        numbers = [reading.t_device_ns for reading in readings if reading.t_device_ns is not None]
        assert numbers == sorted(set(numbers))

    def test_a_slow_subscriber_loses_its_oldest_readings_and_delays_no_other(self, line: Endpoint) -> None:
        with self.open(line.url) as device:
            slow = device.subscribe(depth=4)
            quick = list(itertools.islice(device, 10))
            kept = [slow.take(0) for _ in range(4)]
            assert slow.drops >= 6
            assert device.statistics.queue_drops >= 6
        assert all(reading is not quick[0] for reading in kept)

    def test_a_port_in_use_is_refused_and_its_holder_named(self, tmp_path: Path) -> None:
        in_use = pytest.raises(PortBusyError, match="in use by this very program")
        with self.make_line("pty", tmp_path) as line, self.open(line.url), in_use:
            self.open(line.url)

    def test_closing_leaves_no_thread_and_no_descriptor(self, line: Endpoint) -> None:
        self.open(line.url).close()
        threads, descriptors = threading.active_count(), open_descriptors()
        device: BlockingDevice = self.open(line.url)
        device.read(self.patience_s)
        device.close()
        device.close()
        assert threading.active_count() == threads
        assert line.wait_until(lambda: open_descriptors() <= descriptors)  # the unit closes its end, too

    def test_the_asyncio_driver_gives_the_same_readings(self, line: Endpoint) -> None:
        async def run() -> list[Reading]:
            device: Any = await self.family.async_device.open(line.url, self.family.bauds[0])  # type: ignore[attr-defined]
            async with device, contextlib.aclosing(device.readings(silence_s=5.0)) as readings:
                found = [await anext(readings) for _ in range(10)]
                assert await device.read(self.patience_s) is not None
                return found

        readings = asyncio.run(run())
        assert len(readings) == 10
        assert all(isinstance(reading, Reading) for reading in readings)

    def test_a_probe_finds_it(self, line: Endpoint) -> None:
        from pygnc_devices.discovery import search  # noqa: PLC0415 - only here

        found = search([line.url], [self.family]).found
        assert [(entry.url, entry.family) for entry in found] == [(line.url, self.family.name)]


def open_descriptors() -> int:
    """Return the number of open file descriptors of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def is_soon(condition: Callable[[], bool]) -> bool:
    """Wait until a condition is true, 10 s at most; return True if it is."""
    end_s = time.monotonic() + 10.0
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.005)
    return condition()


def vain_attempts(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Return a counter of failed attempts to open a missing port, from now on."""
    in_vain = threading.Semaphore(0)

    def open_counted(url: str, baud: int) -> Port:
        try:
            return open_port(url, baud)
        except PortError:
            in_vain.release()
            raise

    monkeypatch.setattr(engine, "open_port", open_counted)
    return in_vain
