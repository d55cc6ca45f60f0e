"""Live inputs: packets that the host streams and readings of the computer's own sensors, as input messages."""

import math
import struct
from typing import Final

import msgspec
import numpy as np

from pygnc.bus.messages import (
    LIVE,
    DeviceReading,
    GnssFix,
    LivePacket,
    Message,
    SensorSample,
    TimeMark,
)
from pygnc.common.clock import TAG_JITTER_S, SpacecraftReading, spacecraft_ms_at
from pygnc.configuration.settings import Settings
from pygnc.formats.gps_packet import RANGE_GPS, SENSE_GPS
from pygnc.formats.ranges import RANGE_PACKET, decode_ranges
from pygnc.inputs.host_packets import fix_message, range_messages, sample_message
from pygnc.inputs.input_state import InputCounters
from pygnc.inputs.own_receiver import OwnEpoch, is_covariance, is_same_epoch, own_fix

GPS_BACK_MAX_MS: Final = 60_000
GPS_AHEAD_MAX_MS: Final = 86_400_000
"""A live packet with a GPS time more than 60 s before or a day after that of earlier packets is reported."""
_GPS_PACKETS: Final = {"GPSS": SENSE_GPS, "GPSR": RANGE_GPS, "PGPS": RANGE_GPS}
_RANGES: Final = frozenset({"RANG", "PRNG"})
_TIME: Final = struct.Struct("<IH")
_UNKNOWN: Final = (math.nan, math.nan, math.nan)


def live_message(packet: LivePacket, seq: int, settings: Settings) -> Message:
    """Return a packet decoded as an input message with number `seq`."""
    place = seq, LIVE, packet.seq
    if packet.kind == "SENS":
        return sample_message(packet.raw, place, settings.attitude.hall_word, packet.t_mono_ns)
    if packet.kind in _GPS_PACKETS:
        kind, week = _GPS_PACKETS[packet.kind], settings.orbit.screening.earliest_gps_week
        return fix_message(packet.raw, place, kind, satellite_id=packet.radio_id, earliest_week=week)
    if packet.kind in _RANGES:
        ranges = decode_ranges(np.frombuffer(packet.raw, RANGE_PACKET), settings.radio.bandwidth_hz)
        return next(range_messages(ranges, [(*place, packet.raw)], packet.radio_id))
    t_spacecraft_s, ms = _TIME.unpack(packet.raw)
    return TimeMark(
        seq=seq, source=LIVE, offset=packet.seq, t_spacecraft_s=t_spacecraft_s, ms=ms, t_mono_ns=packet.t_mono_ns
    )


def device_messages(
    reading: DeviceReading, seq: int, settings: Settings, clock: SpacecraftReading, earlier: InputCounters
) -> list[Message]:
    """Return the input messages of a reading, numbered from `seq`.

    A reading of the own receiver becomes a fix, at once or with the next reading if its covariances are to come. A
    reading of the own gyro also begins a sample if the settings require samples without the host and the last one is
    old enough. All values of such a sample come from readings.
    """
    messages = _receiver_messages(reading, seq, settings, clock, earlier.own_epoch)
    t_spacecraft_ms, newest_sample_ns = spacecraft_ms_at(reading.t_mono_ns, clock), earlier.newest_own_sample_ns
    own = settings.attitude.own_sensors
    is_due = newest_sample_ns is None or reading.t_mono_ns - newest_sample_ns >= 1e9 * own.samples_s
    if own.samples_s and reading.device == own.gyro and "rate_x_rad_s" in reading.values and is_due:
        messages.append(
            SensorSample(
                seq=seq + len(messages),
                source=reading.source,
                offset=reading.offset,
                kind="",
                t_spacecraft_s=t_spacecraft_ms // 1000,
                t_spacecraft_ms=t_spacecraft_ms % 1000,
                time_sigma_s=own.time_sigma_s,
                mag_imu_ut=_UNKNOWN,
                gyro_imu_rad_s=_UNKNOWN,
                lux=(),
                raw=b"",
                t_mono_ns=reading.t_mono_ns,
            )
        )
    return messages


def _receiver_messages(
    reading: DeviceReading, seq: int, settings: Settings, clock: SpacecraftReading, epoch: OwnEpoch
) -> list[Message]:
    """Return the fixes that are complete with a reading, else the reading, numbered from `seq`."""
    found: list[Message] = []
    fix, week = None, settings.orbit.screening.earliest_gps_week
    if reading.device == settings.orbit.own_receiver:
        joins = epoch.waiting is not None and is_same_epoch(epoch.waiting, reading)
        if joins and is_covariance(reading):
            return waiting_fix(seq, settings, clock, epoch, reading)
        found = [] if joins else waiting_fix(seq, settings, clock, epoch)
        # Covariances that have not come once are not waited for again.
        if not epoch.has_covariances or found:
            fix = own_fix(reading, seq + len(found), spacecraft_ms_at(reading.t_mono_ns, clock), week)
    return [*found, fix or msgspec.structs.replace(reading, seq=seq + len(found))]


def waiting_fix(
    seq: int,
    settings: Settings,
    clock: SpacecraftReading,
    epoch: OwnEpoch,
    covariances: DeviceReading | None = None,
) -> list[Message]:
    """Return the fix, numbered `seq`, of the reading that waits for its covariances; empty if none does."""
    if epoch.waiting is None:
        return []
    t_spacecraft_ms = spacecraft_ms_at(epoch.waiting.t_mono_ns, clock)
    fix = own_fix(epoch.waiting, seq, t_spacecraft_ms, settings.orbit.screening.earliest_gps_week, covariances)
    return [] if fix is None else [fix]


def live_anomalies(message: Message, earlier: InputCounters) -> list[tuple[str, str]]:
    """Return name and text of an event for each inconsistency of a live packet with earlier inputs."""
    found = []
    own_fix = message if isinstance(message, GnssFix) and message.is_own else None
    own_packet = message if isinstance(message, SensorSample) else own_fix
    t_spacecraft_s = own_packet.t_spacecraft_s if own_packet else None
    gps_ms = own_fix.gps_ms if own_fix else None
    newest_s, newest_ms = earlier.newest_spacecraft_s, earlier.newest_gps_ms
    if t_spacecraft_s is not None and newest_s is not None and t_spacecraft_s < newest_s - TAG_JITTER_S:
        times = f"{t_spacecraft_s} s of a live packet is before {newest_s} s of an earlier packet"
        text = f"spacecraft time {times}: the controller was restarted"
        found.append(("clock_fell_back", text))
    if gps_ms is not None and newest_ms is not None:
        ahead_ms = gps_ms - newest_ms
        if not -GPS_BACK_MAX_MS <= ahead_ms <= GPS_AHEAD_MAX_MS:
            side = "ahead of" if ahead_ms > 0 else "behind"
            text = f"GPS time of a live packet is {abs(ahead_ms) / 1e3:.0f} s {side} earlier packets"
            found.append(("gps_time_apart", text))
    return found
