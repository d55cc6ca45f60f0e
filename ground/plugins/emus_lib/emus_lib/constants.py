"""Names of sentences, and control characters."""

from typing import Final

CR: Final = 0x0D
LF: Final = 0x0A
SEPARATOR: Final = 0x2C
LOG_LEVEL_DEBUG_DEEPER: Final = 9

SEN_BB1: Final = "BB1"
SEN_BB2: Final = "BB2"
SEN_BC1: Final = "BC1"
SEN_BT1: Final = "BT1"
SEN_BT2: Final = "BT2"
SEN_BT3: Final = "BT3"
SEN_BT4: Final = "BT4"
SEN_BV1: Final = "BV1"
SEN_BV2: Final = "BV2"
SEN_CV1: Final = "CV1"
SEN_VR1: Final = "VR1"
SEN_DT1: Final = "DT1"
SEN_ST1: Final = "ST1"
SEN_OT1: Final = "OT1"
SEN_IN1: Final = "IN1"
SEN_CS1: Final = "CS1"
SEN_CG1: Final = "CG1"
SEN_TD1: Final = "TD1"
SEN_LG1: Final = "LG1"
SEN_SS1: Final = "SS1"
SEN_RS2: Final = "RS2"
