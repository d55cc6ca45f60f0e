import errno
import os
from pathlib import Path

import pytest

from pygnc_station.upload.uploader import move_durably


def test_syncs_the_copy_on_another_file_system_before_it_deletes_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "batch.zip", tmp_path / "uploaded" / "batch.zip"
    source.write_bytes(b"readings")
    target.parent.mkdir()
    steps: list[str] = []
    replace, unlink, fsync = Path.replace, Path.unlink, os.fsync

    def traced_replace(path: Path, to: Path) -> Path:
        if path == source:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        steps.append(f"rename {path.name}")
        return replace(path, to)

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
