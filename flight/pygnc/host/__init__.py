"""Streaming interface between host controller and Pi. Protocol modules perform no I/O; callers pass the time."""
