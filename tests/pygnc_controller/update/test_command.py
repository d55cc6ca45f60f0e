"""Updates by ssh to a server on loopback and by the shell on a terminal."""

import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pygnc.host.home_files import HomeFiles
from pygnc.host.transfer import Upload, is_writable
from pygnc_controller.emulator.pty_pi import PtyPi
from pygnc_controller.update.command import PACKAGE, SerialTransport, app
from tests.programs import needs
from tests.pygnc_controller.update.conftest import BROKEN_IN_PLACE, PYTHON, Package, SshServer, in_use

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
FAST_BAUD = 4_000_000


def update(server: SshServer, *words: str) -> Result:
    return CliRunner().invoke(app, ["--host", "pi", "--ssh-config", str(server.config), *words])


@pytest.mark.timeout(180)  # two complete runs of the flight software
@needs("minisign")
def test_from_a_new_key_to_the_version_in_use(tmp_path: Path, home: Path, server: SshServer) -> None:
    def run(*words: str | Path, code: int = 0) -> str:
        environment = os.environ | {"HOME": str(home)}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    secret, public = tmp_path / "secret.key", tmp_path / "minisign.pub"
    run("minisign", "-G", "-W", "-s", secret, "-p", public)
    command: list[str | Path] = [sys.executable, ROOT / "scripts" / "update_raspi.py"]
    command += ["--host", "pi", "--ssh-config", server.config]
    assert run(*command, "--add-key", public).startswith("trusted keys: ")

    # By the network.
    command += ["--python", sys.executable]
    run(*command, code=2)  # would not be signed
    printed = run(*command, "--sign", secret)
    version = (home / "pygnc" / "pygnc_version.info").read_text().strip()
    assert f"in use: {version}\n" in printed
    documented = (ROOT / "docs" / "update.md").read_text().partition("```\nsending ")[2].partition("```")[0]
    assert masked(printed) == masked("sending " + documented.replace("installing libraries\n", ""))
    assert (home / "pygnc" / "pygnc" / "host" / "channel.py").exists()
    assert not list(home.glob(".pygnc*"))

    # By the streaming interface and the shell.
    package = Package(tmp_path, "new", **{"pygnc_version.info": "2099-01-01T00:00:00Z new 0.1.0\n"}).path
    run("minisign", "-S", "-s", secret, "-m", package)
    files = HomeFiles(home, 0)
    for name, path in (("flight.zip", package), ("flight.zip.minisig", Path(f"{package}.minisig"))):
        content = path.read_bytes()
        upload = Upload(name, len(content), zlib.crc32(content))
        assert is_writable(name)
        files.prepare(upload)
        files.append(upload, content)
        assert files.complete(upload)
    installed = home / "pygnc" / "pygnc_system" / "installer.py"
    run("python3", installed, home / "flight.zip", "--python", PYTHON)
    assert in_use(home) == "new"


def masked(text: str) -> str:
    """Return the output of an update without its numbers, dates and hashes."""
    return re.sub(r"[0-9A-Fa-f]*[0-9][0-9A-Fa-f]*(\+changes)?", "#", text)


def test_a_failing_version_is_rolled_back_and_reported(
    tmp_path: Path, home: Path, old: Package, server: SshServer
) -> None:
    package = Package(tmp_path, "bad", BROKEN_IN_PLACE)
    done = update(server, "--package", str(package.path), "--python", PYTHON, "--unsigned")
    assert done.exit_code == 4
    assert "rolled back to" in done.stdout
    assert in_use(home) == old.path.stem
    good = Package(tmp_path, "good")
    assert update(server, "--package", str(good.path), "--python", PYTHON, "--unsigned").exit_code == 0
    assert in_use(home) == "good"
    assert update(server, "--roll-back").exit_code == 0
    assert in_use(home) == old.path.stem


def test_an_unknown_host_key_is_rejected(tmp_path: Path, home: Path, server: SshServer) -> None:
    known = server.config.parent / "known"
    user_key = (server.config.parent / "user_key.pub").read_text()
    known.write_text(f"[127.0.0.1]:{server.port} {user_key}")
    done = update(server, "--package", str(Package(tmp_path, "new").path), "--unsigned")
    assert done.exit_code == 2
    assert "Host key verification failed" in done.stderr
    assert not (home / "pygnc").exists()
    assert list(home.iterdir()) == []


def test_a_damaged_package_and_an_invalid_host_are_rejected(tmp_path: Path, server: SshServer) -> None:
    package = Package(tmp_path, "new")
    octets = package.path.read_bytes()
    package.path.write_bytes(octets.replace(b"PyGNC run 1", b"PyGNC ruin1"))
    done = update(server, "--package", str(package.path))
    assert (done.exit_code, "fails its check sum" in done.stderr or "Bad CRC" in done.stderr) == (2, True), done.stderr
    done = update(server, "--host", "-oProxyCommand=true", "--package", str(package.path))
    assert (done.exit_code, "-oProxyCommand" in done.stderr) == (2, True)


@pytest.fixture
def pi(home: Path) -> Iterator[PtyPi]:
    with PtyPi(home) as pi:
        yield pi


@pytest.mark.timeout(180)  # about fifty commands of a real shell
def test_an_update_over_the_serial_line(tmp_path: Path, home: Path, old: Package, pi: PtyPi) -> None:
    package = Package(tmp_path, "new", ballast="".join(chr(33 + k * k % 90) for k in range(9000)))
    way = SerialTransport(pi.master, FAST_BAUD)
    way.send(package.path, PACKAGE)
    answer = way.install(PACKAGE, package.sha256, "--python", PYTHON, "--unsigned")
    assert answer.code == 0, answer.text
    assert in_use(home) == "new"
    assert way.install("--roll-back").code == 0
    assert in_use(home) == old.path.stem
