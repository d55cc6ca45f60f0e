from pathlib import Path

import pytest

from pygnc_ground.inspection.range_view import RangeViewer
from pygnc_ground.inspection.sections import Entry, Facts, Listing, Section
from tests.pygnc_ground.inspection.samples import T_START_S, range_bytes
from tests.reference import recording


def view(path: Path, content: bytes, messages: int = 0) -> list[Section]:
    path.write_bytes(content)
    return list(RangeViewer().view(path, messages))


def totals(sections: list[Section]) -> Facts:
    return next(section for section in sections if isinstance(section, Facts))


def rows(sections: list[Section], title: str) -> list[tuple[object, ...]]:
    return [
        row for section in sections if isinstance(section, Listing) and section.title == title for row in section.rows
    ]


def test_totals_and_times(tmp_path: Path) -> None:
    sections = view(tmp_path / "f", range_bytes(3))
    assert totals(sections).values == {
        "gps_packets": 3,
        "computed_positions": 3,
        "range_packets": 6,
        "damaged_bytes": 0,
        "damaged_ranges": 0,
        "anomalies": 0,
    }
    assert rows(sections, "time")[0] == ("SC time [s]", T_START_S, T_START_S + 50, 50)
    assert rows(sections, "cadence") == [("GPS", 25, 100.0, 25.0, 25.0)]


def test_a_partners_file_is_known_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "partner_75"
    folder.mkdir()
    assert totals(view(folder / "rng00000.bin", range_bytes(3))).values["written_by"] == "75 K"


def test_each_partner_has_a_row(tmp_path: Path) -> None:
    partners = rows(view(tmp_path / "f", range_bytes(3)), "partners")
    assert [row[:2] for row in partners] == [("74 J", 3), ("75 K", 3)]
    # Half a count of the radio's distance word is 23 mm.
    assert partners[0][2:5] == pytest.approx((1000.0, 1100.0, 1200.0), abs=0.023)
    assert partners[0][6] == pytest.approx((-30.0 - 31.0 - 30.0) / 3)


def test_damage_is_named_by_its_bytes(tmp_path: Path) -> None:
    content = range_bytes(2)
    sections = view(tmp_path / "f", content[:102] + bytes(5) + content[102:] + content[:50])
    assert [row[:3] for row in rows(sections, "damage")] == [
        (102, 107, 5),
        (len(content) + 5, len(content) + 55, 50),
    ]


def test_packets_are_shown_in_their_order(tmp_path: Path) -> None:
    entries = [s for s in view(tmp_path / "f", range_bytes(3), messages=5) if isinstance(s, Entry)]
    assert [entry.kind for entry in entries] == [
        "GPS packet",
        "range packet",
        "range packet",
        "GPS packet",
        "range packet",
    ]
    assert [entry.fields["at_byte"] for entry in entries] == [0, 102, 114, 126, 228]
    assert entries[2].fields["partner_id"] == 0x4B
    assert entries[4].fields["t_spacecraft_s"] == T_START_S + 25
    assert "t_spacecraft_s" not in entries[0].fields


def test_the_recorded_file(tmp_path: Path) -> None:
    sections = view(tmp_path / "f", recording("recorded_range.bin").read_bytes())
    values = totals(sections).values
    assert (values["gps_packets"], values["range_packets"], values["damaged_bytes"]) == (23, 20, 0)
    (partner,) = rows(sections, "partners")
    assert partner[:2] == ("74 J", 20)
    assert partner[2:5:2] == pytest.approx((20762 * 36621.09375 / 812_500, 25034 * 36621.09375 / 812_500))
    assert partner[3:6:2] == pytest.approx((1050.0, 39.0), abs=0.5)
