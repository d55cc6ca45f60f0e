"""Orbits on the ground: solutions of filter, smoother and batch, their bounds, errors and consistency."""
