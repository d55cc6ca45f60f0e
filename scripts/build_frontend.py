"""Collect the JavaScript libraries of the pages in data/frontend: `python -m scripts.build_frontend`.

npm installs them in the versions of requirements/frontend/package-lock.json, whose hashes it checks. The libraries
have files for browsers, so nothing is compiled. The folder is not in the repository; distributions contain it.
"""

import fcntl
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
LOCK: Final = ROOT / "requirements/frontend/package-lock.json"
FRONTEND: Final = ROOT / "data/frontend"
FILES: Final = {
    "uplot.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.css": "uplot/dist/uPlot.min.css",
    "uplot-LICENSE.txt": "uplot/LICENSE",
}
"""Files of the folder by name, with their paths below node_modules."""
NPM: Final = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def build_frontend(folder: Path = FRONTEND) -> None:
    """Write the libraries with their licences and the lock into a folder, unless it has those of the lock already.

    Raises:
        SystemExit: npm is not installed or fails; the message contains the remedy.
    """
    built = folder / LOCK.name  # it is written last
    with LOCK.open("rb") as lock, tempfile.TemporaryDirectory() as temporary:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests build at the same time
        if built.is_file() and built.read_bytes() == LOCK.read_bytes():
            return
        npm = shutil.which("npm")
        if npm is None:
            sys.exit("npm: not found; install Node.js and npm (apt-get install nodejs npm) and repeat")
        for name in ("package.json", LOCK.name):
            shutil.copy(LOCK.parent / name, temporary)
        done = subprocess.run([npm, *NPM], cwd=temporary, check=False, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            why = f"exit code {done.returncode}; is its registry reachable? {done.stderr.strip()}"
            sys.exit(f"npm {' '.join(NPM)}: {why}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, source in FILES.items():
            shutil.copyfile(Path(temporary, "node_modules", source), folder / name)
        shutil.copyfile(LOCK, built)


if __name__ == "__main__":
    build_frontend()
