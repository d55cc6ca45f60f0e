"""Images of a disk after a power cut at each step of a recorded program, by what the file system may lose.

A step writes to a file, changes its size, or changes names in a folder. The model is that of POSIX, which promises less
than the file systems of a Pi do: a step is kept for sure only once its file, or its folder, has been synced after it.
Of the others, any may be lost in any combination, and the last write may be kept in part.
"""

import itertools
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

_TRACED: Final = (
    "openat,write,pwrite64,writev,pwritev,lseek,ftruncate,truncate,rename,renameat,renameat2,link,linkat,symlink,"
    "symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,sync,syncfs,fallocate,sendfile,copy_file_range"
)
TRACER: Final = (
    "strace",
    "-f",
    "-qq",
    "-y",
    "-xx",
    "-s",
    "99999999",
    "-e",
    "signal=none",
    "-e",
    f"trace={_TRACED}",
    "-o",
)
"""Beginning of a command that records a program; the name of the record and the program follow."""
WHOLE_MAX: Final = 4
"""Number of steps that are not synced up to which every combination is an image."""
SINGLE_MAX: Final = 6
"""Number of the newest steps of which each is lost, or kept, alone."""
RANDOM_COUNT: Final = 4
"""Number of random combinations."""
_HEX: Final = re.compile(r"(?:\\x[0-9a-f]{2})+")
_CALL: Final = re.compile(r"(\w+)\((.*)\)\s+= (\d+).*")


def can_trace() -> bool:
    """Return True if `strace` is installed and may trace."""
    found = shutil.which(TRACER[0])
    return found is not None and subprocess.run([found, "-o", os.devnull, "true"], check=False).returncode == 0


class Node:
    """A file, a folder, or a link to `target`, as an inode of the disk."""

    def __init__(self, kind: str, target: str = "") -> None:
        self.kind = kind
        self.target = target


class Disk:
    """Content of a disk.

    Attributes:
        root: The top folder.
        contents: Contents of the files.
        names: Nodes in the folders by name.
    """

    def __init__(self, root: Node) -> None:
        self.root = root
        self.contents: dict[Node, bytes] = {}
        self.names: dict[Node, dict[str, Node]] = {root: {}}

    @classmethod
    def read(cls, folder: Path) -> "Disk":
        """Return the content of a folder."""
        disk = cls(Node("folder"))
        disk._read(folder, disk.root)
        return disk

    def _read(self, folder: Path, node: Node) -> None:
        for path in folder.iterdir():
            if path.is_symlink():
                child = Node("link", str(path.readlink()))
            elif path.is_dir():
                child = Node("folder")
                self.names[child] = {}
                self._read(path, child)
            else:
                child = Node("file")
                self.contents[child] = path.read_bytes()
            self.names[node][path.name] = child

    def copy(self) -> "Disk":
        """Return a disk that can be changed independently."""
        disk = Disk(self.root)
        disk.contents = dict(self.contents)
        disk.names = {folder: dict(names) for folder, names in self.names.items()}
        return disk

    def files(self, folder: Node | None = None, prefix: str = "") -> Iterator[tuple[str, Node]]:
        """Yield paths and nodes; a folder comes before its content."""
        for name, node in sorted(self.names.get(folder or self.root, {}).items()):
            yield prefix + name, node
            if node.kind == "folder":
                yield from self.files(node, f"{prefix}{name}/")

    def key(self) -> tuple[tuple[str, str, str, bytes], ...]:
        """Return a value that is equal for disks of equal content."""
        return tuple((name, node.kind, node.target, self.contents.get(node, b"")) for name, node in self.files())

    def write(self, folder: Path) -> None:
        """Write the content into a new folder."""
        folder.mkdir()
        for name, node in self.files():
            path = folder / name
            if node.kind == "folder":
                path.mkdir()
            elif node.kind == "link":
                path.symlink_to(node.target)
            else:
                path.write_bytes(self.contents.get(node, b""))


class Step(NamedTuple):
    """Change of a disk.

    Attributes:
        nodes: Nodes, a sync of one of which keeps the step.
        apply: Function that makes the change.
        apply_half: Function that makes half of a write; None for a change of names.
    """

    nodes: tuple[Node, ...]
    apply: Callable[[Disk], None]
    apply_half: Callable[[Disk], None] | None = None


class Sync(NamedTuple):
    """Sync of a file or folder, or of the whole file system if `node` is None."""

    node: Node | None


def _write(node: Node, offset: int, data: bytes) -> Step:
    def apply(disk: Disk, data: bytes = data) -> None:
        before = disk.contents.get(node, b"")
        disk.contents[node] = before[:offset].ljust(offset, b"\0") + data + before[offset + len(data) :]

    return Step((node,), apply, lambda disk: apply(disk, data[: len(data) // 2]))


def _resize(node: Node, size: int) -> Step:
    def apply(disk: Disk) -> None:
        disk.contents[node] = disk.contents.get(node, b"")[:size].ljust(size, b"\0")

    return Step((node,), apply, apply)


class _Name(NamedTuple):
    """Name in a folder."""

    folder: Node
    name: str


def _rename(*changes: tuple[_Name, Node | None, Node | None]) -> Step:
    """Give names to nodes; a change is the name, its node before, and its node after, or None if it is removed."""

    def apply(disk: Disk) -> None:
        for (folder, name), before, after in changes:
            names = disk.names.setdefault(folder, {})
            if after is not None:
                names[name] = after
                if after.kind == "folder":
                    disk.names.setdefault(after, {})
            elif names.get(name) is before:
                names.pop(name, None)

    return Step(tuple(place.folder for place, *_ in changes), apply)


def read_steps(start: Disk, home: Path, record: Path) -> tuple[Disk, list[Step | Sync]]:
    """Return the disk after a recorded program that began with `start` in `home`, and the steps that led to it."""
    recording = _Recording(start.copy(), home)
    with record.open(errors="replace") as lines:
        steps = [step for line in lines for step in recording.parse(line.rstrip("\n"))]
    return recording.disk, steps


class _Recording:
    """Interpreter of the lines of a record; `disk` is the disk as the program sees it."""

    def __init__(self, disk: Disk, home: Path) -> None:
        self.disk = disk
        self._home = home
        self._positions: dict[tuple[str, str], int] = {}
        self._appending: set[tuple[str, str]] = set()
        self._unfinished: dict[str, str] = {}

    def parse(self, line: str) -> Iterator[Step | Sync]:
        """Yield the steps of a line, and apply them."""
        process, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            self._unfinished[process] = call.removesuffix("<unfinished ...>")
            return
        if call.startswith("<... "):
            call = self._unfinished.pop(process, "") + call.partition(" resumed>")[2]
        match = _CALL.fullmatch(call)
        if match is None:  # the call has failed
            return
        for step in self._steps(process, match[1], match[2].split(", "), int(match[3])):
            if isinstance(step, Step):
                step.apply(self.disk)
            yield step

    def _steps(self, process: str, name: str, words: list[str], result: int) -> Iterator[Step | Sync]:
        key = (process, words[0].partition("<")[0])
        node = self._opened(words[0])
        if name == "openat":
            yield from self._open((process, str(result)), words)
        elif name == "lseek":
            self._positions[key] = result
        elif name in {"sync", "syncfs"}:
            yield Sync(None)
        elif name in {"mkdir", "mkdirat", "symlink", "symlinkat"}:
            made = Node("folder") if name.startswith("mkdir") else Node("link", _text(words[0]))
            place = self._place(words[-1] if made.kind == "link" else words[-2])
            if place:
                yield _rename((place, None, made))
        elif name in {"unlink", "rmdir", "unlinkat"}:
            place = self._place(*words[:2]) if name == "unlinkat" else self._place(words[0])
            if place:
                yield _rename((place, self._at(place), None))
        elif name in {"rename", "renameat", "renameat2"}:
            yield from self._move(words)
        elif node is not None:
            yield from self._change(node, name, key, words, result)

    def _change(
        self, node: Node, name: str, key: tuple[str, str], words: list[str], result: int
    ) -> Iterator[Step | Sync]:
        """Yield the steps of a call on an open file."""
        if name == "pwrite64":
            yield _write(node, int(words[3]), _octets(words[1])[:result])
        elif name == "write":
            end = len(self.disk.contents.get(node, b""))
            offset = end if key in self._appending else self._positions.get(key, 0)
            self._positions[key] = offset + result
            yield _write(node, offset, _octets(words[1])[:result])
        elif name == "ftruncate":
            yield _resize(node, int(words[1]))
        elif name == "fallocate":
            yield _resize(node, int(words[2]) + int(words[3]))
        elif name in {"fsync", "fdatasync"}:
            yield Sync(node)
        else:
            raise ValueError(f"the model does not contain {name}")

    def _open(self, key: tuple[str, str], words: list[str]) -> Iterator[Step]:
        self._positions[key] = 0
        self._appending.discard(key)
        if "O_APPEND" in words[2]:
            self._appending.add(key)
        place = self._place(*words[:2])
        node = self._at(place) if place else None
        if place and node is None and "O_CREAT" in words[2]:
            yield _rename((place, None, Node("file")))
        elif node is not None and "O_TRUNC" in words[2] and self.disk.contents.get(node):
            yield _resize(node, 0)

    def _move(self, words: list[str]) -> Iterator[Step]:
        source, target = (self._place(word) for word in words if _HEX.search(word.partition("<")[0]))
        if source and target:
            node, other = self._at(source), self._at(target)
            exchanged = other if words[-1] == "RENAME_EXCHANGE" else None
            yield _rename((target, other, node), (source, node, exchanged))

    def _at(self, place: _Name) -> Node | None:
        return self.disk.names[place.folder].get(place.name)

    def _place(self, first: str, path: str = "") -> _Name | None:
        """Return the name that a path, or a folder's descriptor and a path in it, stands for; None outside the home."""
        text = os.path.join(_folder(first), _text(path)) if path else _text(first)  # noqa: PTH118 - either may be empty
        relative = self._relative(os.path.normpath(text))
        if relative is None or not relative.parts:
            return None
        folder = self._node_at(relative.parent)
        return None if folder is None else _Name(folder, relative.name)

    def _opened(self, word: str) -> Node | None:
        relative = self._relative(_folder(word))
        return None if relative is None else self._node_at(relative)

    def _node_at(self, path: PurePosixPath) -> Node | None:
        node: Node | None = self.disk.root
        for number, part in enumerate(path.parts):
            node = None if node is None else self.disk.names.get(node, {}).get(part)
            if node is not None and node.kind == "link":
                followed = os.path.normpath(
                    Path(self._home, *path.parts[:number], node.target, *path.parts[number + 1 :])
                )
                relative = self._relative(followed)
                return None if relative is None else self._node_at(relative)
        return node

    def _relative(self, path: str) -> PurePosixPath | None:
        pure = PurePosixPath(path)
        return pure.relative_to(self._home) if pure.is_relative_to(self._home) else None


def _octets(word: str) -> bytes:
    return bytes.fromhex("".join(_HEX.findall(word)).replace("\\x", ""))


def _text(word: str) -> str:
    return _octets(word).decode(errors="replace")


def _folder(word: str) -> str:
    """Return the path that follows a descriptor."""
    return _text(word.partition("<")[2])


class Cut(NamedTuple):
    """Disk after a power cut.

    Attributes:
        what: The step after which the power goes, and what is kept.
        image: The disk.
        synced: The disk at that step, with the contents that its files had when they were last synced.
    """

    what: str
    image: Disk
    synced: Disk


def cuts_of(start: Disk, steps: Iterable[Step | Sync], seed: int = 1) -> Iterator[Cut]:
    """Yield the distinct disks after a power cut before the first step, and after each."""
    dice = random.Random(seed)  # noqa: S311 - repeatable choice
    kept, seen, synced = start.copy(), start.copy(), start.copy()
    pending: list[Step] = []
    keys = set()
    for number, step in enumerate(itertools.chain([None], steps)):
        if isinstance(step, Step):
            step.apply(seen)
            pending.append(step)
        elif step is not None:
            for node in seen.contents if step.node is None else [step.node]:
                synced.contents[node] = seen.contents.get(node, b"")
            done = [one for one in pending if step.node is None or step.node in one.nodes]
            pending = [one for one in pending if one not in done]
            for one in done:
                one.apply(kept)
        for what, chosen, is_torn in _combinations(pending, dice):
            image = kept.copy()
            for one in chosen[: len(chosen) - is_torn]:
                one.apply(image)
            if is_torn and (half := chosen[-1].apply_half):
                half(image)
            key = image.key()
            if key not in keys:
                keys.add(key)
                synced.names = seen.names
                yield Cut(f"step {number}, {what} of {len(pending)} unsynced steps kept", image, synced.copy())


def _combinations(pending: list[Step], dice: random.Random) -> Iterator[tuple[str, list[Step], bool]]:
    """Yield combinations of steps that are kept, with a name, and whether the last one is kept in part only."""
    yield "all", pending, False
    if pending and pending[-1].apply_half is not None:
        yield "all but half of the last", pending, True
    if len(pending) <= WHOLE_MAX:
        for size in range(len(pending)):
            for chosen in itertools.combinations(pending, size):
                yield f"{size}", list(chosen), False
        return
    yield "none", [], False
    yield "the names", [one for one in pending if one.apply_half is None], False
    yield "the contents", [one for one in pending if one.apply_half is not None], False
    for one in pending[-SINGLE_MAX:]:
        yield "all but one", [other for other in pending if other is not one], False
        yield "one", [one], False
    for _ in range(RANDOM_COUNT):
        yield "some", [one for one in pending if dice.random() < 0.5], False
