"""Drivers for sensors on serial lines, all behind one small interface; usable without the rest of PyGNC."""
