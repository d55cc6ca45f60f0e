"""The independent batch least squares."""
