"""Operate the window in a separate process, because Tk must end in the thread in which it began.

Usage: window_steps.py manage|watch PORT [DEVICE]
"""

import sys
import time
import tkinter as tk
from collections.abc import Callable
from typing import Any, Final

from pygnc_instruments.bridge.instance import BridgeProcess
from pygnc_instruments.bridge.window import TITLE, Window

PATIENCE_S: Final = 40.0


def manage(root: tk.Tk, window: Window, control: BridgeProcess) -> None:
    """Start the bridge, check its details, stop it."""

    def text(name: str) -> str:
        return str(window.details[name]["text"])

    assert root.title() == TITLE
    until(root, lambda: window.headline["text"] == "stopped" and window.start.instate(["!disabled"]), "stopped")
    assert window.stop.instate(["disabled"])
    window.start.invoke()
    until(root, lambda: window.headline["text"].startswith("running at http://127.0.0.1:"), "running")
    until(root, lambda: text("device").startswith("2008705635") and "Hz" in text("rate"), "device and rate")
    assert window.start.instate(["disabled"])
    window.stop.invoke()
    until(root, lambda: window.headline["text"] == "stopped", "stopped again")
    child = control._child
    assert child is not None
    until(root, lambda: child.poll() is not None, "the end of the process")


def watch(root: tk.Tk, window: Window, _: BridgeProcess) -> None:
    """Find a bridge that another program has started."""
    until(root, lambda: window.headline["text"].startswith("running at"), "the bridge")


def until(root: tk.Tk, condition: Callable[[], Any], what: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s, f"waited {PATIENCE_S} s for {what}"
        root.update()
        time.sleep(0.02)


if __name__ == "__main__":
    the_root = tk.Tk()
    the_control = BridgeProcess(int(sys.argv[2]))
    the_window = Window(the_root, the_control, " ".join(sys.argv[3:]))
    {"manage": manage, "watch": watch}[sys.argv[1]](the_root, the_window, the_control)
    the_window.close()
