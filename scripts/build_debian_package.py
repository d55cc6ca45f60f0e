"""Build the Debian package of the station: `python -m scripts.build_debian_package --out dist`.

The package contains an environment with all libraries in the versions of requirements/station.txt, so that it needs
Debian's Python only and installs without a network. The same commit gives the same bytes: all files are dated by
SOURCE_DATE_EPOCH if set, else by the commit. It needs dpkg-deb, strip of the architecture (package binutils, or
binutils-aarch64-linux-gnu), and a package index for the libraries, or a folder with their wheels.
"""

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Final

from pygnc_station.commands.systemd_units import unit_files
from pygnc_station.settings import settings_of
from scripts.build_distributions import build, repository
from scripts.package_flight_code import ROOT, ZIP_EPOCH_S, download_wheels, git, read_version, wheel_target
from scripts.release.declared_licence import declared_licence

NAME: Final = "pygnc-station"
LOCK: Final = ROOT / "requirements" / "station.txt"
OURS: Final = ("pygnc-devices", NAME, "pygnc-batonopc", "pygnc-tinycloud")
MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
STRIP: Final = {machine: f"{machine}-linux-gnu-strip" for machine in MACHINES.values()}
PYTHONS: Final = {"12": "3.11", "13": "3.13"}
"""Python of each supported release of Debian, and of Raspberry Pi OS of the same number."""
DECLARED: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAINTAINER: Final = "{name} <{email}>".format(**DECLARED["project"]["authors"][0])
_TEMPLATES: Final = ROOT / "scripts" / "debian"
_HOME: Final = f"usr/lib/{NAME}"
_SETTINGS: Final = f"etc/{NAME}/station.toml"
_DOCUMENTS: Final = f"usr/share/doc/{NAME}"
_START: Final = """#!/{home}/bin/python
import sys

from pygnc_cli.__main__ import main

sys.exit(main())
"""
_CONTROL: Final = """Package: {name}
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size_kb}
Depends: python{python}, libc6 (>= 2.36), adduser
Recommends: systemd
Section: science
Priority: optional
Homepage: {homepage}
Description: {summary}
 It logs inertial units, particle counters and battery systems on serial
 lines for years, and uploads their readings to a server.
 .
 The package contains the libraries that it needs.
"""


def main() -> None:
    """Build the package and print its SHA-256."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", choices=MACHINES, default="amd64", help="Computer (default: amd64).")
    parser.add_argument("--debian", choices=PYTHONS, default="12", help="Release of Debian (default: 12).")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="Folder for the file (default: dist).")
    parser.add_argument("--wheels", type=Path, help="Folder of the libraries' wheels; missing ones are downloaded.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheels = arguments.wheels or Path(folder)
        path = build_package(arguments.architecture, arguments.debian, arguments.out.absolute(), wheels)
    print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}")


def build_package(architecture: str, debian: str, out: Path, wheels: Path) -> Path:
    """Build the package from the wheels in a folder, to which missing ones are added; return its path.

    Raises:
        subprocess.CalledProcessError: no package index answers, or dpkg-deb fails (see the output).
    """
    epoch_s = int(os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or ZIP_EPOCH_S)
    python, version = PYTHONS[debian], f"{read_version()}+deb{debian}"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        packages = root / _HOME / "lib" / f"python{python}" / "site-packages"
        install_libraries(packages, MACHINES[architecture], python, wheels)
        write_environment(root, python)
        write_settings_and_units(root)
        write_documents(root, packages, version, epoch_s)
        set_modes(root)
        size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        write_control(root, version, architecture, python, size)
        for path in (root, *root.rglob("*")):
            os.utime(path, (epoch_s, epoch_s), follow_symlinks=False)
        out.mkdir(parents=True, exist_ok=True)
        package = out / f"{NAME}_{version}_{architecture}.deb"
        # One thread, because the number of threads changes the compressed bytes.
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--threads-max=1", "--build", str(root), str(package)]
        environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch_s)}
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return package


def install_libraries(packages: Path, machine: str, python: str, wheels: Path) -> None:
    """Install our distributions and the locked libraries, whose hashes pip checks, into a folder."""
    for name, content in {} if any(wheels.glob("*.whl")) else download_wheels(machine, python, LOCK).items():
        wheels.mkdir(parents=True, exist_ok=True)
        (wheels / Path(name).name).write_bytes(content)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index"]
    pip += ["--no-compile", "--ignore-installed", "--target", str(packages), *wheel_target(machine, python)]
    locked = ["--find-links", str(wheels), "--require-hashes", "--requirement", str(LOCK)]
    subprocess.run([*pip, *locked], check=True)
    shutil.rmtree(packages / "bin")  # commands of the libraries
    with tempfile.TemporaryDirectory() as folder:
        for name in OURS:
            build(name, DECLARED, Path(folder))
        exact = [f"{name}=={read_version()}" for name in OURS]
        subprocess.run([*pip, "--find-links", folder, *exact], check=True)
    shutil.rmtree(packages / "bin")
    for path in packages.glob("yaml/_yaml*.so"):
        path.unlink()  # contains a copy of libyaml, which Debian forbids; yaml works without it
    program = STRIP[machine]
    if shutil.which(program) is None:
        raise SystemExit(f"{program} is missing; on Debian: apt install binutils binutils-aarch64-linux-gnu")
    subprocess.run([program, "--strip-unneeded", *packages.rglob("*.so")], check=True)


def write_environment(root: Path, python: str) -> None:
    """Make a virtual environment of the folder of the libraries, and a command of it."""
    home = root / _HOME
    (home / "bin").mkdir()
    (home / "bin" / "python").symlink_to(f"/usr/bin/python{python}")
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    (home / "bin" / "pygnc").write_text(_START.format(home=_HOME))
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/pygnc").symlink_to(f"../lib/{NAME}/bin/pygnc")


def write_settings_and_units(root: Path) -> None:
    """Write the settings and the units for them, none of which starts before a device is set."""
    settings = root / _SETTINGS
    settings.parent.mkdir(parents=True)
    shutil.copy(_TEMPLATES / "station.toml", settings)
    units = root / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    table = tomllib.loads(settings.read_text()) | {"upload": {"url": "https://server"}}
    for is_server in (False, True):
        program = Path(f"/{_HOME}/bin/pygnc")
        made = unit_files(
            settings_of(table, _SETTINGS), Path("/") / _SETTINGS, NAME, is_server=is_server, program=program
        )
        for name, text in made.items():
            (units / name).write_text(text)


def write_documents(root: Path, packages: Path, version: str, epoch_s: int) -> None:
    """Write licences, changelog and the description of the settings, compressed as Debian requires."""
    folder = root / _DOCUMENTS
    folder.mkdir(parents=True)
    (folder / "copyright").write_text("\n".join(copyright_lines(packages)), encoding="utf-8")
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(epoch_s))
    changes = f"{NAME} ({version}) unstable; urgency=medium\n\n  * See CHANGELOG.md of PyGNC.\n\n"
    compressed = {
        "changelog.gz": f"{changes} -- {MAINTAINER}  {date}\n",
        "station.md.gz": (ROOT / "docs/station.md").read_text(encoding="utf-8"),
    }
    for name, text in compressed.items():
        (folder / name).write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    manual = root / "usr/share/man/man1/pygnc.1.gz"
    manual.parent.mkdir(parents=True)
    manual.write_bytes(gzip.compress((_TEMPLATES / "pygnc.1").read_bytes(), 9, mtime=0))


def copyright_lines(packages: Path) -> Iterator[str]:
    """Yield a copyright file in Debian's format: our licence, and name and licence of each library."""
    yield "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
    yield "Files: *\nCopyright: 2026 the PyGNC authors\nLicense: Expat\n"
    for information in sorted(packages.glob("*.dist-info")):
        library = PathDistribution(information)
        name = library.name
        if not name.startswith("pygnc"):
            files = f"{_HOME}/lib/*/site-packages/{information.name}"
            yield f"Files: {files}/*\nCopyright: the authors of {name}, see {information.name}"
            yield f"License: {declared_licence(library) or 'see its files'}"
            yield f" The licence of {name} {library.version}, which covers all files that its RECORD lists.\n"
    (_, _, licence_text) = (ROOT / "LICENSE").read_text(encoding="utf-8").partition("\n\n")
    yield "License: Expat"
    yield textwrap.indent(licence_text.replace("\n\n", "\n.\n"), " ")


def set_modes(root: Path) -> None:
    """Give all files the modes of installed files."""
    for path in root.rglob("*"):
        if not path.is_symlink():
            is_program = path.is_dir() or path.parent.name == "bin"
            path.chmod(0o755 if is_program else 0o644)
    root.chmod(0o755)


def write_control(root: Path, version: str, architecture: str, python: str, size: int) -> None:
    """Write the control files: description, scripts, list of settings, checksums."""
    folder = root / "DEBIAN"
    sums = sorted(
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(root)}\n"
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink() and path != root / _SETTINGS
    )
    folder.mkdir()
    folder.chmod(0o755)
    control = _CONTROL.format(
        name=NAME,
        version=version,
        architecture=architecture,
        maintainer=MAINTAINER,
        homepage=repository(DECLARED),
        size_kb=-(-size // 1024),
        python=python,
        summary="logger and server of sensor stations",
    )
    texts = {"control": control, "conffiles": f"/{_SETTINGS}\n", "md5sums": "".join(sums)}
    for name in ("postinst", "prerm", "postrm"):
        texts[name] = (_TEMPLATES / name).read_text()
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755 if name.startswith("p") else 0o644)


if __name__ == "__main__":
    main()
