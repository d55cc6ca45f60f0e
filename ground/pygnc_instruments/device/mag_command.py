"""`pygnc device calibrate-mag`: has a device align its magnetometer while it is turned."""

import threading
import time
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pygnc_devices.errors import DeviceError
from pygnc_instruments.device.connection import Connected, Wanted, connect
from pygnc_instruments.device.terminal import (
    INTERRUPTED,
    Baud,
    FamilyName,
    Json,
    NeededPort,
    notes,
    say,
    show_json,
    show_pairs,
    told_plainly,
)

_TURN_S: Final = 120.0
_LOOK_S: Final = 0.1


def calibrate_mag(
    port: NeededPort,
    *,
    store: Annotated[bool, typer.Option("--store", help="Keep an acceptable result for good.")] = False,
    family: FamilyName = "",
    baud: Baud = 0,
    as_json: Json = False,
) -> None:
    """Align the magnetometer: turn the device, level, by more than a full turn within two minutes."""
    with told_plainly(), connect(Wanted(port, family, baud)) as connected:
        controls = connected.family.controls
        if controls.align_magnetometer is None or controls.store_alignment is None:
            raise DeviceError(f"{connected.family.title}: such devices do not align a magnetometer themselves")
        found, is_acceptable = _wait(connected, controls.align_magnetometer)
        told = found | {"acceptable": "yes" if is_acceptable else "no: is iron near, or was it turned too little?"}
        if store and is_acceptable:
            connected.device.run(controls.store_alignment(connected.unit))
            told["stored"] = "yes"
    if as_json:
        show_json(told)
    else:
        show_pairs("magnetic alignment", told)
        if is_acceptable and not store:
            say("not stored: in effect until power-off; --store keeps it")
    if not is_acceptable:
        raise typer.Exit(1)


def _wait(connected: Connected, align: Any) -> tuple[dict[str, str], bool]:  # noqa: ANN401 - of any family
    say("turn the device now, level, by 380 degrees within two minutes; it ends by itself")
    task = connected.device.engine.start(align(connected.unit))
    finished = threading.Event()
    task.future.add_done_callback(lambda _: finished.set())
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=notes, disable=not notes.is_terminal) as bar:
            shown = bar.add_task("turn", total=_TURN_S)
            start_s = time.monotonic()
            while not finished.wait(_LOOK_S):
                bar.update(shown, completed=min(_TURN_S, time.monotonic() - start_s))
    except KeyboardInterrupt:
        connected.device.engine.abort(task)
        finished.wait(2.0)
        say("interrupted; the alignment is ended, nothing is stored")
        raise typer.Exit(INTERRUPTED) from None
    result: tuple[dict[str, str], bool] = task.result()
    return result
