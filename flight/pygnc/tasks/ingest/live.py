"""Live inputs: packets that the host streams and readings of the computer's own sensors, as input messages."""

import struct
from collections.abc import Mapping
from typing import Any, Final

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
from pygnc.bus.streams import StreamReader
from pygnc.common.clock import gps_ms_from_week
from pygnc.formats.gps_packet import RANGE_GPS_PACKET, SENSE_GPS_PACKET, decode_gps_packets
from pygnc.formats.ranges import RANGE_PACKET, decode_ranges
from pygnc.formats.sense import SENSOR_PACKET, decode_sensors
from pygnc.tasks.ingest.input_state import InputCounters
from pygnc.tasks.ingest.sense_file import gps_messages
from pygnc.tasks.runtime import Run

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
    place: dict[str, Any] = {"seq": seq, "source": LIVE, "offset": packet.seq}
    if packet.kind == "SENS":
        return _sample(packet.raw, place)
    if packet.kind in _GPS_PACKETS:
        fixes = decode_gps_packets(np.frombuffer(packet.raw, _GPS_PACKETS[packet.kind]))
        return next(gps_messages(fixes, [(seq, LIVE, packet.seq, packet.raw)], packet.radio_id))
    if packet.kind in _RANGES:
        return _range(packet, place, bandwidth_hz)
    t_spacecraft_s, ms = _TIME.unpack(packet.raw)
    return TimeMark(**place, t_spacecraft_s=t_spacecraft_s, ms=ms, t_mono_ns=packet.t_mono_ns)


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


def _sample(raw: bytes, place: dict[str, Any]) -> SensorSample:
    sample = decode_sensors(np.frombuffer(raw, _ONE_SENSOR))
    return SensorSample(
        **place,
        t_spacecraft_s=int(sample.t_spacecraft_s[0, 0]),
        mag_imu_ut=tuple(sample.mag_imu_ut[0, 0].tolist()),
        hall_raw=int(sample.hall_raw[0, 0]),
        gyro_imu_rad_s=tuple(sample.gyro_imu_rad_s[0, 0].tolist()),
        lux=tuple(sample.lux[0, 0].tolist()),
        raw=raw,
    )


def _range(packet: LivePacket, place: dict[str, Any], bandwidth_hz: float) -> RangeMeasurement:
    ranges = decode_ranges(np.frombuffer(packet.raw, RANGE_PACKET), bandwidth_hz)
    return RangeMeasurement(
        **place,
        partner_id=int(ranges.partner_id[0]),
        rssi_dbm=float(ranges.rssi_dbm[0]),
        t_spacecraft_s=int(ranges.t_spacecraft_s[0]),
        frequency_error_hz=float(ranges.frequency_error_hz[0]),
        range_m=float(ranges.range_m[0]),
        raw=packet.raw,
        satellite_id=packet.radio_id,
    )


MESSAGES_PER_STEP: Final = 64


class LiveStreams:
    """Readers of the live streams that this run has.

    Args:
        context: the task's ZeroMQ context.
        run: constants of the run.
        after: number of the last message processed, by stream.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", run: Run, after: Mapping[str, int]) -> None:
        kinds = [(LIVE, LivePacket)] if run.has_host else []
        names: list[tuple[str, type]] = [*kinds, *([(DEVICES, DeviceReading)] if run.settings.devices else [])]
        self._readers = [
            StreamReader(
                context,
                run.runtime,
                name,
                run.journal_folders,
                msgspec.msgpack.Decoder(kind).decode,
                after_seq=after.get(name, 0),
            )
            for name, kind in names
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
