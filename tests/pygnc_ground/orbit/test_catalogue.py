"""Catalogues in all formats."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from pygnc.common.mean_elements import MeanElements
from pygnc_ground.exports.choices import Notation
from pygnc_ground.exports.orbit_messages import omm
from pygnc_ground.orbit.catalogue import nearest_sets, read_catalogue
from tests.pygnc_ground.orbit.test_passes import TLE

EPOCH_MS = 1_426_500_000_000
OBJECTS = [
    MeanElements(EPOCH_MS, 15.2, 0.001, 97.5, 10.0, 20.0, 30.0 + number % 10, 1e-4, number, f"2025-052{letter}", letter)
    for number, letter in ((60_001, "A"), (60_002, "B"), (60_003, "C"))
]
KVN = [omm(each, (), each.epoch_gps_ms).text(Notation.KVN) for each in OBJECTS]
FIELDS = [
    dict(line.split(" = ") for line in text.splitlines() if not line.startswith("CCSDS_OMM_VERS")) for text in KVN
]


def in_xml(fields: dict[str, str]) -> str:
    body = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return f'<omm id="CCSDS_OMM_VERS" version="2.0"><body><segment>{body}</segment></body></omm>'


CONTENTS = {
    "kvn": "\n".join(KVN),
    "json": json.dumps(FIELDS),
    "xml": f"<?xml version='1.0'?><ndm>{''.join(map(in_xml, FIELDS))}</ndm>",
    "csv": "\n".join([",".join(FIELDS[0]), *(",".join(fields.values()) for fields in FIELDS)]),
}


@pytest.mark.parametrize("notation", CONTENTS)
def test_all_notations_give_the_same_objects(notation: str, tmp_path: Path) -> None:
    file = tmp_path / "catalogue"
    file.write_text(CONTENTS[notation])
    found = read_catalogue(file)
    assert found.faults == []
    assert [one.catalogue_number for one in found.elements] == [one.catalogue_number for one in OBJECTS]
    assert [one.mean_anomaly_deg for one in found.elements] == [one.mean_anomaly_deg for one in OBJECTS]


def test_a_damaged_entry_is_named_and_left_out(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.tle"
    damaged = TLE[0].replace("25079", "25080")
    file.write_text("\n".join(("ISS", *TLE, "OTHER", damaged, TLE[1], *TLE)))
    found = read_catalogue(file)
    assert [one.name for one in found.elements] == ["ISS", ""]
    (fault,) = found.faults
    assert "entry at line 5" in fault
    assert "checksum" in fault


@pytest.mark.parametrize("content", ["", "hello", "[]", "{", "<ndm/>", "CCSDS_OMM_VERS = 2.0", "\n".join(TLE[:1])])
def test_a_catalogue_without_objects_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "catalogue"
    file.write_text(content)
    with pytest.raises(ValueError, match=str(file)):
        read_catalogue(file)


def test_the_nearest_sets_of_each_object_are_kept_once() -> None:
    hours = (-30, -2, 1, 5, 5)
    sets = [replace(OBJECTS[0], epoch_gps_ms=EPOCH_MS + 3_600_000 * hour) for hour in hours]
    found = nearest_sets([*sets, OBJECTS[1]], EPOCH_MS, 2)
    assert [(one.catalogue_number, one.epoch_gps_ms) for one in found] == [
        (60_002, EPOCH_MS),
        (60_001, EPOCH_MS + 3_600_000),
        (60_001, EPOCH_MS - 7_200_000),
    ]
