"""Frames worked out by hand: acceleration (0.5, -0.25, -1), rate (0.125, -0.5, 2), 2.5 s, time of week 345600000 ms."""

from typing import Final

BIG: Final = bytes.fromhex("c23f000000be800000bf8000003e000000bf0000004000000002ee000005ab14997000")
LITTLE: Final = bytes.fromhex("c20000003f000080be000080bf0000003e000000bf000000400000ee02ab0500709914")
UNSUMMED: Final = BIG[:29] + bytes(2) + BIG[31:]
HEADER_LITTLE: Final = bytes.fromhex("2f000000 70991400 0080bb44")
"""Length 47, time stamp 0x00149970 as in the sheet, game time 1500.0."""
HEADER_BIG: Final = bytes.fromhex("0000002f 14997000 44bb8000")
HEADER_16: Final = bytes.fromhex("00000033 14997000 44bb8000 00000007")
HEADER_UDP: Final = bytes.fromhex("00709914 0080bb44")
