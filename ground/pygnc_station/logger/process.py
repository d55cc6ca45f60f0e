"""Work of the logger process, which `python -m pygnc_station.logger` starts.

`pygnc station log` replaces itself by this process. It is a program of its own so that it imports only what it needs:
it runs for years on small computers.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pygnc_cli.exit_codes import ExitCode
from pygnc_cli.signals import stopped_by_signals
from pygnc_cli.text import printable
from pygnc_devices.errors import DeviceError
from pygnc_devices.reading import Reading
from pygnc_station.errors import StationError, StoreError
from pygnc_station.logger.display import as_stored, line_of
from pygnc_station.logger.logger import Logger
from pygnc_station.settings_file import read_settings
from pygnc_station.store.readings import Layout
from pygnc_station.store.reserve import keep_reserve
from pygnc_station.store.store import Store
from pygnc_system.service_notifier import ServiceNotifier

_log: Final = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Log until a signal arrives; return the exit code."""
    parser = argparse.ArgumentParser(prog="pygnc station log", description=__doc__)
    parser.add_argument("--settings", type=Path, help="Settings file.")
    parser.add_argument("--gadget", default="", help="Name of the device to log; by default all devices.")
    parser.add_argument("--quiet", action="store_true", help="Do not print readings.")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        settings = read_settings(chosen.settings)
        devices = settings.devices(chosen.gadget)
        keep_reserve(settings.store_url)
        with Store.open(settings.store_url) as store:
            listener = None if chosen.quiet else _print
            logger = Logger(store, devices, listener, settings.store.write_s, ServiceNotifier.from_environment())
            with stopped_by_signals(logger.stop):
                logger.run()
            print(f"{logger.stored} readings stored", flush=True)  # noqa: T201 - output of a command
    except (DeviceError, StationError, StoreError) as error:
        print(f"pygnc station log: {printable(str(error))}", file=sys.stderr)  # noqa: T201 - likewise
        return ExitCode.DEVICE if isinstance(error, DeviceError) else ExitCode.INPUT
    return ExitCode.DONE


def _print(gadget: str, reading: Reading) -> None:
    line = line_of(gadget, Layout.of(reading.packet), as_stored(reading))
    try:
        print(line, flush=True)  # noqa: T201 - output of a command
    except OSError as error:  # the pipe was closed or a disk is full; readings are still stored
        _log.warning("standard output: %s; readings are no longer printed, but still stored", error.strerror)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
