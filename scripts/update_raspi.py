"""Update the flight code of a Raspberry Pi: see `python scripts/update_raspi.py --help`."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pygnc_controller.update.command import app

if __name__ == "__main__":
    app()
