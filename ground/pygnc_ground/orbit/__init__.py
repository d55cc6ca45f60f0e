"""Orbits on the ground: smoother, batch least squares, reference filters, Cramer-Rao bounds, errors and consistency."""
