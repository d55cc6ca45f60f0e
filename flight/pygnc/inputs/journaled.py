"""Decoder of input journals that any version of the flight software has written."""

from typing import Final

import msgspec

from pygnc.bus.messages import GnssFix, InputMessage, SensorSample
from pygnc.estimators.attitude.settings import HallWord
from pygnc.formats.gps_packet import RANGE_GPS, SENSE_GPS, SENSE_GPS_PACKET
from pygnc.formats.sense import SENSE_SENSORS
from pygnc.inputs.host_packets import fix_message, sample_message

_decode: Final = msgspec.msgpack.Decoder(InputMessage).decode


def decode_input(payload: bytes, hall_word: HallWord | None = None) -> InputMessage:
    """Return a message of an input journal.

    Args:
        payload: The encoded message.
        hall_word: Meaning of the Hall words with which the host's samples are decoded again from their packets. None
            returns the samples as the flight decoded them; those of former versions are read as "resistance".

    Raises:
        msgspec.DecodeError: The bytes are not an input message.
    """
    try:
        try:
            message: InputMessage = _decode(payload)
        except msgspec.ValidationError:
            return _decode_former(payload, hall_word or "resistance")
        if hall_word is None or not isinstance(message, SensorSample) or message.kind != SENSE_SENSORS:
            return message
        return sample_message(message.raw, (message.seq, message.source, message.offset), hall_word, message.t_mono_ns)
    except (ValueError, RecursionError) as error:  # also text that is not UTF-8, and packets of another length
        raise msgspec.DecodeError(f"not the message of any version: {error}") from error


def _decode_former(payload: bytes, hall_word: HallWord) -> InputMessage:
    values = msgspec.msgpack.decode(payload)
    if isinstance(values, list) and values[:1] == ["GpsFix"]:
        return _former_fix(values)
    if isinstance(values, list) and values[:1] == ["SensorSample"]:
        return _former_sample(values, hall_word)
    raise ValueError("it has another form than an input message")


def _former_fix(values: list[object]) -> GnssFix:
    """Return the fix of a `GpsFix` message, as former versions wrote it, decoded again from its raw packet."""
    place = msgspec.convert(values[1:4], tuple[int, str, int])
    week, raw, satellite_id = msgspec.convert([*values[6:7], *[*values, 0][19:21]], tuple[int, bytes, int])
    kind = SENSE_GPS if len(raw) == SENSE_GPS_PACKET.itemsize else RANGE_GPS
    return fix_message(raw, place, kind, satellite_id=satellite_id, earliest_week=week)


def _former_sample(values: list[object], hall_word: HallWord) -> SensorSample:
    """Return the sample of a `SensorSample` message of a former version, from its raw packet if it has one."""
    place = msgspec.convert(values[1:4], tuple[int, str, int])
    raw, t_mono_ns = msgspec.convert([*values, None][9:11], tuple[bytes, int | None])
    if raw:
        return sample_message(raw, place, hall_word, t_mono_ns)
    t_spacecraft_s, mag, _, gyro, lux = values[4:9]
    ms = (*values[12:13], 0)[0]
    now = ["SensorSample", *place, "", t_spacecraft_s, ms, None, mag, gyro, lux, raw, False, t_mono_ns]
    return msgspec.convert(now, SensorSample)
