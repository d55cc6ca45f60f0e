"""Subcommands of `pygnc`: those of PyGNC's own distributions, and those that installed packages add."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Final, NamedTuple, Protocol

from pygnc_system import plugins

GROUP: Final = "pygnc.commands"
"""Group of the entry points of subcommands. Other packages may add theirs; see docs/plugins.md."""


class Subcommand(Protocol):
    """Function, or application of Typer or click, to which an entry point refers."""

    def __call__(self, arguments: list[str], /, *, prog_name: str) -> object:
        """Run the subcommand; return the exit code, or None for 0."""


class BuiltIn(NamedTuple):
    """Distribution and description of one of our subcommands."""

    distribution: str
    description: str


_DESCRIPTIONS: Final = {
    "pygnc": {
        "fly": "Run the flight software: pygnc fly TIMEOUT_MINUTES SPACECRAFT_TIME_SECONDS.",
    },
    "pygnc-ground": {
        "demo": "Fly a demonstration batch in a new folder, replay it, and write a report.",
        "inspect": ("Show the content of files: journals, status, info, sense and range files, tables, logs, folders."),
        "scenario": "Generate input files with known truth: pygnc scenario make, from-ephemeris, presets.",
        "replay": "Run the estimators of the flight software on recorded files; write tables and a report.",
        "view": "Show a run, or a flight at a serial port, in the browser while it flies.",
        "orbit": "Determine the orbit from logs of a receiver; write tables, a report, and CCSDS messages.",
        "follow": "Estimate the orbit while a receiver sends raw measurements; print each state.",
        "gate": "Replay an archive of recorded runs and compare the estimates with the accepted ones; for CI.",
        "campaign": "Simulate and judge many flights on all cores or a cluster: pygnc campaign FILE, rerun, report.",
        "bound": "Compute the Cramer-Rao bound: the smallest error that any estimator can have with given fixes.",
        "identify": "Find the object of a catalogue that a satellite is, from its orbit or Doppler shifts.",
        "passes": "Show rise, culmination and set over ground stations, with the uncertainty of the times.",
        "export": "Write estimates as CCSDS messages (OPM, OEM, OMM, AEM, CDM), TLE or MCAP, for other programs.",
        "describe": "Describe status record, sentences or journals for other systems: XTCE, C header or Markdown.",
        "calibrate-mag": (
            "Estimate bias, scale and axes of the magnetometer from recorded files; write them as settings."
        ),
    },
    "pygnc-station": {
        "device": "Work with sensors: pygnc device list, info, stream, log, get, set, upgrade, simulate ...",
        "station": (
            "Log sensors for years and upload their readings to a server: pygnc station log, batch, upload, serve ..."
        ),
        "bridge": "Serve a sensor to browsers: WebSocket for Aceinna Navigation Studio, and a web page.",
        "bridge-window": "Control and watch the bridge in a small window.",
    },
}
BUILT_IN: Final[Mapping[str, BuiltIn]] = {
    name: BuiltIn(distribution, description)
    for distribution, descriptions in _DESCRIPTIONS.items()
    for name, description in descriptions.items()
}


def installed() -> plugins.Installed:
    """Return the installed subcommands; the names of ours are reserved."""
    return plugins.installed(GROUP, BUILT_IN)


def summary(name: str, entry: EntryPoint) -> str:
    """Return the description of a subcommand without importing it; for other packages, that of the package."""
    if name in BUILT_IN:
        return BUILT_IN[name].description
    metadata = plugins.distribution_of(entry).metadata
    return f"{metadata['Summary'] or ''} ({metadata['Name']})".strip()
