"""The Containerfile of the server; its instructions are executed in Debian systems, not by a container engine."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath

import pytest
from packaging.requirements import Requirement

from pygnc_station.server.application import tls_files
from pygnc_station.settings import settings_of
from tests.fakes.container_build import Build, is_ignored, stages, words
from tests.fakes.debian_system import DebianSystem
from tests.programs import needs
from tests.pygnc_station.logger.samples import wait_for

ROOT = Path(__file__).resolve().parents[2]
STAGES = stages(ROOT / "Containerfile")
SETTINGS = ROOT / "scripts/container/station.toml"


def test_the_server_runs_without_root_and_with_settings_that_it_accepts() -> None:
    final = {instruction.name: instruction for instruction in STAGES[-1]}
    assert final["USER"].text != "root"
    assert final["VOLUME"].text == tomllib.loads(SETTINGS.read_text())["folder"]
    settings = settings_of(tomllib.loads(SETTINGS.read_text()), str(SETTINGS))
    assert tls_files(settings) == (None, None)
    assert str(settings.serve.port) == final["EXPOSE"].text
    assert f":{settings.serve.port}/health" in final["HEALTHCHECK"].text
    assert words(final["CMD"])[-1] in {words(copy)[-1] for copy in STAGES[-1] if copy.name == "COPY"}


def test_the_build_receives_the_descriptions_of_the_distributions() -> None:
    (command,) = [each.text for each in STAGES[0] if "build_distributions" in each.text]
    pages = [PurePosixPath(f"docs/distributions/{name}.md") for name in command.split() if name.startswith("pygnc-")]
    assert pages
    assert not any(is_ignored(ROOT, page) for page in pages)
    assert all(is_ignored(ROOT, PurePosixPath(each)) for each in ("docs/station.md", "tests", ".git", "a/__pycache__"))


@pytest.mark.parametrize(
    ("lock", "more"),
    [("station", ["--extras", "accounts"]), ("container", ["--extras", "accounts", "alerts", "cloud"])],
)
def test_the_lock_contains_the_libraries_that_the_distributions_require(lock: str, more: list[str]) -> None:
    command = [sys.executable, "-m", "scripts.build_distributions", "--libraries", "pygnc-station", *more]
    required = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    locked = {
        line.partition("==")[0]: line.partition("==")[2].split()[0]
        for line in (ROOT / f"requirements/{lock}.txt").read_text().splitlines()
        if "==" in line and not line.startswith(("#", " "))
    }
    for text in required:
        requirement = Requirement(text)
        assert requirement.specifier.contains(locked[requirement.name.lower()]), text


@pytest.mark.slow
@pytest.mark.index
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("debian")
@pytest.mark.skipif("PYGNC_DEBIAN" not in os.environ, reason="two minutes of a processor: set PYGNC_DEBIAN=1")
@needs("debootstrap")
def test_the_image_serves_and_reports_its_health(tmp_path: Path) -> None:
    # debootstrap does not resolve python3.11-distutils, which is a virtual package.
    packages = "python3.11-venv,python3-distutils"
    systems = [DebianSystem.create(tmp_path / f"stage{rank}", packages) for rank in range(len(STAGES))]
    for system in systems:
        (system.root / "usr/local/bin/python").symlink_to("/usr/bin/python3.11")
    build = Build(ROOT, systems)
    certificates = systems[0].root / "tmp/certificates.pem"
    certificates.write_bytes(Path("/etc/ssl/certs/ca-certificates.crt").read_bytes())
    (systems[0].root / "etc/resolv.conf").write_bytes(Path("/etc/resolv.conf").read_bytes())
    for rank, stage in enumerate(STAGES):
        build.run(
            rank,
            stage,
            dict.fromkeys(("PIP_CERT", "NODE_EXTRA_CA_CERTS"), f"/{certificates.relative_to(systems[0].root)}"),
        )
    final = {instruction.name: instruction for instruction in STAGES[-1]}
    command = build.command(systems[-1], [*words(final["ENTRYPOINT"]), *words(final["CMD"])])
    process = subprocess.Popen(command, env=build.environment, stdout=subprocess.PIPE, text=True)
    try:
        check = build.command(systems[-1], json.loads(final["HEALTHCHECK"].text.partition("CMD ")[2]))
        wait_for(
            lambda: subprocess.run(check, env=build.environment, check=False).returncode == 0, "the server's health"
        )
    finally:
        process.terminate()
        process.communicate()
    failed = subprocess.run(check, env=build.environment, check=False, capture_output=True)
    assert failed.returncode == 1
