"""The serial port, and a lock for it."""
