"""Causes that limit a run, by its status record."""

import pytest

from pygnc.formats import info, status
from pygnc.formats.causes import FIXES_MIN, SAMPLES_MIN, find_causes
from pygnc.formats.status import TASK_NAMES, AttitudeMode, OrbitMode, TaskState, Value

NOFIX: dict[str, Value] = {"fixes_received": FIXES_MIN, "rejected_radius": FIXES_MIN - 1, "rejected_gap": 1}
NOATT: dict[str, Value] = {"attitude_mode": AttitudeMode.SEARCHING, "samples_searching": SAMPLES_MIN}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, []),
        ({f"task_{name}_state": TaskState.STOPPED for name in TASK_NAMES}, []),
        ({"task_orbit_state": TaskState.FAILED, "task_devices_state": TaskState.UP}, ["TASK"]),
        ({"unreadable_files": 1}, ["INPUT"]),
        (NOFIX, ["NOFIX"]),
        (NOFIX | {"fixes_received": FIXES_MIN - 1}, []),
        (NOFIX | {"fixes_waiting": 1}, []),
        (NOFIX | {"fixes_accepted": 1}, []),
        (NOFIX | {"orbit_mode": OrbitMode.ELEMENTS}, []),
        (NOATT, ["NOATT"]),
        (NOATT | {"samples_searching": SAMPLES_MIN - 1}, []),
        (NOATT | {"attitude_mode": AttitudeMode.FINE}, []),
        ({"mirrored_faces": 0b00111111}, []),
        ({"mirrored_faces": 0b01000000}, ["AXES"]),
        ({"mirrored_faces": 0b10000001} | NOATT, ["AXES", "NOATT"]),
        (
            NOATT | NOFIX | {"not_recorded": 2, "lost_messages": 1, "unreadable_files": 1, "task_status_state": 4},
            ["TASK", "INPUT", "NOFIX", "NOATT", "DISK", "LOST"],
        ),
    ],
)
def test_names_the_causes_in_the_order_of_importance(values: dict[str, Value], words: list[str]) -> None:
    record = status.decode(status.encode(values))
    found = find_causes(record, {})
    assert list(found) == words
    line = f"\nWARN {' '.join(words)}\n".encode()
    assert (line in info.compose(record, found)) == bool(words)


def test_the_text_names_the_most_frequent_reason() -> None:
    text = find_causes(status.decode(status.encode(NOFIX)), {})["NOFIX"]
    assert text == f"none of {FIXES_MIN} fixes was used; {FIXES_MIN - 1} were rejected for radius"
    assert [*find_causes(status.decode(status.encode(NOFIX)), {"SETTINGS": "a fault"})] == ["NOFIX", "SETTINGS"]
