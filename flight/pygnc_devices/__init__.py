"""Drivers for sensors on serial lines, all behind one small protocol; usable without the rest of PyGNC."""
