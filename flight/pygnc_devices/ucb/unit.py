"""What a driver knows of one DMU38x or OpenIMU: its packets, the meaning of its clock, what its user has set."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from pygnc_devices.declaration import Packet
from pygnc_devices.device_time import NS_PER_S
from pygnc_devices.frames import DamageReason, Frame
from pygnc_devices.procedure import Procedure
from pygnc_devices.reading import Reading, Stamp
from pygnc_devices.statistics import Counts
from pygnc_devices.ucb import commands
from pygnc_devices.ucb.clock import PacketClock
from pygnc_devices.ucb.fields import HZ_OF_DIVIDER, RATE
from pygnc_devices.ucb.openimu_packets import USER_PACKETS
from pygnc_devices.ucb.packets import ANSWER_PACKETS, MAGNETIC_SCALE, OUTPUT_PACKETS

PACKETS: Final = {packet.name: packet for packet in (*OUTPUT_PACKETS, *ANSWER_PACKETS, *USER_PACKETS)}
_CHANGES_RATE: Final = ("SF", "AR", "SR", "PR", "uP", "rS")


class UcbUnit:
    """The engine's interpreter for this family.

    Attributes:
        packets: all that can be decoded, by type.
        volatile: fields that were set in this session, to be set again after the port was gone.
        baud: the speed that the unit was last told, and `first_baud` the one that it had before.
        period_ns: between packets, as field 1 says; None while it is not known.
        is_upgrading: whether its firmware is being written, so that nobody else may talk to it.
    """

    def __init__(
        self,
        baud: int,
        user_packets: Iterable[Packet] = (),
        magnetic_range: float = 20.0,
        *,
        recover: Callable[["UcbUnit"], Procedure[None]] | None = None,
        is_recording: bool = False,
    ) -> None:
        self.baud = self.first_baud = baud
        self._recover = recover
        own = {packet.name: packet for packet in user_packets}
        self.packets = {**_with_magnetic_range(PACKETS, magnetic_range), **own}
        self.volatile: dict[int, int] = {}
        self.period_ns: int | None = None
        self.is_upgrading = False
        self._is_recording = is_recording
        self._clock: PacketClock | None = None

    def take(self, frame: Frame, stamp: Stamp, counts: Counts) -> Reading | None:
        """Return the reading of a frame; see `engine.Interpreter`."""
        if frame.kind in commands.NAK_KINDS:
            counts.refusals += 1
            return None
        self._learn(frame)
        packet = self.packets.get(frame.kind)
        if packet is None or not packet.is_reading:
            return None
        if not packet.fits(len(frame.payload)):
            counts.damaged[DamageReason.CONTENT] += 1
            return None
        values = packet.decode(frame.payload)
        t_device_ns, lost = self._time(packet, values.get(packet.clock), stamp)
        return Reading(packet, frame.raw, values, stamp.t_mono_ns, stamp.t_wall_ns, t_device_ns, lost)

    def reconnected(self) -> Procedure[None] | None:
        """Set again what was set; see `engine.Interpreter`."""
        self._clock = None
        return None if self._recover is None or self.is_upgrading else self._recover(self)

    def _learn(self, frame: Frame) -> None:
        if frame.kind in _CHANGES_RATE and self._clock is not None:
            self._clock.relearn()
        if frame.kind == "GF" and commands.parse_ids(frame.payload, 2) is not None:
            hz = HZ_OF_DIVIDER.get(commands.parse_values(frame.payload).get(RATE, -1), 0)
            self.period_ns = NS_PER_S // hz if hz else self.period_ns

    def _time(self, packet: Packet, word: object, stamp: Stamp) -> tuple[int | None, int]:
        if not isinstance(word, int):
            return None, 0
        if self._clock is None or self._clock.packet is not packet:
            self._clock = PacketClock(packet)
        return self._clock.take(word, self.period_ns, None if self._is_recording else stamp.t_mono_ns)


def _with_magnetic_range(packets: dict[str, Packet], gauss: float) -> dict[str, Packet]:
    """Return the packets for a full scale of the magnetometer; the NAV440's is a tenth of the others'."""
    scale = MAGNETIC_SCALE * gauss / 20.0
    return {
        name: replace(
            packet,
            fields=tuple(
                replace(field, scale=scale) if field.scale == MAGNETIC_SCALE else field for field in packet.fields
            ),
        )
        for name, packet in packets.items()
    }
