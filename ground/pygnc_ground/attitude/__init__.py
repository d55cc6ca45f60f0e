"""Attitude on the ground: smoother, Cramer-Rao bound, accuracy against truth, illuminance of the faces."""
