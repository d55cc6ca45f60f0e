"""Start PyGNC: python main.py, python -m pygnc or pygnc fly <timeout_minutes> <spacecraft_time_seconds> [options]."""

import contextlib
import gc
import os
import signal
import sys
import time

from pygnc.common.constants import HARD_EXIT_AT_S

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def fly(arguments: list[str], *, prog_name: str = "", stops_s: list[float] | None = None) -> None:  # noqa: ARG001 - the usage names main.py
    """Print help or version, or run PyGNC, according to the arguments; end the process with its exit code.

    `stops_s` are the monotonic times of stops requested so far, s; later ones are appended.
    """
    stops_s = [] if stops_s is None else stops_s

    def note_stop(*_: object) -> None:
        if not stops_s:
            signal.setitimer(signal.ITIMER_REAL, HARD_EXIT_AT_S)
        stops_s.append(time.monotonic())

    for number in _STOP_SIGNALS:
        signal.signal(number, note_stop)
    if stops_s:
        signal.setitimer(signal.ITIMER_REAL, HARD_EXIT_AT_S)
    # The program that started this one may have blocked signals, and the tasks would inherit it.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # Imports create no garbage; a collection would take a tenth of the time to the first status.
    gc.disable()
    # The tasks share four slow cores, so libraries must not start threads. This must precede the import of numpy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    code = _run(arguments, stops_s)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # the terminal may be gone; the interpreter would exit with code 120
            stream.flush()
    os._exit(code)


def _run(arguments: list[str], stops_s: list[float]) -> int:
    if arguments == ["--version"]:
        from pygnc.launch.arguments import version_text  # noqa: PLC0415 - needs no library that may be missing

        sys.stdout.write(f"{version_text()}\n")
        return 0
    if arguments in (["--help"], ["-h"]):
        from pygnc.launch.arguments import help_text  # noqa: PLC0415 - as above

        sys.stdout.write(help_text())
        return 0
    if arguments[:1] in (["--install"], ["--uninstall"]):
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        from pygnc.launch.service import main as manage_service  # noqa: PLC0415 - no run needs it

        return manage_service(arguments)
    from pygnc.launch.run import main  # noqa: PLC0415 - the signals come first

    return main(arguments, stops_s)


if __name__ == "__main__":
    fly(sys.argv[1:])
