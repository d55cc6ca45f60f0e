"""`pygnc demo`: process the demonstration batch in a home of its own, print the results, and replay it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from pygnc_cli.application import Application
from pygnc_cli.files import report_user_errors
from pygnc_system.files import data_file

TIMEOUT_MIN: Final = 10
SECONDS_AFTER_THE_BATCH: Final = 60

app: Final = Application()


@app.command(example="pygnc demo --out demo")
def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the home and the replay.")] = Path(
        "pygnc-demo"
    ),
) -> None:
    """Fly the demonstration batch as on a satellite, replay it against the truth, and print the path of the report."""
    with report_user_errors("pygnc demo"):
        code = _fly(out / "home") or _replay(out / "replay")
    raise typer.Exit(code)


def _fly(home: Path) -> int:
    """Copy the batch to a new home, process it, and print what the run has written; return the exit code."""
    import numpy as np

    from pygnc.formats.sense import STANDARD_LAYOUT

    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(data_file("demo/range"), home / "range")
    for name in ("sense.bin", "pygnc.toml"):
        shutil.copy(data_file(f"demo/{name}"), home)
    records = np.fromfile(home / "sense.bin", STANDARD_LAYOUT.record)
    t_spacecraft_s = int(records["sensors"]["t_spacecraft_s"].max()) + SECONDS_AFTER_THE_BATCH
    words = ["fly", str(TIMEOUT_MIN), str(t_spacecraft_s), "--exit-when-done"]
    typer.echo(f"$ HOME={home} pygnc {' '.join(words)}")
    began_ns = time.monotonic_ns()
    code = _pygnc(*words, home=home)
    ended_ns = time.monotonic_ns()
    typer.echo(f"exit code {code}\n\n~/pygnc_info.txt\n{(home / 'pygnc_info.txt').read_text()}")
    typer.echo(f"status (to inspect: pygnc inspect FILE): {home / 'pygnc_status.bin'}")
    (run,) = (home / "pygnc_logs").iterdir()
    typer.echo(f"logs: {run}")
    for path in sorted(run.iterdir()):
        typer.echo(f"  {path.name:24} {path.stat().st_size:8} bytes")
    typer.echo("\ntime per part")
    for part, seconds in durations(run, began_ns, ended_ns):
        typer.echo(f"  {part:24} {seconds:8.3f} s")
    return code


def _replay(out: Path) -> int:
    """Replay the batch on the ground and print the path of the report; return the exit code."""
    shutil.rmtree(out, ignore_errors=True)
    batch = data_file("demo")
    words = [str(batch / "sense.bin"), "--config", str(batch / "pygnc.toml"), "--ranges", str(batch / "range")]
    words += ["--truth", str(batch / "truth.parquet"), "--out", str(out)]
    typer.echo(f"\n$ pygnc replay {' '.join(words)}")
    code = _pygnc("replay", *words)
    typer.echo(f"\nreport (open in a browser): {out / 'report.html'}")
    return code


def _pygnc(*words: str, home: Path | None = None) -> int:
    """Run a subcommand in a process of its own and return its exit code."""
    environment = os.environ | ({"HOME": str(home.absolute())} if home else {})
    program = "import sys; from pygnc_cli.app import main; sys.exit(main())"
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-c", program, *words], env=environment, check=False).returncode  # noqa: S603 - our own program


def durations(run: Path, began_ns: int, ended_ns: int) -> list[tuple[str, float]]:
    """Return the name and the duration in s of each part of a run, from the events journal of the run."""
    import msgspec

    from pygnc.bus.messages import Event
    from pygnc_ground.replay.inputs import journaled

    events = journaled(run, "events", msgspec.msgpack.Decoder(Event).decode)
    marks = {event.text if event.name == "phase" else event.name: event.t_mono_ns for _, event in events}
    parts = [
        ("start, all tasks up", began_ns, marks["batch"]),
        ("the batch", marks["batch"], marks["idle"]),
        ("last status and stop", marks["stop"], ended_ns),
        ("in all", began_ns, ended_ns),
    ]
    return [(name, (end - begin) * 1e-9) for name, begin, end in parts]
