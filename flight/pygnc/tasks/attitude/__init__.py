"""Process that estimates the attitude and calibrates the magnetometer."""
