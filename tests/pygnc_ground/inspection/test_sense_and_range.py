import os
import tracemalloc
from pathlib import Path

import pytest

from pygnc.formats.sense import SenseLayout
from pygnc_ground.inspection.sections import Entry, Facts, Listing, Note, Section
from pygnc_ground.inspection.sense_and_range import RANGE_FILES, SENSE_FILES
from tests.pygnc_ground.inspection.samples import T_START_S, range_bytes, sense_bytes
from tests.reference import recording


def view_sense(path: Path, content: bytes, messages: int = 0) -> list[Section]:
    path.write_bytes(content)
    return list(SENSE_FILES.view(path, messages))


def totals(sections: list[Section]) -> Facts:
    return next(section for section in sections if isinstance(section, Facts))


def rows(sections: list[Section], title: str) -> list[tuple[object, ...]]:
    return [
        row for section in sections if isinstance(section, Listing) and section.title == title for row in section.rows
    ]


def notes(sections: list[Section]) -> str:
    return "\n".join(section.text for section in sections if isinstance(section, Note))


@pytest.mark.parametrize("terminated", [True, False])
def test_totals_times_and_cadence_are_shown(tmp_path: Path, terminated: bool) -> None:  # noqa: FBT001 - pytest passes by name
    layout = SenseLayout(terminated=terminated)
    sections = view_sense(tmp_path / "f", sense_bytes(4, layout))
    values = totals(sections).values
    assert values["records"] == 4
    assert values["delivered_bytes"] == 4 * layout.size
    assert str(values["layout"]).startswith(f"{layout.size} bytes")
    assert values["computed_positions"] == 4
    assert [row[1:] for row in rows(sections, "time")] == [
        (T_START_S, T_START_S + 95, 95),
        ("2020-11-29T23:59:51Z", "2020-11-30T00:01:26Z", 95),
        ("2134 86401.000", "2134 86476.000", 75.0),
        ("2020-11-29T23:59:43.000Z", "2020-11-30T00:00:58.000Z", 75.0),
    ]
    assert rows(sections, "cadence") == [("sensor", 5, 100.0, 5.0, 5.0), ("GPS", 25, 100.0, 25.0, 25.0)]


def test_statuses_are_named_and_satellites_have_a_range(tmp_path: Path) -> None:
    sections = view_sense(tmp_path / "f", sense_bytes(4))
    assert ("time_status", 160, "fine", 4) in rows(sections, "GPS statuses")
    assert ("position_status", 0, "computed", 4) in rows(sections, "GPS statuses")
    assert ("satellites_tracked", 10, 13) in rows(sections, "GPS quantities")


def test_positions_without_a_solution_are_pointed_out(tmp_path: Path) -> None:
    assert "accept_position_status" in notes(view_sense(tmp_path / "f", sense_bytes(2, position_status=1)))
    assert "accept_position_status" not in notes(view_sense(tmp_path / "f", sense_bytes(2)))


def test_damage_and_anomalies_are_listed(tmp_path: Path) -> None:
    content = sense_bytes(4)
    sections = view_sense(tmp_path / "f", content + content[-251:] + b"cut")
    assert [row[:4] for row in rows(sections, "damage")] == [(1255, 1258, 3, "cut_tail")]
    assert [row[:4] for row in rows(sections, "anomalies")] == [("duplicate", 1, 4, 1004)]


def test_packets_of_the_first_records_are_shown_with_offsets(tmp_path: Path) -> None:
    entries = [s for s in view_sense(tmp_path / "f", sense_bytes(3), messages=2) if isinstance(s, Entry)]
    assert [entry.kind for entry in entries] == 2 * [*5 * ["sensor packet"], "GPS packet"]
    assert [entry.fields["at_byte"] for entry in entries[6:]] == [251, 281, 311, 341, 371, 401]
    assert entries[1].fields["t_spacecraft_s"] == T_START_S + 5
    assert entries[5].fields["velocity_ecef_mps"] == [1.0, 7500.0, 3.0]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    noise = os.urandom(1 << 20)
    with (tmp_path / "f").open("wb") as file:
        file.write(sense_bytes(2))
        file.writelines([noise] * 16)
    tracemalloc.start()
    sections = list(SENSE_FILES.view(tmp_path / "f", 10))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert totals(sections).values["damaged_bytes"] == 16 << 20
    assert peak < 16 << 20


def test_the_recorded_file_has_no_position(tmp_path: Path) -> None:
    sections = view_sense(tmp_path / "f", recording("recorded_sense.bin").read_bytes())
    assert totals(sections).values["records"] == 33
    assert totals(sections).values["computed_positions"] == 0
    assert ("position_status", 1, "insufficient observations", 33) in rows(sections, "GPS statuses")
    assert ("time_status", 20, "unknown", 7) in rows(sections, "GPS statuses")
    assert ("satellites_tracked", 0, 2) in rows(sections, "GPS quantities")
    assert [row[:3] for row in rows(sections, "anomalies")] == [("out_of_order", 1, 1)]
    assert "was not set" in notes(sections)


def test_the_simulated_file_carries_the_simulators_status(tmp_path: Path) -> None:
    sections = view_sense(tmp_path / "f", recording("default_scenario.bin").read_bytes())
    assert totals(sections).values["records"] == 144
    assert rows(sections, "cadence") == [("sensor", 5, 100.0, 5.0, 5.0), ("GPS", 25, 100.0, 25.0, 25.0)]
    assert "accept_position_status = [0, 1]" in notes(sections)


def view_range(path: Path, content: bytes, messages: int = 0) -> list[Section]:
    path.write_bytes(content)
    return list(RANGE_FILES.view(path, messages))


def test_totals_and_times(tmp_path: Path) -> None:
    sections = view_range(tmp_path / "f", range_bytes(3))
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


def test_a_partners_file_is_identified_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "partner_75"
    folder.mkdir()
    assert totals(view_range(folder / "rng00000.bin", range_bytes(3))).values["written_by"] == "75 K"


def test_each_partner_has_a_row(tmp_path: Path) -> None:
    partners = rows(view_range(tmp_path / "f", range_bytes(3)), "partners")
    assert [row[:2] for row in partners] == [("74 J", 3), ("75 K", 3)]
    # Half a count of the radio's distance word is 23 mm.
    assert partners[0][2:5] == pytest.approx((1000.0, 1100.0, 1200.0), abs=0.023)
    assert partners[0][6] == pytest.approx((-30.0 - 31.0 - 30.0) / 3)


def test_damage_is_named_by_its_bytes(tmp_path: Path) -> None:
    content = range_bytes(2)
    sections = view_range(tmp_path / "f", content[:102] + bytes(5) + content[102:] + content[:50])
    assert [row[:3] for row in rows(sections, "damage")] == [
        (102, 107, 5),
        (len(content) + 5, len(content) + 55, 50),
    ]


def test_packets_are_shown_in_their_order(tmp_path: Path) -> None:
    entries = [s for s in view_range(tmp_path / "f", range_bytes(3), messages=5) if isinstance(s, Entry)]
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
    sections = view_range(tmp_path / "f", recording("recorded_range.bin").read_bytes())
    values = totals(sections).values
    assert (values["gps_packets"], values["range_packets"], values["damaged_bytes"]) == (23, 20, 0)
    (partner,) = rows(sections, "partners")
    assert partner[:2] == ("74 J", 20)
    assert partner[2:5:2] == pytest.approx((20762 * 36621.09375 / 812_500, 25034 * 36621.09375 / 812_500))
    assert partner[3:6:2] == pytest.approx((1050.0, 39.0), abs=0.5)
