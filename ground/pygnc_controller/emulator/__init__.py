"""Emulator of the host controller (PyCubed): serial line, shell, streaming interface, power switch."""
