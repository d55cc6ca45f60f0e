import gzip
import json
from pathlib import Path

import pytest

from scripts import build_frontend as frontend
from tests.programs import needs


def test_every_library_of_the_lock_has_a_hash_and_its_licence_is_included() -> None:
    packages = json.loads(frontend.LOCK.read_text())["packages"]
    libraries = {name.removeprefix("node_modules/"): each for name, each in packages.items() if name}
    assert libraries
    for name, each in libraries.items():
        assert each["integrity"].startswith("sha512-"), name
        assert each.get("dev") or f"{name}/LICENSE" in frontend.FILES.values(), name


@pytest.mark.slow
@pytest.mark.index
@needs("npm")
def test_the_files_are_those_of_the_lock_and_replace_older_ones(tmp_path: Path) -> None:
    (tmp_path / "old.js").write_text("old")
    frontend.build_frontend(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*frontend.FILES, *(path.name for path in frontend.MARKERS)}
    assert "Permission is hereby granted" in (tmp_path / "uplot-LICENSE.txt").read_text()
    (tmp_path / "uplot.js").write_text("kept: the folder has the files of the lock")
    frontend.build_frontend(tmp_path)
    assert (tmp_path / "uplot.js").read_text().startswith("kept")


@pytest.mark.slow
@pytest.mark.index
@needs("npm")
def test_the_libraries_take_less_than_a_megabyte_compressed(tmp_path: Path) -> None:
    frontend.build_frontend(tmp_path)
    scripts = {name: (tmp_path / name).read_bytes() for name in ("uplot.js", "three.js")}
    assert sum(len(gzip.compress(script)) for script in scripts.values()) < 300_000
    assert b"WebGLRenderer" in scripts["three.js"]
    assert all(b"</script" not in script for script in scripts.values())


def test_a_missing_npm_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="npm: not found; install Node"):
        frontend.build_frontend(tmp_path / "frontend")


def test_a_refused_lock_ends_with_the_message_of_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho sha512 integrity checksum failed >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"exit code 1.*checksum failed"):
        frontend.build_frontend(tmp_path / "frontend")
    assert not (tmp_path / "frontend").exists()
