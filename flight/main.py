"""Start PyGNC: python main.py <timeout_minutes> <spacecraft_time_seconds> [options]; see --help."""

import sys
import time

import pygnc_system  # noqa: F401 - it refuses a Python that is too old, even 2.7


def start():  # type: () -> None  # noqa: ANN201
    """Run PyGNC; a stop that is requested from now on is noted and ends the run in order."""
    # The public module `signal` imports others for milliseconds, in which Ctrl-C would print a traceback.
    import _signal  # type: ignore[import-not-found]  # noqa: PLC0415 - built in, but not in Python 2.7

    stops_s = []  # type: list[float]
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        _signal.signal(number, lambda *_: stops_s.append(time.monotonic()))

    from pygnc.__main__ import fly  # noqa: PLC0415 - the signals come first

    fly(sys.argv[1:], stops_s=stops_s)


if __name__ == "__main__":
    start()
