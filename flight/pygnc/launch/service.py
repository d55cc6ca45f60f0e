"""`pygnc fly --install | --uninstall`: the run as a service of systemd.

The host starts it by `systemctl start pygnc-fly`; with `--terminal`, the service owns the serial line to the host from
its start to its end, so that Ctrl-C stops the run, and a login prompt follows.
"""

import argparse
import os
import pwd
import sys
from pathlib import Path
from typing import Final

from pygnc.common.constants import HARD_EXIT_AT_S
from pygnc.supervisor.process import ExitCode
from pygnc.supervisor.supervisor import START_PATIENCE_S
from pygnc_system.service_unit import (
    SANDBOX,
    SERIAL_DEVICES,
    ServiceError,
    command_line,
    escaped,
    install,
    invoking_user,
    quoted,
    uninstall,
)

NAME: Final = "pygnc-fly.service"
ARGUMENTS_FILE: Final = "pygnc_start.env"
"""Name of the file in the home with the arguments of the next start, such as PYGNC_ARGUMENTS=60 946700801."""
_OWNER: Final = "pygnc fly --install"
_UNIT: Final = """[Unit]
Description=PyGNC: orbit, attitude and formation
StartLimitIntervalSec=300
StartLimitBurst=5
{relations}
[Service]
Type=notify
WatchdogSec=30
Environment={home} "PYGNC_ARGUMENTS={arguments}"
EnvironmentFile=-{file}
ExecStart={command} $PYGNC_ARGUMENTS
{streams}
User={user}
SupplementaryGroups=dialout
RuntimeDirectory=pygnc-fly
RuntimeDirectoryPreserve=restart
RuntimeDirectoryMode=0700

# Exit codes of main.py: a run that has ended is not repeated, nor is one that cannot be started.
Restart=on-failure
RestartSec=1
SuccessExitStatus={ended}
RestartPreventExitStatus={refused}

# A stop takes main.py {stop_s:g} s at most; it ends the tasks itself.
KillMode=mixed
KillSignal=SIGINT
TimeoutStartSec={start_s:g}
TimeoutStopSec={timeout_stop_s:g}

# The kernel ends one task for lack of memory, which main.py starts again. The run precedes other programs, but without
# real-time priority, which would let an endless loop stop the whole computer.
MemoryMax={memory_mb}M
OOMPolicy=continue
OOMScoreAdjust=-500
Nice=-10
CPUWeight=500

ReadWritePaths={folder}
{sandbox}
{devices}
PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX

[Install]
WantedBy=multi-user.target
"""
_MEMORY_MB: Final = 300
"""Memory limit of the service. A run with three partners needs 110 MB; a Raspberry Pi Zero 2 has 512 MB."""
_ENDED: Final = (ExitCode.NOT_RECORDED, ExitCode.FORCED, ExitCode.LIMITED)
_REFUSED: Final = (ExitCode.USAGE, ExitCode.ALREADY_RUNNING, ExitCode.NO_HOME)


def main(words: list[str]) -> int:
    """Install or remove the service according to the arguments; return the exit code."""
    parser = _parser()
    chosen = parser.parse_args(words)
    try:
        if chosen.uninstall:
            done = uninstall(_OWNER, chosen.root)
        else:
            user = chosen.user or invoking_user()
            home = chosen.home or _home_of(user)
            text = unit_text(chosen.arguments, user, home.absolute(), chosen.terminal)
            done = install(_OWNER, {NAME: text}, [], chosen.root)
            done.append(f'to start it: echo "PYGNC_ARGUMENTS=60 946700801" > {home}/{ARGUMENTS_FILE}')
            done.append(f"             sudo systemctl start --no-block {NAME.removesuffix('.service')}")
    except ServiceError as error:
        print(f"pygnc fly: {error}", file=sys.stderr)
        return 1
    print("\n".join(done))
    return ExitCode.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pygnc fly", description=__doc__.partition("\n\n")[0], allow_abbrev=False)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--install", action="store_true", help="Write the unit; needs sudo.")
    action.add_argument("--uninstall", action="store_true", help="Stop the service and remove the unit; needs sudo.")
    parser.add_argument("--user", default="", help="User of the run (default: the calling user).")
    parser.add_argument("--home", type=Path, help="Home folder of the run (default: that of the user).")
    parser.add_argument("--terminal", type=Path, help="Serial line to the host, such as /dev/ttyAMA0.")
    parser.add_argument(
        "--arguments", default="60 0", help=f"Arguments of a start without ~/{ARGUMENTS_FILE} (default: '60 0')."
    )
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="FOLDER", help="Folder of the system, such as a mounted card."
    )
    return parser


def _home_of(user: str) -> Path:
    try:
        return Path(pwd.getpwnam(user).pw_dir)
    except KeyError:
        raise ServiceError(f"this system has no user {user!r}; name one by --user, or its home by --home") from None


def unit_text(arguments: str, user: str, home: Path, terminal: Path | None) -> str:
    """Return the text of the unit file.

    Args:
        arguments: Arguments of a start if the home contains no others.
        user: User of the run.
        home: Home folder of the run.
        terminal: Serial line to the host; None if there is none, or if `[host]` in the settings names it.
    """
    return _UNIT.format(
        relations=_relations(terminal) if terminal else "",
        streams=_streams(terminal) if terminal else "",
        home=quoted(f"HOME={home}"),
        arguments=escaped(arguments).replace("\\", "\\\\").replace('"', '\\"'),
        file=str(home / ARGUMENTS_FILE).replace("%", "%%"),
        command=command_line(_program()),
        user=escaped(user),
        ended=" ".join(str(int(code)) for code in _ENDED),
        refused=" ".join(str(int(code)) for code in _REFUSED),
        stop_s=HARD_EXIT_AT_S,
        start_s=2 * START_PATIENCE_S,
        timeout_stop_s=HARD_EXIT_AT_S + 3.0,
        memory_mb=_MEMORY_MB,
        folder=quoted(str(home)),
        sandbox=SANDBOX.format(capability=""),
        devices=SERIAL_DEVICES,
    )


def _relations(terminal: Path) -> str:
    getty = f"serial-getty@{escaped(terminal.name)}.service"
    return f"Conflicts={getty}\nAfter={getty}\nOnSuccess={getty}\nOnFailure={getty}\n"


def _streams(terminal: Path) -> str:
    path = str(terminal).replace("%", "%%")
    return f"StandardInput=tty-force\nStandardOutput=tty\nStandardError=journal\nTTYPath={path}"


def _program() -> list[str]:
    """Return the command that has started this process, without its arguments."""
    started = Path(sys.argv[0])
    python = str(_logical(Path(sys.executable)))
    if started.name in {"main.py", "pygnc_main.py"}:
        started = _logical(started)
        launcher = started.parent.parent / "pygnc_versions" / "start.sh"  # does not depend on one version
        if started.parent.name == "pygnc" and launcher.exists():
            return ["/bin/sh", str(launcher)]
        if (started.parent / ".venv").exists() and (started.parent / "start.sh").exists():
            return ["/bin/sh", str(started.parent / "start.sh")]
        return [python, str(started)]
    return [python, "-m", "pygnc"]


def _logical(path: Path) -> Path:
    """Return the absolute path without following links, because an update of a Pi replaces the link to the version."""
    path, here, named = path.absolute(), Path.cwd(), Path(os.environ.get("PWD", ""))
    if path.is_relative_to(here) and named.is_absolute() and named.exists() and named.samefile(here):
        return named / path.relative_to(here)
    return path
