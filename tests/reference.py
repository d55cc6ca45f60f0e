"""Recordings made by others; they are not part of this repository."""

import os
from pathlib import Path

import pytest


def recording(name: str) -> Path:
    """The recording `name`; without the folder of recordings the test is skipped, and says so."""
    folder = os.environ.get("PYGNC_REFERENCE_DATA")
    if folder is None:
        pytest.skip("set PYGNC_REFERENCE_DATA to the folder of the reference recordings")
    return Path(folder) / "pygnc" / name
