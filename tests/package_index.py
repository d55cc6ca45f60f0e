"""uv and the package index, for tests that resolve or install libraries."""

import pytest

from scripts.check_resolution import find_uv


def uv() -> str:
    """Return the path of uv; skip the test without it."""
    found = find_uv()
    if found is None:
        pytest.skip("no uv: pip install uv")
    return found


def skip_without_index(reason: str) -> None:
    """Skip the test if uv's message says that no package index answered."""
    if "client error" in reason or "Failed to fetch" in reason or "not found in the package registry" in reason:
        pytest.skip(f"no package index answers: {reason}")
