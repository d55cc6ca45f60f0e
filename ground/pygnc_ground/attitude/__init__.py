"""Attitude on the ground: what later samples say of earlier times."""
