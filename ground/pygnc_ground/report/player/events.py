"""Events of a replay with their times: rejected and restarted records, modes of the attitude, states of partners."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import polars as pl

from pygnc.common.clock import MS_PER_WEEK, unix_ms_from_gps_ms
from pygnc_ground.replay.result import FixRecords, SampleRecords
from pygnc_ground.wording import Part, meaning, plural

EVENTS_MAX: Final = 1000
"""Most events in a page; of more, those of the worst level remain."""

Level: TypeAlias = Literal["nominal", "warning", "alarm", "stale"]
_ORDER: Final = ("alarm", "warning", "stale", "nominal")
_OF_MODE: Final[dict[str, tuple[Level, str]]] = {
    "fine": ("nominal", "attitude fine"),
    "coarse": ("warning", "attitude coarse"),
    "searching": ("stale", "attitude unknown, search"),
}


def causes_of(fixes: FixRecords) -> list[str]:
    """Return why each GPS record, or a part of it, was not used; empty at a time for which another record was used."""
    used_ms = {
        ms
        for ms, *causes in zip(fixes.gps_ms.tolist(), fixes.position_cause, fixes.velocity_cause, strict=True)
        if not all(causes)
    }
    return [
        "" if ms in used_ms and of and then else of or then
        for ms, of, then in zip(fixes.gps_ms.tolist(), fixes.position_cause, fixes.velocity_cause, strict=True)
    ]


class Events:
    """Events, which `within` returns in order of time."""

    def __init__(self) -> None:
        self._found: list[tuple[int, Level, str]] = []

    def of_fixes(self, fixes: FixRecords) -> None:
        """Add rejections of GPS records, once for records that follow each other, and restarts of the filter."""
        self._add_runs(fixes.gps_ms.tolist(), causes_of(fixes), "orbit", "GPS record")
        for row in np.flatnonzero(fixes.restarted).tolist():
            self._found.append((int(fixes.gps_ms[row]), "alarm", "orbit filter restarted"))

    def of_samples(self, samples: SampleRecords, faces: Sequence[str]) -> None:
        """Add changes of the mode, successful searches, rejected samples and faults of sensors."""
        gps_ms = samples.gps_ms.tolist()
        for first, _ in _runs(samples.mode):
            level, text = _OF_MODE.get(samples.mode[first], ("stale", f"attitude {samples.mode[first]}"))
            self._found.append((gps_ms[first], level, text))
        for row in np.flatnonzero(samples.found).tolist():
            self._found.append((gps_ms[row], "nominal", "search for the attitude succeeded"))
        self._add_runs(gps_ms, samples.cause, "attitude", "sample")
        for flags, what in ((samples.faces_dead, "dead"), (samples.faces_mirrored, "mirrored")):
            for number in range(flags.shape[1]):
                self._add_begins(gps_ms, flags[:, number].tolist(), f"face {faces[number]} {what}")
        for number, axis in enumerate("xyz"):
            self._add_begins(gps_ms, samples.gyro_stuck[:, number].tolist(), f"gyro axis {axis} stuck")

    def of_partners(self, table: pl.DataFrame) -> None:
        """Add changes between a certain and an ambiguous orbit of each partner."""
        known = table.filter(pl.col("utc").is_not_null() & pl.col("relative_r_m").is_not_null())
        for (partner,), rows in known.group_by("partner_id", maintain_order=True):
            gps_ms = (rows["gps_week"] * MS_PER_WEEK + rows["gps_tow_ms"]).to_list()
            states = ["ambiguous" if one else "certain" for one in rows["ambiguous"].to_list()]
            for first, _ in _runs(states):
                level: Level = "warning" if states[first] == "ambiguous" else "nominal"
                self._found.append((gps_ms[first], level, f"orbit of partner {partner} {states[first]}"))

    def within(self, span: tuple[int, int]) -> list[dict[str, Any]]:
        """Return the events from the first to the last GPS ms of a span for JSON."""
        inside = [one for one in self._found if span[0] <= one[0] <= span[1]]
        inside.sort(key=lambda one: _ORDER.index(one[1]))
        kept = sorted(inside[:EVENTS_MAX], key=lambda one: one[0])
        return [{"time": unix_ms_from_gps_ms(ms), "level": level, "text": text} for ms, level, text in kept]

    def _add_runs(self, gps_ms: Sequence[int], causes: Sequence[str], part: Part, noun: str) -> None:
        for first, behind in _runs(causes):
            if causes[first]:
                text = f"{plural(behind - first, noun)} not used: {meaning(causes[first], part)}"
                self._found.append((gps_ms[first], "warning", text))

    def _add_begins(self, gps_ms: Sequence[int], flags: Sequence[bool], text: str) -> None:
        for first, _ in _runs(flags):
            if flags[first]:
                self._found.append((gps_ms[first], "alarm", text))


def _runs(values: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Yield first index and index behind the last of each run of equal values."""
    first = 0
    for index in range(1, len(values) + 1):
        if index == len(values) or values[index] != values[first]:
            yield first, index
            first = index
