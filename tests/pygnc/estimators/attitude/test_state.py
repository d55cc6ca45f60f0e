"""Layout of the error state, and the state's parts by name."""

import numpy as np

from pygnc.estimators.attitude.state import ERRORS, AttitudeState

PARTS = (
    ERRORS.attitude,
    ERRORS.gyro_bias,
    ERRORS.mag_bias,
    ERRORS.field_error,
    ERRORS.reflectivity,
    ERRORS.mag_matrix,
    ERRORS.panel_field,
    ERRORS.gyro_thermal,
    ERRORS.mag_thermal,
    ERRORS.gyro_scale,
    slice(ERRORS.cosine_error, ERRORS.cosine_error + 1),
    ERRORS.face_gains,
)


def test_parts_follow_one_another_and_cover_the_error_state() -> None:
    size = ERRORS.size(6)
    rows = np.arange(size)
    assert np.concatenate([rows[part] for part in PARTS]).tolist() == rows.tolist()
    combined = (
        (ERRORS.biases, (ERRORS.gyro_bias, ERRORS.mag_bias)),
        (ERRORS.field_rows, (ERRORS.mag_matrix, ERRORS.panel_field)),
        (ERRORS.thermal, (ERRORS.gyro_thermal, ERRORS.mag_thermal)),
        (ERRORS.light_errors, (PARTS[-2], ERRORS.face_gains)),
    )
    for whole, parts in combined:
        assert rows[whole].tolist() == np.concatenate([rows[part] for part in parts]).tolist()


def test_properties_are_the_parts_of_the_error_state() -> None:
    size = ERRORS.size(8)
    error = np.arange(float(size))
    state = AttitudeState(0, np.array([1.0, 0.0, 0.0, 0.0]), error[ERRORS.attitude.stop :], np.eye(size))
    found = (
        (state.gyro_bias_rad_s, ERRORS.gyro_bias),
        (state.mag_bias_ut, ERRORS.mag_bias),
        (state.field_error_gcrf_ut, ERRORS.field_error),
        (state.reflectivity, ERRORS.reflectivity),
        (state.mag_matrix_error.ravel(), ERRORS.mag_matrix),
        (state.panel_field_ut, ERRORS.panel_field),
        (state.thermal, ERRORS.thermal),
        (state.gyro_scale_error, ERRORS.gyro_scale),
        (state.face_gain_errors, ERRORS.face_gains),
    )
    for value, rows in found:
        assert value.tolist() == error[rows].tolist()
    assert state.cosine_error == error[ERRORS.cosine_error]
