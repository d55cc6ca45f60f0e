"""Logger process: `python -m pygnc_station.logger --settings FILE`.

Ctrl-C ends it without a traceback also while it loads its modules, which takes seconds on small computers.
"""

import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)
if hasattr(signal, "pthread_sigmask"):
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # `pygnc station log` blocks it for Python's own start

from pygnc_station.logger.process import main  # noqa: E402 - Ctrl-C must not interrupt this import

sys.exit(main())
