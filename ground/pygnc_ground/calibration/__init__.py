"""Magnetometer calibration from recorded files."""
