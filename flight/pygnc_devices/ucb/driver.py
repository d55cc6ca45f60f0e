"""The driver of DMU380, DMU381, IMU380 to IMU383, OpenIMU and their kin: `Ucb` for plain scripts, `AsyncUcb`."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Self
from urllib.parse import urlsplit

from pygnc_devices.declaration import Packet
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.faces import AsyncDevice, BlockingDevice, awaitable, blocking
from pygnc_devices.family import Family
from pygnc_devices.procedure import Task
from pygnc_devices.ucb import field_procedures as fields
from pygnc_devices.ucb import framing, line_procedures, snapshot
from pygnc_devices.ucb import openimu_commands as user
from pygnc_devices.ucb import unit_procedures as procedures
from pygnc_devices.ucb import upgrade as firmware
from pygnc_devices.ucb.controls import CONTROLS
from pygnc_devices.ucb.unit import PACKETS, UcbUnit

DEFAULT_BAUD: Final = 115200
_CLOSING_S: Final = 5.0
"""For a rate that is being brought back: more than all tries of a command."""
WIRE: Final = Wire(framing.scan, framing.LONGEST_FRAME, closing_limit_s=_CLOSING_S)


def _open(url: str, baud: int, user_packets: Iterable[Packet], magnetic_range: float) -> tuple[Engine, UcbUnit]:
    is_recording = urlsplit(url).scheme == "file"
    unit = UcbUnit(baud, user_packets, magnetic_range, recover=line_procedures.recover, is_recording=is_recording)
    return Engine(url, baud, WIRE, unit), unit


class Ucb(BlockingDevice):
    """A unit for plain scripts. Methods raise what their procedure says."""

    def __init__(self, engine: Engine, unit: UcbUnit) -> None:
        super().__init__(engine)
        self.unit = unit

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
            baud: speed of the line; units come with 115200, the IMU380 with 38400.
            user_packets: declarations of one's own, see `openimu_packets.packets_from_json`.
            magnetic_range: full scale of 65536 counts of the magnetometer, gauss; the NAV440 has 2.

        Raises:
            PortError: the port cannot be opened.
        """
        return cls(*_open(url, baud, user_packets, magnetic_range))

    ping = blocking(procedures.ping)
    echo = blocking(procedures.echo)
    identify = blocking(procedures.identify)
    version = blocking(procedures.version)
    get_packet = blocking(procedures.get_packet)
    read_words = blocking(procedures.read_words)
    status = blocking(procedures.status)
    reset_algorithm = blocking(procedures.reset_algorithm)
    restart = blocking(procedures.restart)
    reset_program = blocking(procedures.reset_program)
    level = blocking(procedures.level)
    align_magnetometer = blocking(procedures.align_magnetometer)
    start_alignment = blocking(procedures.start_alignment)
    stop_alignment = blocking(procedures.stop_alignment)
    store_alignment = blocking(procedures.store_alignment)

    get_fields = blocking(fields.get_fields)
    read_fields = blocking(fields.read_fields)
    set_fields = blocking(fields.set_fields)
    write_fields = blocking(fields.write_fields)
    set_rate = blocking(line_procedures.set_rate)
    set_packet_type = blocking(line_procedures.set_packet_type)
    change_baud = blocking(line_procedures.change_baud)
    take_snapshot = blocking(snapshot.take_snapshot)
    restore_snapshot = blocking(snapshot.restore_snapshot)
    upgrade = blocking(firmware.upgrade)

    user_ping = blocking(user.user_ping)
    user_version = blocking(user.user_version)
    get_parameter = blocking(user.get_parameter)
    get_parameters = blocking(user.get_parameters)
    get_parameter_range = blocking(user.get_parameter_range)
    set_parameter = blocking(user.set_parameter)
    set_parameters = blocking(user.set_parameters)
    set_parameter_range = blocking(user.set_parameter_range)
    save_parameters = blocking(user.save_parameters)
    restore_default_parameters = blocking(user.restore_default_parameters)
    user_mag_align = blocking(user.user_mag_align)
    user_reset = blocking(user.user_reset)

    @contextmanager
    def quiet(self) -> Generator[None, None, None]:
        """Hold the stream, and let it go on as before in every case: exceptions and Ctrl-C included.

        Commands work without it; it is for lines that are nearly full. The engine's thread brings the rate back, even
        if another Ctrl-C ends the wait for that.
        """
        holding = Task(line_procedures.go_quiet(self.unit))
        try:
            self.engine.submit(holding)
            holding.future.result()
            yield
        finally:
            try:
                undoing = self._undo_quiet(holding)
            except BaseException:  # Ctrl-C in the middle of it
                self._undo_quiet(holding)
                raise
            undoing.future.result()

    def _undo_quiet(self, holding: Task[int]) -> Task[None]:
        self.engine.abort(holding)
        return self.engine.start(line_procedures.undo_quiet(self.unit, holding.future))


class AsyncUcb(AsyncDevice):
    """A unit for asyncio. Methods raise what their procedure says."""

    def __init__(self, engine: Engine, unit: UcbUnit) -> None:
        super().__init__(engine)
        self.unit = unit

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

    ping = awaitable(procedures.ping)
    echo = awaitable(procedures.echo)
    identify = awaitable(procedures.identify)
    version = awaitable(procedures.version)
    get_packet = awaitable(procedures.get_packet)
    read_words = awaitable(procedures.read_words)
    status = awaitable(procedures.status)
    reset_algorithm = awaitable(procedures.reset_algorithm)
    restart = awaitable(procedures.restart)
    reset_program = awaitable(procedures.reset_program)
    level = awaitable(procedures.level)
    align_magnetometer = awaitable(procedures.align_magnetometer)
    start_alignment = awaitable(procedures.start_alignment)
    stop_alignment = awaitable(procedures.stop_alignment)
    store_alignment = awaitable(procedures.store_alignment)

    get_fields = awaitable(fields.get_fields)
    read_fields = awaitable(fields.read_fields)
    set_fields = awaitable(fields.set_fields)
    write_fields = awaitable(fields.write_fields)
    set_rate = awaitable(line_procedures.set_rate)
    set_packet_type = awaitable(line_procedures.set_packet_type)
    change_baud = awaitable(line_procedures.change_baud)
    take_snapshot = awaitable(snapshot.take_snapshot)
    restore_snapshot = awaitable(snapshot.restore_snapshot)
    upgrade = awaitable(firmware.upgrade)

    user_ping = awaitable(user.user_ping)
    user_version = awaitable(user.user_version)
    get_parameter = awaitable(user.get_parameter)
    get_parameters = awaitable(user.get_parameters)
    get_parameter_range = awaitable(user.get_parameter_range)
    set_parameter = awaitable(user.set_parameter)
    set_parameters = awaitable(user.set_parameters)
    set_parameter_range = awaitable(user.set_parameter_range)
    save_parameters = awaitable(user.save_parameters)
    restore_default_parameters = awaitable(user.restore_default_parameters)
    user_mag_align = awaitable(user.user_mag_align)
    user_reset = awaitable(user.user_reset)

    @asynccontextmanager
    async def quiet(self) -> AsyncGenerator[None, None]:
        """Hold the stream; see `Ucb.quiet`. Cancelling counts as an exception."""
        holding = self.engine.start(line_procedures.go_quiet(self.unit))
        try:
            await asyncio.wrap_future(holding.future)
            yield
        finally:
            self.engine.abort(holding)
            ending = self.engine.start(line_procedures.undo_quiet(self.unit, holding.future))
            await asyncio.shield(asyncio.wrap_future(ending.future))


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
