"""Helpers of `emus-bms`: logging, JSON, checksum, queue and lock."""

import json
import logging
import sys
from logging.handlers import RotatingFileHandler
from typing import Any

from emus_lib import config
from emus_lib.constants import LOG_LEVEL_DEBUG_DEEPER
from emus_lib.queue.responsequeue import ResponseQueue
from emus_lib.serial.locker import Locker
from pygnc_devices.emus.framing import crc8

__all__ = ["Locker", "ResponseQueue", "crc_checksum", "dec", "enc", "get_logger", "init_logging"]


def init_logging(name: str) -> logging.Logger:
    """Return a logger that writes to the terminal and to `log/<name>.log` in the home folder (5 MiB, 7 old files)."""
    logging.addLevelName(LOG_LEVEL_DEBUG_DEEPER, "DEBUG_DEEP")
    logger = get_logger(name)
    if logger.handlers:
        return logger
    logger.setLevel(logging.DEBUG)
    folder = config.HOME_PATH / "log"
    folder.mkdir(parents=True, exist_ok=True)
    terminal = logging.StreamHandler(sys.stdout)
    terminal.setFormatter(logging.Formatter("%(levelname)s - %(message)s"))
    file = RotatingFileHandler(folder / f"{name}.log", maxBytes=5 << 20, backupCount=7, delay=True)
    file.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    logger.addHandler(terminal)
    logger.addHandler(file)
    return logger


def get_logger(name: str) -> logging.Logger:
    """Return the logger with this name."""
    return logging.getLogger(name)


def crc_checksum(sentence: str) -> int:
    """Return the checksum of a sentence, up to and including its last comma."""
    return crc8(sentence.encode("ascii"))


def enc(response: Any) -> str:  # noqa: ANN401 - any JSON
    """Return a value as JSON text."""
    return json.dumps(response)


def dec(data: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the value of a JSON text."""
    return json.loads(data)
