"""Frames and time, gravity, atmosphere, Sun and Moon."""
