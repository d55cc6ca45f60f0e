"""Collect the JavaScript libraries of the pages in data/frontend: `python -m scripts.build_frontend`.

npm installs them in the versions of requirements/frontend/package-lock.json, whose hashes it checks. uPlot has a file
for browsers. esbuild bundles the parts of three.js that requirements/frontend/three.mjs names into a classic script,
because a page that is opened from a file cannot load modules. The folder is not in the repository; distributions
contain it.
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
BUNDLED: Final = LOCK.parent / "three.mjs"
FILES: Final = {
    "uplot.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.css": "uplot/dist/uPlot.min.css",
    "uplot-LICENSE.txt": "uplot/LICENSE",
    "three.js": "three.js",
    "three-LICENSE.txt": "three/LICENSE",
}
"""Files of the folder by name, with their paths below node_modules; `three.js` is the bundle."""
MARKERS: Final = (BUNDLED, LOCK)
"""Files from which the folder is made; it contains copies, the last of which is written last."""
ESBUILD: Final = ("--bundle", "--minify", "--format=iife", "--global-name=THREE", "--legal-comments=inline")
NPM: Final = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def build_frontend(folder: Path = FRONTEND) -> None:
    """Write the libraries with their licences and the lock into a folder, unless it has those of the lock already.

    Raises:
        SystemExit: npm is not installed or fails; the message contains the remedy.
    """
    with LOCK.open("rb") as lock, tempfile.TemporaryDirectory() as temporary:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests build at the same time
        if all(_is_copied(path, folder) for path in MARKERS):
            return
        npm = shutil.which("npm")
        if npm is None:
            sys.exit("npm: not found; install Node.js and npm (apt-get install nodejs npm) and repeat")
        for name in ("package.json", LOCK.name, BUNDLED.name):
            shutil.copy(LOCK.parent / name, temporary)
        _run([npm, *NPM], temporary, "is its registry reachable?")
        bundle = f"--outfile=node_modules/{FILES['three.js']}"
        _run(["node_modules/.bin/esbuild", BUNDLED.name, *ESBUILD, bundle], temporary, "is it made for this computer?")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, source in FILES.items():
            shutil.copyfile(Path(temporary, "node_modules", source), folder / name)
        for path in MARKERS:
            shutil.copyfile(path, folder / path.name)


def _is_copied(path: Path, folder: Path) -> bool:
    copy = folder / path.name
    return copy.is_file() and copy.read_bytes() == path.read_bytes()


def _run(command: list[str], folder: str, question: str) -> None:
    done = subprocess.run(command, cwd=folder, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        words = " ".join([Path(command[0]).name, *command[1:]])
        sys.exit(f"{words}: exit code {done.returncode}; {question} {done.stderr.strip()}")


if __name__ == "__main__":
    build_frontend()
