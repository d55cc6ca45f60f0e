"""File storage in a home folder: uploads resume, and a file is only replaced by a complete one."""

import hashlib
import os
import zlib
from pathlib import Path

import pytest

from pygnc.configuration.load import load
from pygnc.host.home_files import HomeFiles
from pygnc.host.transfer import Upload

CONTENT = bytes(range(256)) * 40
UPLOAD = Upload("range/partner_75/rng00007.bin", len(CONTENT), zlib.crc32(CONTENT))


def put(files: HomeFiles, upload: Upload, content: bytes) -> bool:
    files.prepare(upload)
    files.append(upload, content)
    return files.complete(upload)


def test_a_complete_upload_replaces_the_file(tmp_path: Path) -> None:
    files = HomeFiles(tmp_path, 0)
    assert files.prepare(UPLOAD) == 0
    for at in range(0, len(CONTENT), 1000):
        files.append(UPLOAD, CONTENT[at : at + 1000])
    assert not (tmp_path / UPLOAD.name).exists()
    assert files.complete(UPLOAD)
    assert (tmp_path / UPLOAD.name).read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / UPLOAD.name).parent.iterdir()] == ["rng00007.bin"]
    assert files.is_complete(UPLOAD)
    assert not files.is_complete(UPLOAD._replace(crc=1))


def test_new_folders_are_synced_before_an_upload_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    assert put(HomeFiles(tmp_path, 0), UPLOAD, CONTENT)
    assert {tmp_path, tmp_path / "range", tmp_path / "range" / "partner_75"} <= set(synced)


def test_a_partial_upload_is_resumed_only_by_the_same_upload(tmp_path: Path) -> None:
    HomeFiles(tmp_path, 0).prepare(UPLOAD)
    HomeFiles(tmp_path, 0).append(UPLOAD, CONTENT[:777])
    assert HomeFiles(tmp_path, 0).prepare(UPLOAD) == 777
    assert HomeFiles(tmp_path, 0).prepare(UPLOAD._replace(crc=UPLOAD.crc ^ 1)) == 0
    assert HomeFiles(tmp_path, 0).prepare(UPLOAD) == 0, "another upload of the name takes the part's place"


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "large"])
def test_what_is_no_partial_upload_gives_way_to_one(tmp_path: Path, kind: str) -> None:
    files = HomeFiles(tmp_path, 0)
    upload = UPLOAD._replace(name="sense.bin")
    files.append(upload, b"")
    (part,) = tmp_path.iterdir()
    part.unlink()
    if kind == "fifo":
        os.mkfifo(part)
        os.mkfifo(tmp_path / upload.name)
    elif kind == "folder":
        (part / "below").mkdir(parents=True)
        with pytest.raises(IsADirectoryError):
            files.open(part.name)
    elif kind == "link":
        part.symlink_to(tmp_path / "missing")
    else:
        part.touch()
        os.truncate(part, 4 << 30)
    assert not files.is_complete(upload)
    assert put(files, upload, CONTENT)
    assert (tmp_path / upload.name).read_bytes() == CONTENT


def test_partial_uploads_of_other_names_stay(tmp_path: Path) -> None:
    files = HomeFiles(tmp_path, 0)
    (tmp_path / ".sense.bin.part").write_bytes(b"not ours")
    files.prepare(Upload("flight.zip", 10, 1))
    files.append(Upload("flight.zip", 10, 1), b"x")
    files.prepare(Upload("sense.bin", 10, 1))
    assert files.prepare(Upload("flight.zip", 10, 1)) == 1
    assert (tmp_path / ".sense.bin.part").exists()


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT[:-1] + b"?", CONTENT + b"more"])
def test_an_incomplete_or_damaged_upload_does_not_replace_the_file(tmp_path: Path, content: bytes) -> None:
    files = HomeFiles(tmp_path, 0)
    (target := tmp_path / UPLOAD.name).parent.mkdir(parents=True)
    target.write_bytes(b"old")
    assert not put(files, UPLOAD, content)
    assert target.read_bytes() == b"old"
    assert files.prepare(UPLOAD) == 0


def test_a_partial_upload_that_is_too_long_is_restarted(tmp_path: Path) -> None:
    files = HomeFiles(tmp_path, 0)
    files.prepare(UPLOAD)
    files.append(UPLOAD, CONTENT + b"more")
    assert files.prepare(UPLOAD) == 0


def test_an_empty_file_can_be_uploaded(tmp_path: Path) -> None:
    files = HomeFiles(tmp_path, 0)
    empty = Upload("pygnc.toml", 0, 0)
    files.prepare(empty)
    assert files.complete(empty)
    assert (tmp_path / "pygnc.toml").read_bytes() == b""


def test_uploaded_settings_get_a_checksum(tmp_path: Path) -> None:
    files = HomeFiles(tmp_path, 0)
    for content in (b"[orbit]\n", b"[formation]\nown_id = 75\n"):
        assert put(files, Upload("pygnc.toml", len(content), zlib.crc32(content)), content)
        assert load(None, tmp_path).formation.own_id in {74, 75}
        digest = hashlib.sha256(content).hexdigest()
        assert (tmp_path / "pygnc.toml.sha256").read_text() == f"{digest}  pygnc.toml\n"


@pytest.mark.parametrize("step", ["sync_folder", "durable_rename", "write_checksum"])
def test_a_power_cut_while_settings_are_replaced_leaves_usable_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    test_uploaded_settings_get_a_checksum(tmp_path)

    def cut(*_arguments: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"pygnc.host.home_files.{step}", cut)
    with pytest.raises(KeyboardInterrupt):
        test_uploaded_settings_get_a_checksum(tmp_path)
    assert load(None, tmp_path).formation.own_id in {74, 75}


def test_an_upload_that_needs_the_reserve_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="reserve"):
        HomeFiles(tmp_path, 1 << 60).prepare(UPLOAD)


def test_a_replaced_file_is_read_as_it_was_when_opened(tmp_path: Path) -> None:
    (tmp_path / "pygnc_info.txt").write_bytes(b"old")
    source = HomeFiles(tmp_path, 0).open("pygnc_info.txt")
    (tmp_path / "new").write_bytes(b"new and longer")
    (tmp_path / "new").replace(tmp_path / "pygnc_info.txt")
    assert (source.size, source.crc, source.read(10, 1)) == (3, zlib.crc32(b"old"), b"ld")
    source.close()


def test_a_growing_journal_is_read_as_it_was_when_opened(tmp_path: Path) -> None:
    name = "pygnc_logs/run-00001/input-00000.pgj.part"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(b"12345")
    source = HomeFiles(tmp_path, 0).open(name)
    with (tmp_path / name).open("ab") as log:
        log.write(b"678")
    assert (source.size, source.crc) == (5, zlib.crc32(b"12345"))
    source.close()


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "pygnc_info.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic"):
        HomeFiles(tmp_path, 0).open("pygnc_info.txt")


def test_the_listing_has_status_and_info_first_then_the_newest(tmp_path: Path) -> None:
    for age_s, name in enumerate(
        [
            "pygnc_logs/run-00002/input-00000.pgj.part",
            "pygnc_batch/sense.bin",
            "pygnc_logs/run-00001/input-00000.pgj",
            "pygnc_info.txt",
            "pygnc_status.bin",
            "pygnc_logs/run-00001/delivered",
            "pygnc.toml",
        ]
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * age_s)
        os.utime(tmp_path / name, ns=(0, (1000 - age_s) * 10**9))
    assert [(entry.name, entry.size) for entry in HomeFiles(tmp_path, 0).listing()] == [
        ("pygnc_status.bin", 4),
        ("pygnc_info.txt", 3),
        ("pygnc_logs/run-00002/input-00000.pgj.part", 0),
        ("pygnc_batch/sense.bin", 1),
        ("pygnc_logs/run-00001/input-00000.pgj", 2),
    ]


def test_a_file_too_large_for_a_download_is_refused_unread_and_not_listed(tmp_path: Path) -> None:
    """The interface has 32 bits for sizes and offsets; a sparse file has more within a kilobyte."""
    (tmp_path / "pygnc_batch").mkdir()
    (tmp_path / "pygnc_batch" / "range.bin").write_bytes(b"ranges")
    (tmp_path / "pygnc_batch" / "sense.bin").touch()
    os.truncate(tmp_path / "pygnc_batch" / "sense.bin", 1 << 40)
    files = HomeFiles(tmp_path, 0)
    assert files.listing() == [("pygnc_batch/range.bin", 6)]
    with pytest.raises(OSError, match="larger than 4294967295 bytes"):
        files.open("pygnc_batch/sense.bin")
