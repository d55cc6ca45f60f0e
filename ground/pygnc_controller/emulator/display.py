"""Progress display of a scenario run: steps, progress bar, newest status."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from pygnc_cli.text import printable


class ProgressDisplay:
    """Context manager that shows progress on a console; progress bars are only drawn on a terminal."""

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
        """Print the name of the step that begins."""
        self._progress.reset(self._bar, visible=False)
        self._console.print(Text(printable(text), style="bold"))

    def note(self, text: str, *, bad: bool = False) -> None:
        """Print a result."""
        self._console.print(Text(f"  {printable(text)}", style="red" if bad else ""))

    def bar(self, text: str, done: float, total: float) -> None:
        """Update the progress bar of the step."""
        share = f"{min(1.0, done / total):4.0%}" if total > 0.0 else ""
        self._progress.update(self._bar, visible=True, completed=done, total=total, description=text, state=share)
        if self._console.is_terminal:
            self._progress.refresh()
