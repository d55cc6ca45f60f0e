"""Devices on the ground: commands for any family, logs of readings, their upload."""
