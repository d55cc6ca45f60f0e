"""Packets from the test of OSGAR's driver `lord_imu` (github.com/robotika/osgar).

A ping and its response, the command idle, the formats of sensor and filter data, and a packet recorded from a unit.
"""

PING = bytes.fromhex("7565 01 02 0201 e0c6")
PING_REPLY = bytes.fromhex("7565 01 04 04f1 0100 d56a")
IDLE = bytes.fromhex("7565 01 02 0202 e1c7")
FORMAT = bytes.fromhex("7565 0c20 0d08 0103 1200 0a04 000a 0500 0a13 0a01 0511 000a 1000 0a01 000a 0200 0a03 000a d43d")
REAL = (
    b"ue\x80*\x0e\x04<\x87C\x97\xbdF%\xd4\xbf\x7f\xb4\x14\x0e\x05\xba.\xd6S\xba)b\xeb\xb9\xf6\xf7\x80"
    b"\x0e\x06=\xeaD\x10>\xc3\\\xd5>\xdb4\x1d\xda\x04"
)
