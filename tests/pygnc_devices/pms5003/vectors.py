"""Frames of a PMS5003: measurements published in the documentation of pypms (hexdump of a PMS7003), and responses."""

MEASUREMENTS = (
    bytes.fromhex("424d001c00000008000800000008000800d20046002d001e00000000970002c5"),
    bytes.fromhex("424d001c000000050005000000050005008a002e0017000f0000000097000234"),
)
TEMPERATURE_MODEL = bytes.fromhex("424d001c001700270029001600230029100804a90116000c00d400e09a0004aa")
"""Measurement of a PMS5003T, whose last words are temperature and humidity."""
PASSIVE = bytes.fromhex("424d0004e1000174")
ACTIVE = bytes.fromhex("424d0004e1010175")
ASLEEP = bytes.fromhex("424d0004e4000177")
