"""Readings for tests of the store."""

from pygnc_devices.declaration import Field, Packet
from pygnc_devices.reading import Reading
from pygnc_devices.units import RATE, TEMPERATURE
from pygnc_station.store.readings import Layout, NewReading

PACKET = Packet(
    "S1",
    (
        Field("rate_z_rad_s", "h", RATE, 0.001, column="zRate"),
        Field("temp_degc", "h", TEMPERATURE, 0.01, meaning="of the board"),
        Field("text", "text"),
    ),
)
LAYOUT = Layout.of(PACKET)
START_MS = 1_790_000_000_000


def new(rank: int, *, step_ms: int = 5000, text: str = "ok") -> NewReading:
    return NewReading(START_MS + rank * step_ms, 0, 0, "", f'[{rank / 1000},{rank},"{text}"]', bytes([rank % 256]))


def reading(values: dict[str, object], *, flags: tuple[str, ...] = (), lost_before: int = 0) -> Reading:
    stamp_ns = START_MS * 1_000_000 + 7_999_999
    return Reading(PACKET, b"\xfa\x00", values, 0, stamp_ns, None, lost_before, flags)  # type: ignore[arg-type]
