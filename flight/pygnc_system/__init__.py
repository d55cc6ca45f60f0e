"""Services of the operating system for all packages: durable files, signals, plug-ins, systemd; no drivers, no GNC."""

import sys

# All packages of PyGNC import this one first. Its syntax is valid even in Python 2.7, so the check always runs.
if sys.version_info < (3, 11):  # noqa: UP036 - main.py may be run without pip's check
    sys.exit("PyGNC needs Python 3.11 or newer; this is Python %d.%d (%s)" % (sys.version_info[:2] + (sys.executable,)))  # noqa: RUF005, UP031

__version__ = "0.1.0"
"""Version of all distributions of PyGNC, which are released together."""
