"""Packets as numbered messages: the one place where decoded arrays become what the tasks say to each other."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import GpsFix, Message, SensorSample
from pygnc.formats.gps_packet import GpsFixes
from pygnc.formats.sense import SENSOR_PACKET, SenseLayout, decode_fixes, decode_sensors

_SENSOR_BYTES = SENSOR_PACKET.itemsize


def sense_messages(
    records: NDArray[np.void], ordinals: NDArray[np.int64], source: str, layout: SenseLayout, first_seq: int
) -> list[Message]:
    """Return the messages of M records in order: N sensor samples and a fix of each, numbered from `first_seq`.

    `ordinals` (M,) count the undamaged records of the file: they say where the packets' bytes stand.
    """
    sensors = layout.sensors_per_record
    samples = decode_sensors(records)
    fixes = fix_fields(decode_fixes(records))
    messages: list[Message] = []
    seq = first_seq
    # Iterating over Python lists costs a tenth of iterating over arrays.
    times, mag, hall = samples.t_spacecraft_s.tolist(), samples.mag_imu_ut.tolist(), samples.hall_raw.tolist()
    gyro, lux = samples.gyro_imu_rad_s.tolist(), samples.lux.tolist()
    for m, (record, ordinal, fix) in enumerate(zip(records, ordinals.tolist(), fixes, strict=True)):
        raw = record.tobytes()
        start = ordinal * layout.size
        messages += [
            SensorSample(
                seq=seq + k,
                source=source,
                offset=start + k * _SENSOR_BYTES,
                t_spacecraft_s=times[m][k],
                mag_imu_ut=tuple(mag[m][k]),
                hall_raw=hall[m][k],
                gyro_imu_rad_s=tuple(gyro[m][k]),
                lux=tuple(lux[m][k]),
                raw=raw[k * _SENSOR_BYTES : (k + 1) * _SENSOR_BYTES],
            )
            for k in range(sensors)
        ]
        gps = slice(sensors * _SENSOR_BYTES, sensors * _SENSOR_BYTES + record["gps"].nbytes)
        seq += sensors
        messages.append(GpsFix(seq=seq, source=source, offset=start + gps.start, raw=raw[gps], **fix))
        seq += 1
    return messages


def fix_fields(fixes: GpsFixes) -> Iterator[dict[str, Any]]:
    """Yield the measured fields of a GpsFix message, packet by packet."""
    names = [field.name for field in dataclasses.fields(fixes)]
    columns = [getattr(fixes, name) for name in names]
    rows = zip(*([None] * len(fixes) if column is None else column.tolist() for column in columns), strict=True)
    for row in rows:
        yield {name: tuple(value) if isinstance(value, list) else value for name, value in zip(names, row, strict=True)}
