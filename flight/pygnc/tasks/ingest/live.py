"""Live inputs: packets that the host streams and readings of the computer's own sensors, as input messages."""

import struct
from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
import zmq

from pygnc.bus.messages import (
    DEVICES,
    LIVE,
    DeviceReading,
    GpsFix,
    LivePacket,
    Message,
    RangeMeasurement,
    SensorSample,
    TimeMark,
)
from pygnc.common.clock import gps_ms_from_week
from pygnc.formats.gps_packet import RANGE_GPS_PACKET, SENSE_GPS_PACKET, decode_gps_packets
from pygnc.formats.ranges import RANGE_PACKET, decode_ranges
from pygnc.formats.sense import SENSOR_PACKET, decode_sensors
from pygnc.tasks.ingest.input_state import InputCounters
from pygnc.tasks.ingest.source import packet_messages
from pygnc.tasks.runtime import Task

BACK_MAX_S: Final = 7
"""Tolerance for late packets, for jitter of 3 s to either side and for rounding to whole seconds."""
GPS_BACK_MAX_MS: Final = 60_000
GPS_AHEAD_MAX_MS: Final = 86_400_000
"""A live packet more than a day ahead of the batch is reported."""
_GPS_PACKETS: Final = {"GPSS": SENSE_GPS_PACKET, "GPSR": RANGE_GPS_PACKET, "PGPS": RANGE_GPS_PACKET}
_RANGES: Final = frozenset({"RANG", "PRNG"})
_TIME: Final = struct.Struct("<IH")
_ONE_SENSOR: Final = np.dtype([("sensors", SENSOR_PACKET, (1,))])


def live_message(packet: LivePacket | DeviceReading, seq: int, bandwidth_hz: float) -> Message:
    """Return the input message of one packet or reading, numbered `seq`."""
    if isinstance(packet, DeviceReading):
        return msgspec.structs.replace(packet, seq=seq)
    places = [(seq, LIVE, packet.seq, packet.raw)]
    if packet.kind == "SENS":
        samples = decode_sensors(np.frombuffer(packet.raw, _ONE_SENSOR))
        return next(packet_messages(SensorSample, samples, places))
    if packet.kind in _GPS_PACKETS:
        fixes = decode_gps_packets(np.frombuffer(packet.raw, _GPS_PACKETS[packet.kind]))
        return next(packet_messages(GpsFix, fixes, places, satellite_id=packet.radio_id))
    if packet.kind in _RANGES:
        ranges = decode_ranges(np.frombuffer(packet.raw, RANGE_PACKET), bandwidth_hz)
        return next(packet_messages(RangeMeasurement, ranges, places, satellite_id=packet.radio_id))
    t_spacecraft_s, ms = _TIME.unpack(packet.raw)
    return TimeMark(
        seq=seq, source=LIVE, offset=packet.seq, t_spacecraft_s=t_spacecraft_s, ms=ms, t_mono_ns=packet.t_mono_ns
    )


def live_anomalies(message: Message, earlier: InputCounters) -> list[tuple[str, str]]:
    """Return name and text of an event for each inconsistency of a live packet with earlier inputs."""
    found = []
    t_spacecraft_s = spacecraft_time_of(message)
    newest_s, newest_ms = earlier.newest_spacecraft_s, earlier.newest_gps_ms
    if t_spacecraft_s is not None and newest_s is not None and t_spacecraft_s < newest_s - BACK_MAX_S:
        text = f"a live packet of {t_spacecraft_s} s came after one of {newest_s} s: the controller was restarted"
        found.append(("clock_fell_back", text))
    gps_ms = gps_time_of(message)
    if gps_ms is not None and newest_ms is not None:
        ahead_ms = gps_ms - newest_ms
        if not -GPS_BACK_MAX_MS <= ahead_ms <= GPS_AHEAD_MAX_MS:
            side = "ahead of" if ahead_ms > 0 else "behind"
            text = f"GPS time of a live packet is {abs(ahead_ms) / 1e3:.0f} s {side} earlier packets"
            found.append(("gps_time_apart", text))
    return found


def spacecraft_time_of(message: Message) -> int | None:
    """Return our own spacecraft time in a message in s, or None."""
    if isinstance(message, SensorSample) or (isinstance(message, GpsFix) and message.is_own):
        return message.t_spacecraft_s
    return None


def gps_time_of(message: Message) -> int | None:
    """Return the GPS time of one of our own packets in ms, or None."""
    if isinstance(message, GpsFix) and message.is_own:
        return gps_ms_from_week(message.gps_week, message.gps_tow_ms)
    return None


MESSAGES_PER_STEP: Final = 64


class LiveStreams:
    """Readers of the live streams that this run has.

    Args:
        task: The task that reads them.
        after: Number of the last message processed, by stream.
    """

    def __init__(self, task: Task, after: Mapping[str, int]) -> None:
        streams: list[tuple[str, type, bool]] = [
            (LIVE, LivePacket, task.run.has_host),
            (DEVICES, DeviceReading, bool(task.run.settings.devices)),
        ]
        self._readers = [
            task.open_reader(name, kind, after_seq=after[name]) for name, kind, exists in streams if exists
        ]

    @property
    def sockets(self) -> list["zmq.Socket[bytes]"]:
        """Sockets to register with the poller."""
        return [reader.socket for reader in self._readers]

    def look_into_journals(self) -> None:
        """Read the journals at the next call, in case announcements were lost."""
        for reader in self._readers:
            reader.has_backlog = True

    def take(self) -> tuple[list[LivePacket | DeviceReading], bool]:
        """Return waiting messages, and whether more are waiting."""
        taken: list[LivePacket | DeviceReading] = []
        more = False
        for reader in self._readers:
            messages = reader.receive(MESSAGES_PER_STEP)
            more = more or reader.has_backlog or len(messages) == MESSAGES_PER_STEP
            taken += [message for message in messages if isinstance(message, LivePacket | DeviceReading)]
        return taken, more

    def close(self) -> None:
        """Close the streams."""
        for reader in self._readers:
            reader.close()
