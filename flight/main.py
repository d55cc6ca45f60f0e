"""Start PyGNC: python main.py <timeout_minutes> <spacecraft_time_seconds>, and options; without them it says which."""

import gc
import os
import signal
import sys

# Until a run has begun there is nothing to end in order: a stop just ends this.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *_: os._exit(0))

# Nothing that imports make is garbage; looking for it would take a tenth of the time to the first status.
gc.disable()

# Four slow cores are shared by as many tasks: no library may start threads of its own. Before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pygnc.launch.run import main  # noqa: E402 - what stands above must come first

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
