"""`pygnc bridge-window`: a small Tk window that starts, stops and watches the bridge."""

import threading
import tkinter as tk
import webbrowser
from collections.abc import Callable
from tkinter import ttk
from typing import Annotated, Final

import typer

from pygnc_cli.application import Application
from pygnc_cli.exit_codes import ExitCode
from pygnc_devices.serial_port import candidate_ports
from pygnc_instruments.bridge.instance import BridgeProcess, BridgeProcessError, BridgeState
from pygnc_instruments.bridge.protocols import PROTOCOLS

app: Final = Application()
TITLE: Final = "PyGNC bridge"
_LABELS: Final = ("device", "port", "state", "rate", "CRC errors", "log", "clients")
_POLL_S: Final = 1.0
_REFRESH_MS: Final = 200
_PAD: Final = 8
_GREEN, _RED = "#1e7e45", "#b3261e"


class Window:
    """Window of the bridge; closing the window does not stop the bridge.

    Args:
        root: Tk's root window.
        process: control of the bridge.
        device: initial port of the device; "" to search for it.
    """

    def __init__(self, root: tk.Tk, process: BridgeProcess, device: str = "") -> None:
        self.root = root
        self._process = process
        self._state = BridgeState()
        self._closing = threading.Event()
        self._poll_now = threading.Event()
        root.title(TITLE)
        root.columnconfigure(0, weight=1)
        self._frame = ttk.Frame(root, padding=2 * _PAD)
        self._frame.grid(sticky="nsew")
        self._frame.columnconfigure(1, weight=1)
        self.headline = tk.Label(self._frame, font=("TkDefaultFont", 13, "bold"), anchor="w")
        self.headline.grid(row=0, column=0, columnspan=2, sticky="ew")
        self.details = {name: tk.Label(self._frame, anchor="w", width=48) for name in _LABELS}
        for row, (name, label) in enumerate(self.details.items(), start=1):
            self._add_row(row, name, label)
        self._device = ttk.Combobox(self._frame, values=candidate_ports())
        self._device.set(device)
        self._add_row(10, "port (empty: search)", self._device)
        self._protocol = ttk.Combobox(self._frame, values=tuple(PROTOCOLS), state="readonly")
        self._protocol.set("v2")
        self._add_row(11, "protocol", self._protocol)
        self._buttons = ttk.Frame(self._frame)
        self._buttons.grid(row=12, column=0, columnspan=2, sticky="w", pady=(_PAD, 0))
        self.start = self._add_button("Start", lambda: self._attempt(self._start))
        self.stop = self._add_button("Stop", lambda: self._attempt(self._process.stop))
        self._page = self._add_button("Open page", lambda: webbrowser.open(self._state.url))
        self._problem = tk.Label(self._frame, fg=_RED, anchor="w", justify="left", wraplength=420)
        self._problem.grid(row=13, column=0, columnspan=2, sticky="ew", pady=(_PAD, 0))
        root.protocol("WM_DELETE_WINDOW", self.close)
        self._thread = threading.Thread(target=self._poll, name="bridge state", daemon=True)
        self._thread.start()
        self._refresh()

    def close(self) -> None:
        """Close the window."""
        self._closing.set()
        self._poll_now.set()
        self.root.destroy()
        self._thread.join()

    def _add_row(self, row: int, name: str, widget: tk.Widget) -> None:
        ttk.Label(self._frame, text=name).grid(row=row, column=0, sticky="w", padx=(0, 2 * _PAD), pady=(_PAD // 2, 0))
        widget.grid(row=row, column=1, sticky="ew", pady=(_PAD // 2, 0))

    def _add_button(self, text: str, action: Callable[[], object]) -> ttk.Button:
        button = ttk.Button(self._buttons, text=text, command=action)
        button.pack(side="left", padx=(0, _PAD))
        return button

    def _poll(self) -> None:
        """Request the bridge's state every second, in a thread, because a response may take up to a second."""
        while not self._closing.is_set():
            self._state = self._process.state()
            self._poll_now.wait(_POLL_S)
            self._poll_now.clear()

    def _refresh(self) -> None:
        state = self._state
        headline = f"running at {state.url}" if state.is_running else "stopped"
        self.headline.configure(text=headline, fg=_GREEN if state.is_running else _RED)
        for name, label in self.details.items():
            label.configure(text=state.details.get(name, "–"))
        self.start.state(["disabled" if state.is_running else "!disabled"])
        for button in (self.stop, self._page):
            button.state(["!disabled" if state.is_running else "disabled"])
        if state.problem:
            self._problem.configure(text=state.problem)
        self.root.after(_REFRESH_MS, self._refresh)

    def _start(self) -> None:
        self._process.start(*self._device.get().split(), "--protocol", self._protocol.get())

    def _attempt(self, action: Callable[[], None]) -> None:
        self._problem.configure(text="")
        try:
            action()
        except BridgeProcessError as error:
            self._problem.configure(text=str(error))
        self._poll_now.set()


@app.command(name="bridge-window", example="pygnc bridge-window")
def bridge_window(
    device: Annotated[
        str, typer.Argument(metavar="PORT", help="Path or URL of the device's port; default: search USB adapters.")
    ] = "",
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port of the bridge.")] = 8000,
) -> None:
    """Start, stop and watch the bridge in a small window."""
    try:
        root = tk.Tk()
    except tk.TclError as error:
        typer.echo(
            f"pygnc: the window needs a display: {error}; start it on a desktop, or use `pygnc bridge`", err=True
        )
        raise typer.Exit(ExitCode.FAILURE) from None
    Window(root, BridgeProcess(port), device)
    root.mainloop()
