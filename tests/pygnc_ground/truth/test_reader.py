"""Readers of true orbits of other packages."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pygnc_ground.truth.load import load_attitude_truth, load_truth
from pygnc_ground.truth.reader import GROUP
from pygnc_system import plugins
from pygnc_system.plugins import PluginError
from tests.other_packages import OtherPackage

STK = (Path(__file__).resolve().parents[3] / "examples/stk_ephemeris/stk_ephemeris.py").read_text()
OTHERS = """
from pygnc_ground.truth.reader import TruthReader

def fail(*_):
    raise KeyError("why")

FAILS = TruthReader("failing", fail, fail)
FAULTY = TruthReader("faulty", lambda content: content.startswith(b"faulty"), fail, fail)
GREEDY = TruthReader("greedy", lambda content: True, fail)
"""
HEAD = (
    "stk.v.11.0\nBEGIN Ephemeris\nScenarioEpoch 20 Mar 2025 00:00:00.000\nCoordinateSystem Fixed\nEphemerisTimePosVel\n"
)
ROWS = "".join(f"{60 * k}.0 {7e6 - k} {4.5e5 * k} 0 0 7500 0\n" for k in range(8))


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(plugins, "_reported", set())
    site = tmp_path / "site"
    site.mkdir()
    names = {"stk": "stk_ephemeris:READER", "fails": "others_truth:FAILS", "faulty": "others_truth:FAULTY"}
    modules = {"stk_ephemeris": STK, "others_truth": OTHERS}
    with OtherPackage({GROUP: names | {"text": "others_truth:fail"}}, modules).importable(site):
        yield


def write(folder: Path, text: str) -> Path:
    (folder / "truth.dat").write_text(text)
    return folder / "truth.dat"


def test_a_reader_of_another_package_reads_what_it_recognises(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    truth = load_truth(write(tmp_path, HEAD + ROWS))
    assert truth.description.startswith(
        "STK ephemeris, 2025-03-20T00:00:00.000Z to 2025-03-20T00:07:00.000Z, 8 samples"
    )
    first = truth.at(np.array([truth.span_gps_ms[0]]))
    np.testing.assert_array_equal(first.position_ecef_m, [[7e6, 0.0, 0.0]])
    assert load_attitude_truth(tmp_path / "truth.dat") is None
    assert "the reader of failing failed: KeyError: 'why'" in caplog.text
    assert "`text` of pygnc-other 1.0 cannot be used: others_truth:fail is a function" in caplog.text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HEAD + ROWS + "1 2 three\n", r"truth.dat: line 14: not a time"),
        (HEAD, r"truth.dat: the file has no table"),
        (HEAD.replace("Fixed", "J2000") + ROWS, r"truth.dat: CoordinateSystem is not Fixed"),
        (HEAD.replace("20 Mar", "32 Mar") + ROWS, r"truth.dat: ScenarioEpoch '32 Mar"),
        ("hello", r"truth.dat: not a true orbit; .*, failing, faulty, STK ephemeris|STK ephemeris, .*faulty"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        load_truth(write(tmp_path, text))


def test_a_fault_of_a_reader_is_named(tmp_path: Path) -> None:
    for load in (load_truth, load_attitude_truth):
        with pytest.raises(PluginError, match="the reader of faulty failed: KeyError: 'why'"):
            load(write(tmp_path, "faulty"))


def test_our_readers_come_first(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    greedy = OtherPackage({GROUP: {"greedy": "others_truth:GREEDY"}}, {}, "greedy")
    with greedy.importable(tmp_path / "second"), pytest.raises(ValueError, match="line 1: SP3-a"):
        load_truth(write(tmp_path, "#aP2001  8  8  0  0  0.00000000"))
