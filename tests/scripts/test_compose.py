"""The compose file of the server: its parts agree, and an engine runs it step by step where there is one."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from pygnc_station.commands.main import app
from pygnc_station.server.application import tls_files
from pygnc_station.settings_file import read_settings
from pygnc_station.store.store import Store
from tests.fakes.container_build import stages
from tests.programs import needs
from tests.pygnc_station.logger.samples import wait_for

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "scripts/container"
FILE = FOLDER / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(:[-?][^}]*)?\}")


def _engine() -> list[str]:
    """Return the command of a container engine that runs compose files."""
    for program in filter(shutil.which, ("podman", "docker")):
        asked = (["info"], ["compose", "version"])
        answers = [subprocess.run([program, *words], check=False, capture_output=True) for words in asked]
        if not any(answer.returncode for answer in answers):
            return [program, "compose"]
    pytest.skip("no container engine runs here: apt-get install podman podman-compose, or start the docker daemon")


def _environment() -> dict[str, str]:
    lines = (FOLDER / "example.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_every_variable_volume_and_file_of_the_compose_file_exists() -> None:
    required = {name for name, default in VARIABLE.findall(FILE.read_text()) if not default.startswith(":-")}
    assert required <= _environment().keys()
    mounts = [mount.split(":") for service in SERVICES.values() for mount in service["volumes"]]
    for source, target, *_ in mounts:
        assert source in COMPOSE["volumes"] or (FOLDER / source).is_file(), source
        assert target.startswith("/")
    assert {service["networks"][0] for service in SERVICES.values()} == COMPOSE["networks"].keys()
    # The anchor of the build leads to the Containerfile.
    build = SERVICES["stations"]["build"]
    assert (FOLDER / build["context"] / build["dockerfile"]).resolve() == ROOT / "Containerfile"
    assert list(SERVICES["proxy"]["ports"]) == ["80:80", "443:443"]
    assert not any("ports" in SERVICES[name] for name in ("stations", "jobs"))


def _settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the settings file of the container, with its folders in another one."""
    for name, value in (_environment() | {"PYGNC_BACKUP_URL": str(folder / "backups")}).items():
        monkeypatch.setenv(name, value)
    path = folder / "station.toml"
    path.write_text((FOLDER / "server.toml").read_text().replace("/var/lib/pygnc-station", str(folder / "data")))
    return path


def test_the_jobs_of_the_server_run_with_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _settings(tmp_path, monkeypatch)
    settings = read_settings(path)
    volumes = {mount.split(":")[1] for mount in SERVICES["stations"]["volumes"]}
    assert volumes == {"/etc/pygnc-station/station.toml", "/var/lib/pygnc-station", "/backups"}
    assert tls_files(settings) == (None, None)
    assert settings.serve.proxies == [COMPOSE["networks"]["inside"]["ipam"]["config"][0]["subnet"]]
    assert settings.serve.alerts.urls == {"operator": _environment()["PYGNC_ALERT_URL"]}
    (tmp_path / "data").mkdir()
    Store.open(settings.store_url).close()
    commands = re.findall(r"pygnc station (\w+) --settings (\S+);", SERVICES["jobs"]["command"][0])
    assert [job for job, _ in commands] == ["prune", "backup"]
    for job, file in commands:
        assert file in volumes
        result = CliRunner().invoke(app, [job, "--settings", str(path)])
        assert result.exit_code == 0, result.output
    assert [item.suffix for item in (tmp_path / "backups").iterdir()] == [".zip"]


def test_the_image_has_a_folder_for_backups_that_its_user_may_write() -> None:
    commands = [instruction.text for instruction in stages(ROOT / "Containerfile")[-1] if instruction.name == "RUN"]
    assert any("--owner pygnc" in command and command.endswith("/backups") for command in commands)


@needs("caddy")
def test_caddy_accepts_the_configuration_of_the_proxy(tmp_path: Path) -> None:
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", str(FOLDER / "Caddyfile")]
    variables = os.environ | _environment() | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=variables)
    assert done.returncode == 0, done.stderr
    assert f":{read_port()}" in (FOLDER / "Caddyfile").read_text()


def read_port() -> str:
    (port,) = re.findall(r"^port = (\d+)", (FOLDER / "server.toml").read_text(), re.MULTILINE)
    return str(port)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[list[str]]:
    """The command of the engine for a copy of the project's settings, whose name has a certificate of Caddy's own."""
    engine = _engine()
    text = (FOLDER / "example.env").read_text().replace("stations.example", "localhost")
    (tmp_path / ".env").write_text(text)
    command = [*engine, "--file", str(FILE), "--env-file", str(tmp_path / ".env"), "--project-name", "pygnc-test"]
    yield command
    subprocess.run([*command, "down", "--volumes"], check=False, capture_output=True)


@pytest.mark.slow
@pytest.mark.index
@pytest.mark.timeout(900)
def test_an_engine_runs_the_server_with_tls_a_backup_and_an_alert(project: list[str]) -> None:
    subprocess.run([*project, "up", "--build", "--detach"], check=True)

    def answers() -> bool:
        try:
            return httpx.get("https://localhost/health", verify=False, timeout=5).status_code == 200  # noqa: S501
        except httpx.HTTPError:
            return False

    wait_for(answers, "the server behind the proxy")

    def run(*words: str) -> str:
        command = [*project, "exec", "-T", "stations", "pygnc", "station", *words]
        settings = ["--settings", "/etc/pygnc-station/station.toml"]
        return subprocess.run([*command, *settings], check=True, capture_output=True, text=True).stdout

    assert re.fullmatch(r"\d{8}\n", run("pin"))
    assert ".backup.zip" in run("backup")
    run("alerts", "list")
