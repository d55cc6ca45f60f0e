"""Only the interface's names are written and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.host.names import is_readable, is_writable
from pygnc.host.sentence_types import NAME_MAX

WRITABLE = [
    "sense.bin",
    "pygnc.toml",
    "pygnc_earth_orientation.csv",
    "flight.zip",
    "range/rng00000.bin",
    "range/rng65535.bin",
    "range/partner_77/rng00012.bin",
]
READABLE = [
    "pygnc_status.bin",
    "pygnc_info.txt",
    "pygnc_batch/sense.bin",
    "pygnc_batch/rng00000.bin",
    "pygnc_batch/range.bin",
    "pygnc_batch/range/rng00000.bin",
    "pygnc_batch/range/partner_74/rng00000.bin",
    "pygnc_batch/range/partner_K/rng00000.bin",
    "pygnc_logs/run-00001/input-00000.pgj",
    "pygnc_logs/run-00001/attitude-00012.pgj.part",
]
NEITHER = [
    "",
    ".",
    "sense.bin/",
    "./sense.bin",
    "sense.bin\0",
    "sense.bin\n",
    "Sense.bin",
    "range/rng65536.bin",
    "range/rng00000.bin.part",
    "range//rng00000.bin",
    "rng00000.bin",
    "range/partner_73/rng00000.bin",
    "range/partner_J/rng00000.bin",
    "pygnc_logs/run-1/input-00000.pgj",
    "pygnc_logs/run-00001/../run-00001/input-00000.pgj",
    "pygnc_logs/run-00001/input-00000.pgj\n",
    "pygnc_batch/../sense.bin",
    "pygnc_batch/sense.bin.part",
    "pygnc_batch//rng00000.bin",
    "pygnc_batch/partner_74/rng00000.bin",
    ".profile",
]


@pytest.mark.parametrize("name", WRITABLE)
def test_what_may_be_written(name: str) -> None:
    assert is_writable(name)
    assert not is_readable(name)


@pytest.mark.parametrize("name", READABLE)
def test_what_may_be_read(name: str) -> None:
    assert is_readable(name)
    assert not is_writable(name)


@pytest.mark.parametrize("name", NEITHER)
def test_what_may_be_neither(name: str) -> None:
    assert not is_writable(name)
    assert not is_readable(name)


@given(st.text("./rngesabi0123456789_partne\0\n", max_size=40))
def test_no_name_leads_elsewhere(name: str) -> None:
    if is_writable(name) or is_readable(name):
        assert ".." not in name
        assert not name.startswith("/")


def test_all_names_fit_their_sentences() -> None:
    assert max(map(len, [*WRITABLE, *READABLE, f"pygnc_logs/run-00001/{24 * 'a'}-00000.pgj.part"])) <= NAME_MAX
