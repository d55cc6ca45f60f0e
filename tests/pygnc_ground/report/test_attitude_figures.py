from dataclasses import replace

import numpy as np

from pygnc.estimators.attitude.settings import MountingSettings
from pygnc_ground.report.attitude_figures import conditions, face_names
from tests.pygnc_ground.report import attitude_samples, samples

MOUNTING = MountingSettings()


def test_faces_are_named_by_their_body_axis() -> None:
    assert face_names(MOUNTING) == ("+X", "+Y", "+Z", "−X", "−Y", "−Z")
    turned = (*MOUNTING.face_normals_body[3:], *MOUNTING.face_normals_body[:3])
    assert face_names(replace(MOUNTING, face_normals_body=turned)) == ("−X", "−Y", "−Z", "+X", "+Y", "+Z")
    assert face_names(replace(MOUNTING, face_normals_body=turned[:2])) == ("−X", "−Y", *("not fitted",) * 4)
    doubled = (*MOUNTING.face_normals_body, MOUNTING.face_normals_body[0])
    assert face_names(replace(MOUNTING, face_normals_body=doubled)) == tuple(f"no. {number}" for number in range(1, 8))
    oblique = ((0.6, 0.8, 0.0), *MOUNTING.face_normals_body[1:])
    assert face_names(replace(MOUNTING, face_normals_body=oblique))[:2] == ("no. 1", "no. 2")


def test_an_undisturbed_flight_has_its_mode_and_nothing_else() -> None:
    (fine,) = conditions(attitude_samples.clean(60, begin_ms=samples.BEGIN_MS).samples, MOUNTING)
    assert (fine.label, int(fine.flags.sum())) == ("fine attitude", 60)


def test_every_fault_is_named_with_its_samples() -> None:
    result = attitude_samples.troubled(attitude_samples.clean(120, begin_ms=samples.BEGIN_MS))
    counts = {one.label: int(one.flags.sum()) for one in conditions(result.samples, MOUNTING)}
    assert counts == {
        "fine attitude": 114,
        "coarse attitude": 1,
        "attitude unknown": 5,
        "a new cause": 1,
        "sample without a time": 2,
        "magnetometer rejected by its gate": 4,
        "a face rejected by its gate": int(result.samples.faces_usable[2::37].any(axis=1).sum()),
        "face +Y dead": 30,
        "face −X mirrored": 30,
        "gyro axis z stuck": 30,
    }


def test_without_an_orbit_that_is_the_cause() -> None:
    result = attitude_samples.without_attitude(attitude_samples.clean(20, begin_ms=samples.BEGIN_MS))
    found = conditions(result.samples, MOUNTING)
    assert [one.label for one in found] == ["attitude unknown", "no orbit"]
    assert all(np.all(one.flags) for one in found)
