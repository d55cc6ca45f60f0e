"""Logs of satellite navigation receivers: one module per protocol, and their common reader."""
