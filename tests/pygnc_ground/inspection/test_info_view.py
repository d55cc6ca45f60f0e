from pathlib import Path

from pygnc_ground.inspection.info_view import InfoViewer
from pygnc_ground.inspection.sections import Facts, Listing
from tests.pygnc_ground.inspection.samples import SAMPLES

OLD_INFO = b"""
T:2020-11-30 00:59:18.000 UTC
OE:[ 4.8976e+06 -7.4957e+05  4.8426e+06 -5.3649e+03 -8.0192e+02  5.3018e+03]
GY:[-0.495  0.051  0.437]
MG:[1.5 2.5 3.5]
"""


def test_the_text_is_shown_line_by_line_with_what_it_means(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(SAMPLES["info text"])
    text, legend = InfoViewer().view(tmp_path / "f", 0)
    assert isinstance(text, Listing)
    assert text.rows[0] == ("PyGNC run 7 IDLE SC 0",)
    assert isinstance(legend, Facts)
    assert "GY" in legend.values


def test_the_original_pygncs_text_is_known_too(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(OLD_INFO)
    assert InfoViewer().recognises(OLD_INFO)
    text, legend = InfoViewer().view(tmp_path / "f", 0)
    assert isinstance(text, Listing)
    assert text.rows[0] == ("T:2020-11-30 00:59:18.000 UTC",)
    assert isinstance(legend, Facts)
    assert set(legend.values) == {"T", "OE", "GY", "MG"}


def test_only_the_beginning_of_a_text_without_end_is_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(OLD_INFO + b"\xff" * 100_000)
    text, _ = InfoViewer().view(tmp_path / "f", 0)
    assert isinstance(text, Listing)
    assert len(str(text.rows)) < 20_000
