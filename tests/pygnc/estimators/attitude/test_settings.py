import pytest

from pygnc.estimators.attitude.settings import MagnetometerSettings, MountingSettings, StartSettings, Vector

FLEETS_MAP = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def test_accepts_the_fleets_reflecting_mounting() -> None:
    assert set(MountingSettings().mirrors) == {"imu_from_body"}
    assert not MountingSettings(IDENTITY).mirrors
    assert set(MountingSettings(IDENTITY, FLEETS_MAP).mirrors) == {"magnetometer_from_body"}


@pytest.mark.parametrize("name", ["imu_from_body", "magnetometer_from_body"])
def test_rejects_a_mounting_matrix_that_is_not_orthogonal(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        MountingSettings(**{name: ((2.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))})


def test_normals_are_unit_vectors() -> None:
    with pytest.raises(ValueError, match="face_normals_body"):
        MountingSettings(face_normals_body=((1.0, 1.0, 0.0),) * 6)


@pytest.mark.parametrize("matrix", [IDENTITY, ((1.3, 0.02, -0.01), (0.02, 0.8, 0.03), (-0.01, 0.03, 1.1))])
def test_accepts_a_magnetometer_calibration(matrix: tuple[Vector, Vector, Vector]) -> None:
    assert MagnetometerSettings(bias_ut=(20.0, 10.0, -25.0), matrix=matrix).matrix == matrix


@pytest.mark.parametrize(
    "matrix",
    [
        ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)),
        ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
        ((1.0, 1.0, 0.0), (1.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    ],
    ids=["mirror", "right angle", "singular"],
)
def test_rejects_an_impossible_calibration_matrix(matrix: tuple[Vector, Vector, Vector]) -> None:
    with pytest.raises(ValueError, match="matrix must be"):
        MagnetometerSettings(matrix=matrix)


def test_rejects_settings_that_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="samples_min"):
        StartSettings(samples_min=49)
    with pytest.raises(ValueError, match="fine_sigma_rad"):
        StartSettings(fine_sigma_rad=1.0)
