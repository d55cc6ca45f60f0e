"""Packets of the host as messages that do not depend on its packets, receiver and radio.

This is the only place that knows both the words of the host's packets and the terms of the messages.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import GnssFix, RangeMeasurement, SensorSample, Vector3
from pygnc.common.clock import gps_ms_from_week, week_from_gps_ms
from pygnc.estimators.attitude.settings import HallWord
from pygnc.formats.gps_packet import (
    GPS_PACKETS,
    GpsFixes,
    decode_gps_packets,
    received_gps_week,
    solution_name,
    time_sigma_s,
)
from pygnc.formats.ranges import RangeMeasurements
from pygnc.formats.sense import (
    SENSE_SENSORS,
    SENSOR_PACKET,
    TORQUERS_ON,
    SensorSamples,
    decode_sensors,
    milliseconds_from_hall_word,
)

_MILLISECOND_SIGMA_S: Final = 1e-3 / math.sqrt(12.0)
"""Standard deviation of a time in whole milliseconds."""
_UNSTATED: Final = (0, None, False)
_ONE_SENSOR: Final = np.dtype([("sensors", SENSOR_PACKET, (1,))])

Place: TypeAlias = tuple[int, str, int, bytes]
"""Number, source, offset and raw bytes of a message."""

# --- GPS fixes --------------------------------------------------------------------------------------------------------


def fix_messages(fixes: GpsFixes, places: Sequence[Place], kind: str, satellite_id: int = 0) -> Iterator[GnssFix]:
    """Yield the messages of M GPS packets of one kind.

    Args:
        fixes: The decoded packets.
        places: Place of each message; length M.
        kind: Kind of the packets, a key of `GPS_PACKETS`.
        satellite_id: Radio id of the partner that made the fixes, 0 for our own.
    """
    # Iterating over Python lists takes a tenth of the time of iterating over arrays.
    unstated = [None] * len(fixes)
    rows = zip(
        places,
        unstated if fixes.t_spacecraft_s is None else fixes.t_spacecraft_s.tolist(),
        unstated if fixes.time_status is None else map(time_sigma_s, fixes.time_status.tolist()),
        map(gps_ms_from_week, fixes.gps_week.tolist(), fixes.gps_tow_ms.tolist()),
        _solutions(fixes.position_status, fixes.position_ecef_m, fixes.position_sigma_m),
        _solutions(fixes.velocity_status, fixes.velocity_ecef_mps, fixes.velocity_sigma_mps),
        np.column_stack([fixes.velocity_latency_s, fixes.differential_age_s, fixes.solution_age_s]).tolist(),
        np.column_stack([fixes.satellites_tracked, fixes.satellites_used]).tolist(),
        strict=True,
    )
    for (seq, source, offset, raw), t_spacecraft_s, sigma_s, gps_ms, position, velocity, ages_s, satellites in rows:
        yield GnssFix(
            seq=seq,
            source=source,
            offset=offset,
            kind=kind,
            t_spacecraft_s=t_spacecraft_s,
            gps_ms=gps_ms,
            time_sigma_s=sigma_s,
            position_solution=position[0],
            position_ecef_m=position[1],
            position_sigma_m=position[2],
            velocity_solution=velocity[0],
            velocity_ecef_mps=velocity[1],
            velocity_sigma_mps=velocity[2],
            velocity_latency_s=ages_s[0],
            differential_age_s=ages_s[1],
            solution_age_s=ages_s[2],
            satellites_tracked=satellites[0],
            satellites_used=satellites[1],
            raw=raw,
            satellite_id=satellite_id,
        )


def _solutions(
    statuses: NDArray[np.int64], vectors: NDArray[np.float64], sigmas: NDArray[np.float64]
) -> Iterator[tuple[str, Vector3, Vector3]]:
    rows = zip(statuses.tolist(), vectors.tolist(), sigmas.tolist(), strict=True)
    return ((solution_name(status), tuple(vector), tuple(sigma)) for status, vector, sigma in rows)


def fix_message(
    raw: bytes, place: tuple[int, str, int], kind: str, *, satellite_id: int = 0, earliest_week: int = 0
) -> GnssFix:
    """Return the message of one GPS packet; `place` is its number, source and offset."""
    fixes = decode_gps_packets(np.frombuffer(raw, GPS_PACKETS[kind]), earliest_week)
    return next(fix_messages(fixes, [(*place, raw)], kind, satellite_id))


def rollover(fix: GnssFix) -> tuple[int, int] | None:
    """Return the GPS week in the packet and the week used instead if the receiver's count has rolled over."""
    if fix.kind not in GPS_PACKETS or fix.gps_ms is None:
        return None
    weeks = received_gps_week(fix.kind, fix.raw), week_from_gps_ms(fix.gps_ms)[0]
    return None if weeks[0] == weeks[1] else weeks


# --- Sensor samples ---------------------------------------------------------------------------------------------------


def sample_messages(samples: SensorSamples, places: Sequence[Place], hall_word: HallWord) -> Iterator[SensorSample]:
    """Yield the messages of M times N sensor packets.

    Args:
        samples: The decoded packets.
        places: Place of each message; length M times N.
        hall_word: Meaning of the packets' Hall words, as in the settings.
    """
    words = samples.hall_raw.ravel().tolist()
    rows = zip(
        places,
        samples.t_spacecraft_s.ravel().tolist(),
        map(_times, words) if hall_word == "times" else [_UNSTATED] * len(words),
        samples.mag_imu_ut.reshape(-1, 3).tolist(),
        samples.gyro_imu_rad_s.reshape(-1, 3).tolist(),
        samples.lux.reshape(-1, samples.lux.shape[-1]).tolist(),
        strict=True,
    )
    for (seq, source, offset, raw), t_spacecraft_s, (t_spacecraft_ms, sigma_s, torquers_on), mag, gyro, lux in rows:
        yield SensorSample(
            seq=seq,
            source=source,
            offset=offset,
            kind=SENSE_SENSORS,
            t_spacecraft_s=t_spacecraft_s,
            t_spacecraft_ms=t_spacecraft_ms,
            time_sigma_s=sigma_s,
            mag_imu_ut=tuple(mag),
            gyro_imu_rad_s=tuple(gyro),
            lux=tuple(lux),
            raw=raw,
            torquers_on=torquers_on,
        )


def _times(word: int) -> tuple[int, float | None, bool]:
    """Return milliseconds, their standard deviation in s, and the state of the torquers, in a Hall word with times."""
    milliseconds, torquers_on = milliseconds_from_hall_word(word), bool(word & TORQUERS_ON)
    return (0, None, torquers_on) if milliseconds is None else (milliseconds, _MILLISECOND_SIGMA_S, torquers_on)


def sample_message(
    raw: bytes, place: tuple[int, str, int], hall_word: HallWord, t_mono_ns: int | None = None
) -> SensorSample:
    """Return the message of one sensor packet.

    Args:
        raw: The packet, 30 bytes.
        place: Number, source and offset of the message.
        hall_word: Meaning of the Hall word, as in the settings.
        t_mono_ns: Time of arrival by the computer's monotonic clock; None for a packet of a file.
    """
    samples = decode_sensors(np.frombuffer(raw, _ONE_SENSOR))
    message = next(sample_messages(samples, [(*place, raw)], hall_word))
    return message if t_mono_ns is None else msgspec.structs.replace(message, t_mono_ns=t_mono_ns)


# --- Ranges -----------------------------------------------------------------------------------------------------------


def range_messages(
    ranges: RangeMeasurements, places: Sequence[Place], satellite_id: int = 0
) -> Iterator[RangeMeasurement]:
    """Yield the messages of M range packets.

    Args:
        ranges: The decoded packets.
        places: Place of each message; length M.
        satellite_id: Radio id of the partner that measured the ranges, 0 for our own.
    """
    rows = zip(
        places,
        ranges.partner_id.tolist(),
        ranges.rssi_dbm.tolist(),
        ranges.t_spacecraft_s.tolist(),
        ranges.frequency_error_hz.tolist(),
        ranges.range_m.tolist(),
        strict=True,
    )
    for (seq, source, offset, raw), partner_id, rssi_dbm, t_spacecraft_s, frequency_error_hz, range_m in rows:
        yield RangeMeasurement(
            seq=seq,
            source=source,
            offset=offset,
            partner_id=partner_id,
            rssi_dbm=rssi_dbm,
            t_spacecraft_s=t_spacecraft_s,
            frequency_error_hz=frequency_error_hz,
            range_m=range_m,
            raw=raw,
            satellite_id=satellite_id,
        )
