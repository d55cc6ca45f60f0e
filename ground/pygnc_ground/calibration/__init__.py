"""The magnetometer's calibration from recorded files."""
