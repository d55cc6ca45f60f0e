"""Generation of the table of the geomagnetic field."""

from pathlib import Path

import pytest

from scripts.generate import geomagnetic

SOURCE = """\
# IGRF 14
# a comment
1  1 4 2 1 1970.0 1990.0
     1970.0 1980.0 1985.0 1990.0
1  0    -10   -12.5  -13  -14.25
1  1      1    2      3     4.00
1 -1      5    6      7     8
"""


def test_epochs_from_1980_are_kept_as_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "IGRF14.shc", tmp_path / "igrf14.csv"
    source.write_text(SOURCE)
    monkeypatch.setattr(geomagnetic, "OUTPUT", output)
    assert geomagnetic.main([str(source)]) == 0
    assert output.read_text().splitlines()[:-1] == [
        "# IGRF-14, IAGA Working Group V-MOD, coefficients in nT",
        "degree,order,1980,1985,1990",
        "1,0,-12.5,-13,-14.25",
        "1,1,2,3,4.00",
        "1,-1,6,7,8",
    ]
    assert "3 coefficients, 3 epochs" in capsys.readouterr().out


def test_without_a_file_it_says_how_to_call_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert geomagnetic.main([]) == 2
    assert "Usage" in capsys.readouterr().err
