import gzip
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from pygnc_ground.truth.load import load_truth
from tests.pygnc_ground.truth import orbits
from tests.pygnc_ground.truth.tables import csv, parquet, truth_table
from tests.pygnc_ground.truth.writers import every, kvn, kvn_segment, oem_metadata, sp3, xml

T_S = 60.0 * np.arange(20)
STATES = orbits.circular(T_S)
EPOCHS = every(datetime(2025, 3, 20), 60.0, 20)  # noqa: DTZ001 - GPS time
FIRST_GPS_MS = orbits.START_GPS_MS - 18_000
TABLE = truth_table(FIRST_GPS_MS + (1000 * T_S).astype(np.int64), STATES)
METADATA = oem_metadata(EPOCHS)
CONTENTS = {
    "Parquet": parquet(TABLE),
    "CSV": csv(TABLE),
    "SP3": sp3(EPOCHS, {"L47": STATES}).encode(),
    "OEM in KVN": kvn(kvn_segment(EPOCHS, STATES, METADATA)).encode(),
    "OEM in XML": xml(EPOCHS, STATES, METADATA).encode(),
}


def written(folder: Path, content: bytes) -> Path:
    path = folder / "truth.dat"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", CONTENTS)
def test_every_kind_is_recognised_by_its_content(tmp_path: Path, kind: str, packed: bool) -> None:  # noqa: FBT001
    content = gzip.compress(CONTENTS[kind], mtime=0) if packed else CONTENTS[kind]
    truth = load_truth(written(tmp_path, content))
    assert truth.span_gps_ms[0] == FIRST_GPS_MS
    found = truth.at(truth.span_gps_ms[0] + (1000 * T_S).astype(np.int64))
    np.testing.assert_allclose(found.position_ecef_m, STATES[:, :3], atol=6e-4)
    np.testing.assert_allclose(found.velocity_ecef_mps, STATES[:, 3:], atol=1e-6)


@pytest.mark.parametrize("kind", ["CSV", "SP3", "OEM in KVN", "OEM in XML"])
def test_a_byte_order_mark_is_ignored(tmp_path: Path, kind: str) -> None:
    content = b"\xef\xbb\xbf" + CONTENTS[kind]
    assert load_truth(written(tmp_path, content)).span_gps_ms[0] == FIRST_GPS_MS


def test_comments_in_other_encodings_are_ignored(tmp_path: Path) -> None:
    content = CONTENTS["SP3"].replace(b"/* made", b"/* m\xe9de")
    assert load_truth(written(tmp_path, content)).span_gps_ms[0] == FIRST_GPS_MS


@pytest.mark.parametrize(("kind", "name"), [("SP3", "L47"), ("OEM in KVN", "2025-001A"), ("OEM in XML", "2025-001A")])
def test_the_object_may_be_named(tmp_path: Path, kind: str, name: str) -> None:
    path = written(tmp_path, CONTENTS[kind])
    assert load_truth(path, name).description == load_truth(path).description
    with pytest.raises(ValueError, match=rf"truth.dat: .*unknown object 'X'.* {name}"):
        load_truth(path, "X")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", r"truth.dat: not a true orbit; .*truth.parquet"),
        (b"hello", r"not a true orbit"),
        (bytes(range(256)), r"not a true orbit"),
        (b"x,y,z\n1,2,3\n", r"not a true orbit"),
        (b"#aP2001  8  8  0  0  0.00000000", r"line 1: SP3-a"),
        (b"PK\x03\x04....", r"a ZIP archive; unpack it first"),
        (b"\x1f\x9d....", r"compressed by compress .*; unpack it first"),
        (gzip.compress(b"hello" * 100, mtime=0)[:-9], r"gzip file is damaged.*copy it again"),
        (gzip.compress(b"hello" * 100, mtime=0)[:-8] + bytes(8), r"gzip file is damaged"),
        (b"\x1f\x8b\x08\x00" + bytes(range(100)), r"gzip file is damaged"),
    ],
)
def test_other_files_are_rejected_with_the_files_name(tmp_path: Path, content: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as raised:
        load_truth(written(tmp_path, content))
    assert str(raised.value).startswith(str(tmp_path / "truth.dat"))


def test_a_missing_file_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.sp3"):
        load_truth(tmp_path / "none.sp3")
