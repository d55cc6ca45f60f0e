"""Folders of a journal: on the disk, and in memory."""

from pathlib import Path

import pytest


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (folder := tmp_path / "disk").mkdir()
    return folder


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    (folder := tmp_path / "memory").mkdir()
    return folder
