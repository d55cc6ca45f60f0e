"""Streaming interface between host controller and Pi. The protocol has no I/O and no clock; times are arguments."""
