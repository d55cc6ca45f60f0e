"""Start PyGNC: python main.py <timeout_minutes> <spacecraft_time_seconds> [options]; see --help."""

import sys

from pygnc.__main__ import fly

if __name__ == "__main__":
    fly(sys.argv[1:])
