"""Options of main.py and `pygnc fly`, for the help and for the completion by shells."""

from collections.abc import Mapping
from typing import Final

OPTIONS: Final[Mapping[str, str]] = {
    "--config FILE": "Settings file.",
    "--exit-when-done": "End the run when its batch is processed.",
    "--from-last-run": "Begin with the files written by the previous run.",
    "--strict": "End the run if the settings file is faulty.",
    "--help": "Show this list and exit.",
    "--version": "Show the version and exit.",
    "--install": "Install the run as a service of systemd; needs sudo.",
    "--uninstall": "Stop the service and remove it; needs sudo.",
    "--user NAME": "With --install: user of the run.",
    "--home FOLDER": "With --install: home folder of the run.",
    "--terminal FILE": "With --install: serial line to the host, such as /dev/ttyAMA0.",
    "--arguments TEXT": "With --install: arguments of a start without others.",
    "--root FOLDER": "With --install or --uninstall: folder of the system, such as a mounted card.",
}
"""Descriptions by option; after an option with a value, the key also names the kind of value."""
