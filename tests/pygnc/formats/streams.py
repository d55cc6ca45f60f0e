"""Streams of records in which every byte has its origin, so that tests know which records survived.

A fault is applied to the bytes and to their origins alike. A record is intact where its bytes' origins still run
through without a break; nothing of the code under test takes part in that verdict.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from pygnc.formats.gps_packet import RANGE_GPS_PACKET
from pygnc.formats.ranges import RANGE_PACKET
from pygnc.formats.sense import SenseLayout

FOREIGN = -1
YEAR_S = 365 * 86_400


@dataclass(frozen=True)
class Stream:
    """Bytes, the original offset of each (FOREIGN for bytes made by a fault), and the sizes of the original records."""

    octets: NDArray[np.uint8]
    origins: NDArray[np.int64]
    sizes: dict[int, int]

    @classmethod
    def of(cls, records: Sequence[bytes]) -> "Stream":
        octets = np.frombuffer(b"".join(records), np.uint8)
        starts = np.cumsum([0, *(len(record) for record in records)])[:-1]
        sizes = {int(start): len(record) for start, record in zip(starts, records, strict=True)}
        return cls(octets, np.arange(len(octets)), sizes)

    def __bytes__(self) -> bytes:
        return self.octets.tobytes()

    def __len__(self) -> int:
        return len(self.octets)

    def intact(self) -> dict[int, int]:
        """Offset and size of every record that still stands unbroken."""
        found = {}
        for place in np.flatnonzero(np.isin(self.origins, list(self.sizes))):
            origin = int(self.origins[place])
            size = self.sizes[origin]
            if np.array_equal(self.origins[place : place + size], np.arange(origin, origin + size)):
                found[int(place)] = size
        return found

    def insert(self, place: int, octets: bytes) -> "Stream":
        return self._spliced(place, place, np.frombuffer(octets, np.uint8), np.full(len(octets), FOREIGN))

    def lose(self, place: int, count: int) -> "Stream":
        return self._spliced(place, place + count, np.empty(0, np.uint8), np.empty(0, np.int64))

    def cut(self, length: int) -> "Stream":
        return self.lose(length, len(self) - length)

    def overwrite(self, place: int, octets: bytes) -> "Stream":
        """Bytes that happen to keep their value stay what they were."""
        new = np.frombuffer(octets, np.uint8)[: len(self) - place]
        old = self.octets[place : place + len(new)]
        origins = np.where(old == new, self.origins[place : place + len(new)], FOREIGN)
        return self._spliced(place, place + len(new), new, origins)

    def duplicate(self, start: int, stop: int) -> "Stream":
        return self._spliced(stop, stop, self.octets[start:stop], self.origins[start:stop])

    def swap(self, start: int, middle: int, stop: int) -> "Stream":
        order = np.r_[middle:stop, start:middle]
        return self._spliced(start, stop, self.octets[order], self.origins[order])

    def _spliced(self, start: int, stop: int, octets: NDArray[np.uint8], origins: NDArray[np.int64]) -> "Stream":
        return Stream(
            np.concatenate([self.octets[:start], octets, self.octets[stop:]]),
            np.concatenate([self.origins[:start], origins, self.origins[stop:]]),
            self.sizes,
        )


def sense_records(
    count: int,
    *,
    layout: SenseLayout | None = None,
    seed: int = 0,
    has_fix: bool = True,
    random_payload: bool = False,
    satellites: tuple[int, int] = (9, 7),
) -> NDArray[np.void]:
    """Return `count` records, 25 s apart with some late samples, like those of a receiver in orbit."""
    layout = layout or SenseLayout()
    rng = np.random.default_rng(seed)
    records = np.zeros(count, layout.record)
    if random_payload:
        records = np.frombuffer(rng.bytes(count * layout.size), layout.record).copy()
    number = layout.sensors_per_record
    times = 1_700_000_000 + 25 * np.arange(count)[:, None] + 25 // number * np.arange(number)
    records["sensors"]["t_spacecraft_s"] = times + (rng.random(times.shape) < 0.1) * rng.integers(0, 4, times.shape)
    records["gps"]["t_spacecraft_s"] = records["sensors"]["t_spacecraft_s"][:, -1]
    if layout.terminated:
        records["terminator"] = tuple(b"\r\n")
    if random_payload:
        return records
    sensors, gps = records["sensors"], records["gps"]
    sensors["mag"] = rng.integers(-900, 900, sensors["mag"].shape)
    sensors["hall"] = 26_000
    sensors["gyro"] = rng.integers(-60, 60, sensors["gyro"].shape)
    sensors["lux"] = rng.integers(0, 0xBFFF, sensors["lux"].shape)
    gps["gps_tow_ms"] = 86_401_000 + 25_000 * np.arange(count)
    if has_fix:
        _put_fixes(gps, rng, satellites)
    return records


def _put_fixes(gps: NDArray[np.void], rng: np.random.Generator, satellites: tuple[int, int]) -> None:
    gps["gps_week"] = 2290
    for field, length in (("position_ecef_m", 6.9e6), ("velocity_ecef_mps", 7.5e3)):
        directions = rng.normal(size=(len(gps), 3))
        gps[field] = length * directions / np.linalg.norm(directions, axis=1)[:, None]
    gps["position_sigma_m"] = rng.uniform(1, 9, (len(gps), 3))
    gps["velocity_sigma_mps"] = rng.uniform(0.1, 1, (len(gps), 3))
    gps["satellites_tracked"], gps["satellites_used"] = satellites


def range_packets(
    count: int, *, seed: int = 0, most_ranges: int = 3, satellites: tuple[int, int] = (9, 7)
) -> list[bytes]:
    """Return `count` GPS packets, 30 s apart, each followed by one to `most_ranges` range packets."""
    rng = np.random.default_rng(seed)
    fixes = np.zeros(count, RANGE_GPS_PACKET)
    fixes["sync"], fixes["terminator"] = tuple(b"\xaa\x44\x12"), tuple(b"\r\n")
    fixes["gps_tow_ms"] = 505_000_000 + 30_000 * np.arange(count)
    _put_fixes(fixes, rng, satellites)
    packets = []
    for index, fix in enumerate(fixes):
        packets.append(fix.tobytes())
        for partner in range(int(rng.integers(1, most_ranges + 1))):
            measured = np.zeros(1, RANGE_PACKET)
            measured["partner_id"] = 0x4A + partner
            measured["rssi"] = rng.integers(90, 220)
            measured["t_spacecraft_s"] = 1_700_000_000 + 30 * index + partner
            measured["frequency_error"] = 0xF0, 0, rng.integers(0, 256)
            # The last byte is not a fill value, so that a page erased after it does not seem to begin in it.
            measured["distance"] = 0, rng.integers(80, 150), rng.integers(1, 255)
            packets.append(measured.tobytes())
    return packets


def _noise(draw: st.DrawFn, least: int, most: int) -> bytes:
    """Draw random bytes by a seed, so that the search cannot build a record byte by byte."""
    count, seed = draw(st.integers(least, most)), draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).bytes(count)


def _insert(draw: st.DrawFn, stream: Stream) -> Stream:
    return stream.insert(draw(st.integers(0, len(stream))), _noise(draw, 1, 600))


def _lose(draw: st.DrawFn, stream: Stream) -> Stream:
    """Less than a record; more could leave halves of two records as one, which is not detectable."""
    longest = max(stream.sizes.values(), default=2)
    return stream.lose(draw(st.integers(0, len(stream))), draw(st.integers(1, longest - 1)))


def _erase_page(draw: st.DrawFn, stream: Stream) -> Stream:
    """A whole page; one cut by the end of the stream could erase two bytes of a value, which is not detectable."""
    page = draw(st.sampled_from([512, 4096]))
    if len(stream) < page:
        return stream
    place = draw(st.integers(0, len(stream) // page - 1)) * page
    return stream.overwrite(place, bytes([draw(st.sampled_from([0, 0xFF]))]) * page)


def _overwrite(draw: st.DrawFn, stream: Stream) -> Stream:
    return stream.overwrite(draw(st.integers(0, len(stream))), _noise(draw, 256, 900))


def _cut(draw: st.DrawFn, stream: Stream) -> Stream:
    return stream.cut(draw(st.integers(0, len(stream))))


def _duplicate(draw: st.DrawFn, stream: Stream) -> Stream:
    intact = stream.intact()
    if not intact:
        return stream
    place = draw(st.sampled_from(sorted(intact)))
    return stream.duplicate(place, place + intact[place])


def _swap(draw: st.DrawFn, stream: Stream) -> Stream:
    intact = stream.intact()
    pairs = [place for place, size in intact.items() if place + size in intact]
    if not pairs:
        return stream
    place = draw(st.sampled_from(pairs))
    middle = place + intact[place]
    return stream.swap(place, middle, middle + intact[middle])


Fault = Callable[[st.DrawFn, Stream], Stream]
IN_PLACE: tuple[Fault, ...] = (_erase_page, _duplicate, _swap, _cut)
ANY: tuple[Fault, ...] = (_insert, _lose, _overwrite, *IN_PLACE)


@st.composite
def damaged(draw: st.DrawFn, pristine: st.SearchStrategy[Stream], kinds: Sequence[Fault] = ANY) -> Stream:
    """Draw a stream with up to five faults of the given kinds."""
    stream = draw(pristine)
    for fault in draw(st.lists(st.sampled_from(kinds), max_size=5)):
        stream = fault(draw, stream)
    return stream


@st.composite
def pieces(draw: st.DrawFn, octets: bytes) -> list[bytes]:
    """Draw `octets` cut at up to ten offsets."""
    cuts = sorted(draw(st.lists(st.integers(0, len(octets)), max_size=10)))
    return [octets[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(octets)], strict=True)]


def joined(parts: Sequence[Any], name: str) -> Any:  # noqa: ANN401 - arrays of any type, or tuples
    """Concatenate one field of all partial scan results."""
    values = [getattr(part, name) for part in parts]
    if isinstance(values[0], tuple):
        return tuple(entry for value in values for entry in value)
    # np.concatenate would convert structured arrays to native byte order.
    return np.frombuffer(b"".join(value.tobytes() for value in values), values[0].dtype)
