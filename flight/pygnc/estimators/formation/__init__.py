"""Relative orbits of several satellites from ranges between them and GPS fixes, with all mirror solutions."""
