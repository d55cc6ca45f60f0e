"""`pygnc bound`: Cramer-Rao bounds of the orbit or of relative positions for given fixes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

import pygnc_ground as pg
from pygnc_cli.application import Application
from pygnc_cli.document import Document, echo_document
from pygnc_cli.exit_codes import UsageError
from pygnc_cli.files import report_user_errors

if TYPE_CHECKING:
    from rich.table import Table

    from pygnc_ground.orbit.bound import Bound, OrbitBounds

app: Final = Application()

_KINDS: Final = {
    "deterministic_smoother": "state and drag, all fixes",
    "deterministic_filter": "state and drag, fixes so far",
    "posterior_smoother": "with process noise, all fixes",
    "posterior_filter": "with process noise, fixes so far",
}


@app.command(example="pygnc bound --preset nominal")
def bound(
    sense: Annotated[
        Path | None, typer.Argument(metavar="[SENSE]", help="Sense file with recorded fixes; requires --truth.")
    ] = None,
    *,
    truth: Annotated[
        Path | None, typer.Option(help="True orbit of SENSE: a scenario's table, an SP3 or a CCSDS OEM file.")
    ] = None,
    object_id: Annotated[
        str | None, typer.Option("--object", help="Object in an SP3 or OEM file with several objects.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings of a scenario (TOML), instead of SENSE.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Name of a preset of `pygnc scenario presets`, instead of SENSE.")
    ] = None,
    formation: Annotated[
        bool, typer.Option("--formation", help="Bounds of the scenario's partners relative to its satellite.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Show the Cramer-Rao bounds of position and velocity.

    The deterministic bounds assume known forces except for one drag factor. The posterior bounds assume the process
    noise of the flight software. With --formation the bounds are those of relative positions. They assume known forces
    except for a common drag factor and one drag factor per satellite.
    """
    from rich.console import Console

    from pygnc_ground.formation.bound import bound_document, bound_table

    from_settings = config is not None or preset is not None
    document: Document
    with report_user_errors("pygnc bound"):
        if (sense is None) != (truth is None) or (sense is None) != from_settings:
            raise UsageError("name a sense file with its --truth, or a scenario by --config or --preset")
        if formation and not from_settings:
            raise UsageError("--formation requires a scenario by --config or --preset")
        if formation:
            relative = pg.bound_formation(pg.scenario_settings(preset, config))
            document, table = bound_document(relative), bound_table(relative)
        else:
            if sense is not None and truth is not None:
                bounds = pg.bound_recording(sense, pg.load_truth(truth, object_id))
            else:
                bounds = pg.bound_scenario(pg.scenario_settings(preset, config))
            document, table = _as_json(bounds), _as_table(bounds)
    if as_json:
        echo_document(document)
    else:
        Console(highlight=False).print(table)


def _as_table(bounds: "OrbitBounds") -> "Table":
    from rich.table import Table

    from pygnc.common.clock import utc_iso_from_gps_ms

    first, last = (utc_iso_from_gps_ms(int(bounds.gps_ms[row])) for row in (0, -1))
    table = Table(title=f"{len(bounds.gps_ms)} fixes, {first} to {last}", caption="3-D standard deviations")
    table.add_column("bound")
    for column in ("RMS", "after a third", "at the end"):
        table.add_column(column, justify="right")
    for quantity, unit, scale in (("position", "m", 1.0), ("velocity", "mm/s", 1e3)):
        table.add_section()
        table.add_row(f"[bold]{quantity}, {unit}[/bold]")
        for name, description in _KINDS.items():
            figures = _figures(getattr(bounds, name))
            values = [f"{scale * value:.3f}" for key, value in figures.items() if key.startswith(quantity)]
            table.add_row(description, *values)
    return table


class BoundFigures(Document, frozen=True):
    """Figures of one bound."""

    position_rms_m: float | None
    position_settled_rms_m: float | None
    position_end_m: float | None
    velocity_rms_mps: float | None
    velocity_settled_rms_mps: float | None
    velocity_end_mps: float | None


class BoundDocument(Document, frozen=True):
    """Document of `--json`."""

    fixes: int
    first_gps_ms: int
    last_gps_ms: int
    deterministic_smoother: BoundFigures
    deterministic_filter: BoundFigures
    posterior_smoother: BoundFigures
    posterior_filter: BoundFigures


def _as_json(bounds: "OrbitBounds") -> BoundDocument:
    return BoundDocument(
        fixes=len(bounds.gps_ms),
        first_gps_ms=int(bounds.gps_ms[0]),
        last_gps_ms=int(bounds.gps_ms[-1]),
        **{name: BoundFigures(**_figures(getattr(bounds, name))) for name in _KINDS},
    )


def _figures(bound: "Bound") -> dict[str, float]:
    """Return the RMS over the arc, the RMS without its first third, and the value at its end."""
    from pygnc_ground.orbit.solution import later, rms_3d
    from pygnc_ground.report.statistics import SETTLING

    settled = later(bound.gps_ms, SETTLING)
    figures: dict[str, float] = {}
    for quantity, unit, sigma in (("position", "m", bound.position_m), ("velocity", "mps", bound.velocity_mps)):
        figures[f"{quantity}_rms_{unit}"] = rms_3d(sigma[:, None])
        figures[f"{quantity}_settled_rms_{unit}"] = rms_3d(sigma[settled, None])
        figures[f"{quantity}_end_{unit}"] = float(sigma[-1])
    return figures
