"""Commands of an SPS30 as Sensirion's driver sends them: sensirion-uart-sps30 1.0.0 on sensirion-shdlc-driver 0.1.5."""

import struct

COMMANDS = {
    (0x00, "0103"): "7e0000020103f97e",
    (0x00, "0105"): "7e0000020105f77e",
    (0x01, ""): "7e000100fe7e",
    (0x03, ""): "7e000300fc7e",
    (0x10, ""): "7e001000ef7e",
    (0x11, ""): "7e007d3100ee7e",
    (0x56, ""): "7e005600a97e",
    (0x80, "00"): "7e008001007d5e7e",
    (0x80, "007e7d1113"): "7e008005007d5e7d5d7d317d335b7e",
    (0x80, "0000093a80"): "7e0080050000093a80b77e",
    (0xD0, "00"): "7e00d001002e7e",
    (0xD0, "03"): "7e00d001032b7e",
    (0xD1, ""): "7e00d1002e7e",
    (0xD2, "00"): "7e00d201002c7e",
    (0xD2, "01"): "7e00d201012b7e",
    (0xD3, ""): "7e00d3002c7e",
}
VALUES = (7.31, 7.72, 7.92, 8.1, 84.4, 99.2, 100.4, 100.4, 100.5, 0.5)
FLOATS = struct.pack(">10f", *VALUES)
