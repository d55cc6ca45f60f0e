"""Start of the command `pygnc`: Ctrl-C ends it without a traceback also while it loads its modules."""

import signal
import sys


def main() -> int:
    """Run the command line of the process; return the exit code."""
    is_ignored = signal.getsignal(signal.SIGINT) is not signal.default_int_handler  # inherited
    if not is_ignored:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pygnc_cli.app import main as run  # noqa: PLC0415 - Ctrl-C must not interrupt this import

    if not is_ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


if __name__ == "__main__":
    sys.exit(main())
