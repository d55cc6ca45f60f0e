"""Orbit from raw GNSS measurements: codes and carrier phases."""
