import hashlib
from pathlib import Path

import pytest

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings, Upload
from pygnc_station.store.batches import BatchState, batches
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.uploader import UploadReport, sender_of, upload_all
from tests.pygnc_station.store.samples import LAYOUT, START_MS, new


def _settings(folder: Path, url: str) -> StationSettings:
    return StationSettings(name="roof: north", folder=str(folder), upload=Upload(url=url))


def _upload(store: Store, settings: StationSettings) -> UploadReport:
    return upload_all(store, settings, sender_of(settings), START_MS)


def test_writes_each_batch_and_its_checksum_once(tmp_path: Path) -> None:
    settings = _settings(tmp_path, f"file://{tmp_path}/bucket")
    with Store.open(str(tmp_path / "r.db")) as store:
        store.append(store.stream("a", LAYOUT), [new(rank) for rank in range(5)])
        (batch,) = make_batch(store, settings, START_MS)
        pending = tmp_path / "batches2upload" / batch.file_name
        octets = pending.read_bytes()
        sender = sender_of(settings)
        # Interrupted once, then sent twice.
        folder = tmp_path / "bucket/roof_north"
        folder.mkdir()
        (folder / batch.file_name).write_bytes(octets[:100])
        for _ in range(2):
            assert sender.send(batch, pending).state is BatchState.ACCEPTED
        assert _upload(store, settings).accepted == [batch.name]
        assert [known.state for known in batches(store)] == [BatchState.ACCEPTED]
    assert (folder / batch.file_name).read_bytes() == octets
    digest = hashlib.sha256(octets).hexdigest()
    assert (folder / f"{batch.file_name}.sha256").read_text() == f"{digest}  {batch.file_name}\n"


def test_reports_an_unusable_object_store(tmp_path: Path) -> None:
    (tmp_path / "way").write_text("a file")
    with pytest.raises(StationError, match=r"file:///.*/way/bucket"):
        sender_of(_settings(tmp_path, f"file://{tmp_path}/way/bucket"))
    with pytest.raises(StationError, match="s3://"):
        sender_of(_settings(tmp_path, "s3://"))
    with pytest.raises(StationError) as refused:
        sender_of(_settings(tmp_path, "s3://name:word@/?sig=letters"))
    assert "word" not in str(refused.value)
    assert "letters" not in str(refused.value)


def test_retries_after_a_temporary_failure_of_the_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(tmp_path, f"file://{tmp_path}/bucket")
    with Store.open(str(tmp_path / "r.db")) as store:
        store.append(store.stream("a", LAYOUT), [new(1)])
        make_batch(store, settings, START_MS)

        def fail(*_: object) -> None:
            raise TransferError("the line is cut")

        with monkeypatch.context() as patch:
            patch.setattr("pygnc_station.upload.object_store.ObjectStoreSender.send", fail)
            assert _upload(store, settings).problem == "the line is cut"
        assert len(_upload(store, settings).accepted) == 1
