"""The stand-alone decoder matches the layout of the flight software."""

import ast
import math
import subprocess
import sys
from pathlib import Path

import pytest

from pygnc.formats import status
from pygnc.formats.status import Value
from scripts import read_status

SCRIPT = Path(read_status.__file__)
SAMPLE: dict[str, Value] = {
    "phase": 2,
    "orbit_mode": 2,
    "position_ecef_m_x": 6.9e6,
    "task_ingest_state": 2,
    "task_ingest_through": 864,
}


def test_the_layout_matches_the_flight_software() -> None:
    assert [(f.name, f.code) for f in status.FIELDS] == [tuple(field.split()) for field in read_status.FIELDS]


def test_both_decoders_return_the_same_values() -> None:
    record = status.encode(SAMPLE)
    ours, theirs = status.decode(record), read_status.decode(record)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert theirs[name] == value or (isinstance(value, float) and math.isnan(value))


def test_a_status_file_is_printed(tmp_path: Path) -> None:
    (file := tmp_path / "pygnc_status.bin").write_bytes(status.encode(SAMPLE))
    # -S and -I: the standard library alone.
    done = subprocess.run([sys.executable, "-I", "-S", SCRIPT, file], capture_output=True, text=True, check=True)
    assert "position_ecef_m_x            6900000" in done.stdout
    assert "task ingest                  up, through input 864, 0 restarts" in done.stdout
    assert "partner0" not in done.stdout
    assert "nan" not in done.stdout


@pytest.mark.parametrize("content", [b"", b"PGST", bytes(status.SIZE), status.encode(SAMPLE)[:-1] + b"?"])
def test_other_files_are_rejected_without_a_traceback(tmp_path: Path, content: bytes) -> None:
    (file := tmp_path / "status").write_bytes(content)
    done = subprocess.run([sys.executable, SCRIPT, file], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith(str(file))
    assert done.stderr == ""


def test_only_modules_of_circuitpython_are_used() -> None:
    tree = ast.parse(SCRIPT.read_text())
    imported = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    assert imported == {"binascii", "struct", "sys"}
    # MicroPython's compiler does not support f-strings with "=", match, dataclasses and annotations.
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Match | ast.AnnAssign | ast.NamedExpr)]
