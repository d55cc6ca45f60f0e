"""Light vectors in random attitudes against their model; faulty sensors give none."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pygnc.estimators.attitude.net_light import LightVector, NetLight
from pygnc.estimators.attitude.settings import AttitudeSettings, MountingSettings
from tests.pygnc.estimators.attitude.truth import NORMALS, SETTINGS, Truth, fly, with_normals

FULL_SCALE_LUX = SETTINGS.sun_sensors.saturation_lux


def measured(truth: Truth, settings: AttitudeSettings = SETTINGS) -> list[LightVector | None]:
    light = NetLight(settings)
    return [
        light.vector(sample.lux, environment)
        for sample, environment in zip(truth.samples, truth.environments, strict=True)
    ]


def test_vectors_are_the_models_in_body_axes() -> None:
    truth = fly(1, 30.0)
    to_body = Rotation.from_quat(truth.quaternion, scalar_first=True).inv()
    vectors = measured(truth)
    known = [k for k, vector in enumerate(vectors) if vector is not None]
    assert len(known) > 0.9 * len(vectors)
    saturated = 0
    for k in known:
        vector = vectors[k]
        assert vector is not None
        expected = to_body[k].apply(vector.gcrf)
        assert vector.body == pytest.approx(expected, abs=3.0 * np.hypot(0.015, vector.filled_sigma) + 0.01)
        saturated += vector.filled_sigma > 0.0
    assert 0 < saturated < len(known)


def test_the_length_reveals_a_dead_face_that_should_be_bright() -> None:
    environment, light = fly(2, 1.0).environments[0], NetLight(SETTINGS)
    lux = np.array([0.1, 1.0, 0.1, 0.0, 0.0, 0.0]) * FULL_SCALE_LUX
    vector = light.vector(lux, environment)
    assert vector is not None
    assert vector.body[1] == pytest.approx(np.linalg.norm(vector.gcrf), abs=0.02)
    lux[1] = 0.0
    assert light.vector(lux, environment) is None


def test_a_sensor_without_a_reading_gives_no_vector() -> None:
    truth = fly(3, 1.0)
    lux = truth.samples[0].lux.copy()
    lux[4] = -1.0
    assert NetLight(SETTINGS).vector(lux, truth.environments[0]) is None


@pytest.mark.parametrize("missing", [0, 3, 5])
def test_axes_without_opposite_faces_are_not_measured(missing: int) -> None:
    assert not NetLight(with_normals(np.delete(NORMALS, missing, axis=0))).is_measured


def test_any_order_of_the_faces_gives_the_same_vectors() -> None:
    truth, order = fly(4, 5.0), [4, 2, 0, 5, 3, 1]
    shuffled = replace(
        SETTINGS, mounting=MountingSettings(face_normals_body=tuple(map(tuple, NORMALS[order].tolist())))
    )
    samples = [replace(sample, lux=sample.lux[order]) for sample in truth.samples]
    for one, other in zip(measured(truth), measured(replace(truth, samples=samples), shuffled), strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert other.body == pytest.approx(one.body)
