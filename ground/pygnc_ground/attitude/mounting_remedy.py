"""Verdicts on the axes of the sensors as text, with the settings of the mounting that agree with the readings."""

from collections.abc import Iterator

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.settings import MountingSettings
from pygnc.estimators.attitude.wiring import SensorAxes, Verdict, Wiring


def axes_lines(axes: SensorAxes, mounting: MountingSettings) -> Iterator[str]:
    """Yield one line per sensor with its verdict, and one per setting to change if a verdict is wrong."""
    yield f"magnetometer axes: {axes.magnetometer}"
    yield f"gyro axes: {axes.gyro}"
    yield from remedies(axes, mounting)


def remedies(axes: SensorAxes, mounting: MountingSettings) -> Iterator[str]:
    """Yield the settings to change; none if no verdict is wrong."""
    if not axes.is_contradicted:
        return
    changed: dict[str, Array] = {}
    if axes.gyro.verdict is Verdict.WRONG:
        changed["imu_from_body"] = _corrected(axes.gyro, mounting.gyro)
    if axes.magnetometer.verdict is Verdict.WRONG:
        changed["magnetometer_from_body"] = _corrected(axes.magnetometer, mounting.magnetometer)
    elif mounting.magnetometer_from_body is None:
        # Without this setting, the magnetometer would follow the gyro.
        changed["magnetometer_from_body"] = mounting.magnetometer
    if not all(one.is_determined for one in axes if one.verdict is Verdict.WRONG):
        yield "the motion does not determine all axes; the settings below fit best, data of another rotation may differ"
    for name, matrix in changed.items():
        yield f"set attitude.mounting.{name} = {_toml(matrix)}"
        if np.linalg.det(matrix) < 0.0 and not np.array_equal(matrix, MountingSettings().gyro):
            yield (
                f"this {name} is a reflection, which no mounting explains and the settings refuse; "
                "check the signs of the sensor's driver and the order of the sun sensors"
            )
    faces = _face_map(axes, mounting)
    if faces is not None:
        normals = np.array(mounting.face_normals_body).dot(faces)
        yield f"or, if sun sensors are exchanged instead, set attitude.mounting.face_normals_body = {_toml(normals)}"


def _corrected(wiring: Wiring, declared: Array) -> Array:
    """Return the matrix from body to sensor axes that agrees with the readings."""
    matrix: Array = _permutation(wiring).T.dot(declared)
    return matrix


def _face_map(axes: SensorAxes, mounting: MountingSettings) -> Array | None:
    """Return the wrong face map that alone explains the axes of both sensors, in body axes; None if none does.

    A wrong map F replaces the light vector by F times the vector. The magnetometer then seems to have the axes F, and
    the gyro the axes det(F) F, because a reflection reverses the sense of a rotation.
    """
    if axes.magnetometer.verdict is not Verdict.WRONG:
        return None
    faces = _in_body(axes.magnetometer, mounting.magnetometer)
    gyro = _in_body(axes.gyro, mounting.gyro) if axes.gyro.verdict is Verdict.WRONG else np.eye(3)
    return faces if np.allclose(np.linalg.det(faces) * faces, gyro) else None


def _in_body(wiring: Wiring, declared: Array) -> Array:
    matrix: Array = declared.T.dot(_permutation(wiring)).dot(declared)
    return matrix


def _permutation(wiring: Wiring) -> Array:
    return np.eye(3) if wiring.permutation is None else wiring.permutation


def _toml(matrix: Array) -> str:
    rows = (f"[{', '.join(map(_number, row))}]" for row in matrix.tolist())
    return f"[{', '.join(rows)}]"


def _number(value: float) -> str:
    # Adding zero removes the sign of a negative zero.
    return f"{value + 0.0:.1f}" if value == round(value) else f"{value:.9g}"
