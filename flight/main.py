"""Start PyGNC: python main.py <timeout_minutes> <spacecraft_time_seconds> [options]; see --help."""
# ruff: noqa: UP032 - the syntax is valid even in Python 2.7, so that the check of the version runs

import os
import sys
import time

try:
    import pygnc_system  # noqa: F401 - it refuses a Python that is too old, even 2.7
except Exception as error:  # noqa: BLE001 - the file is damaged; `find_version_fault` finds it again
    sys.stderr.write("pygnc: {}\n".format(error))

FAULT_VARIABLE = "PYGNC_VERSION_FAULT"
"""Environment variable with the reason why another version runs."""


def start():  # type: () -> None  # noqa: ANN201
    """Run PyGNC; a stop that is requested from now on is noted and ends the run in order."""
    # The public module `signal` imports others for milliseconds, in which Ctrl-C would print a traceback.
    import _signal  # type: ignore[import-not-found]  # noqa: PLC0415 - built in, but not in Python 2.7

    stops_s = []  # type: list[float]
    stop_signals = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)
    for number in stop_signals:
        _signal.signal(number, lambda *_: stops_s.append(time.monotonic()))
    if os.environ.pop("PYGNC_STOP", ""):  # start.sh was asked to stop
        stops_s.append(time.monotonic())

    other = find_other_version()
    if other and not stops_s:
        _signal.pthread_sigmask(_signal.SIG_BLOCK, stop_signals)  # until the other version can note stops
        run_version(other)

    from pygnc.__main__ import fly  # noqa: PLC0415 - the signals come first

    fly(sys.argv[1:], stops_s=stops_s)


def find_other_version():  # type: () -> str  # noqa: ANN201
    """Return the folder of the version to run instead of this one, or an empty string; never fail.

    If this version was installed by an update and is damaged or given up, FAULT_VARIABLE receives the reason.
    """
    from pathlib import Path  # noqa: PLC0415 - not in Python 2.7

    if FAULT_VARIABLE in os.environ or not sys.argv[1:] or not sys.argv[1].isdigit():
        return ""
    fault, other, is_installed = "", "", False
    try:
        version = Path(__file__).resolve().parent
        versions = Path(os.environ.get("HOME", ""), "pygnc_versions").resolve()
        is_installed = version.parent == versions
        if not is_installed:
            return ""
        previous = (versions / "previous").resolve()
        if previous != version and (previous / "main.py").is_file():
            other = str(previous)

        from pygnc_system.version_trial import find_damage, find_fault  # noqa: PLC0415 - it may be damaged

        fault = find_fault(version)
        if not fault or find_damage(previous):
            other = ""
    except Exception as error:  # noqa: BLE001 - whatever is wrong with this version, the previous one may fly
        fault = "{}: {}".format(type(error).__name__, error) if is_installed else ""
    if fault:
        os.environ[FAULT_VARIABLE] = "{}; {} runs".format(fault, other or "it still")
        sys.stderr.write("pygnc: {}\n".format(os.environ[FAULT_VARIABLE]))
    return other


def run_version(version):  # type: (str) -> None  # noqa: ANN001, ANN201
    """Replace this process by that of another version; return if that is impossible."""
    from pathlib import Path  # noqa: PLC0415 - not in Python 2.7

    own = Path(version, ".venv", "bin", "python")
    python = str(own) if own.exists() else sys.executable
    try:
        os.execv(python, [python, str(Path(version, "main.py"))] + sys.argv[1:])  # noqa: RUF005, S606 - valid in Python 2.7
    except OSError as error:
        sys.stderr.write("pygnc: {}: {}\n".format(python, error))


if __name__ == "__main__":
    start()
