"""Drivers for sensors on serial lines, all behind one small interface; usable without the rest of PyGNC."""

from pygnc_system import __version__ as __version__
