"""A small undamaged file of every kind that `pygnc inspect` knows."""

import io
import json
from collections.abc import Sequence

import msgpack
import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from pygnc.bus.messages import BatchEnd, Event, SensorSample
from pygnc.common.mean_elements import MeanElements
from pygnc.formats import info, journal, omm_record, status
from pygnc.formats.gps_packet import RANGE_GPS_PACKET, GpsFixes, encode_gps_packets
from pygnc.formats.ranges import RangeMeasurements, encode_ranges
from pygnc.formats.sense import SENSE_SENSORS, SenseLayout, SensorSamples, encode_records

HEADER = msgspec.msgpack.encode(
    {"pygnc": "1.2.3", "run": 7, "t_wall_ns": 1_700_000_000_000_000_000, "settings": {"orbit": {"degree": 50}}}
)
FOOTER = msgspec.msgpack.encode({"recovered": False})
T_START_S = 1_606_694_391
WEEK, TOW_MS = 2134, 86_401_000

OLD_SENSOR = (T_START_S, (1.5, 2.5, 3.5), 26069, (-0.495, 0.051, 0.437), (1.0, 2.0, 3.0, 4.0, 5.0, 6.0))
OLD_GPS = (
    *(T_START_S, 160, WEEK, TOW_MS),
    *(1, (1.0, 2.0, 3.0), (0.1, 0.2, 0.3)),
    *(1, (4.0, 5.0, 6.0), (0.0, 0.0, 0.0), 0.05),
    *(0.0, 0.0, 10, 8),
)


def sensor_sample(seq: int) -> SensorSample:
    return SensorSample(
        seq=seq,
        source="sense.bin",
        offset=30 * seq,
        kind=SENSE_SENSORS,
        t_spacecraft_s=T_START_S + 5 * seq,
        t_spacecraft_ms=0,
        time_sigma_s=None,
        mag_imu_ut=(1.5, -20.25, 33.0),
        gyro_imu_rad_s=(0.01, -0.02, 0.03),
        lux=(1.0, 2.0, 3.0, 4.0, 5.0, 83_865.6),
        raw=bytes(range(30)),
    )


def event(seq: int, name: str = "phase", text: str = "idle", severity: str = "info") -> Event:
    t_wall_ns = 1_700_000_000_000_000_000 + seq
    return Event(
        seq=seq, task="supervisor", severity=severity, name=name, text=text, t_mono_ns=seq, t_wall_ns=t_wall_ns
    )


def journal_bytes(messages: Sequence[msgspec.Struct], *, footer: bytes | None = FOOTER, first_seq: int = 1) -> bytes:
    records = [journal.encode(journal.Kind.HEADER, first_seq - 1, HEADER)]
    records += journal.encode_messages(first_seq, [msgspec.msgpack.encode(message) for message in messages])
    if footer is not None:
        records.append(journal.encode(journal.Kind.FOOTER, first_seq - 1 + len(messages), footer))
    return b"".join(records)


def status_values() -> dict[str, status.Value]:
    position = dict(zip(("x", "y", "z"), (4_897_631.38, -749_565.613, 4_842_564.49), strict=True))
    return {
        "phase": status.Phase.IDLE,
        "run_number": 7,
        "gps_week": WEEK,
        "gps_tow_ms": TOW_MS,
        "orbit_mode": status.OrbitMode.AT_FIX,
        "task_ingest_state": status.TaskState.UP,
        "task_ingest_through": 864,
        **{f"position_ecef_m_{axis}": value for axis, value in position.items()},
    }


def gps_fixes(times_s: NDArray[np.int64], position_status: int) -> GpsFixes:
    """Return one packet per spacecraft time, each with one satellite more than the previous one."""
    count = len(times_s)
    three = (count, 3)
    return GpsFixes(
        t_spacecraft_s=times_s,
        time_status=np.full(count, 160),
        gps_week=np.full(count, WEEK),
        gps_tow_ms=TOW_MS + 1000 * (times_s - times_s[0]),
        position_status=np.full(count, position_status),
        position_ecef_m=np.tile([6_900_000.0, 1.0, 2.0], (count, 1)),
        position_sigma_m=np.full(three, 2.0),
        velocity_status=np.full(count, position_status),
        velocity_ecef_mps=np.tile([1.0, 7_500.0, 3.0], (count, 1)),
        velocity_sigma_mps=np.full(three, 0.25),
        velocity_latency_s=np.full(count, 0.5),
        differential_age_s=np.zeros(count),
        solution_age_s=np.zeros(count),
        satellites_tracked=10 + np.arange(count),
        satellites_used=np.full(count, 8),
    )


def sense_bytes(records: int, layout: SenseLayout | None = None, *, position_status: int = 0) -> bytes:
    layout = layout or SenseLayout()
    packets = layout.sensors_per_record
    times_s = T_START_S + 5 * np.arange(records * packets).reshape(records, packets)
    light = np.tile(np.arange(6.0), (records, packets, 1))
    turning = np.full((records, packets, 3), 0.01)
    sensors = SensorSamples(times_s, 100.0 * turning, np.full(times_s.shape, 26569), turning, light)
    return encode_records(sensors, gps_fixes(times_s[:, -1], position_status), layout).tobytes()


def range_bytes(gps_packets: int) -> bytes:
    """Return GPS packets 25 s apart, each followed by a range to J and one to K that grow by 100 m each time."""
    number = np.arange(float(gps_packets))
    times_s = T_START_S + 25 * np.arange(gps_packets)
    gps = encode_gps_packets(gps_fixes(times_s, 0), RANGE_GPS_PACKET)
    pairs = [
        encode_ranges(
            RangeMeasurements(
                partner_id=np.full(gps_packets, partner_id),
                rssi_dbm=-30.0 - number % 2,
                t_spacecraft_s=times_s,
                frequency_error_hz=np.full(gps_packets, 155.0),
                range_m=1000.0 + 100.0 * number,
            )
        )
        for partner_id in (0x4A, 0x4B)
    ]
    return b"".join(packet.tobytes() for row in zip(gps, *pairs, strict=True) for packet in row)


def old_orbit_estimate(second: int = 0) -> bytes:
    """Return an `OrbitEstimateMessage` as packed by the original PyGNC: two arrays of five signed "variances"."""
    packed: bytes = msgpack.packb(
        (
            f"2020-11-29T23:59:{second:02d}Z",
            (4_897_631.38, -749_565.6, 4_842_564.5, -5_364.8, -801.9, 5_301.7),
            (1e-5, 2e-5, -1e-5, 1e-3, 1.2e-3),
            (-0.4, 0.5, 0.6, -4e-4, 4e-4, 4e-4),
            (1e-5, 1e-5, -1e-5, -4e-4, -4e-4),
            OLD_SENSOR,
        )
    )
    return packed


def parquet_bytes() -> bytes:
    file = io.BytesIO()
    columns = {"closest_m": {"unit": "m", "frame": "", "meaning": "smallest distance"}}
    metadata = {"software": "PyGNC 1.0", "inputs": '{"sense.bin": "00"}', "columns": json.dumps(columns)}
    pl.DataFrame({"closest_m": [65.4, None]}).write_parquet(file, metadata=metadata, compression="uncompressed")
    return file.getvalue()


OEM = b"""CCSDS_OEM_VERS = 2.0
CREATION_DATE = 2026-01-01T00:00:00
COMMENT noise = 1
META_START
OBJECT_NAME = DEMO
REF_FRAME = GCRF
TIME_SYSTEM = UTC
META_STOP
2026-01-01T00:00:00 7000 0 0 0 7.5 0
2026-01-01T00:01:00 6990 450 0 -0.4 7.5 0
COVARIANCE_START
EPOCH = 2026-01-01T00:00:00
1e-6
0 1e-6
COVARIANCE_STOP
"""

SAMPLES = {
    "run journal": journal_bytes([sensor_sample(1), event(2), BatchEnd(seq=3, cause="")]),
    "status file": status.encode(status_values()),
    "mean elements": omm_record.encode(
        MeanElements(WEEK * 604_800_000 + TOW_MS, 15.2, 0.001, 97.5, 10.0, 20.0, 30.0, 1e-4),
        {field.name: 1 for field in omm_record.FIELDS[-8:]},
    ),
    "CCSDS message (OEM, AEM, OPM, OMM, CDM)": OEM,
    "info text": info.compose(status.decode(status.encode(status_values()))),
    "old PyGNC log": old_orbit_estimate(18) + old_orbit_estimate(43),
    "Parquet table": parquet_bytes(),
    "range file": range_bytes(2),
    "sense file": sense_bytes(2),
}
"""Keyed by the viewer's kind."""
