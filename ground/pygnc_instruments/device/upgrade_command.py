"""`pygnc device upgrade`: new firmware, with a progress bar, and a word on how to go on if it breaks off."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from pygnc_devices.device import BlockingDevice
from pygnc_devices.errors import DeviceError, PortError
from pygnc_devices.family import family as family_of
from pygnc_devices.ucb.firmware import Phase, UpgradeProgress, UpgradeSettings
from pygnc_instruments.device.connection import ConnectedDevice, DeviceSelection, connect
from pygnc_instruments.device.terminal import (
    INTERRUPTED,
    Baud,
    FamilyName,
    Json,
    NeededPort,
    notes,
    say,
    show_json,
    told_plainly,
)

_USUAL_BAUD: Final = 115200


def upgrade(
    port: NeededPort,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="Firmware of the device's maker (.bin).")],
    *,
    write_firmware: Annotated[
        bool, typer.Option("--write-firmware", help="Do it: without this, the image and the device are only checked.")
    ] = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="The device is in its bootloader, as an upgrade that broke off left it.")
    ] = False,
    at_power_up: Annotated[
        bool, typer.Option("--at-power-up", help="Catch it when you switch it off and on, as some need it.")
    ] = False,
    sha256: Annotated[str, typer.Option(help="What the maker says that the image has.")] = "",
    any_content: Annotated[bool, typer.Option("--any-image", help="Do without the look into the image.")] = False,
    keep_settings: Annotated[
        Path | None, typer.Option("--save-settings", metavar="FILE", help="Save a snapshot of all settings before.")
    ] = None,
    family: FamilyName = "",
    baud: Baud = 0,
    as_json: Json = False,
) -> None:
    """Replace the firmware of a device. The image is checked first; nothing is written without --write-firmware."""
    with told_plainly():
        octets = image.read_bytes()
        settings = UpgradeSettings(at_power_up=at_power_up, sha256=sha256, any_content=any_content)
        with _connected(DeviceSelection(port, family, baud), is_mute=recover or at_power_up) as connected:
            procedure = connected.family.controls.upgrade
            if procedure is None:
                raise DeviceError(f"{connected.family.title}: the firmware of such devices is not upgraded by this")
            if keep_settings is not None:
                _save(connected, keep_settings)
            result = _run(
                connected.device,
                lambda told: procedure(
                    connected.unit,
                    octets,
                    write_firmware=write_firmware,
                    recover=recover,
                    on_progress=told,
                    settings=settings,
                ),
            )
    if as_json:
        show_json({name: getattr(result, name) for name in result.__dataclass_fields__})
    else:
        typer.echo(f"before: {result.before or 'in its bootloader'}")
        typer.echo(f"now:    {result.after}")
        say(
            f"{result.written_bytes} bytes in {result.seconds:.1f} s; {result.retries} blocks sent again,"
            f" {result.interruptions} losses of the port, {result.restarts} new beginnings"
        )


def _connected(wanted: DeviceSelection, *, is_mute: bool) -> ConnectedDevice:
    """Open a device; one that is in its bootloader cannot be found by asking who it is."""
    try:
        return connect(wanted)
    except PortError:
        raise
    except DeviceError:
        if not is_mute and wanted.family not in {"", "ucb"}:
            raise
    kind = family_of("ucb")
    if not is_mute:
        say("no device answers; looking for a bootloader")
    device: BlockingDevice = kind.device.open(wanted.port, wanted.baud or _USUAL_BAUD)  # type: ignore[attr-defined]
    return ConnectedDevice(device, kind)


def _save(connected: ConnectedDevice, path: Path) -> None:
    take = connected.family.controls.snapshot
    if take is not None:
        text = connected.device.run(take(connected.unit))
        with path.open("x") as file:
            file.write(text + "\n")
        say(f"{path}: settings saved")


def _run(device: BlockingDevice, make: Any) -> Any:  # noqa: ANN401 - of any family
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    heard: list[UpgradeProgress] = []
    with Progress(*columns, console=notes, disable=not notes.is_terminal) as bar:
        task = bar.add_task("begin", total=None)

        def tell(progress: UpgradeProgress) -> None:
            if not notes.is_terminal and (not heard or heard[-1].phase != progress.phase):
                say(f"{progress.phase} ({progress.written_bytes} of {progress.total_bytes} bytes)")
            heard.append(progress)
            bar.update(task, description=progress.phase, total=progress.total_bytes, completed=progress.written_bytes)

        try:
            return device.run(make(tell))
        except KeyboardInterrupt:
            bar.stop()
            is_touched = any(entry.phase is not Phase.ENTER for entry in heard)
            # If it is, the driver says how to go on.
            say("interrupted" if is_touched else "interrupted; the device is as it was")
            raise typer.Exit(INTERRUPTED) from None
