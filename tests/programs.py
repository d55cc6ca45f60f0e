"""Programs that some tests need and the Debian packages that contain them."""

import os
import shutil

import pytest

_PACKAGES = {
    "Xvfb": "xvfb",
    "chromedriver": "chromium-driver",
    "dpkg-deb": "dpkg",
    "mosquitto_passwd": "mosquitto",
    "mariadb-install-db": "mariadb-server",
    "setpriv": "util-linux",
    "sshd": "openssh-server",
    "systemctl": "systemd",
    "systemd-analyze": "systemd",
    "systemd-nspawn": "systemd-container",
    "x86_64-linux-gnu-strip": "binutils",
}
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"])


def find_program(name: str) -> str | None:
    """Return the path of a program, or None if it is not installed."""
    return shutil.which(name, path=_PATH)


def needs(*programs: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test if one of the programs is not installed; in CI the test runs and fails."""
    missing = [program for program in programs if find_program(program) is None]
    packages = " ".join(_PACKAGES.get(program, program) for program in missing)
    return pytest.mark.skipif(bool(missing) and "CI" not in os.environ, reason=f"to run it: apt-get install {packages}")
