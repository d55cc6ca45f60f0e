"""Signatures of packages: the installer, keys on the Pi, and the whole way from a key to the version in use."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pygnc_controller.update.command import INSTALLER
from pygnc_system import installer
from tests.pygnc_controller.update.conftest import PYTHON, Package, Signer, in_use, run_installer

KEY = "RWSnL1D9dYXKTciDdW9cfutt7AxeElumtUYhvsRv5D5IKH9LHdj4fnhS"
SIGNATURE = b"""untrusted comment: signature from minisign secret key
RUSnL1D9dYXKTfDfSzQSh+SJYOoTqwMFk/Ik2b5Fh8q5QxohfFrVHhz+ii50O3zIREwxyOGGoXxD64NvCnStA1GfHuutpmKfEww=
trusted comment: pygnc 0.1.0 2026-11-21T17:59:41Z
HQPZdS4vrt36gDAoLvJafp7dXr/a5ErlGOu/Y+nipKbLULkMYuvB0BcevNdcfb9LpXnZBjhPnVBVj10bR4VnCA==
"""
"""Made by minisign 0.11 (Debian 12) for the content `hello` and a line feed."""


def test_a_signature_made_by_minisign_is_valid_and_each_changed_byte_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installer, "HOME", tmp_path)
    monkeypatch.setattr(installer, "KEYS", tmp_path / "pygnc_keys.txt")
    # The file minisign.pub may be appended as it is.
    installer.KEYS.write_text(f"# operations\nuntrusted comment: minisign public key 4DCA8575FD502FA7\n{KEY}\n")
    package = tmp_path / "flight.zip"
    installer.signature_of(package).write_bytes(SIGNATURE)
    verified = "4DCA8575FD502FA7: pygnc 0.1.0 2026-11-21T17:59:41Z"
    assert installer.verify_signature(package, b"hello\n") == verified
    with pytest.raises(installer.UpdateError, match="not what the key 4DCA8575FD502FA7 has signed"):
        installer.verify_signature(package, b"hellp\n")
    second = SIGNATURE.index(b"\n") + 1
    for place in (second, second + 10, second + 99, 170, len(SIGNATURE) - 60):
        changed = bytearray(SIGNATURE)
        changed[place] ^= 1
        installer.signature_of(package).write_bytes(changed)
        with pytest.raises(installer.UpdateError):
            installer.verify_signature(package, b"hello\n")
    for length in range(second, len(SIGNATURE) - 1):
        installer.signature_of(package).write_bytes(SIGNATURE[:length])
        with pytest.raises(installer.UpdateError, match="cut or damaged"):
            installer.verify_signature(package, b"hello\n")


class Pi:
    """Home of a Pi with a package that may be installed."""

    def __init__(self, home: Path, package: Package) -> None:
        self.home = home
        self.package = home / "flight.zip"
        shutil.copy(package.path, self.package)
        self.signature = home / "flight.zip.minisig"

    def install(self, *words: str) -> tuple[int, str]:
        """Install the package; return the exit code and the last line printed."""
        done = run_installer(self.home, "flight.zip", "--python", PYTHON, *words)
        assert not done.stderr
        return done.returncode, done.stdout.splitlines()[-1]

    def refusal(self, *words: str) -> str:
        """Return the reason for which the package is not installed, in one line."""
        before = sorted(self.home.rglob("*"))
        code, text = self.install(*words)
        assert (code, sorted(self.home.rglob("*"))) == (2, before)  # nothing was unpacked
        return text.removeprefix("not updated: ").removeprefix(f"{self.home}/")


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def pi(tmp_path: Path, home: Path, old: Package) -> Pi:
    assert old.path.exists()
    return Pi(home, Package(tmp_path, "new"))


@pytest.mark.slow
def test_only_what_a_trusted_key_has_signed_is_installed(pi: Pi, signer: Signer) -> None:
    assert pi.refusal() == "pygnc_keys.txt: no key may sign packages; add a public key by --add-key, or use --unsigned"
    assert run_installer(pi.home, "--add-key", signer.public).stdout == f"trusted keys: {signer.id}; revoked: none\n"
    assert pi.refusal() == (
        "flight.zip.minisig: no signature; sign the package (minisign -Sm flight.zip) and send both"
    )
    good = signer.sign(pi.package)
    pi.signature.write_bytes(good[:-30])
    assert pi.refusal() == "flight.zip.minisig: the signature is cut or damaged; send it again"
    pi.signature.write_bytes(good.replace(b"a comment", b"A comment"))
    assert "has signed another trusted comment; send the signature again" in pi.refusal()
    Signer(b"stranger").sign(pi.package)
    assert pi.refusal() == (
        f"flight.zip.minisig: the key 7265676E61727473 is unknown; sign the package with {signer.id},"
        " or add the key by --add-key"
    )
    Signer().sign(pi.package)  # another key that claims the same id
    assert f"flight.zip: not what the key {signer.id} has signed" in pi.refusal()
    pi.signature.write_bytes(good)
    intact = pi.package.read_bytes()
    pi.package.write_bytes(intact.replace(b"PyGNC run 1", b"PyGNC run 2"))
    assert f"flight.zip: not what the key {signer.id} has signed" in pi.refusal()
    pi.package.write_bytes(intact)
    assert in_use(pi.home) == "old"

    code, text = pi.install()
    assert (code, text) == (0, "in use: 2026-01-01T00:00:00Z new 0.1.0")
    assert not pi.signature.exists()


@pytest.mark.slow
def test_a_revoked_key_stays_revoked(pi: Pi, signer: Signer) -> None:
    other = Signer(b"another.")
    for key in (signer, other):
        assert run_installer(pi.home, "--add-key", key.public).returncode == 0
    done = run_installer(pi.home, "--revoke", signer.id)
    assert done.stdout == f"trusted keys: {other.id}; revoked: {signer.id}\n"
    signer.sign(pi.package)
    assert f"the key {signer.id} is revoked; sign the package with another key" in pi.refusal()
    done = run_installer(pi.home, "--add-key", signer.public)
    assert (done.returncode, "is revoked; generate a new key" in done.stdout) == (2, True)
    keys = pi.home / "pygnc_keys.txt"
    intact = keys.read_text()
    keys.write_text(intact + signer.public + "\n")  # by hand
    assert "is revoked" in pi.refusal()
    keys.write_text(intact.replace("revoked", "revokee"))
    assert pi.refusal() == "pygnc_keys.txt: line 2 is neither a public key nor `revoked ID`; correct it"
    keys.write_text(intact)
    other.sign(pi.package)
    assert pi.install()[0] == 0


@pytest.mark.slow
def test_an_older_package_is_refused_although_it_is_signed(tmp_path: Path, home: Path, signer: Signer) -> None:
    run_installer(home, "--add-key", signer.public)
    for year, code in ((2026, 0), (2025, 2), (2027, 0), (2026, 2)):
        date = f"{year}-01-01T00:00:00Z"
        pi = Pi(home, Package(tmp_path, f"of{year}", **{"pygnc_version.info": f"{date} of{year} 0.1.0\n"}))
        signer.sign(pi.package)
        assert pi.install()[0] == code
    assert run_installer(home, "--roll-back").returncode == 0
    assert in_use(home) == "of2026"
    assert pi.refusal() == (
        "flight.zip: 2026-01-01T00:00:00Z is older than the version of 2027-01-01T00:00:00Z;"
        " --roll-back returns to the previous version, --older installs this package"
    )
    assert pi.install("--older")[0] == 0
    assert in_use(home) == "of2026"


@pytest.mark.slow
def test_without_openssl_no_signature_is_accepted(
    tmp_path: Path, pi: Pi, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_installer(pi.home, "--add-key", signer.public)
    signer.sign(pi.package)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pi.refusal() == "openssl: program not found; install openssl 3, or use --unsigned"
    (tmp_path / "openssl").write_text("#!/bin/sh\necho 'Unknown option: -rawin' >&2; exit 1\n")
    (tmp_path / "openssl").chmod(0o755)
    assert "openssl cannot verify: Unknown option: -rawin; install openssl 3" in pi.refusal()
    (tmp_path / "openssl").write_text("#!/bin/sh\nexit 0\n")
    assert "openssl cannot verify" in pi.refusal()
    assert pi.install("--unsigned")[0] == 0


@pytest.mark.slow
def test_a_package_that_is_replaced_during_its_installation_is_not_installed(
    tmp_path: Path, home: Path, signer: Signer
) -> None:
    run_installer(home, "--add-key", signer.public)
    pi, other = Pi(home, Package(tmp_path, "good")), Package(tmp_path, "bad")
    signer.sign(pi.package)
    program = tmp_path / "openssl"
    program.write_text(f'#!/bin/sh\ncp {other.path} {pi.package}\nexec {shutil.which("openssl")} "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [PYTHON, INSTALLER, "flight.zip", "--python", PYTHON],
        env=os.environ | {"HOME": str(home), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, in_use(home)) == (0, "good"), done.stdout + done.stderr
