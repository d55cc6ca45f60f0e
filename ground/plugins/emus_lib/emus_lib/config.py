"""Settings from the environment, and from a file `.env` in the current folder or a parent folder."""

import os
from pathlib import Path
from typing import Final

from dotenv import find_dotenv, load_dotenv

load_dotenv(find_dotenv(usecwd=True))

_NO: Final = {"", "0", "false", "no", "off"}


def is_set(text: str | None) -> bool:
    """Return True if a setting is on; `False`, `no`, `off`, `0` and an empty text are off."""
    return text is not None and text.strip().lower() not in _NO


def _integer(name: str, default: int) -> int:
    """Return an integer setting; a name without a value, as in `.env.exemple`, has the default.

    Raises:
        SystemExit: the value is not a non-negative integer.
    """
    text = (os.getenv(name) or str(default)).strip()
    if not text.isdecimal():
        raise SystemExit(f".env: {name} must be a non-negative integer, not {text!r}")
    return int(text)


ID = os.getenv("ID")
EMUS_SERIAL_PORT = os.getenv("EMUS_SERIAL_PORT")
EMUS_SERIAL_VID = os.getenv("EMUS_SERIAL_VID")
EMUS_SERIAL_PID = os.getenv("EMUS_SERIAL_PID")
NO_BT3 = is_set(os.getenv("NO_BT3"))
EMUS_LIVE_INTERVAL = _integer("EMUS_LIVE_INTERVAL", 5)
EMUS_LIVE_TIMEOUT = _integer("EMUS_LIVE_TIMEOUT", 2)
DB_HOST, DB_NAME, DB_USER, DB_PASS = (os.getenv(f"DB_{key}") for key in ("HOST", "NAME", "USER", "PASS"))
DB_LOCAL_HOST, DB_LOCAL_NAME, DB_LOCAL_USER, DB_LOCAL_PASS = (
    os.getenv(f"DB_LOCAL_{key}") for key in ("HOST", "NAME", "USER", "PASS")
)
DB_SYNC_HOST, DB_SYNC_NAME, DB_SYNC_USER, DB_SYNC_PASS = (
    os.getenv(f"DB_SYNC_{key}") for key in ("HOST", "NAME", "USER", "PASS")
)

HOME_PATH = Path(os.getenv("EMUS_HOME", "~/homepy")).expanduser()
"""Folder of locks and logs; `/home/pi/homepy` for the user `pi`."""

__all__ = [name for name in globals() if name.isupper() and not name.startswith("_")]
