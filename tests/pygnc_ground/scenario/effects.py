"""Settings of scenarios that have no counterpart in the models of the estimators, by section."""

from typing import Final

EFFECTS: Final = {
    "gps": ("ionosphere_m", "constellation_step_m", "slow_velocity_error_mps"),
    "imu": ("mag_bias_thermal_ut", "gyro_bias_thermal_deg_s", "gyro_g_sensitivity_deg_s_per_g"),
    "storm": ("field_ut",),
    "payload": ("field_body_ut",),
    "torquers": ("decay_s",),
    "sun_sensors": (
        "earth_reflectivity_variation",
        "atmosphere_optical_depth",
        "gain_thermal",
        "contamination_per_h",
    ),
}
"""Effects that any satellite may have."""
FAULTS: Final = {
    "gps": ("time_steps_s", "time_tag_error_ms", "time_tag_drift_ppm"),
    "imu": ("mag_axes", "gyro_axes"),
    "sun_sensors": ("faces",),
}
"""Faults of a receiver or of the wiring."""
