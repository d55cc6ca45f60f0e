"""Shows an info text, today's or the original PyGNC's."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pygnc_ground.inspection.sections import Facts, Listing, Section, Value

_SHOWN_BYTES: Final = 4096
_OURS: Final = re.compile(rb"PyGNC run \d+ [A-Z_]+ SC \d+\n")
_OLD: Final = re.compile(rb"\s*(T:[^\n]*\n\s*)?OE:\[")
_LEGEND: Final[dict[str, Value]] = {
    "SC": "spacecraft time [s]",
    "GPS": "week and seconds at which the orbit is valid",
    "AGE": "of the newest used fix then [s]",
    "SIG": "largest standard deviation of the position [m]",
    "R, V": "position [km] and velocity [km/s], ITRF",
    "Q": "attitude, body to GCRF, Hamilton, scalar first; how well known; SUN or ECL(ipse)",
    "P": "partner's radio id; radial, transverse, normal of it from us [m]; S: largest sigma [m]; ?: ambiguous",
    "GY": "body rate [deg/s]",
    "MG": "magnetic field, body axes [µT]",
    "EV": "events in the run's journal",
    "DMG": "damaged input bytes",
    "FIX": "fixes used of those received",
}
_OLD_LEGEND: Final[dict[str, Value]] = {
    "T": "time of the estimate, whole seconds",
    "OE": "position [m] and velocity [m/s], GCRF",
    "GY": "gyro [deg/s], sensor axes",
    "MG": "magnetometer [µT], sensor axes",
}


class InfoViewer:
    """`pygnc_info.txt`."""

    kind = "info text"

    def recognises(self, head: bytes) -> bool:
        """Whether it begins with the first line of either form."""
        return bool(_OURS.match(head) or _OLD.match(head))

    def view(self, path: Path, messages: int) -> Iterator[Section]:  # noqa: ARG002 - it holds no messages
        """Show the text and what its abbreviations mean."""
        with path.open("rb") as file:
            text = file.read(_SHOWN_BYTES).decode("ascii", "backslashreplace")
        lines = [line for line in text.splitlines() if line.strip()]
        yield Listing("text", ("line",), [(line,) for line in lines])
        legend = _OLD_LEGEND if any(line.startswith("OE:") for line in lines) else _LEGEND
        yield Facts("legend", legend)
