"""Causes that limit the results of a run, from its status record: code word for the info text, text for the event."""

from collections.abc import Mapping
from typing import Final

from pygnc.formats.status import (
    GYRO_REFUTED,
    MAGNETOMETER_REFUTED,
    REJECT_CAUSES,
    TASK_NAMES,
    AttitudeMode,
    OrbitMode,
    TaskState,
    Value,
)

FIXES_MIN: Final = 10
SAMPLES_MIN: Final = 600
"""Number of samples after which a missing attitude limits the results: 50 minutes, enough even after an eclipse."""


def find_causes(status: dict[str, Value], limits: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each cause by its code word, the most important first.

    Args:
        status: Fields of a status record.
        limits: Texts of further causes, which the status record does not contain, by code word.
    """
    found: dict[str, str] = {}
    given_up = [name for name in TASK_NAMES if status[f"task_{name}_state"] == TaskState.FAILED]
    if given_up:
        found["TASK"] = f"{', '.join(given_up)}: given up after all restarts; its results are missing or old"
    if status["unreadable_files"]:
        found["INPUT"] = f"{int(status['unreadable_files'])} input files could not be read, or only in part"
    received = int(status["fixes_received"])
    is_unknown = status["orbit_mode"] == OrbitMode.NONE
    if is_unknown and received >= FIXES_MIN and not status["fixes_accepted"] and not status["fixes_waiting"]:
        counts = {cause: int(status[f"rejected_{cause}"]) for cause in REJECT_CAUSES}
        most = max(counts, key=lambda cause: counts[cause])
        found["NOFIX"] = f"none of {received} fixes was used; {counts[most]} were rejected for {most}"
    bits = {"magnetometer": MAGNETOMETER_REFUTED, "gyro": GYRO_REFUTED}
    refuted = [name for name, bit in bits.items() if int(status["mirrored_faces"]) & bit]
    if refuted:
        found["AXES"] = f"readings of {' and '.join(refuted)} refute the declared axes; check [attitude.mounting]"
    searched = int(status["samples_searching"])
    if status["attitude_mode"] == AttitudeMode.SEARCHING and searched >= SAMPLES_MIN:
        found["NOATT"] = f"no attitude was found in {searched} samples; check [attitude.mounting] and the sensors"
    found |= limits
    if status["not_recorded"]:
        found["DISK"] = f"{int(status['not_recorded'])} tasks cannot record everything on the disk"
    if status["lost_messages"]:
        found["LOST"] = f"{int(status['lost_messages'])} inputs did not reach a task"
    return found
