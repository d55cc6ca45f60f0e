"""Driver of Aceinna DMU380, DMU381, IMU380 to IMU383, OpenIMU and related units: `Ucb`, `AsyncUcb` and their family."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Self
from urllib.parse import urlsplit

from pygnc_devices.declaration import Packet
from pygnc_devices.device import AsyncDevice, BlockingDevice, UnitDevice, method
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.family import Family
from pygnc_devices.scheduler import Task
from pygnc_devices.ucb import configuration, framing
from pygnc_devices.ucb import configuration as fields
from pygnc_devices.ucb import openimu_parameters as user
from pygnc_devices.ucb import operations as procedures
from pygnc_devices.ucb import upgrade as firmware
from pygnc_devices.ucb.controls import CONTROLS
from pygnc_devices.ucb.unit import PACKETS, UcbUnit

DEFAULT_BAUD: Final = 115200
_CLOSING_S: Final = 5.0
"""Enough to restore the rate: longer than all attempts of a command."""
WIRE: Final = Wire(framing.scan, framing.LONGEST_FRAME, closing_limit_s=_CLOSING_S)


def _open(url: str, baud: int, user_packets: Iterable[Packet], magnetic_range: float) -> tuple[Engine, UcbUnit]:
    is_recording = urlsplit(url).scheme == "file"
    unit = UcbUnit(baud, user_packets, magnetic_range, recover=configuration.recover, is_recording=is_recording)
    return Engine(url, baud, WIRE, unit), unit


class UcbMethods(UnitDevice[UcbUnit]):
    """Methods of the synchronous and the asyncio API; the operations modules document them and their errors."""

    ping = method(procedures.ping)
    echo = method(procedures.echo)
    identify = method(procedures.identify)
    version = method(procedures.version)
    get_packet = method(procedures.get_packet)
    read_words = method(procedures.read_words)
    status = method(procedures.status)
    reset_algorithm = method(procedures.reset_algorithm)
    restart = method(procedures.restart)
    reset_program = method(procedures.reset_program)
    level = method(procedures.level)
    align_magnetometer = method(procedures.align_magnetometer)
    start_alignment = method(procedures.start_alignment)
    stop_alignment = method(procedures.stop_alignment)
    store_alignment = method(procedures.store_alignment)

    get_fields = method(fields.get_fields)
    read_fields = method(fields.read_fields)
    set_fields = method(fields.set_fields)
    write_fields = method(fields.write_fields)
    set_rate = method(configuration.set_rate)
    set_packet_type = method(configuration.set_packet_type)
    change_baud = method(configuration.change_baud)
    take_snapshot = method(configuration.take_snapshot)
    restore_snapshot = method(configuration.restore_snapshot)
    upgrade = method(firmware.upgrade)

    user_ping = method(user.user_ping)
    user_version = method(user.user_version)
    get_parameter = method(user.get_parameter)
    get_parameters = method(user.get_parameters)
    get_parameter_range = method(user.get_parameter_range)
    set_parameter = method(user.set_parameter)
    set_parameters = method(user.set_parameters)
    set_parameter_range = method(user.set_parameter_range)
    save_parameters = method(user.save_parameters)
    restore_default_parameters = method(user.restore_default_parameters)
    user_mag_align = method(user.user_mag_align)
    user_reset = method(user.user_reset)


class Ucb(UcbMethods, BlockingDevice):
    """Synchronous driver."""

    @classmethod
    def open(
        cls,
        url: str,
        baud: int = DEFAULT_BAUD,
        *,
        user_packets: Iterable[Packet] = (),
        magnetic_range: float = 20.0,
    ) -> Self:
        """Open a unit.

        Args:
            url: serial path, `socket://host:port`, `rfc2217://host:port`, `file://recording.raw`.
            baud: baud rate of the line; units are delivered with 115200, the IMU380 with 38400.
            user_packets: additional declarations; see `openimu_packets.packets_from_json`.
            magnetic_range: range of the 65536 counts of the magnetometer, gauss; 2 for the NAV440.

        Raises:
            PortError: the port cannot be opened.
        """
        return cls(*_open(url, baud, user_packets, magnetic_range))

    @contextmanager
    def quiet(self) -> Generator[None, None, None]:
        """Stop the stream within a `with` block, and restore it in every case, exceptions and Ctrl-C included.

        Commands work without this; it is for lines near their capacity. The engine's thread restores the rate even if
        another Ctrl-C ends the wait for that.
        """
        stopping = Task(configuration.go_quiet(self.unit))
        try:
            self.engine.submit(stopping)
            stopping.result()
            yield
        finally:
            try:
                restoring = self._restore(stopping)
            except BaseException:  # Ctrl-C
                self._restore(stopping)
                raise
            restoring.result()

    def _restore(self, stopping: Task[int]) -> Task[None]:
        self.engine.abort(stopping)
        return self.engine.start(configuration.undo_quiet(self.unit, stopping.future))


class AsyncUcb(UcbMethods, AsyncDevice):
    """Driver for asyncio."""

    @classmethod
    async def open(
        cls,
        url: str,
        baud: int = DEFAULT_BAUD,
        *,
        user_packets: Iterable[Packet] = (),
        magnetic_range: float = 20.0,
    ) -> Self:
        """Open a unit; see `Ucb.open`."""
        return cls(*await asyncio.to_thread(_open, url, baud, user_packets, magnetic_range))

    @asynccontextmanager
    async def quiet(self) -> AsyncGenerator[None, None]:
        """Stop the stream; see `Ucb.quiet`. Cancelling counts as an exception."""
        stopping = self.engine.start(configuration.go_quiet(self.unit))
        try:
            await asyncio.wrap_future(stopping.future)
            yield
        finally:
            self.engine.abort(stopping)
            restoring = self.engine.start(configuration.undo_quiet(self.unit, stopping.future))
            await asyncio.shield(asyncio.wrap_future(restoring.future))


FAMILY: Final = Family(
    name="ucb",
    title="Aceinna DMU38x, IMU38x, OpenIMU",
    bauds=(115200, 57600, 38400),
    wire=WIRE,
    packets=tuple(PACKETS.values()),
    device=Ucb,
    async_device=AsyncUcb,
    interpreter=UcbUnit,
    probe=procedures.probe,
    controls=CONTROLS,
)
