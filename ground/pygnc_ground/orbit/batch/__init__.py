"""Orbit determination by batch least squares, independent of the flight filter."""
