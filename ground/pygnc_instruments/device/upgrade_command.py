"""`pygnc device upgrade`: replace a device's firmware, with a progress bar and advice after an interruption."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from pygnc_cli.exit_codes import ExitCode, UsageError
from pygnc_devices.device import BlockingDevice
from pygnc_devices.errors import DeviceError, PortError
from pygnc_devices.family import family as family_of
from pygnc_devices.scheduler import Operation
from pygnc_devices.ucb.firmware import Phase, UpgradeProgress, UpgradeSettings, check_image
from pygnc_instruments.device.connection import ConnectedDevice, DeviceSelection, connect
from pygnc_instruments.device.terminal import (
    Baud,
    FamilyName,
    Json,
    NeededPort,
    print_json,
    print_note,
    reported_errors,
    stderr_console,
)

_DEFAULT_BAUD: Final = 115200


def upgrade(
    port: NeededPort,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="Firmware image from the device's maker (.bin).")],
    *,
    write_firmware: Annotated[
        bool, typer.Option("--write-firmware", help="Write the firmware; without it, the command refuses to write.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check image and device without writing; exit code 0: ready to upgrade."),
    ] = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="Continue with a device that a failed upgrade left in its bootloader.")
    ] = False,
    at_power_up: Annotated[
        bool, typer.Option("--at-power-up", help="Enter the bootloader while you switch the device off and on.")
    ] = False,
    sha256: Annotated[str, typer.Option(help="Expected SHA-256 of the image, as published by the maker.")] = "",
    any_content: Annotated[bool, typer.Option("--any-image", help="Skip the check for ARM Cortex-M firmware.")] = False,
    keep_settings: Annotated[
        Path | None, typer.Option("--save-settings", metavar="FILE", help="Save all settings to FILE beforehand.")
    ] = None,
    family: FamilyName = "",
    baud: Baud = 0,
    as_json: Json = False,
) -> None:
    """Replace the firmware of a device. The image is checked first; nothing is written without --write-firmware."""
    with reported_errors():
        if dry_run and write_firmware:
            raise UsageError("--dry-run and --write-firmware exclude each other; omit one of them")
        content = image.read_bytes()
        check_image(content, any_content=any_content, sha256=sha256)
        settings = UpgradeSettings(at_power_up=at_power_up, sha256=sha256, any_content=any_content)
        selection = DeviceSelection(port, family, baud)
        with _connect(selection, in_bootloader=recover or at_power_up) as connected:
            upgrade_device = connected.family.controls.upgrade
            if upgrade_device is None:
                raise DeviceError(f"{connected.family.title}: these devices do not support firmware upgrades")
            if dry_run:
                check = connected.family.controls.check_upgrade
                before = connected.run(check, "a dry run of an upgrade", content, settings=settings)
                _print_check(content, before, as_json=as_json)
                return
            if keep_settings is not None:
                _save_settings(connected, keep_settings)
            operation = partial(
                upgrade_device,
                connected.unit,
                content,
                write_firmware=write_firmware,
                recover=recover,
                settings=settings,
            )
            result = _run(connected.device, operation)
    if as_json:
        print_json(asdict(result))
    else:
        typer.echo(f"before: {result.before or 'in bootloader'}")
        typer.echo(f"now:    {result.after}")
        print_note(
            f"{result.written_bytes} bytes in {result.seconds:.1f} s; {result.retries} blocks repeated,"
            f" {result.interruptions} disconnections, {result.restarts} restarts from the first block"
        )


def _print_check(image: bytes, before: str, *, as_json: bool) -> None:
    digest = hashlib.sha256(image).hexdigest()
    if as_json:
        print_json({"image_bytes": len(image), "sha256": digest, "device": before, "is_in_bootloader": not before})
        return
    typer.echo(f"image:  {len(image)} bytes, SHA-256 {digest}: accepted")
    typer.echo(f"device: {before or 'in its bootloader'}: ready")
    recover = "" if before else " --recover"
    print_note(f"nothing was written; to upgrade, replace --dry-run by{recover} --write-firmware")


def _connect(selection: DeviceSelection, *, in_bootloader: bool) -> ConnectedDevice:
    """Open a device; a device in its bootloader does not respond to the search and is opened without a search."""
    try:
        return connect(selection)
    except PortError:
        raise
    except DeviceError:
        if not in_bootloader and selection.family not in {"", "ucb"}:
            raise
    if not in_bootloader:
        print_note(f"{selection.port}: no device responds; trying its bootloader")
    kind = family_of("ucb")
    device: BlockingDevice = kind.device.open(selection.port, selection.baud or _DEFAULT_BAUD)  # type: ignore[attr-defined]
    return ConnectedDevice(device, kind)


def _save_settings(connected: ConnectedDevice, path: Path) -> None:
    snapshot = connected.family.controls.snapshot
    if snapshot is not None:
        text = connected.device.run(snapshot(connected.unit))
        with path.open("x") as file:
            file.write(text + "\n")
        print_note(f"{path}: settings saved")


def _run(device: BlockingDevice, make_operation: Callable[..., Operation[Any]]) -> Any:  # noqa: ANN401 - each family has its own result
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    is_shown = stderr_console.is_terminal
    phases: list[Phase] = []
    with Progress(*columns, console=stderr_console, disable=not is_shown) as bar:
        task = bar.add_task("begin", total=None)

        def show(progress: UpgradeProgress) -> None:
            if not is_shown and phases[-1:] != [progress.phase]:
                print_note(f"{progress.phase} ({progress.written_bytes} of {progress.total_bytes} bytes)")
            phases.append(progress.phase)
            bar.update(task, description=progress.phase, total=progress.total_bytes, completed=progress.written_bytes)

        try:
            return device.run(make_operation(on_progress=show))
        except KeyboardInterrupt:
            bar.stop()
            # After the first phase, the driver's message explains how to continue.
            is_unchanged = all(phase is Phase.ENTER for phase in phases)
            print_note("interrupted; the device is unchanged" if is_unchanged else "interrupted")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
