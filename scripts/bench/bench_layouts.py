"""Decode random records of each binary layout in Python, by the C headers, and by space_packet_parser from XTCE.

Usage: python -m scripts.bench.bench_layouts [--records 10000]

Records have random bits (the first two: all 0, all 1), valid words in enumerations, and all versions of the status
record. The values of all three must be equal; NaN equals NaN, and scaled values may differ by rounding. Needs a C
compiler as `cc`, and space_packet_parser.
"""

import argparse
import math
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from pygnc.formats import journal, status
from pygnc.formats.gps_packet import GPS_PACKETS, RANGE_GPS, SENSE_GPS, decode_gps_packets
from pygnc.formats.layout import Field, scalars
from pygnc.formats.ranges import RANGE_PACKET, decode_ranges
from pygnc.formats.sense import SENSOR_PACKET, decode_sensors
from pygnc.host.sentence import Direction, Sentence, SentenceParser, encode
from pygnc.host.sentence_types import TYPES, SentenceType
from pygnc_ground.description import c_header, xtce
from scripts.bench.table import print_table

Values: TypeAlias = dict[str, int | float | bytes]
"""Values of a record by name; words of enumerations are numbers, texts are bytes."""
Records: TypeAlias = list[bytes]
RELATIVE_ERROR_MAX: Final = 1e-13
COMPILER: Final = ("cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
_TEXT: Final = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz_. =0123456789", np.uint8)
_FACES: Final = ("plus_x", "plus_y", "plus_z", "minus_x", "minus_y", "minus_z")


# Random records


def random_fields(rng: np.random.Generator, fields: Sequence[Field], number: int) -> bytes:
    """Return random bytes of fields, with valid words and fixed bytes; for numbers 0 and 1, all bits are 0 or 1."""
    parts = []
    for field in scalars(fields):
        word = bytes([rng.choice([value for value, _ in field.words])]) if field.words else b""
        octets = rng.bytes(field.size) if number > 1 else bytes([0xFF * number]) * field.size
        parts.append(field.fixed or word or octets)
    return b"".join(parts)


def status_records(rng: np.random.Generator, count: int) -> Records:
    """Return status records of all versions."""
    versions = rng.integers(status.OLDEST_VERSION, status.VERSION + 1, count)
    records = []
    for number, version in enumerate(versions.tolist()):
        body = bytearray(random_fields(rng, [field for field in status.FIELDS if field.since <= version], number))
        body[4] = version
        records.append(bytes(body) + struct.pack("<I", zlib.crc32(body)))
    return records


def sentence_bodies(rng: np.random.Generator, kind: SentenceType, count: int) -> Records:
    """Return bodies of a type of sentence."""
    bodies = []
    for number in range(count):
        tail = b""
        if not kind.packet:
            size = int(rng.integers(kind.tail_min, kind.tail_max, endpoint=True))
            tail = rng.choice(_TEXT, size).tobytes() if kind.tail_is_text else rng.bytes(size)
        bodies.append(random_fields(rng, (*kind.fields, *kind.packet), number) + tail)
    return bodies


def journal_records(rng: np.random.Generator, count: int) -> Records:
    """Return records of a journal."""
    kinds = [*journal.Kind]
    sizes = rng.integers(0, 600, count).tolist()
    return [
        journal.encode(kinds[rng.integers(len(kinds))], int(rng.integers(2**63)), rng.bytes(size)) for size in sizes
    ]


# Values by the parsers of the flight software


def python_sentences(kind: SentenceType, lines: bytes) -> Iterator[Values]:
    """Yield the values of the bodies of sentences."""
    for sentence in SentenceParser().feed(lines).sentences:
        fields, tail = kind.unpack(sentence.body)
        if kind.packet:
            yield {**fields, **_packet(tail)}
        else:
            yield {**fields, "tail": tail} if kind.tail else {**fields}


def _packet(raw: bytes) -> Values:
    """Return the values of a packet, which its size identifies."""
    if len(raw) == SENSOR_PACKET.itemsize:
        samples = decode_sensors(np.frombuffer(raw, np.dtype([("sensors", SENSOR_PACKET, (1,))])))
        vectors = {"mag": samples.mag_imu_ut, "gyro": np.degrees(samples.gyro_imu_rad_s)}
        values: Values = {"t_spacecraft_s": int(samples.t_spacecraft_s[0, 0]), "hall": int(samples.hall_raw[0, 0])}
        for name, measured in vectors.items():
            values |= {f"{name}_{axis}": float(value) for axis, value in zip("xyz", measured[0, 0], strict=True)}
        return values | {f"lux_{face}": float(lux) for face, lux in zip(_FACES, samples.lux[0, 0], strict=True)}
    if len(raw) == RANGE_PACKET.itemsize:
        ranges = decode_ranges(np.frombuffer(raw, RANGE_PACKET))
        return {
            "partner_id": int(ranges.partner_id[0]),
            "rssi": float(ranges.rssi_dbm[0]),
            "t_spacecraft_s": int(ranges.t_spacecraft_s[0]),
            "frequency_error": float(ranges.frequency_error_hz[0]),
            "distance": float(ranges.range_m[0]),
        }
    kind = SENSE_GPS if len(raw) == GPS_PACKETS[SENSE_GPS].itemsize else RANGE_GPS
    fixes = decode_gps_packets(np.frombuffer(raw, GPS_PACKETS[kind]))
    values = {"sync": raw[:3], "terminator": raw[-2:]} if kind == RANGE_GPS else {}
    for name in fixes.__slots__:
        if (array := getattr(fixes, name)) is not None:
            value = array[0].tolist()
            vector = dict(zip("xyz", value, strict=True)) if isinstance(value, list) else {}
            values |= {f"{name}_{axis}": part for axis, part in vector.items()} or {name: value}
    return values


def python_journal(records: Records) -> Iterator[Values]:
    """Yield the values of records of a journal."""
    for record in journal.scan(b"".join(records)).records:
        head: Values = {"sync": journal.SYNC, "kind": int(record.kind), "version": journal.VERSION}
        yield head | {"payload_size": len(record.payload), "seq": record.seq, "payload": record.payload}


# Values by the C headers


def _print(field: Field) -> str:
    """Return the statement that prints a field of `out`."""
    name = f"out.{field.name}"
    if field.code.endswith("s") and not field.bits:
        return f"hexadecimal({name}, {field.size});"
    if field.code in {"f", "d"} or field.scale != 1.0 or field.curve:
        return f'printf("%.17g ", (double){name});'
    cast = "unsigned" if field.code[-1] != "h" else ""
    return f'printf("%ll{"u" if cast else "d"} ", ({cast} long long){name});'


_MAIN: Final = """\
#include <stdio.h>
#include "layout.h"

static void hexadecimal(const uint8_t *octets, size_t size)
{
    printf(".");
    for (size_t k = 0; k < size; k++)
        printf("%02x", octets[k]);
    printf(" ");
}

int main(void)
{
    static uint8_t data[1 << 24];
"""
_STATUS_LOOP: Final = """\
    while (fread(data, 1, 2, stdin) == 2) {
        size_t size = data[0] | (size_t)data[1] << 8;
        pygnc_status out;
        if (fread(data, 1, size, stdin) != size)
            return 1;
        printf("%d ", pygnc_status_decode(data, size, &out));
"""
_SENTENCE_LOOP: Final = """\
    while (fgets((char *)data, 5000, stdin)) {
        static pygnc_sentence line;
        printf("%d ", pygnc_sentence_decode((const char *)data, strlen((const char *)data), &line));
"""
_JOURNAL_LOOP: Final = """\
    size_t size = fread(data, 1, sizeof data, stdin), position = 0;
    pygnc_journal_record out;
    while (pygnc_journal_next(data, size, &position, &out) == PYGNC_OK) {
        printf("0 ");
"""


def compiled(folder: Path, header: str, loop: str) -> Path:
    """Compile a program that prints the values of records; `loop` is the body of its main function."""
    (folder / "layout.h").write_text(header)
    (folder / "main.c").write_text(f'{_MAIN}{loop}        printf("\\n");\n    }}\n    return 0;\n}}\n')
    subprocess.run([*COMPILER, "main.c", "-o", "decode"], cwd=folder, check=True)
    return folder / "decode"


def status_program(folder: Path) -> Path:
    """Compile the program for status records."""
    return compiled(folder, c_header.status_header(), _STATUS_LOOP + "\n".join(map(_print, status.FIELDS)))


def sentences_program(folder: Path) -> Path:
    """Compile the program for sentences."""
    cases = []
    for kind in TYPES.values():
        name = kind.name.lower()
        prints = "\n".join(map(_print, scalars((*kind.fields, *kind.packet))))
        call = f"pygnc_{name}_decode(line.body, line.body_size, &out)"
        cases.append(
            f'if (strcmp(line.type, "{kind.name}") == 0) {{\n    pygnc_{name} out;\n    printf("%d ", {call});\n'
            f"    {prints}\n    hexadecimal(out.tail, out.tail_size);\n}}\n"
        )
    return compiled(folder, c_header.sentences_header(), _SENTENCE_LOOP + "".join(cases))


def journal_program(folder: Path) -> Path:
    """Compile the program for journals."""
    prints = "\n".join(map(_print, journal.FIELDS))
    loop = f"{_JOURNAL_LOOP}{prints}\nhexadecimal(out.payload, out.payload_size);\n"
    return compiled(folder, c_header.journal_header(), loop)


def c_values(program: Path, data: bytes, names: Sequence[str]) -> Iterator[Values]:
    """Yield the values that a program prints for its input; `names` are those of the values."""
    done = subprocess.run([program], input=data, stdout=subprocess.PIPE, check=True)
    for line in done.stdout.decode().splitlines():
        results, values = line.split(" ")[:-1], line.split(" ")[-1 - len(names) : -1]
        if set(results[: -len(names)] if names else results) != {"0"}:
            raise ValueError(f"a record was refused: {line[:100]}")
        yield {name: _number(text) for name, text in zip(names, values, strict=True)}


def _number(text: str) -> int | float | bytes:
    if text.startswith("."):
        return bytes.fromhex(text[1:])
    return int(text) if text.lstrip("-").isdigit() else float(text)


# Values by space_packet_parser


def xtce_values(document: str, root: str, records: Records, folder: Path, prefix: str = "") -> Iterator[Values]:
    """Yield the values of records by the parser of XTCE, without those that the version of a record lacks."""
    (path := folder / "layout.xml").write_text(document)
    parser = import_module("space_packet_parser.xtce.definitions")  # tests of the C headers do without it
    definition = parser.XtcePacketDefinition.from_xtce(path, root_container_name=root)
    for record in records:
        packet = definition.parse_bytes(record)
        yield {name.removeprefix(prefix): _raw(value) for name, value in packet.items()}


def _raw(value: Any) -> int | float | bytes:  # noqa: ANN401 - a parameter of the parser
    """Return the number of a word, or the bytes of a text."""
    if isinstance(value, str):
        raw = value.raw_value  # type: ignore[attr-defined]
        return raw if isinstance(raw, int | bytes) else value.encode()
    if isinstance(value, bytes):
        return bytes(value)
    return float(value) if isinstance(value, float) else int(value)


# Comparison


def difference(ours: Values, theirs: Values) -> str:
    """Return the first difference between the values of two decoders, or an empty string; missing ones are 0."""
    for name, value in ours.items():
        other = theirs.get(name, 0)
        if value == other or _is_rounding(value, other):
            continue
        return f"{name}: {value!r} is decoded as {other!r}"
    return ""


def _is_rounding(value: object, other: object) -> bool:
    if not isinstance(value, int | float) or not isinstance(other, int | float):
        return False
    if math.isnan(value) or math.isnan(other):
        return math.isnan(value) and math.isnan(other)
    return math.isclose(value, other, rel_tol=RELATIVE_ERROR_MAX)


class Case(NamedTuple):
    """Records of one layout, with their values by the flight software.

    Attributes:
        header: Name of the C header.
        data: Input of the program that is compiled with the header.
        names: Names of the values that the program prints.
        packets: Records in the form that the XTCE document describes.
        prefix: Beginning of the names of parameters in the document.
    """

    name: str
    header: str
    values: list[Values]
    data: bytes
    names: tuple[str, ...]
    packets: Records
    prefix: str = ""


def cases(count: int, seed: int) -> Iterator[Case]:
    """Yield random records of all layouts, `count` of each."""
    rng = np.random.default_rng(seed)
    records = status_records(rng, count)
    data = b"".join(struct.pack("<H", len(record)) + record for record in records)
    names = tuple(field.name for field in status.FIELDS)
    yield Case("status", "status", list(map(status.decode, records)), data, names, [record[:-4] for record in records])
    for kind in TYPES.values():
        bodies = sentence_bodies(rng, kind, count)
        data = b"".join(encode(Sentence(Direction.TO_PI, kind.name, 7, kind.delivery, 1, body)) for body in bodies)
        names = (*(field.name for field in scalars((*kind.fields, *kind.packet))), "tail")
        packets = [kind.name.encode() + struct.pack("<H", len(body)) + body for body in bodies]
        values = list(python_sentences(kind, data))
        yield Case(kind.name, "sentences", values, data, names, packets, f"{kind.name}_")
    records = journal_records(rng, count)
    names = (*(field.name for field in journal.FIELDS), "payload")
    yield Case("journal", "journal", list(python_journal(records)), b"\xa5damage".join(records), names, records)


def programs(folder: Path) -> dict[str, Path]:
    """Compile a program with each header, by its name."""
    made = {"status": status_program, "sentences": sentences_program, "journal": journal_program}
    for name, make in made.items():
        (folder / name).mkdir()
        make(folder / name)
    return {name: folder / name / "decode" for name in made}


def differences(case: Case, decoded: Iterable[Values]) -> list[str]:
    """Return the differences from the values of another decoder, of which there must be as many."""
    pairs = zip(case.values, decoded, strict=True)
    return [f"{case.name}: {text}" for ours, theirs in pairs if (text := difference(ours, theirs))]


DOCUMENTS: Final = {
    "status": (xtce.status_document, "status"),
    "sentences": (xtce.sentences_document, "sentence"),
    "journal": (xtce.journal_document, "journal_record"),
}
"""XTCE documents by the name of the header, with their root containers."""


def main() -> int:
    """Compare all layouts; return 1 if there is a difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000, help="Number of records of each layout.")
    parser.add_argument("--seed", type=int, default=1, help="Seed of the random records.")
    arguments = parser.parse_args()
    rows, found = [], []
    with TemporaryDirectory() as name:
        folder = Path(name)
        compiled_programs = programs(folder)
        for case in cases(arguments.records, arguments.seed):
            make, root = DOCUMENTS[case.header]
            begin = time.process_time()
            by_xtce = differences(case, xtce_values(make(), root, case.packets, folder, case.prefix))
            xtce_s = time.process_time() - begin
            by_c = differences(case, c_values(compiled_programs[case.header], case.data, case.names))
            found += by_c + by_xtce
            counts = (str(len(case.values)), str(len(by_c)), str(len(by_xtce)))
            rows.append((case.name, *counts, f"{xtce_s / len(case.values) * 1e6:.0f} us"))
    print_table(("layout", "records", "C differs", "XTCE differs", "time per record by XTCE"), rows)
    print("\n".join(found[:20]), file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
