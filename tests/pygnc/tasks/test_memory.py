"""Memory beside the objects of a task: one heap for all threads, and the pages of libraries."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pygnc.tasks import memory

CODE = """
import threading
from pathlib import Path
from pygnc.tasks import memory

memory.share_heap_among_threads()
blocks = []
thread = threading.Thread(target=lambda: blocks.extend(bytes(60_000) for _ in range(30)))
thread.start()
thread.join()
memory.trim_heap()
lines = Path("/proc/self/maps").read_text().splitlines()
bounds = next(line for line in lines if line.endswith("[heap]")).split()[0].split("-")
first, last = (int(bound, 16) for bound in bounds)
print(sum(first <= id(block) < last for block in blocks))
"""


def test_threads_allocate_from_one_heap() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    assert int(done.stdout) == 30


LIBRARIES = """
from pathlib import Path
import numpy as np
from pygnc.tasks import memory

def mapped_kb() -> int:
    lines = map(str.split, Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    kb = {words[0]: int(words[1]) for words in lines}
    return kb["Rss:"] - kb["Anonymous:"]

lu = np.linalg.inv(np.eye(40) + 0.1)
before = mapped_kb()
memory.find_unchanged_libraries()
memory.unmap_libraries()
after = mapped_kb()
assert np.array_equal(np.linalg.inv(np.eye(40) + 0.1), lu)
print(before, after, mapped_kb())
"""


def test_unmapped_libraries_are_mapped_again_when_they_are_used() -> None:
    done = subprocess.run([sys.executable, "-c", LIBRARIES], check=True, capture_output=True, text=True)
    before_kb, after_kb, used_kb = map(int, done.stdout.split())
    assert after_kb < 0.7 * before_kb
    assert after_kb < used_kb


def use(library: Path) -> int:
    """Read the first byte of a library's machine code, which maps its page; return the offset in the file."""
    lines = map(str.split, Path("/proc/self/maps").read_text().splitlines())
    addresses, offset = next((w[0], w[2]) for w in lines if w[1] == "r-xp" and w[-1] == str(library))
    ctypes.string_at(int(addresses.split("-")[0], 16), 1)
    return int(offset, 16)


def flip_in_cache(library: Path, offset: int) -> None:
    """Flip a bit of a file, whose page in memory all processes map that have loaded the library."""
    with library.open("r+b", buffering=0) as file:
        octet = os.pread(file.fileno(), 1, offset)[0] ^ 16
        os.pwrite(file.fileno(), bytes([octet]), offset)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the mathematical library that this process has loaded but does not call."""
    lines = map(str.split, Path("/proc/self/maps").read_text().splitlines())
    original = next(words[-1] for words in lines if "libm.so" in words[-1])
    path = tmp_path / "libcopy.so"
    shutil.copy(original, path)
    ctypes.CDLL(str(path))
    monkeypatch.setattr(memory, "_pages", memory._Pages([]))
    memory.find_unchanged_libraries()
    return path


def test_a_flipped_bit_in_a_mapped_page_of_a_library_is_found_once(library: Path) -> None:
    offset = use(library)
    assert memory.find_changed_library() == ""
    flip_in_cache(library, offset + 100)
    text = f"{library}: the page at offset {offset} in memory has changed"
    assert memory.find_changed_library() == text
    assert memory.find_changed_library() == ""


def test_all_processes_share_the_checksums(library: Path) -> None:
    offset = use(library)
    assert memory.find_changed_library() == ""
    flip_in_cache(library, offset + 100)
    pid = os.fork()
    if pid == 0:
        use(library)
        os._exit(bool(memory.find_changed_library()))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert memory.find_changed_library() == ""


def test_pages_that_are_not_mapped_are_not_read(library: Path) -> None:
    offset = use(library)
    memory.unmap_libraries()
    assert memory.find_changed_library() == ""
    assert 0 < len(memory._pages.crc) - [*memory._pages.crc].count(0) < 0.5 * len(memory._pages.crc)
    flip_in_cache(library, offset + 100)
    assert memory.find_changed_library() == ""


def test_a_mapping_in_the_place_of_a_library_is_left_alone(library: Path) -> None:
    lines = Path("/proc/self/maps").read_bytes().splitlines(keepends=True)
    of_copy = [line for line in lines if os.fsencode(library) in line and b" r-xp " in line]
    assert of_copy[0] in memory._pages.libraries
    memory._pages.libraries = {b"other": memory._pages.libraries[of_copy[0]]}
    assert memory.find_changed_library() == ""
    assert not any(memory._pages.crc)


def test_a_changed_address_unmaps_nothing_else() -> None:
    pages = memory._Pages([*Path("/proc/self/maps").read_bytes().splitlines(keepends=True)])
    right = [*pages.ranges()]
    assert sum(size for _, size in right) == sum(one.end - one.begin for one in pages.mapped())
    assert len(right) < len(pages.mapped())
    pages._ranges[0] ^= 1 << 20
    assert [*pages.ranges()] == right
