"""C headers and XTCE documents decode random records like the parsers of the flight software."""

import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from pygnc.formats import status
from pygnc_ground.description import xtce
from scripts.bench import bench_layouts as bench

RECORDS = 20
CASES = {case.name: case for case in bench.cases(RECORDS, seed=1)}
needs_a_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler cc")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return bench.programs(tmp_path_factory.mktemp("programs"))


def printed(program: Path, records: Sequence[bytes]) -> list[str]:
    data = b"".join(struct.pack("<H", len(record)) + record for record in records)
    done = subprocess.run([program], input=data, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().splitlines()


@needs_a_compiler
def test_the_c_headers_compile_without_warnings_and_decode_equal_values(programs: dict[str, Path]) -> None:
    for case in CASES.values():
        decoded = bench.c_values(programs[case.header], case.data, case.names)
        assert bench.differences(case, decoded) == []
        assert len(case.values) == RECORDS


@needs_a_compiler
def test_the_c_decoder_refuses_what_the_parser_refuses(programs: dict[str, Path]) -> None:
    rng = np.random.default_rng(2)
    records = bench.status_records(rng, 10)
    damaged = [record[: rng.integers(len(record))] for record in records]
    damaged += [records[0][:4] + bytes([version]) + records[0][5:] for version in (0, 3)] + [bytes(status.SIZE)]
    for record in records:
        flipped = bytearray(record)
        flipped[rng.integers(len(record))] ^= 1 << rng.integers(8)
        damaged.append(bytes(flipped))
    for record in damaged:
        with pytest.raises(status.StatusError):
            status.decode(record)
    results = [int(line.split()[0]) for line in printed(programs["status"], [*damaged, records[0]])]
    assert len(results) == len(damaged) + 1
    assert set(results[:-1]) == {1, 2, 3, 4}
    assert results[-1] == 0


@needs_a_compiler
def test_the_c_decoder_reads_what_it_knows_of_a_later_version(programs: dict[str, Path]) -> None:
    record = status.encode({"readings_used": 7, "phase": 2})
    size = struct.pack("<H", len(record) + 3)
    longer = record[:4] + bytes([status.VERSION + 1]) + record[5:6] + size + record[8:-4] + b"new"
    sealed = longer + struct.pack("<I", zlib.crc32(longer))
    wrong_size = sealed[:6] + b"\0\0" + sealed[8:]
    ours, theirs, *refused = printed(programs["status"], [record, sealed, sealed[:-1], sealed[:630], wrong_size])
    assert theirs.split()[5:] == ours.split()[5:]
    assert [line.split()[0] for line in refused] == ["1", "3", "1"]


DOCUMENTS = {"status": xtce.status_document, "sentences": xtce.sentences_document, "journal": xtce.journal_document}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_the_documents_are_valid_against_the_schema(document: Callable[[], str], tmp_path: Path) -> None:
    validation = pytest.importorskip("space_packet_parser.xtce.validation")
    (path := tmp_path / "layout.xml").write_text(document())
    assert validation.validate_xtce(path).errors == []


def test_a_parser_of_the_documents_decodes_equal_values(tmp_path: Path) -> None:
    pytest.importorskip("space_packet_parser")
    for name in ("status", "SENS", "GPSS", "RANG", "PVAL", "journal"):
        case = CASES[name]
        document, root = bench.DOCUMENTS[case.header]
        decoded = bench.xtce_values(document(), root, case.packets, tmp_path, case.prefix)
        assert bench.differences(case, decoded) == []


def test_a_document_states_units_words_scales_and_conditions() -> None:
    text = xtce.status_document()
    assert "<Unit>rad/s</Unit>" in text
    assert '<Enumeration value="2" label="predicted" />' in text
    parameter = text.partition('<Parameter name="quaternion_w"')[2].partition("</Parameter>")[0]
    assert 'parameterRef="attitude_mode" comparisonOperator="&gt;=" value="2"' in parameter
    assert '<Term coefficient="0.0625" exponent="1" />' in xtce.sentences_document()
