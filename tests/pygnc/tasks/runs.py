from pathlib import Path

from pygnc.common.clock import SpacecraftReading
from pygnc.configuration.run import Run
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable


def run_in(folder: Path, *, has_terminal: bool = False, from_last_run: bool = False) -> Run:
    """A run whose folders stand in a folder, at spacecraft time 0."""
    run = Run(
        home=folder / "home",
        folder=folder / "run",
        runtime=folder / "runtime",
        number=1,
        settings=Settings(),
        header=b"",
        earth_orientation=EarthOrientationTable.none(),
        start=SpacecraftReading(0, 0),
        has_terminal=has_terminal,
        from_last_run=from_last_run,
    )
    for path in (run.home, run.folder, run.runtime):
        path.mkdir(parents=True, exist_ok=True)
    return run
