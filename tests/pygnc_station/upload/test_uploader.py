import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from pygnc_station.store.batches import Batch, BatchState, batches
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload import uploader
from pygnc_station.upload.station_server import Sender
from pygnc_station.upload.uploader import move_durably, upload_all
from tests.pygnc_station.server.samples import batch_of, station


def test_syncs_the_copy_on_another_file_system_before_it_deletes_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "batch.zip", tmp_path / "uploaded" / "batch.zip"
    source.write_bytes(b"readings")
    target.parent.mkdir()
    steps: list[str] = []
    rename, unlink, fsync = Path.replace, Path.unlink, os.fsync

    def traced_replace(path: Path, to: Path) -> Path:
        if path == source:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        steps.append(f"rename {path.name}")
        return rename(path, to)

    def traced_unlink(path: Path, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - pathlib's signature
        steps.append(f"delete {path.name}")
        unlink(path, missing_ok)

    def traced_fsync(descriptor: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    monkeypatch.setattr(Path, "replace", traced_replace)
    monkeypatch.setattr(Path, "unlink", traced_unlink)
    monkeypatch.setattr(os, "fsync", traced_fsync)
    move_durably(source, target)
    assert steps == ["sync .batch.zip.part", "rename .batch.zip.part", "sync uploaded", "delete batch.zip"]
    assert (target.read_bytes(), source.exists()) == (b"readings", False)


def test_reports_a_failed_move_and_leaves_the_source(tmp_path: Path) -> None:
    source = tmp_path / "batch.zip"
    source.write_bytes(b"readings")
    with pytest.raises(FileNotFoundError):
        move_durably(source, tmp_path / "missing" / "batch.zip")
    assert source.read_bytes() == b"readings"


class _Accepting(Sender):
    def send(self, batch: Batch, path: Path) -> Batch:
        assert path.is_file()
        return replace(batch, state=BatchState.ACCEPTED)

    def check(self) -> str:
        return ""

    def close(self) -> None:
        pass


def test_a_full_folder_of_uploaded_batches_is_named_and_stops_no_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(_: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    settings = station(tmp_path / "pi", "http://127.0.0.1:9", "k" * 20)
    with Store.open(str(tmp_path / "r.db")) as store:
        names = [batch_of(store, settings, range(rank, rank + 1)).name for rank in range(2)]
        with monkeypatch.context() as patch:
            patch.setattr(uploader, "move_durably", fill)
            report = upload_all(store, settings, _Accepting(), clock_ms())
        assert sorted(report.accepted) == sorted(names)
        (note,) = report.notes
        assert str(tmp_path / "pi/batches_uploaded") in note
        assert "No space left" in note
        assert batches(store, BatchState.READY) == []
        # When there is space again, the next upload moves them.
        assert upload_all(store, settings, _Accepting(), clock_ms()).notes == []
    assert len(list((tmp_path / "pi/batches_uploaded").glob("*.zip"))) == 2


def test_a_failed_copy_leaves_the_source_and_no_fragment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "batch.zip", tmp_path / "uploaded" / "batch.zip"
    source.write_bytes(b"readings")
    target.parent.mkdir()
    replace_path = Path.replace

    def other_file_system(path: Path, to: Path) -> Path:
        if path == source:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return replace_path(path, to)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", other_file_system)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        move_durably(source, target)
    assert source.read_bytes() == b"readings"
    assert list(target.parent.iterdir()) == []
