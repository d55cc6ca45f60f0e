"""Recordings of all families whose frames have right checksums but extreme or random values."""

import json
import random
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from pygnc_devices.continuity import Continuity
from pygnc_devices.declaration import TEXT, Packet, Record, Value
from pygnc_devices.emus.framing import make_sentence
from pygnc_devices.engine import readings_in
from pygnc_devices.errors import DeviceError
from pygnc_devices.family import family
from pygnc_devices.framing import scan_to_end
from pygnc_devices.gx2.framing import make_frame as gx2_frame
from pygnc_devices.mip.fields import DATA_SETS, FIELDS
from pygnc_devices.mip.framing import FIELD_HEADER_BYTES, LONGEST_FRAME, OVERHEAD_BYTES, make_packet
from pygnc_devices.monodrive.packets import IMU, START
from pygnc_devices.opc_n3.framing import crc16
from pygnc_devices.opc_n3.packets import HISTOGRAM
from pygnc_devices.pms5003.framing import make_frame as pms_frame
from pygnc_devices.reading import Counters, Stamp
from pygnc_devices.receivers import packets as receivers
from pygnc_devices.text_declaration import Sentence
from pygnc_devices.ucb.framing import make_frame as ucb_frame
from pygnc_devices.vectornav.fields import AsyncLine
from pygnc_devices.vectornav.framing import make_line as vectornav_line
from pygnc_devices.vectornav.framing import make_packet as vectornav_packet
from pygnc_devices.vectornav.packets import BinaryOutput
from pygnc_devices.xsens.framing import make_data
from pygnc_devices.xsens.items import ITEMS
from pygnc_instruments.device.connection import ConnectedDevice, DeviceSelection, connect
from pygnc_instruments.device.csv_log import CsvLog
from pygnc_instruments.device.log_files import LogError
from pygnc_instruments.device.mcap_log import McapLog
from pygnc_instruments.device.recording import summarise
from pygnc_instruments.device.sensor_log import read_sensor_log
from pygnc_instruments.device.stream_command import _as_json, _as_line
from pygnc_instruments.simulators.receiver_units import novatel_crc, skytraq_frame, ubx_frame
from pygnc_instruments.simulators.sps30_unit import response as sps_response
from pygnc_instruments.simulators.unit import motion
from tests.fuzz.mutations import LITERALS, Fields, set_field

FRAMES: Final = 12


class MakeFrame(Protocol):
    """Maker of the frames of a recording, with values that follow from their number."""

    def __call__(self, number: int, /, *, mutates: bool) -> bytes:
        """Return a frame; one value is mutated if `mutates` is true."""
        ...


MUTATED: Final = (1, 1, 2, 4)
"""Numbers of mutated frames in a recording, by their shares."""
STEP: Final = {
    "time_startup_ns": 10_000_000,
    "time_gps_ns": 10_000_000,
    "tow_ns": 10_000_000,
    "gnss1_tow_ns": 10_000_000,
    "gnss1_tow_s": 0.2,
    "reference_time_ns": 10_000_000,
    "gps_tow_s": 0.01,
    "tow_s": 0.2,
    "internal_ticks": 625,
    "timer_ticks": 196_608,
    "time_ticks": 10_000,
    "sample_time_ticks": 100,
    "packet_counter": 1,
}
"""Advance of a clock from frame to frame; other clocks advance by 10."""
_LITERALS: Final = [text for text in LITERALS if text.isascii() and text.isprintable()]
_SHORT: Final = ("0", "FF", "8000", "7FFFFFFF", "FFFFFFFFFFFFFFFF", "-1", "+1", "1.5", "1e99", "-1e99", "", "x")
_NOVATEL_NUMBERS: Final = {"TIME": 101, "BESTXYZ": 241, "BESTPOS": 42, "BESTVEL": 99}
_ASCII_LOGS: Final = {
    "BESTXYZ": "SOL_COMPUTED,SINGLE,{0},1.0,2.0,5.0,5.0,5.0,SOL_COMPUTED,DOPPLER_VELOCITY,7.0,1.0,2.0,0.1,0.1,0.1,"
    '"",0.0,0.0,0.0,9,9,9,9,0,00,00,00',
    "BESTPOS": 'SOL_COMPUTED,SINGLE,{0},2.0,3.0,0.0,WGS84,5.0,5.0,5.0,"",0.0,0.0,9,9,9,9,0,00,00,00',
}


def mutated_recording(name: str, dice: random.Random) -> bytes:
    """Return some frames of a family; values of some of them are mutated."""
    make = MAKERS[name](dice)
    mutated = dice.sample(range(FRAMES), dice.choice(MUTATED))
    return b"".join(make(number, mutates=number in mutated) for number in range(FRAMES))


def read(name: str, path: Path, out: Path) -> None:
    """Read a recording as all commands do, and its frames as live ones; raise an error if one fails."""
    with connect(DeviceSelection(str(path), name)) as connected:
        _log(connected, out)
    with suppress(DeviceError):  # all frames of an OPC-N3 may be rejected
        summarise(path, [family(name)])
    with suppress(LogError):  # a noise report needs more readings
        read_sensor_log(path, DeviceSelection(str(path), name))
    kind, continuity = family(name), Continuity()
    unit, counters = kind.interpreter(kind.bauds[0]), Counters()
    for number, frame in enumerate(scan_to_end(kind.scanner, path.read_bytes()).frames):
        for reading in readings_in(unit.interpret(frame, Stamp(number * 10_000_000, number * 10_000_000), counters)):
            continuity.follow(reading)


def _log(connected: ConnectedDevice, out: Path) -> None:
    logs = CsvLog(out / "csv"), McapLog(out / "mcap")
    try:
        for reading in connected.device:
            for log in logs:
                log.write(reading)
            _as_line("", reading, connected)
            json.loads(json.dumps(_as_json("", reading)), parse_constant=_refuse)
    finally:
        for log in logs:
            log.close()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _word_fields(packet: Packet) -> Fields:
    """Return offset and code of each number, the clock four times: most faults come from times."""
    places = [(at, field) for at, field in packet.places() if field.code != TEXT and not field.code.endswith("s")]
    clocks = [entry for entry in places if entry[1].name == packet.clock]
    return [(at, packet.byte_order + field.code) for at, field in places + 3 * clocks]


def _payload(packet: Packet, number: int, dice: random.Random | None) -> bytes:
    values = motion(0.01 * number) | {name: number * STEP.get(name, 10) for name in (packet.clock, *STEP)}
    values |= {"period_s": 0.5, "flow_ml_s": 4.0, "laser_status": 600}  # without which an OPC-N3 measures nothing
    payload = packet.encode(values)
    return payload if dice is None else set_field(payload, dice, _word_fields(packet), len(payload))


def _packets(records: tuple[Record, ...], seal: Callable[[str, bytes], bytes]) -> Callable[[random.Random], MakeFrame]:
    """Return the maker of frames of a random packet that is declared by words."""
    words = [record for record in records if isinstance(record, Packet) and record.is_reading]

    def begin(dice: random.Random) -> MakeFrame:
        packet = dice.choice(words)
        return lambda number, *, mutates: seal(packet.name, _payload(packet, number, dice if mutates else None))

    return begin


def _mip(dice: random.Random) -> MakeFrame:
    key = dice.choice(list(DATA_SETS))
    clocks = [field for field in FIELDS[key].values() if field.fields[0].name in STEP]
    parts = dict.fromkeys([dice.choice(clocks)])
    for part in dice.sample([part for part in FIELDS[key].values() if _word_fields(part)], 2):
        if (
            sum(entry.layout.size + FIELD_HEADER_BYTES for entry in {**parts, part: None})
            < LONGEST_FRAME - OVERHEAD_BYTES
        ):
            parts[part] = None

    def make(number: int, *, mutates: bool) -> bytes:
        changed = dice.choice(list(parts)) if mutates else None
        return make_packet(key, [(p.descriptor, _payload(p, number, dice if p is changed else None)) for p in parts])

    return make


def _xsens(dice: random.Random) -> MakeFrame:
    clocks = [ITEMS[0x1020], ITEMS[0x1060]]
    parts = dict.fromkeys([*dice.sample([item for item in ITEMS.values() if _word_fields(item)], 3), *clocks])

    def make(number: int, *, mutates: bool) -> bytes:
        changed = dice.choice([*parts, *clocks]) if mutates else None
        return make_data([(p.identifier, _payload(p, number, dice if p is changed else None)) for p in parts])

    return make


def _emus(dice: random.Random) -> MakeFrame:
    sentence = dice.choice([record for record in family("emus").packets if isinstance(record, Sentence)])
    text = sentence.encode({field.name: 1 for field in sentence.fields if field.code[0] in "uibdg"})

    def make(_: int, *, mutates: bool) -> bytes:
        return make_sentence(sentence.name, _change_word(text.decode(), dice) if mutates else text.decode())

    return make


def _change_word(text: str, dice: random.Random) -> str:
    words = text.split(",")
    words[dice.randrange(len(words))] = dice.choice([dice.choice(_SHORT), dice.choice(_LITERALS)[:300]])
    return ",".join(words)


def _monodrive(_: str, payload: bytes) -> bytes:
    body = bytes([START]) + payload[12:40]
    return struct.pack(">I", 51) + payload[:12] + body + (sum(body) & 0xFFFF).to_bytes(2, "big") + payload[-4:]


def _novatel(dice: random.Random) -> MakeFrame:
    if dice.randrange(2):
        name = dice.choice(list(_ASCII_LOGS))

        def make(number: int, *, mutates: bool) -> bytes:
            text = f"{name}A,COM1,0,60.0,FINESTEERING,2400,{number}.0,02000000,0,16807;{_ASCII_LOGS[name]}".format(1e6)
            content = (_change_word(text, dice) if mutates else text).encode()
            return b"#%s*%08x\r\n" % (content, novatel_crc(content))

        return make
    packet = receivers.NOVATEL[dice.choice(list(receivers.NOVATEL))]
    head = struct.Struct("<3sBHBBHHBB")

    def binary(number: int, *, mutates: bool) -> bytes:
        payload = bytes([180]) + _payload(packet, number, dice if mutates else None)[1:]
        start = head.pack(b"\xaa\x44\x12", 28, _NOVATEL_NUMBERS[packet.name], 0, 32, len(payload) - 7, 0, 120, 180)
        log = start[:13] + payload[:7] + bytes(8) + payload[7:]
        return log + struct.pack("<I", novatel_crc(log))

    return binary


def _vectornav(dice: random.Random) -> MakeFrame:
    record = dice.choice(family("vectornav").packets)

    def values(number: int) -> dict[str, Value | None]:
        return {**motion(0.01 * number), **{name: number * step for name, step in STEP.items()}}

    def line(number: int, *, mutates: bool) -> bytes:
        text = record.encode(dict.fromkeys((field.name for field in record.fields), 1) | values(number)).decode()
        return vectornav_line(f"{record.name},{_change_word(text, dice) if mutates else text}")

    def packet(number: int, *, mutates: bool) -> bytes:
        assert isinstance(record, BinaryOutput)
        octets, changed = record.header, dice.choice(record.parts) if mutates else None
        for part in record.parts:
            words = part.encode(values(number))[: part.layout.size - bool(part.item_bytes)]
            if part is changed:
                words = set_field(words, dice, _word_fields(part), len(words))
            octets += words + bytes(part.item_bytes * words[part.count_at])
        return vectornav_packet(octets)

    return line if isinstance(record, AsyncLine) else packet


def _ublox(name: str, payload: bytes) -> bytes:
    return ubx_frame(receivers.UBX_NUMBERS[name], payload)


def _skytraq(name: str, payload: bytes) -> bytes:
    return skytraq_frame(bytes([receivers.SKYTRAQ_NUMBERS[name]]) + payload)


MAKERS: Final[dict[str, Callable[[random.Random], MakeFrame]]] = {
    "ucb": _packets(family("ucb").packets, ucb_frame),
    "gx2": _packets(family("gx2").packets, gx2_frame),
    "mip": _mip,
    "vectornav": _vectornav,
    "xsens": _xsens,
    "monodrive": _packets((IMU,), _monodrive),
    "emus": _emus,
    "opc_n3": _packets((HISTOGRAM,), lambda _, payload: payload[:-2] + crc16(payload[:-2]).to_bytes(2, "little")),
    "pms5003": _packets(family("pms5003").packets, lambda _, payload: pms_frame(payload)),
    "sps30": _packets(family("sps30").packets, lambda _, payload: sps_response(0x03, 0, payload[1:])),
    "novatel": _novatel,
    "ublox": _packets(tuple(receivers.UBLOX.values()), _ublox),
    "skytraq": _packets(tuple(receivers.SKYTRAQ.values()), _skytraq),
}
