"""Numerics only: every input an argument, every output a return value."""
