"""Relative orbits on the ground: coordinates, accuracy against truth, and Cramer-Rao bound."""
