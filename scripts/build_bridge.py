"""Pack the bridge and its window into one program that needs no Python: `python scripts/build_bridge.py --out dist`.

PyInstaller packs for the system that it runs on: run this on Linux for Linux, on macOS for macOS, on Windows for
Windows.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # allows to start the program by its path

from pygnc_cli.web_page import LIBRARIES
from pygnc_devices.family import BUILT_IN
from scripts.build_frontend import build_frontend

ROOT: Final = Path(__file__).resolve().parents[1]
GROUND: Final = ROOT / "ground"
NAME: Final = "pygnc-bridge"
DATA: Final = ("components", *(f"frontend/{name}" for name in LIBRARIES))
"""Files and folders in data/ that the page of the bridge loads."""
# Optional dependencies of libraries that the bridge does not use.
EXCLUDED: Final = (
    "IPython", "PIL", "_pytest", "hypothesis", "matplotlib", "mypy", "numpy", "pandas", "polars", "pyarrow", "pytest",
    "scipy", "setuptools", "trio", "websockets.trio", "yaml",
)  # fmt: skip


def main() -> None:
    """Build the program and print its path."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("dist"), help="Folder for the program (default: dist).")
    out = parser.parse_args().out
    build_frontend()
    with tempfile.TemporaryDirectory() as work:
        subprocess.run([sys.executable, "-m", "PyInstaller", *arguments(out, Path(work))], check=True)
    print(next(out.glob(f"{NAME}*")))


def place_of(name: str) -> str:
    """Return the folder of a data file in the program, where `pygnc_system.files.data_file` finds it."""
    path = Path("pygnc_data", name)
    return str(path if (ROOT / "data" / name).is_dir() else path.parent)


def arguments(out: Path, work: Path) -> list[str]:
    """Return the arguments for PyInstaller."""
    modules = [*BUILT_IN.values(), "serial.urlhandler.protocol_socket", "serial.urlhandler.protocol_rfc2217"]
    return [
        *("--onefile", "--noconfirm", "--log-level", "ERROR", "--name", NAME),
        *("--distpath", str(out), "--workpath", str(work), "--specpath", str(work)),
        *("--paths", str(ROOT / "flight"), "--paths", str(GROUND)),
        *("--collect-data", "pygnc_instruments.bridge"),
        *(word for name in DATA for word in ("--add-data", f"{ROOT / 'data' / name}{os.pathsep}{place_of(name)}")),
        *(("--strip",) if sys.platform == "linux" else ()),
        *(word for module in modules for word in ("--hidden-import", module)),
        *(word for module in EXCLUDED for word in ("--exclude-module", module)),
        str(GROUND / "pygnc_instruments" / "bridge" / "__main__.py"),
    ]


if __name__ == "__main__":
    main()
