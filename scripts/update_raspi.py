"""Update the flight code of a Raspberry Pi: see `python scripts/update_raspi.py --help`."""

import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# pygnc_controller.py in this folder would hide the package of the same name.
sys.path.pop(0)

from pygnc_controller.update.command import app

if __name__ == "__main__":
    app()
