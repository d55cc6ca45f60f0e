"""Settings that the remedies name make the readings agree with the body axes."""

import tomllib
from dataclasses import replace

import numpy as np
import pytest

from pygnc.estimators.attitude.settings import MountingSettings
from pygnc.estimators.attitude.wiring import SensorAxes, Verdict, Wiring
from pygnc_ground.attitude.mounting_remedy import axes_lines, remedies

RIGHT = Wiring(Verdict.RIGHT, "+x +y +z", "+x +y +z")
PLAIN = MountingSettings(imu_from_body=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))


def wrong(axes: str, best: str = "") -> Wiring:
    return Wiring(Verdict.WRONG, axes, best or axes, 0.07)


def settings(axes: SensorAxes, mounting: MountingSettings) -> dict[str, list[list[float]]]:
    """The settings that the remedies name, by name."""
    named = [line.partition("attitude.mounting.")[2] for line in remedies(axes, mounting)]
    return tomllib.loads("\n".join(name for name in named if name))


def test_right_and_open_axes_need_no_remedy() -> None:
    axes = SensorAxes(RIGHT, Wiring(Verdict.NOT_OBSERVABLE, "+x ? ?", "+x +y +z"))
    assert [*axes_lines(axes, PLAIN)] == [
        "magnetometer axes: as declared",
        "gyro axes: not observable in this motion, known axes +x ? ?",
    ]


@pytest.mark.parametrize("mounting", [PLAIN, MountingSettings()])
def test_a_magnetometer_turned_on_its_board_gets_its_matrix(mounting: MountingSettings) -> None:
    axes = SensorAxes(wrong("+y -x +z"), RIGHT)
    found = np.array(settings(axes, mounting)["magnetometer_from_body"])
    body = np.array([1.0, 2.0, 3.0])
    x, y, z = mounting.magnetometer.dot(body)
    # The sensor's true x axis is read as y, its true y axis as minus x.
    assert found.dot(body) == pytest.approx([-y, x, z])
    assert "imu_from_body" not in settings(axes, mounting)


def test_a_turned_gyro_leaves_the_magnetometer_where_it_was() -> None:
    found = settings(SensorAxes(RIGHT, wrong("+y -x +z")), PLAIN)
    assert found["magnetometer_from_body"] == np.eye(3).tolist()
    assert found["imu_from_body"] == [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    own = replace(PLAIN, magnetometer_from_body=PLAIN.imu_from_body)
    assert list(settings(SensorAxes(RIGHT, wrong("+y -x +z")), own)) == ["imu_from_body"]


@pytest.mark.parametrize(
    ("magnetometer", "gyro"), [("-x -y -z", ""), ("+y -x +z", "+y -x +z"), ("+x -y +z", "-x +y -z")]
)
@pytest.mark.parametrize("mounting", [PLAIN, MountingSettings()])
def test_exchanged_sun_sensors_that_explain_both_are_named(
    magnetometer: str, gyro: str, mounting: MountingSettings
) -> None:
    axes = SensorAxes(wrong(magnetometer), wrong(gyro) if gyro else RIGHT)
    normals = np.array(settings(axes, mounting)["face_normals_body"])
    permutation = axes.magnetometer.permutation
    assert permutation is not None
    # With these normals, the light vector agrees with the declared mounting of the magnetometer.
    faces = mounting.magnetometer.T.dot(permutation).dot(mounting.magnetometer)
    seen = faces.dot([0.1, 0.7, -0.6])
    light = np.maximum(mounting.face_normals.dot(seen), 0.0)
    assert light.dot(normals) == pytest.approx([0.1, 0.7, -0.6])


def test_other_pairs_of_axes_are_not_explained_by_the_sun_sensors() -> None:
    assert "face_normals_body" not in settings(SensorAxes(wrong("+y -x +z"), RIGHT), PLAIN)
    assert "face_normals_body" not in settings(SensorAxes(RIGHT, wrong("+y -x +z")), PLAIN)


def test_undetermined_axes_and_reflections_are_named_as_such() -> None:
    lines = [*axes_lines(SensorAxes(wrong("? -y ?", "+x -y +z"), RIGHT), PLAIN)]
    assert lines[0].endswith("(squared residuals 0.07 of those with it; most likely +x -y +z)")
    assert lines[2].startswith("the motion does not determine all axes")
    assert any("is a reflection" in line for line in lines)
    assert not any(
        "is a reflection" in line for line in remedies(SensorAxes(wrong("+x -y +z"), RIGHT), MountingSettings())
    )
