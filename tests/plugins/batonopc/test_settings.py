from importlib.metadata import EntryPoints
from pathlib import Path

import pytest

from pygnc_station.errors import StationError
from pygnc_station.settings_file import read_settings
from pygnc_system import plugins

BATONOPC = """
API: https://tinycloud.purit.ie/api/v1
DBNAME: readings.db
DB_TABLE: readings
GASCLOUD_KEY: DEMO
GADGET_ID: OPC_7
GADGET_TYPE: OPCN3
UPLOAD_INTERVAL_SECS: 3600
LOGGING_INTERVAL_SECS: 300
BATCH_MODE: TEST
BATCH_TYPE: OPC
BATCH_DIR_PENDING: ./batches2upload
BATCH_DIR_UPLOADED: ./batches_done
DELETE_BATCH_ON_UPLOAD: true
DELETE_READING_ON_ZIP: false
"""


def test_reads_settings_of_batonopc(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(BATONOPC)
    settings = read_settings(tmp_path / "settings.yaml")
    (device,) = settings.device
    assert (device.gadget, device.family, device.port, device.interval_s) == ("OPC_7", "opc_n3", "/dev/ttyACM0", 300.0)
    assert settings.store_url == str(tmp_path / "readings.pygnc.db")
    assert (settings.upload.url, settings.upload.kind) == ("https://tinycloud.purit.ie/api/v1", "tinycloud")
    batches = settings.batches
    assert (batches.mode, batches.type, batches.delete_when_accepted) == ("TEST", "OPC", True)
    assert settings.path(batches.uploaded) == tmp_path / "batches_done"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("GADGET_ID: a\nLOGGING_INTERVAL_SECS: often", r"Expected `float \| null`, got `str`"),
        ("GADGET_ID: a\nGADGET: b", "unknown key GADGET"),
    ],
)
def test_rejects_invalid_settings(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(StationError, match=why):
        read_settings(tmp_path / "s.yaml")


def test_names_the_package_that_reads_these_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda **_: EntryPoints())
    (tmp_path / "s.yaml").write_text(BATONOPC)
    with pytest.raises(StationError, match=r"s\.yaml: .* install pygnc-batonopc"):
        read_settings(tmp_path / "s.yaml")
