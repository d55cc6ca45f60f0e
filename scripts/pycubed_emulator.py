"""Emulator of the host controller: see `python scripts/pycubed_emulator.py --help`."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pygnc_controller.emulator.command import app

if __name__ == "__main__":
    app()
