"""Batch least squares, independent of the flight filter."""
