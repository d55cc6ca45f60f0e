"""Drivers for sensors on serial lines, all behind one small interface; usable without the rest of PyGNC."""

__version__ = "0.1.0"
"""Version of all distributions of PyGNC, which are released together."""
