"""Viewer of CCSDS messages."""

from pathlib import Path

import pytest

from pygnc_ground.inspection.ccsds import CCSDS_MESSAGES
from pygnc_ground.inspection.sections import Entry, Facts, Listing, Note
from tests.pygnc_ground.inspection.samples import OEM

XML = """<?xml version="1.0"?>
<oem id="CCSDS_OEM_VERS" version="2.0"><header><CREATION_DATE>2026-01-01T00:00:00</CREATION_DATE></header><body>
<segment><metadata><OBJECT_NAME>DEMO</OBJECT_NAME><REF_FRAME>GCRF</REF_FRAME><TIME_SYSTEM>UTC</TIME_SYSTEM></metadata>
<data><stateVector><EPOCH>2026-01-01T00:00:00</EPOCH><X>7000</X></stateVector>
<stateVector><EPOCH>2026-01-01T00:01:00</EPOCH><X>6990</X></stateVector>
<covarianceMatrix><EPOCH>2026-01-01T00:00:00</EPOCH><CX_X>1</CX_X></covarianceMatrix></data></segment></body></oem>
"""
CDM = b"""CCSDS_CDM_VERS = 1.0
TCA = 2026-01-01T00:00:00
OBJECT = OBJECT1
OBJECT_NAME = OURS
REF_FRAME = GCRF
X = 7000
OBJECT = OBJECT2
OBJECT_NAME = PARTNER 2
"""


@pytest.mark.parametrize("content", [OEM, XML.encode()], ids=["kvn", "xml"])
def test_states_and_covariances_of_each_segment_are_counted(content: bytes, tmp_path: Path) -> None:
    assert CCSDS_MESSAGES.recognises(content)
    path = tmp_path / "orbit"
    path.write_bytes(content)
    head, listing, *rows = CCSDS_MESSAGES.view(path, 1)
    assert isinstance(head, Facts)
    assert head.values == {"CCSDS_OEM_VERS": "2.0", "CREATION_DATE": "2026-01-01T00:00:00"}
    assert isinstance(listing, Listing)
    assert listing.rows == [(1, "DEMO", "GCRF", "UTC", 2, 1, "2026-01-01T00:00:00", "2026-01-01T00:01:00")]
    (row,) = rows
    assert isinstance(row, Entry)
    assert str(row.fields["values"]).startswith("7000")


def test_both_objects_of_an_encounter_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "partner.cdm"
    path.write_bytes(CDM)
    _, listing = CCSDS_MESSAGES.view(path, 0)
    assert isinstance(listing, Listing)
    assert [row[1] for row in listing.rows] == ["OURS", "PARTNER 2"]


@pytest.mark.parametrize("content", [XML[:-40], XML.replace("?>", "?><!DOCTYPE a [<!ENTITY b 'c'>]>")])
def test_damaged_xml_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "orbit.xml"
    path.write_text(content)
    *_, fault = CCSDS_MESSAGES.view(path, 0)
    assert isinstance(fault, Note)
    assert fault.fault
