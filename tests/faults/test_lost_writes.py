"""Images after power cuts, from records of small programs."""

from pathlib import Path

from tests.faults.lost_writes import Disk, cuts_of, read_steps

HOME = Path("/home/pi")


def in_hex(text: str) -> str:
    return "".join(f"\\x{octet:02x}" for octet in text.encode())


def path(name: str) -> str:
    return f'"{in_hex(str(HOME / name))}"'


def opened(name: str) -> str:
    return f"3<{in_hex(str(HOME / name))}>"


def images(tmp_path: Path, *calls: str, before: dict[str, bytes] | None = None) -> list[dict[str, bytes]]:
    """Return the contents that may remain of all files after a power cut during these calls."""
    home = tmp_path / "home"
    home.mkdir()
    for name, content in (before or {}).items():
        (home / name).write_bytes(content)
    (tmp_path / "record").write_text("".join(f"100 {call}\n" for call in calls))
    start = Disk.read(home)
    _, steps = read_steps(start, HOME, tmp_path / "record")
    return [
        {name: cut.image.contents.get(node, b"") for name, node in cut.image.files() if node.kind == "file"}
        for cut in cuts_of(start, steps)
    ]


CREATE = f"openat(AT_FDCWD<{in_hex('/')}>, {path('new')}, O_WRONLY|O_CREAT|O_TRUNC, 0644) = {opened('new')}"
WRITE = f'write({opened("new")}, "{in_hex("text")}", 4) = 4'
SYNC = f"fsync({opened('new')}) = 0"
RENAME = f"rename({path('new')}, {path('file')}) = 0"
SYNC_FOLDER = f"fsync(3<{in_hex(str(HOME))}>) = 0"


def test_a_file_that_is_synced_before_the_rename_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    found = images(tmp_path, CREATE, WRITE, SYNC, RENAME, SYNC_FOLDER, before={"file": b"old"})
    assert {image["file"] for image in found} == {b"old", b"text"}
    assert found[-1] == {"file": b"text"}


def test_a_file_that_is_not_synced_may_be_empty_or_cut_after_the_rename(tmp_path: Path) -> None:
    found = images(tmp_path, CREATE, WRITE, RENAME, SYNC_FOLDER, before={"file": b"old"})
    assert {image["file"] for image in found} == {b"old", b"", b"te", b"text"}


def test_a_synced_file_may_have_lost_its_name_until_its_folder_is_synced(tmp_path: Path) -> None:
    assert {} in images(tmp_path, CREATE, WRITE, SYNC)
    (tmp_path / "other").mkdir()
    after = images(tmp_path / "other", CREATE, WRITE, SYNC, SYNC_FOLDER, WRITE)[-2:]
    assert [image.get("new") for image in after] == [b"texttext", b"textte"]


def test_interrupted_lines_and_failed_calls_are_parsed(tmp_path: Path) -> None:
    calls = [
        f"{CREATE.partition(') = ')[0]} <unfinished ...>",
        f"unlink({path('file')}) = -1 EACCES (Permission denied)",
        f"<... openat resumed>) = {opened('new')}",
        f'pwrite64({opened("new")}, "{in_hex("xt")}", 2, 2) = 2',
        f"ftruncate({opened('new')}, 3) = 0",
        "sync() = 0",
        f"renameat2(AT_FDCWD, {path('new')}, AT_FDCWD, {path('file')}, RENAME_EXCHANGE) = 0",
    ]
    found = images(tmp_path, *calls, before={"file": b"old"})
    assert [image for image in found if image.get("file") == b"\0\0x"] == [{"file": b"\0\0x", "new": b"old"}]
    assert all(image["file"] in {b"old", b"\0\0x"} for image in found)
