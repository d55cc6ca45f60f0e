"""Packets of other programs.

From the test of OSGAR's driver `lord_imu` (github.com/robotika/osgar): a ping and its response, the command idle, the
formats of sensor and filter data, and a packet recorded from a unit (REAL).

Made with the C library of MicroStrain's MIP SDK (github.com/LORD-MicroStrain/mip_sdk, commit e5a847d8): SENSOR, FILTER,
SENSOR_FORMAT and HARD_IRON.
"""

PING = bytes.fromhex("7565 01 02 0201 e0c6")
PING_REPLY = bytes.fromhex("7565 01 04 04f1 0100 d56a")
IDLE = bytes.fromhex("7565 01 02 0202 e1c7")
FORMAT = bytes.fromhex("7565 0c20 0d08 0103 1200 0a04 000a 0500 0a13 0a01 0511 000a 1000 0a01 000a 0200 0a03 000a d43d")
REAL = (
    b"ue\x80*\x0e\x04<\x87C\x97\xbdF%\xd4\xbf\x7f\xb4\x14\x0e\x05\xba.\xd6S\xba)b\xeb\xb9\xf6\xf7\x80"
    b"\x0e\x06=\xeaD\x10>\xc3\\\xd5>\xdb4\x1d\xda\x04"
)

SENSOR = bytes.fromhex(
    "7565803a0e043f000000be800000bf8000000e053e000000bf000000400000000e063e800000be0000003f0000000617447d50000ad500"
    "00011f71fb04cbe934"
)
FILTER = bytes.fromhex(
    "756582460e114115180080000000096000011c014046800000000000c052600000000000405e100000000000000114033f800000000000"
    "00bf0000003e80000000000810000400010007d423"
)
SENSOR_FORMAT = bytes.fromhex("75650c0b0b0f01800204000ad500017267")
HARD_IRON = bytes.fromhex("75650c0f0f3a013dcccccd3e4ccccdbe99999a8ec8")
