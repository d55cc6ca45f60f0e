"""Parquet tables: metadata, columns, rows."""

from pathlib import Path

import pytest

from pygnc_ground.inspection.parquet import PARQUET_TABLES
from pygnc_ground.inspection.sections import Entry, Facts, Listing
from pygnc_ground.tables.declaration import frame, metadata, time_values


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "table"
    values = time_values([1_426_464_078_250, None]) | {"partner_id": [75, 76]}
    table = frame("range_truth", {**values, "distance_m": [65.4, None], "delay_bias_m": [1050.0, 0.0]})
    about = {"inputs": '{"a/sense.bin": "00ff"}', "settings": '{"orbit.gravity_degree": 20}', "settings_sha256": "12"}
    table.write_parquet(file, metadata=metadata("range_truth", about))
    return file


def test_metadata_and_meanings_of_the_columns_are_shown(path: Path) -> None:
    facts, *listings = PARQUET_TABLES.view(path, 0)
    assert isinstance(facts, Facts)
    assert (facts.values["rows"], facts.values["columns"], facts.values["settings_sha256"]) == (2, 6, "12")
    assert str(facts.values["software"]).startswith("PyGNC ")
    found = {listing.title: listing.rows for listing in listings if isinstance(listing, Listing)}
    assert found["inputs"] == [("a/sense.bin", "00ff")]
    assert found["settings"] == [("orbit.gravity_degree", "20")]
    assert facts.values["a_row_for"] == "every range packet, in the order before faults are injected"
    assert found["columns"][4] == ("distance_m", "Float64", "m", "", "true distance to the partner")
    assert found["columns"][0][:2] == ("utc", "Datetime(time_unit='ms', time_zone='UTC')")


def test_rows_are_shown_on_request(path: Path) -> None:
    (row,) = (section for section in PARQUET_TABLES.view(path, 1) if isinstance(section, Entry))
    assert row.kind == "row 0"
    assert row.fields["utc"] == "2025-03-20T00:01:00.250000+00:00"
    assert row.fields["distance_m"] == 65.4
