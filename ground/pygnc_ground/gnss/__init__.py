"""Orbits from raw measurements of satellite navigation receivers: codes and carrier phases."""
