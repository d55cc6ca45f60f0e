"""`pygnc bridge-window`: a small window that starts, stops and watches the bridge."""

import threading
import tkinter as tk
import webbrowser
from collections.abc import Callable
from tkinter import ttk
from typing import Annotated, Final

import typer

from pygnc_devices.serial_port import candidate_ports
from pygnc_instruments.bridge.instance import BridgeProcess, BridgeProcessError, BridgeState
from pygnc_instruments.bridge.server import PROTOCOLS

app: Final = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
TITLE: Final = "PyGNC bridge"
_LOOK_S: Final = 1.0
_REFRESH_MS: Final = 200
_PAD: Final = 8
_GREEN: Final = "#1e7e45"
_RED: Final = "#b3261e"
_AUTOMATIC: Final = ""


class Window:
    """The window.

    Args:
        root: to build it in.
        control: of the bridge.
        device: port of the unit to begin with; "" to have it found.
    """

    def __init__(self, root: tk.Tk, control: BridgeProcess, device: str = _AUTOMATIC) -> None:
        self.root = root
        self._control = control
        self._look = BridgeState(is_running=False)
        self._closing = threading.Event()
        self._hurry = threading.Event()
        root.title(TITLE)
        root.columnconfigure(0, weight=1)
        frame = ttk.Frame(root, padding=2 * _PAD)
        frame.grid(sticky="nsew")
        frame.columnconfigure(1, weight=1)
        self.headline = tk.Label(frame, font=("TkDefaultFont", 13, "bold"), anchor="w")
        self.headline.grid(row=0, column=0, columnspan=2, sticky="ew")
        self._details = {name: self._add_line(frame, row, name) for row, name in enumerate(self._names(), start=1)}
        self.device = self._add_choice(frame, 10, "port (empty: any)", device, tuple(candidate_ports()), is_open=True)
        self.protocol = self._add_choice(frame, 11, "protocol", "v2", tuple(PROTOCOLS), is_open=False)
        buttons = ttk.Frame(frame)
        buttons.grid(row=12, column=0, columnspan=2, sticky="w", pady=(_PAD, 0))
        self.start = self._add_button(buttons, "Start", self._start)
        self.stop = self._add_button(buttons, "Stop", self._stop)
        self.page = self._add_button(buttons, "Open page", self._open)
        self.problem = tk.Label(frame, fg=_RED, anchor="w", justify="left", wraplength=420)
        self.problem.grid(row=13, column=0, columnspan=2, sticky="ew", pady=(_PAD, 0))
        root.protocol("WM_DELETE_WINDOW", self.close)
        self._thread = threading.Thread(target=self._watch, name="bridge watch", daemon=True)
        self._thread.start()
        self._refresh()

    def told(self, name: str) -> str:
        """Return what is shown beside a name."""
        return str(self._details[name]["text"])

    def close(self) -> None:
        """Close the window; the bridge goes on."""
        self._closing.set()
        self._hurry.set()
        self.root.destroy()
        self._thread.join()

    @staticmethod
    def _names() -> tuple[str, ...]:
        return ("unit", "port", "state", "rate", "CRC errors", "log", "clients")

    @staticmethod
    def _add_line(frame: ttk.Frame, row: int, name: str) -> tk.Label:
        ttk.Label(frame, text=name).grid(row=row, column=0, sticky="w", padx=(0, 2 * _PAD))
        value = tk.Label(frame, anchor="w", width=48)
        value.grid(row=row, column=1, sticky="ew")
        return value

    @staticmethod
    def _add_choice(
        frame: ttk.Frame, row: int, name: str, value: str, values: tuple[str, ...], *, is_open: bool
    ) -> ttk.Combobox:
        ttk.Label(frame, text=name).grid(row=row, column=0, sticky="w", padx=(0, 2 * _PAD), pady=(_PAD, 0))
        choice = ttk.Combobox(frame, values=values, state="normal" if is_open else "readonly")
        choice.set(value)
        choice.grid(row=row, column=1, sticky="ew", pady=(_PAD, 0))
        return choice

    @staticmethod
    def _add_button(frame: ttk.Frame, text: str, action: Callable[[], None]) -> ttk.Button:
        button = ttk.Button(frame, text=text, command=action)
        button.pack(side="left", padx=(0, _PAD))
        return button

    def _watch(self) -> None:
        """Look at the bridge again and again, in a thread: an answer may take its time."""
        while not self._closing.is_set():
            self._look = self._control.look()
            self._hurry.wait(_LOOK_S)
            self._hurry.clear()

    def _refresh(self) -> None:
        look = self._look
        self.headline.configure(
            text=f"running at {look.url}" if look.is_running else "stopped", fg=_GREEN if look.is_running else _RED
        )
        told = dict(look.lines)
        for name, label in self._details.items():
            label.configure(text=told.get(name, "–"))
        self.start.state(["disabled" if look.is_running else "!disabled"])
        for button in (self.stop, self.page):
            button.state(["!disabled" if look.is_running else "disabled"])
        if look.problem:
            self.problem.configure(text=look.problem)
        self.root.after(_REFRESH_MS, self._refresh)

    def _start(self) -> None:
        self._attempt(lambda: self._control.start(*self.device.get().split(), "--protocol", self.protocol.get()))

    def _stop(self) -> None:
        self._attempt(self._control.stop)

    def _open(self) -> None:
        webbrowser.open(self._look.url)

    def _attempt(self, action: Callable[[], None]) -> None:
        self.problem.configure(text="")
        try:
            action()
        except BridgeProcessError as error:
            self.problem.configure(text=str(error))
        self._hurry.set()


@app.command(name="bridge-window")
def bridge_window(
    device: Annotated[str, typer.Argument(metavar="[PORT]", help="Of the unit; by default it is looked for.")] = "",
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="That the bridge listens on.")] = 8000,
) -> None:
    """Start, stop and watch the bridge in a small window."""
    try:
        root = tk.Tk()
    except tk.TclError as error:
        typer.echo(f"pygnc: no screen for a window: {error}", err=True)
        raise typer.Exit(1) from None
    Window(root, BridgeProcess(port), device)
    root.mainloop()


if __name__ == "__main__":
    app()
