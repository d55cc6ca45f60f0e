"""Emulator of the host controller: see `python scripts/pycubed_emulator.py --help`."""

import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# pygnc_controller.py in this folder would hide the package of the same name.
sys.path.pop(0)

from pygnc_controller.emulator.command import app

if __name__ == "__main__":
    app()
