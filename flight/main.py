"""Start PyGNC: python main.py <timeout_minutes> <spacecraft_time_seconds> [options]; see --help."""

import contextlib
import gc
import os
import signal
import sys

# Nothing needs an orderly shutdown until the run has begun.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *_: os._exit(0))
# The program that started this one may have blocked signals, and the tasks would inherit it.
signal.pthread_sigmask(signal.SIG_SETMASK, ())

# Imports create no garbage; a collection would take a tenth of the time to the first status.
gc.disable()

# The tasks share four slow cores, so libraries must not start threads. This must precede the import of numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pygnc.launch.run import main  # noqa: E402 - the lines above must run first

if __name__ == "__main__":
    code = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # the terminal may be gone; the interpreter would exit with code 120
            stream.flush()
    os._exit(code)
