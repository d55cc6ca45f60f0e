"""Sensirion SPS30 particle counters on a UART."""
