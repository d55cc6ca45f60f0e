"""Serial port of an EMUS control unit, and a lock for it."""
