"""Arrays in temporary files: equal values, also after they left the memory, and none of the files stays."""

import errno
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from pygnc_ground.replay import array_file
from pygnc_ground.replay.array_file import ArrayFile


@dataclass(frozen=True)
class Moment:
    gps_ms: int
    root: np.ndarray
    vector: np.ndarray


def test_arrays_keep_their_values_when_they_leave_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_file, "_FILE_BYTES", 10_000)
    files, random = ArrayFile(), np.random.default_rng(1)
    kinds = ((np.float64, (8, 16, 16)), (np.float32, (7, 3)), (np.uint8, (5,)), (np.float64, (0, 3)), (np.int64, ()))
    arrays = [(100.0 * random.random(shape)).astype(kind) for _ in range(5) for kind, shape in kinds]
    stored = [files.stored(array) for array in arrays]
    files.release()
    del files
    for array, found in zip(arrays, stored, strict=True):
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


def test_a_new_file_keeps_the_arrays_of_those_before() -> None:
    files = ArrayFile()
    first = files.stored(np.ones(10))
    files.renew()
    second = files.stored(np.zeros(10))
    assert (first.sum(), second.sum()) == (10.0, 0.0)


def test_only_the_larger_arrays_of_a_dataclass_are_stored() -> None:
    moment = Moment(7, np.full((10, 10), 3.0), np.arange(3.0))
    found = ArrayFile().stored_fields(moment)
    assert found.gps_ms == 7
    assert found.vector is moment.vector
    assert found.root is not moment.root
    np.testing.assert_array_equal(found.root, moment.root)


def test_filled_arrays_of_a_dataclass_are_not_stored_again() -> None:
    files = ArrayFile()
    moment = Moment(7, files.filled((10, 10), 3.0), np.arange(3.0))
    assert (moment.root == 3.0).all()
    assert files.stored_fields(moment).root is moment.root


def test_the_files_have_no_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stored = ArrayFile().stored(np.ones(1000))
    assert not [*tmp_path.iterdir()]
    assert stored.sum() == 1000.0


def test_a_full_disk_names_the_folder_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: str) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(OSError, match="TMPDIR") as caught:
        ArrayFile().stored(np.ones(10))
    assert caught.value.filename == tempfile.gettempdir()


def test_released_arrays_do_not_count_as_memory_of_the_process() -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("the system does not tell the memory of a process in /proc")

    def resident_kb() -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS"))

    files = ArrayFile()
    stored = [files.stored(np.full(1 << 17, float(number))) for number in range(40)]
    files.release()
    released_kb = resident_kb()
    assert [array[5] for array in stored] == [*range(40)]
    assert sum(float(array.sum()) for array in stored) == sum(range(40)) * 2.0**17
    assert resident_kb() - released_kb > 30_000
    files.release()
    assert abs(resident_kb() - released_kb) < 10_000
