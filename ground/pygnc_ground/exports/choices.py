"""Choices of exports. This module imports no library, so that the help of a command is quick."""

from enum import StrEnum


class Kind(StrEnum):
    """Kind of a file."""

    OPM = "opm"
    OEM = "oem"
    OMM = "omm"
    TLE = "tle"
    AEM = "aem"
    CDM = "cdm"
    MCAP = "mcap"
    PREDICTION = "prediction"
    STARLINK = "starlink"
    AWS = "aws"


class Notation(StrEnum):
    """Notation of a message."""

    KVN = "kvn"
    XML = "xml"
    JSON = "json"
