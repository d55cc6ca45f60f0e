from pathlib import Path

import pytest

from pygnc.formats import status
from pygnc_ground.inspection.host_files import INFO_TEXTS, STATUS_FILES
from pygnc_ground.inspection.sections import Facts, Listing, Note, Section
from tests.pygnc_ground.inspection.samples import SAMPLES, status_values


def view(path: Path, content: bytes) -> list[Section]:
    path.write_bytes(content)
    return list(STATUS_FILES.view(path, 0))


def rows(sections: list[Section], title: str) -> dict[object, tuple[object, ...]]:
    listings = [section for section in sections if isinstance(section, Listing) and section.title == title]
    return {row[0]: row[1:] for listing in listings for row in listing.rows}


def test_enumerations_are_shown_as_names(tmp_path: Path) -> None:
    run = next(s for s in view(tmp_path / "f", status.encode(status_values())) if isinstance(s, Facts))
    assert (run.values["phase"], run.values["orbit_mode"]) == ("idle", "at fix")
    assert run.values["time_utc"] == "2020-11-29T23:59:43.000Z"
    assert run.values["orbit_valid_at_utc"] is None


def test_unknown_enumeration_values_are_shown_as_numbers(tmp_path: Path) -> None:
    run = next(s for s in view(tmp_path / "f", status.encode({"phase": 99})) if isinstance(s, Facts))
    assert run.values["phase"] == "unknown (99)"


def test_tasks_have_a_row_each(tmp_path: Path) -> None:
    sections = view(tmp_path / "f", status.encode(status_values()))
    assert rows(sections, "tasks") == {"ingest": ("up", 0, 864)}


def test_a_vector_is_one_row_and_unknown_quantities_have_none(tmp_path: Path) -> None:
    fields = rows(view(tmp_path / "f", status.encode(status_values())), "all known fields")
    assert fields["position_ecef_m"] == ((4_897_631.38, -749_565.613, 4_842_564.49), "m", "position, ITRF")
    assert "velocity_ecef_mps" not in fields
    assert "quaternion" not in fields


def test_every_field_is_shown_when_all_are_known(tmp_path: Path) -> None:
    one: dict[str, status.Value] = {field.name: 1 for field in status.FIELDS if field.code != "4s"}
    sections = view(tmp_path / "f", status.encode(one | {"version": status.VERSION}))
    shown = rows(sections, "all known fields")
    assert shown["quaternion"][0] == (1.0, 1.0, 1.0, 1.0)
    partners = [s for s in sections if isinstance(s, Facts) and s.title.startswith("partner")]
    assert [partner.title for partner in partners] == ["partner 0", "partner 1", "partner 2"]
    assert partners[0].values["bias_m"] == 1.0


@pytest.mark.parametrize("position", [4, 100, status.SIZE - 1])
def test_a_damaged_record_is_a_fault_and_shows_no_values(tmp_path: Path, position: int) -> None:
    record = bytearray(status.encode(status_values()))
    record[position] ^= 0x40
    (note,) = view(tmp_path / "f", bytes(record))
    assert isinstance(note, Note)
    assert note.fault


OLD_INFO = b"""
T:2020-11-30 00:59:18.000 UTC
OE:[ 4.8976e+06 -7.4957e+05  4.8426e+06 -5.3649e+03 -8.0192e+02  5.3018e+03]
GY:[-0.495  0.051  0.437]
MG:[1.5 2.5 3.5]
"""


def test_the_text_is_shown_line_by_line_with_what_it_means(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(SAMPLES["info text"])
    text, legend = INFO_TEXTS.view(tmp_path / "f", 0)
    assert isinstance(text, Listing)
    assert text.rows[0] == ("PyGNC run 7 IDLE SC 0",)
    assert isinstance(legend, Facts)
    assert "GY" in legend.values


def test_the_original_pygncs_text_is_known_too(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(OLD_INFO)
    assert INFO_TEXTS.recognises(OLD_INFO)
    text, legend = INFO_TEXTS.view(tmp_path / "f", 0)
    assert isinstance(text, Listing)
    assert text.rows[0] == ("T:2020-11-30 00:59:18.000 UTC",)
    assert isinstance(legend, Facts)
    assert set(legend.values) == {"T", "OE", "GY", "MG"}


def test_only_the_beginning_of_a_text_without_end_is_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(OLD_INFO + b"\xff" * 100_000)
    text, _ = INFO_TEXTS.view(tmp_path / "f", 0)
    assert isinstance(text, Listing)
    assert len(str(text.rows)) < 20_000
