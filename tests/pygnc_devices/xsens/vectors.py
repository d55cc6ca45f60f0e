"""Messages of a unit and of other programs.

WAKE_UP, GO_TO_CONFIG and its acknowledgement CONFIGURING follow from the tables of the low-level protocol (MT0101P).

Made with the maker's library xspublic (`XsMessage_setDataFPValuesById`), which is a part of
github.com/xsenssupport/Xsens_MTi_ROS_Driver_and_Ntrip_Client: DATA in single precision, and FIXED with the acceleration
in fp12.20, rate of turn and altitude in fp16.32, and latitude and longitude in double precision.
"""

WAKE_UP = bytes.fromhex("faff3e00c3")
GO_TO_CONFIG = bytes.fromhex("faff3000d1")
CONFIGURING = bytes.fromhex("faff3100d0")
DATA = bytes.fromhex(
    "faff364e1020020201106004075bcd1540200c3f000000bfa00000411c000080200c3e000000bf0000004000000020340c41480000c2"
    "34000042b4000030100400018bcd08100441fa0000e020040000000370"
)
FIXED = bytes.fromhex(
    "faff364040210c00080000ffec0000009c000080221220000000000080000000ffff000000000002504310404a200000000000c01b80"
    "000000000050220680000000fff3a9"
)
