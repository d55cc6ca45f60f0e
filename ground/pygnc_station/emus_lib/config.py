"""Settings from the environment and from a file `.env` in the folder where the program runs, or above it."""

import os
from pathlib import Path
from typing import Final

from dotenv import find_dotenv, load_dotenv

load_dotenv(find_dotenv(usecwd=True))

__all__ = [
    "DB_HOST",
    "DB_LOCAL_HOST",
    "DB_LOCAL_NAME",
    "DB_LOCAL_PASS",
    "DB_LOCAL_USER",
    "DB_NAME",
    "DB_PASS",
    "DB_SYNC_HOST",
    "DB_SYNC_NAME",
    "DB_SYNC_PASS",
    "DB_SYNC_USER",
    "DB_USER",
    "EMUS_LIVE_INTERVAL",
    "EMUS_LIVE_TIMEOUT",
    "EMUS_SERIAL_PID",
    "EMUS_SERIAL_PORT",
    "EMUS_SERIAL_VID",
    "HOME_PATH",
    "ID",
    "NO_BT3",
]
_NO: Final = {"", "0", "false", "no", "off"}


def is_set(text: str | None) -> bool:
    """Tell whether a setting says yes: `False`, `no`, `off` and `0` say no."""
    return text is not None and text.strip().lower() not in _NO


def whole(name: str, usual: int) -> int:
    """Return a whole number of the settings; a name without a value, as in `.env.exemple`, has the usual one.

    Raises:
        SystemExit: it is no number.
    """
    text = (os.getenv(name) or str(usual)).strip()
    if not text.isdecimal():
        raise SystemExit(f".env: {name} is a whole number, not {text!r}")
    return int(text)


ID = os.getenv("ID")
EMUS_SERIAL_PORT = os.getenv("EMUS_SERIAL_PORT")
EMUS_SERIAL_VID = os.getenv("EMUS_SERIAL_VID")
EMUS_SERIAL_PID = os.getenv("EMUS_SERIAL_PID")
NO_BT3 = is_set(os.getenv("NO_BT3"))
EMUS_LIVE_INTERVAL = whole("EMUS_LIVE_INTERVAL", 5)
EMUS_LIVE_TIMEOUT = whole("EMUS_LIVE_TIMEOUT", 2)
DB_HOST, DB_NAME, DB_USER, DB_PASS = (os.getenv(f"DB_{key}") for key in ("HOST", "NAME", "USER", "PASS"))
DB_LOCAL_HOST, DB_LOCAL_NAME, DB_LOCAL_USER, DB_LOCAL_PASS = (
    os.getenv(f"DB_LOCAL_{key}") for key in ("HOST", "NAME", "USER", "PASS")
)
DB_SYNC_HOST, DB_SYNC_NAME, DB_SYNC_USER, DB_SYNC_PASS = (
    os.getenv(f"DB_SYNC_{key}") for key in ("HOST", "NAME", "USER", "PASS")
)

HOME_PATH = Path(os.getenv("EMUS_HOME", "~/homepy")).expanduser()
"""Where locks and logs are; of the user `pi` it is `/home/pi/homepy`."""
