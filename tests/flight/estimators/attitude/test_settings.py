import pytest

from pygnc.estimators.attitude.settings import (
    AttitudeSettings,
    GyroSettings,
    MagnetometerSettings,
    MountingSettings,
    StartSettings,
    SunSensorSettings,
)


def test_the_fleets_map_mirrors_and_is_accepted() -> None:
    assert MountingSettings().mirrors
    assert not MountingSettings(imu_from_body=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))).mirrors


def test_a_map_that_stretches_is_refused() -> None:
    with pytest.raises(ValueError, match="imu_from_body"):
        MountingSettings(imu_from_body=((2.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))


def test_normals_are_unit_vectors() -> None:
    with pytest.raises(ValueError, match="face_normals_body"):
        MountingSettings(face_normals_body=((1.0, 1.0, 0.0),) * 6)


def test_sigmas_are_positive() -> None:
    with pytest.raises(ValueError, match="noise_rad_s"):
        GyroSettings(noise_rad_s=0.0)
    with pytest.raises(ValueError, match="bias_sigma_ut"):
        MagnetometerSettings(bias_sigma_ut=-1.0)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="stuck_samples"):
        GyroSettings(stuck_samples=1)
    with pytest.raises(ValueError, match="noise_ut"):
        MagnetometerSettings(noise_ut=0.0)
    with pytest.raises(ValueError, match="reflectivity"):
        SunSensorSettings(reflectivity=-0.1)
    with pytest.raises(ValueError, match="samples_min"):
        StartSettings(samples_min=2)
    with pytest.raises(ValueError, match="fine_sigma_rad"):
        StartSettings(fine_sigma_rad=1.0)
    with pytest.raises(ValueError, match="noise_scale_max"):
        AttitudeSettings(noise_scale_max=0.5)
