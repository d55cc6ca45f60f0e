"""Continuation of a run that the service manager starts again after a failure.

systemd keeps the folder of `RuntimeDirectory` while it restarts a service, and removes it when the service is stopped.
A start record in this folder therefore belongs to a run that has failed. The new run continues the clock of the failed
run, ends when that should have ended, and begins with the same inputs.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from pygnc.launch.arguments import Arguments
from pygnc_system.files import durable_write, read_input

_FILE: Final = "start"
_BYTES_MAX: Final = 1000


class _Start(msgspec.Struct):
    """First start of a run: its arguments, and the monotonic time in ns, which counts from the boot."""

    timeout_min: int
    t_spacecraft_s: int
    t_mono_ns: int


def continued(
    arguments: Arguments, environment: Mapping[str, str] = os.environ, now_ns: int | None = None
) -> Arguments:
    """Return the given arguments, or, if systemd restarts a failed run, those that continue that run."""
    folder = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if not folder:
        return arguments
    now_ns = time.monotonic_ns() if now_ns is None else now_ns
    file = Path(folder) / _FILE
    try:
        start = msgspec.json.decode(read_input(file, _BYTES_MAX), type=_Start)
    except (OSError, ValueError, RecursionError):  # no valid record, so this is the first start
        start = _Start(arguments.timeout_min, arguments.t_spacecraft_s, now_ns)
        try:
            durable_write(file, msgspec.json.encode(start))
        except OSError:
            return arguments  # without a record, the run works but could not be continued
    elapsed_s = max(0, now_ns - start.t_mono_ns) // 1_000_000_000
    if not elapsed_s:
        return arguments
    return replace(
        arguments,
        timeout_min=max(0, start.timeout_min - round(elapsed_s / 60)),
        t_spacecraft_s=start.t_spacecraft_s + elapsed_s,
        from_last_run=True,
    )
