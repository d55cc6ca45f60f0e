"""What people see of a run: steps, progress, the Pi's newest status."""

from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from pygnc_cli.text import printable


class Display(Protocol):
    """Takes what is to be shown."""

    def step(self, text: str) -> None:
        """Say what is done now."""

    def note(self, text: str, *, bad: bool = False) -> None:
        """Say what has come out."""

    def bar(self, text: str, done: float, total: float) -> None:
        """Show how far the step is."""


class RichDisplay:
    """Shows it in a terminal; a context manager. What is piped elsewhere has no bars in it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (TextColumn("  {task.description}"), BarColumn(30), TextColumn("{task.fields[state]}"))
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console, transient=True, auto_refresh=False)
        self._bar = self._progress.add_task("", visible=False, state="")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._progress.stop()

    def step(self, text: str) -> None:
        """See `Display`."""
        self._progress.reset(self._bar, visible=False)
        self._console.print(Text(printable(text), style="bold"))

    def note(self, text: str, *, bad: bool = False) -> None:
        """See `Display`."""
        self._console.print(Text(f"  {printable(text)}", style="red" if bad else ""))

    def bar(self, text: str, done: float, total: float) -> None:
        """See `Display`."""
        share = f"{min(1.0, done / total):4.0%}" if total > 0.0 else ""
        self._progress.update(self._bar, visible=True, completed=done, total=total, description=text, state=share)
        if self._console.is_terminal:
            self._progress.refresh()
