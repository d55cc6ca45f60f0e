"""Viewer of the logs and status file of the original PyGNC (2023)."""
