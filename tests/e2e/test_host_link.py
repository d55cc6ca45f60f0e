"""The host on a real pseudo-terminal: files, live packets, status, settings and stop, through kills."""

import os
import signal
import statistics
import sys
import termios
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pygnc.bus.messages import LIVE, AttitudeEstimate, GpsFix, OrbitEstimate, SensorSample, TimeMark
from pygnc.formats import status
from pygnc.formats.status import Phase
from pygnc.host.host_transfer import DownloadReceiver, TransferState, UploadSender
from pygnc.host.sentence_types import (
    DNLE,
    DNLS,
    EVNT,
    GPSR,
    GPSS,
    INFO,
    NAKN,
    PGET,
    PING,
    PLST,
    PNG,
    PONG,
    PSET,
    PVAL,
    RANG,
    SENS,
    STAT,
    STOP,
    STRQ,
    TIME,
)
from tests.fakes.pty_flight import HostOnPty

from .conftest import DEMO, Flight

RECORD = 251
SENSOR = 30
GPS = slice(150, 249)
CONTENT = (DEMO / "sense.bin").read_bytes()
"""Four hundred records and more."""
